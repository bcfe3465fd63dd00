"""What is said to people of one thing that happened, before a channel gives it a form; and how bad each event is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from hashlib import sha256
from typing import Any

from adplatform.failures import MAX_TEXT, clipped, unnamed


class Severity(StrEnum):
    """Those of PagerDuty's Events API v2 (`payload.severity`)."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Phase(StrEnum):
    """OPEN begins a cause, AGAIN repeats it after the quiet time, END closes it. NOTE has neither beginning nor end."""

    OPEN = "open"
    AGAIN = "again"
    END = "end"
    NOTE = "note"


PUBLISHED = "delivery_published"
SCHEMA_CHANGED = "schema_changed"
VOLUME_UNUSUAL = "volume_unusual"
TEST = "test"
ENDS_BY_DELIVERY = ("run_failed", "delivery_stuck", "delivery_missed", "not_delivered")
"""What ends when the latest version of its delivery is what readers see."""

EVENTS: Mapping[str, Severity] = {
    PUBLISHED: Severity.INFO,
    **dict.fromkeys(
        (
            *("objects_refused", "files_refused", "files_not_cleared", "files_not_fetched", "upload_cut_off"),
            *("upload_failed", "catalog_repaired", "crawl_disagrees", "run_overdue", "report_overdue"),
            *("report_dates_at_risk", "budget_reached", "clock_ahead", "listing_truncated"),
            *(SCHEMA_CHANGED, VOLUME_UNUSUAL),
        ),
        Severity.WARNING,
    ),
    **dict.fromkeys(
        (
            *ENDS_BY_DELIVERY,
            *("arrivals_hindered", "delivery_hindered", "reports_hindered", "run_incomplete", "run_not_stopped"),
            *("run_given_up", "target_refused", "catalog_disagrees", "report_failed", "access_refused"),
            *("report_dates_lost", "stream_refused", "table_stale", "table_not_followed", "changes_missing"),
            *("listing_unreadable",),
        ),
        Severity.ERROR,
    ),
    "tick_failed": Severity.CRITICAL,
}
"""How bad each event is. One that is not listed is an error."""
_FILE_ID = re.compile(r"\bfile:[0-9a-f]{32}\b")
_NUMBERS = re.compile(r"[0-9]+")


@dataclass(frozen=True)
class Alert:
    """``thread`` names the cause: the same until it ends. ``facts`` are those of the message in JSON; ``note`` is a
    sentence more. Every form of it passes :func:`adplatform.failures.unnamed`: no channel gets the name of a file."""

    event: str
    subject: str
    facts: Mapping[str, Any]
    source: str
    thread: str
    severity: Severity
    phase: Phase = Phase.NOTE
    at: str = ""
    note: str = ""

    @property
    def feed(self) -> str:
        return str(self.facts.get("feed") or self.facts.get("table") or "")

    @property
    def day(self) -> date | None:
        """The date of the delivery, of what is about one."""
        text = self.facts.get("date")
        return date.fromisoformat(text) if isinstance(text, str) and _is_day(text) else None

    @property
    def about_delivery(self) -> bool:
        """Of one feed and date, so that its thread is theirs."""
        return self.event in (*ENDS_BY_DELIVERY, PUBLISHED) and self.day is not None and "," not in self.feed

    @property
    def kind(self) -> str:
        """What is the same when it happens again: of a delivery each event, else that with the same reason, whatever
        numbers are in it."""
        if self.about_delivery:
            return self.event
        why = [_NUMBERS.sub("#", str(self.facts.get(name, ""))) for name in ("reason", "error")]
        of = [str(self.facts.get(name, "")) for name in ("unit", "period")]
        if self.event == SCHEMA_CHANGED:
            of.append(str(self.facts.get("changes")))
        return f"{self.event}/{sha256(repr((why, of)).encode()).hexdigest()[:16]}"

    @property
    def conversation(self) -> str:
        """Where a chat has what is said of one feed and date, whatever the cause; else the thread."""
        return f"{self.feed}/{self.day}" if self.day is not None and "," not in self.feed else self.thread

    def said(self, limit: int = MAX_TEXT) -> str:
        """The subject, in so many characters."""
        return clipped(unnamed(self.subject), limit).replace("\n", " ")

    def steps(self) -> list[tuple[str, str]]:
        """Commands to run next, and what each is for."""
        return list(_steps(self))


