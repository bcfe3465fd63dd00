"""What was asked for of all reports of a source, in few bytes, so that what plans build on is read by one query.

Three kinds of rows of the source say it together. A :class:`~adplatform.ledger.scopes.Planned` has what was asked for
when its reports were planned last. A report that has not ended has a :class:`~adplatform.ledger.reports.Turn`. A
:class:`Note` says what no plan knows: that a report was asked for beside a plan, or came to nothing. It is in the
transaction in which that happens; a plan that has seen it deletes it in the one in which it counts. A report that was
asked for, has no turn any more and no note that it came to nothing, has brought what it was asked for.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from adplatform.ledger.report import Report

NOTE = "unplanned#"
"""Behind ``planned#`` and ``turn#``, so that a query meets it last: a report that it does not find among the turns any
more has left its note by then."""
_FAILED = "!"


@dataclass(frozen=True)
class Note:
    """That a report ``of`` a ``<definition>/<scope>`` was asked for beside its plans, or ``failed``: two rows where it
    did both."""

    of: str
    key: str
    definition: str
    failed: bool

    @property
    def sort_key(self) -> str:
        return f"{notes_of(self.of)}{self.key}#{'failed' if self.failed else 'made'}"


def notes_of(of: str) -> str:
    """How the sort keys of the notes of a ``<definition>/<scope>`` begin."""
    return f"{NOTE}{of}#"


def note(report: Report, *, failed: bool) -> Note:
    return Note(f"{report.name}/{report.scope}", report.key, report.definition, failed)


@dataclass(frozen=True)
class Asked:
    """What a plan has to know of a report; named as there."""

    asked_on: date
    start: date
    end: date
    sequence: int
    definition: str
    failed: bool = False
    ended: bool = True
    overdue: bool = False

    @classmethod
    def named(cls, key: str, definition: str, *, failed: bool = False) -> "Asked":
        """The report of this key, as one that has ended."""
        asked_on, dates, sequence = key.split("#")
        start, end = map(date.fromisoformat, dates.split("_"))
        return cls(date.fromisoformat(asked_on), start, end, int(sequence), definition, failed)

    @classmethod
    def of(cls, report: Report) -> "Asked":
        """The same of a report that was read."""
        dates = report.asked_on, report.start, report.end
        return cls(*dates, report.sequence, report.definition, report.failed, report.ended, report.overdue)

    @property
    def key(self) -> str:
        return f"{self.asked_on}#{self.start}_{self.end}#{self.sequence:02d}"

    @property
    def days(self) -> list[date]:
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)]


@dataclass(frozen=True)
class Known:
    """What was asked for of a definition and scope: ``reports``, and of those that are not among them any more, because
    they have brought what they were asked for, by definition and date the last day on which they were asked for."""

    reports: tuple[Asked, ...] = ()
    had: Mapping[str, Mapping[date, date]] = field(default_factory=dict)

    def having(self, wanted: Callable[[Asked], bool]) -> "Known":
        """The same with only those of the reports."""
        return replace(self, reports=tuple(filter(wanted, self.reports)))

    def covered(self, definition: str | None = None) -> dict[date, date]:
        """As :func:`covered`."""
        days = covered(self.reports, definition)
        for name, had in self.had.items():
            if definition in (None, name):
                days |= {day: max(on, days.get(day, on)) for day, on in had.items()}
        return days

    def since(self, first: date) -> "Known":
        """The same without what was asked for before."""
        had = {name: {day: on for day, on in days.items() if on >= first} for name, days in self.had.items()}
        return Known(
            tuple(each for each in self.reports if each.asked_on >= first),
            {name: days for name, days in had.items() if days},
        )

    def folded(self, day: date) -> "Known":
        """The same in fewer words, for plans of that day and later."""
        had = {name: dict(days) for name, days in self.had.items()}
        kept = []
        for each in self.reports:
            if not each.ended or max(each.asked_on, each.end) >= day:
                kept.append(each)
            elif not each.failed:
                days = had.setdefault(each.definition, {})
                days |= {of: max(each.asked_on, days.get(of, each.asked_on)) for of in each.days}
        return Known(tuple(kept), had)


def covered(reports: Iterable[Asked | Report], definition: str | None = None) -> dict[date, date]:
    """For each date, the last day on which a report of the definition, or of any, was asked for that brings it or still
    may."""
    days: dict[date, date] = {}
    for report in reports:
        if definition in (None, report.definition) and not report.failed:
            for day in report.days:
                days[day] = max(report.asked_on, days.get(day, report.asked_on))
    return days


def packed_report(report: Asked) -> str:
    return f"{_FAILED if report.failed else ''}{report.key}#{report.definition}"


def unpacked_report(text: str) -> Asked:
    key, definition = text.removeprefix(_FAILED).rsplit("#", 1)
    return Asked.named(key, definition, failed=text.startswith(_FAILED))


def packed_days(days: Mapping[date, date]) -> str:
    """The first date, and for each from there on how many days later it was asked for: ``2026-06-01:9,,7``."""
    first = min(days)
    each = (first + timedelta(days=n) for n in range((max(days) - first).days + 1))
    return f"{first}:{','.join(str((days[day] - day).days) if day in days else '' for day in each)}"


def unpacked_days(text: str) -> dict[date, date]:
    begin, _, ages = text.partition(":")
    first = date.fromisoformat(begin)
    return {
        first + timedelta(days=n): first + timedelta(days=n + int(age)) for n, age in enumerate(ages.split(",")) if age
    }
