"""Messages by declared routes: a cause is opened once, repeated no more often than ``quiet_for``, and closed once."""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import MAX_TEXT
from adplatform.ledger.alerts import OpenAlert
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import PLATFORM, REMEMBER_NOTIFIED, Unsent
from adplatform.ledger.rows import digest
from adplatform.ledger.volumes import trouble_name
from adplatform.platform.alert import SCHEMA_CHANGED, VOLUME_UNUSUAL, Alert, Phase, Severity, alert_of
from adplatform.platform.facts import bounded
from adplatform.platform.notifications import Notifier, publish_together, sent_as

if TYPE_CHECKING:
    from adplatform.contracts.alerts import Alerts, Destination
    from adplatform.contracts.source import Topics

log = logging.getLogger(__name__)

_FAILED = "run_failed"
_BOUNDS, _MOST = ((50, MAX_TEXT), (50, 1000), (10, 200), (10, 20)), 60_000
"""How many of many values are kept and how many characters of each text, and characters of all."""
_TROUBLES = {
    "arrivals_hindered": "hindrance/arrivals/",
    "delivery_hindered": "hindrance/deliveries/",
    "reports_hindered": "hindrance/reports/",
}
"""What :func:`adplatform.flow.hindrances.begin_hindrance` notes of each."""
_SEEN_TO_END = ("tick_failed", "table_stale")
"""What those who told of it say the end of, by :meth:`Alerting.end_seen`."""
_ENDS_SOMETIME = (*_SEEN_TO_END, SCHEMA_CHANGED)
"""These, and what the ledger says the end of."""
_NOTED_WITHIN = timedelta(minutes=5)
"""Some note a trouble only after people were notified of it: one that is not noted by then has ended."""


