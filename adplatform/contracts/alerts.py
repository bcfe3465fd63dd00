"""What ``alerts.yaml`` may say: who else hears of what, in which form, and for how long a repeated failure is quiet."""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from adplatform.contracts.durations import Duration
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.strict import Names, Strict
from adplatform.contracts.yaml_files import Declared, Mistake, read_file
from adplatform.failures import PermanentFailure
from adplatform.platform.alert import EVENTS, PUBLISHED, Alert, Severity

FILE = "alerts.yaml"
TYPE = "adplatform.Alerts"
Form = Literal["json", "chat", "pagerduty"]
_TOPIC = re.compile(
    r"(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:)?[A-Za-z0-9_-]{1,256}"
)  # SNS API reference, CreateTopic


class Destination(Strict):
    """Where messages go."""

    topic: str
    """An SNS topic, by name or ARN."""
    form: Form = "json"
    """What its subscribers read: `json` as the platform's own topics, `chat` for Amazon Q Developer in chat
    applications (Slack, Teams), `pagerduty` for PagerDuty."""

    @field_validator("topic")
    @classmethod
    def _is_topic(cls, topic: str) -> str:
        if topic.endswith(".fifo"):
            raise ValueError(f"{topic} is a FIFO topic, which chat, PagerDuty and e-mail cannot subscribe to")
        if not _TOPIC.fullmatch(topic):
            raise ValueError(f"{topic!r} is neither the name nor the ARN of an SNS topic")
        return topic


class Route(Strict):
    """What goes where. Of `sources`, `events` and `severities` each that is left out means all."""

    sources: Names = ()
    """Names of sources."""
    events: Names = ()
    """Names of events, such as `run_failed`; `docs/alerts.md` lists them."""
    severities: Names = ()
    """`info`, `warning`, `error` or `critical`."""
    to: tuple[Destination, ...] = Field(min_length=1)
    """Where these messages go."""

    @field_validator("events")
    @classmethod
    def _are_events(cls, events: tuple[str, ...]) -> tuple[str, ...]:
        return _known("event", events, EVENTS)

    @field_validator("severities")
    @classmethod
    def _are_severities(cls, severities: tuple[str, ...]) -> tuple[str, ...]:
        return _known("severity", severities, [str(each) for each in Severity])

    @model_validator(mode="after")
    def _can_be_an_incident(self) -> Self:
        if self.events == (PUBLISHED,) and any(each.form == "pagerduty" for each in self.to):
            raise ValueError(
                f"{PUBLISHED} opens no incident of PagerDuty: route the failures there, and what is published resolves "
                "them"
            )
        return self

    def takes(self, alert: Alert) -> bool:
        return (
            (not self.sources or alert.source in self.sources)
            and (not self.events or alert.event in self.events)
            and (not self.severities or alert.severity in self.severities)
        )


class Alerts(Strict):
    """The routes of a project."""

    quiet_for: Duration = timedelta(hours=6)
    """For how long the same failure of the same feed and date is not said again (6 hours by default)."""
    routes: tuple[Route, ...] = ()
    """Every route that takes a message gets it; what none takes goes to the platform's topics."""

    @model_validator(mode="after")
    def _one_form_each(self) -> Self:
        forms: dict[str, str] = {}
        for each in self.destinations():
            if forms.setdefault(each.topic, each.form) != each.form:
                raise ValueError(
                    f"topic {each.topic} is given as {forms[each.topic]} and as {each.form}: who subscribes reads one "
                    "form; name another topic"
                )
        return self

    def destinations(self, routes: Iterable[Route] | None = None) -> list[Destination]:
        """All of them, each once."""
        return list(dict.fromkeys(to for route in (self.routes if routes is None else routes) for to in route.to))

    def to(self, alert: Alert) -> list[Destination]:
        """Where a message goes, each once; none where no route takes it."""
        found = self.destinations(route for route in self.routes if route.takes(alert))
        return [each for each in found if each.form != "pagerduty" or alert.event != PUBLISHED]


def read_alerts(file: Path) -> tuple[Declared[Alerts] | None, list[Mistake]]:
    """The declared routes, None where there is no such file, and every mistake in it."""
    if not file.exists():
        return None, []
    declared, mistakes = read_file(file, {"Alerts": Alerts})
    if not declared and not mistakes:
        mistakes = [Mistake(file, 1, "type", f"is missing: write `type: {TYPE}` and `attributes` below it")]
    mistakes += [Mistake(file, each.line, "document", "is the second: one file has one") for each in declared[1:]]
    return (declared[0] if declared else None), mistakes


def faultless_alerts(file: Path) -> Alerts | None:
    """
    Raises:
        PermanentFailure: the file has mistakes; names the first.
    """
    declared, mistakes = read_alerts(file)
    if mistakes:
        raise PermanentFailure(f"{mistakes[0]} (`adplatform validate` lists all)")
    return declared.model if declared else None


def unknown_sources(declared: Declared[Alerts], known: Iterable[str]) -> Iterator[Mistake]:
    """Sources that routes name and nobody declares."""
    names = list(known)
    for number, route in enumerate(declared.model.routes):
        for place, source in enumerate(route.sources):
            if source not in names:
                path = ("routes", number, "sources", place)
                reason = f"no source {source!r} is declared{did_you_mean(source, names)}"
                yield Mistake(declared.file, declared.line_of(*path), f"routes.{number}.sources", reason)


def _known(what: str, given: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    names = list(known)
    for each in given:
        if each not in names:
            raise ValueError(f"no {what} {each!r}{did_you_mean(each, names)}; there are {', '.join(names)}")
    return given