def alert_of(event: str, subject: str, facts: Mapping[str, Any], phase: Phase = Phase.NOTE, at: str = "") -> Alert:
    """What a message is about: whose it is, how bad, and of which cause."""
    named = next((str(facts[name]) for name in ("source", "feed", "table") if facts.get(name)), "")
    source = named.partition(",")[0].partition("/")[0] if "/" in named or "source" in facts else ""
    severity = EVENTS.get(event, Severity.ERROR)
    if event == SCHEMA_CHANGED and facts.get("taken_over"):
        severity = Severity.INFO
    made = Alert(event, subject, facts, source, "", severity, phase, at)
    if made.about_delivery:
        return replace(made, thread=f"{made.feed}/{made.day}")
    of = next((str(facts[n]) for n in ("refused", "target", "asset", "table", "feed", "name") if facts.get(n)), source)
    thread = "/".join(filter(None, (source, event, "" if of == source else of, str(facts.get("date") or ""))))
    return replace(made, thread=thread)


def _is_day(text: str) -> bool:
    return len(text) == len("2026-01-01") and text.replace("-", "").isdigit()


_OF_A_DATE: Mapping[str, tuple[str, str]] = {
    "run_failed": ("adplatform retry {feed} {day}", "processes it again, once its cause is mended"),
    **dict.fromkeys(
        ("delivery_stuck", "delivery_missed", "not_delivered"),
        ("adplatform settle {feed} {day}", "goes on with what is there, if nothing more comes"),
    ),
}
_OF_A_SOURCE: Mapping[str, tuple[str, str]] = {
    "catalog_": ("adplatform doctor", "compares ledger, catalog, manifests and raw zone"),
    "objects_refused": ("adplatform ledger {source}", "shows which objects are ignored, and why"),
    **dict.fromkeys(
        ("arrivals_hindered", "delivery_hindered", "reports_hindered"),
        ("adplatform retry {source}", "goes on at once, when what hinders it is mended"),
    ),
    "report_": ("adplatform reports {source}", "shows the reports and where each stands"),
    "run_failed": ("adplatform retry {source}", "processes again what has failed"),
    "run_": ("adplatform runs {source}", "shows the runs of its engine"),
    "target_": ("adplatform runs {source}", "shows the runs of its engine"),
    "budget_": ("adplatform budget show", "shows what sources have used of what they may"),
    VOLUME_UNUSUAL: ("adplatform ledger {feed} {day}", "shows what arrived, what became of it, and why"),
}
"""By how an event begins, the first that does."""


def _steps_of_schema(alert: Alert) -> Iterator[tuple[str, str]]:
    facts = alert.facts
    if found := _FILE_ID.search(str(facts.get("first_file", ""))):
        yield f"adplatform ledger {found[0]}", "tells the name of the first file"
    if facts.get("setting"):
        yield "adplatform validate", "checks what was declared"
    if facts.get("failed"):
        yield f"adplatform retry {alert.feed} {facts['first_date']}", "processes it again, once it is declared"


def _steps(alert: Alert) -> Iterator[tuple[str, str]]:
    feed, day, event = alert.feed, alert.day, alert.event
    if event == TEST:
        return
    if alert.phase is Phase.END or event == PUBLISHED:
        if alert.facts.get("quarantined") and day is not None:
            yield f"adplatform quarantine show {feed} {day}", "shows the rows that broke the contract, and why"
        return
    if event == SCHEMA_CHANGED:
        yield from _steps_of_schema(alert)
    elif alert.about_delivery:
        yield f"adplatform ledger {feed} {day}", "shows what arrived, what became of it, and why"
        error = str(alert.facts.get("error", ""))
        if found := _FILE_ID.search(error):
            yield f"adplatform ledger {found[0]}", "tells the name of the file"
        if "quarantined" in error:
            yield f"adplatform quarantine show {feed} {day}", "shows the rows that broke the contract, and why"
        command, what = _OF_A_DATE[event]
        yield command.format(feed=feed, day=day), what
    else:
        of = "run_" if "target" in alert.facts and event.startswith("run_") else event
        for begins, (command, what) in _OF_A_SOURCE.items():
            if of.startswith(begins) and (alert.source or "{source}" not in command):
                day = alert.facts.get("unusual_date", "")
                yield command.format(source=alert.source, feed=alert.feed, day=day).rstrip(), what
                break
    yield f"adplatform status {alert.source}".rstrip(), "shows what waits and what has failed"