@dataclass(frozen=True)
class Alerting:
    """Notifies by routes, and of what none takes as ``plain`` does. A source's own ``topics`` hear what they always
    did. ``arn`` is that of a topic by name."""

    alerts: "Alerts"
    topics: "Topics"
    plain: Notifier
    ledger: Ledger
    arn: Callable[[str], str]

    def successes(self, event: str, messages: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """As :meth:`Notifier.successes`. A publication that ends a cause closes it, where that was told in the place of
        its own message."""
        at = self.ledger.now().isoformat()
        found = [alert_of(event, subject, _plain(facts), at=at) for subject, facts in messages]
        routed = [self.alerts.to(alert) for alert in found]
        self.plain.successes(
            event, [each for each, to in zip(messages, routed, strict=True) if not to or self.topics.success]
        )
        ended = self.end({alert.thread for alert in found})
        for to in self.alerts.destinations():
            some = [a for a, own in zip(found, routed, strict=True) if to in own and to not in ended.get(a.thread, ())]
            entries = [sent_as(to.form, alert) for alert in some]
            for number, why in publish_together(self.plain.sns, self.arn(to.topic), entries).items():
                log.error("%s, but %s could not be notified: %s", some[number].said(), to.topic, why)

    def failure(self, event: str, subject: str, facts: dict[str, Any]) -> bool:
        """As :meth:`Notifier.failure`. What routes take is in the ledger before it is sent."""
        alert = alert_of(event, subject, _plain(facts), Phase.OPEN, self.ledger.now().isoformat())
        to = self.alerts.to(alert)
        if to:
            self._happened(alert, to)
        return self.plain.failure(event, subject, facts) if self.topics.failure or not to else True

    def end(self, threads: Collection[str] | None = None) -> Mapping[str, Sequence["Destination"]]:
        """Close what has ended by what the ledger says, of these ``threads`` or all; who was told of each."""
        told = dict[str, Sequence["Destination"]]()
        for seen in self.ledger.alerts.every() if threads is None or threads else ():
            if threads is not None and seen.thread not in threads:
                continue
            if end := _ended(self.ledger, seen):
                told |= self._close(seen, end)
            elif self._is_forgotten(seen):
                self.ledger.alerts.end(seen, [])
        return told

    def end_seen(self, event: str, facts: Mapping[str, Any], subject: str) -> None:
        """Close the cause of that event, if it is open: somebody has seen it end."""
        end = alert_of(event, subject, facts, Phase.END, self.ledger.now().isoformat())
        seen = self.ledger.alerts.get(end.thread)
        if seen is not None:
            self._close(seen, end)

    def _is_forgotten(self, seen: OpenAlert) -> bool:
        """Whether nobody will see it end and it was said long ago, so that it is new when it happens again."""
        alert = alert_of(seen.event, "", json.loads(seen.facts))
        ends = alert.about_delivery or _trouble(alert) or seen.event in _ENDS_SOMETIME
        after = REMEMBER_NOTIFIED if ends else self.alerts.quiet_for
        return self.ledger.now() - max(map(datetime.fromisoformat, seen.said.values())) > after

    def _happened(self, alert: Alert, to: Sequence["Destination"]) -> None:
        """Note that it happened, and say it unless it was said lately."""
        what, kind = digest(alert.event, json.dumps(alert.facts, sort_keys=True)), alert.kind
        while True:
            seen, now = self.ledger.alerts.get(alert.thread), self.ledger.now()
            known = seen or OpenAlert(alert.thread, alert.event, json.dumps(alert.facts), now)
            quiet = known.is_quiet(kind, now, self.alerts.quiet_for)
            if quiet and known.last == what:
                return
            times = known.times.get(kind, 0) + (known.last != what)
            new = replace(known, last=what, times={**known.times, kind: times})
            messages: list[Unsent] = []
            if not quiet:
                new = replace(new, said={**known.said, kind: now.isoformat()})
                messages = [_message(_as_said(alert, seen, times), each) for each in to]
            if self.ledger.alerts.write(seen, new, messages):
                self._send(messages)
                return

    def _close(self, seen: OpenAlert, end: Alert) -> Mapping[str, Sequence["Destination"]]:
        """Say to whoever was told of the cause that it has ended; nothing if somebody else does."""
        facts = json.loads(seen.facts)
        heard = [alert_of(kind.partition("/")[0], "", facts) for kind in seen.said]
        to = list(dict.fromkeys(each for alert in heard for each in self.alerts.to(alert)))
        messages = [_message(replace(end, thread=seen.thread), each) for each in to]
        if not self.ledger.alerts.end(seen, messages):
            return {}
        self._send(messages)
        return {seen.thread: to}

    def _send(self, messages: Iterable[Unsent]) -> None:
        """Those that cannot be sent stay for :func:`adplatform.flow.outbox.send_unsent`."""
        for message in messages:
            if send_routed(self.plain.sns, self.arn, message):
                self.ledger.messages.clear_unsent(PLATFORM, message)


def send_routed(sns: Any, arn: Callable[[str], str], message: Unsent) -> bool:
    """Send a message of one route; whether that was possible."""
    alert = _read(message.facts)
    try:
        sns.publish(TopicArn=arn(message.topic), **sent_as(message.form, alert))
    except (BotoCoreError, ClientError) as e:
        log.error("%s, but %s could not be notified: %s", alert.said(), message.topic, e)
        return False
    return True


def _as_said(alert: Alert, seen: OpenAlert | None, times: int) -> Alert:
    if seen is None:
        return alert
    if alert.kind not in seen.said:
        return replace(alert, phase=Phase.AGAIN)
    return replace(alert, phase=Phase.AGAIN, note=f"{times} times since {seen.since:%Y-%m-%d %H:%M} UTC")


def _ended(ledger: Ledger, seen: OpenAlert) -> Alert | None:
    """What is said of the end of a cause, if it has ended."""
    alert = alert_of(seen.event, "", json.loads(seen.facts), Phase.END, ledger.now().isoformat())
    if alert.about_delivery and alert.day is not None:
        return _published(ledger, seen, alert, alert.day)
    if seen.event == SCHEMA_CHANGED:
        return _as_declared(ledger, seen, alert)
    trouble = _trouble(alert)
    if not trouble or ledger.now() - seen.since < _NOTED_WITHIN:
        return None
    known = ledger.messages.troubles(alert.source)
    if trouble in known or any(what.startswith(trouble) for what in known if trouble.endswith("/")):
        return None
    kept = {name: alert.facts[name] for name in ("source", "feed", "table", "refused") if name in alert.facts}
    what = f"{seen.event.replace('_', ' ')} no longer; it was since {seen.since:%Y-%m-%d %H:%M} UTC"
    return replace(alert, subject=f"{alert.facts.get('feed') or alert.source}: {what}", facts=kept)


def _as_declared(ledger: Ledger, seen: OpenAlert, alert: Alert) -> Alert | None:
    schema = ledger.schemas.get(alert.feed)
    if schema is None or schema.different:
        return None
    kept = {name: alert.facts[name] for name in ("feed", "table") if name in alert.facts}
    what = f"files and what is declared agree; they differed since {seen.since:%Y-%m-%d %H:%M} UTC"
    return replace(alert, subject=f"{alert.feed}: {what}", facts=kept)


def _published(ledger: Ledger, seen: OpenAlert, alert: Alert, day: date) -> Alert | None:
    delivery = ledger.deliveries.get(alert.feed, day)
    if delivery.state is not DeliveryState.PUBLISHED or delivery.published != delivery.version:
        return None
    row = ledger.publications.get(alert.feed, day, delivery.version)
    counts = {"rows_in": row.rows_in, "clean": row.clean, "quarantined": row.quarantined} if row else {}
    attempts = max(seen.times.get(_FAILED, 0) + 1, delivery.attempt)
    after = f" after {attempts} attempts" if attempts > 1 else ""
    facts = {"feed": alert.feed, "date": str(day), "version": delivery.version, **counts}
    return replace(alert, subject=f"{alert.feed} {day}: published{after}", facts=facts)


def _trouble(alert: Alert) -> str:
    """What the ledger has for as long as the cause lasts, where it has something; before a ``/`` any number of them."""
    if alert.event == "access_refused":
        return str(alert.facts.get("refused", ""))
    if alert.event == "catalog_disagrees":
        return f"catalog/{alert.facts.get('table')}"
    if alert.event == VOLUME_UNUSUAL:
        return trouble_name(alert.feed)
    return _TROUBLES.get(alert.event, "")


def _message(alert: Alert, to: "Destination") -> Unsent:
    return Unsent(alert.event, alert.subject, json.dumps(asdict(alert), sort_keys=True), to.topic, form=to.form)


def _read(facts: str) -> Alert:
    whole = json.loads(facts)
    return Alert(**{**whole, "severity": Severity(whole["severity"]), "phase": Phase(whole["phase"])})


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has them, and as much of them as several rows of one transaction take."""
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    for many, long in _BOUNDS:
        cut = bounded(plain, many, long)
        if len(json.dumps(cut)) < _MOST:
            break
    return cut
