"""What people are notified of after a look at a source, each once."""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial

from adplatform.contracts.source import Topics
from adplatform.flow.hindrances import begin_hindrance, end_hindrances
from adplatform.flow.outbox import send_unsent
from adplatform.flow.services import Services
from adplatform.flow.settling import Look, Problem
from adplatform.flow.source import Source
from adplatform.ledger.messages import Noted
from adplatform.ledger.objects import is_file_id

log = logging.getLogger(__name__)

ARRIVALS = "arrivals"
"""The kind of work that is hindered when deliveries cannot be judged."""
_REFUSED_EVERY = timedelta(hours=1)


def notify_refused(services: Services, source: Source, noted: Noted | None = None) -> None:
    """Notify of objects that are ignored though somebody meant to deliver them, each once and those of one reason in a
    message an hour; again with the next look when the message cannot be sent. ``noted`` is what was read since."""
    topics: Mapping[str, Topics] = {flow.name: flow.topics for flow in source.feeds}
    ledger = services.ledger
    for refused in noted.refused if noted else ledger.objects.refused(source.name):
        last = ledger.messages.notified(source.name, refused.sort_key)
        if last is not None and ledger.now() - last.at < _REFUSED_EVERY:
            continue
        count = f"{refused.objects} objects" if refused.objects != 1 else "an object"
        first = refused.first if is_file_id(refused.first) else ""  # an earlier release noted the name
        log.warning("%s: %s refused, first %s: %s", refused.feed, count, first, refused.reason)
        sent = services.notifier(topics.get(refused.feed, source.feeds[0].topics)).failure(
            "objects_refused",
            f"{refused.feed}: {count} refused",
            {
                "feed": refused.feed,
                "objects": refused.objects,
                "first": first,
                "reason": refused.reason,
                "action": refused.action,
            },
        )
        if sent:
            ledger.messages.put_notified(source.name, refused.sort_key)
            ledger.objects.clear_refused(source.name, refused)


def notify_stuck(services: Services, source: str, problems: Iterable[Problem], noted: Noted | None = None) -> None:
    """Notify of deliveries that newly cannot settle, and of whatever could not be sent before. ``noted`` is as in
    :func:`notify_refused`."""
    for problem in problems:
        log.error("%s %s: %s", problem.flow.name, problem.day, problem.error)
        services.metrics.failed(source, problem.kind, feed=problem.flow.name, day=problem.day)
    send_unsent(services, source, noted.unsent if noted else None)


def notify_hindered(services: Services, source: Source, found: Look, noted: Noted | None = None) -> None:
    """Notify of what keeps deliveries from being judged where the platform runs, when it begins. ``noted`` is as in
    :func:`notify_refused`."""
    for hindrance in found.hindrances:
        facts = {"source": source.name, "error": str(hindrance)}
        subject = f"{source.name}: deliveries cannot be judged where the platform runs"
        notify = partial(services.notifier(source.feeds[0].topics).failure, "arrivals_hindered", subject, facts)
        begin_hindrance(services.ledger, source.name, ARRIVALS, hindrance, notify)
    if found.mark is None and not found.hindrances:
        end_hindrances(services.ledger, source.name, ARRIVALS, noted.troubles if noted else None)
