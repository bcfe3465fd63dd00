"""The row of a report and its states; what may happen to one is in ``adplatform.ledger.reports``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum


class ReportState(StrEnum):
    """Where a report stands. LANDED: its slices are in the raw zone; DONE: the common flow has dealt with all of them.
    UNPUBLISHED: it could publish none that was new, until it does. EMPTY is an outcome like DONE: the API has no rows
    for these dates."""

    INTENDED = "intended"
    REQUESTED = "requested"
    READY = "ready"
    STORED = "stored"
    LANDED = "landed"
    DONE = "done"
    UNPUBLISHED = "unpublished"
    EMPTY = "empty"
    FAILED = "failed"


FETCHABLE = (ReportState.READY, ReportState.STORED, ReportState.LANDED)
"""States in which a run may take a report to land it."""
ENDED = frozenset({ReportState.DONE, ReportState.UNPUBLISHED, ReportState.EMPTY, ReportState.FAILED})


@dataclass(frozen=True)
class Report:
    """One report asked of an API: from the intention, written before anybody is asked, to its slices.

    ``asked_on`` is the date of asking in the scope's time zone and ``sequence`` counts the orders of one range on that
    date from 1. ``waves`` maps the dates that were due to the age in days for which they were. ``report_id`` is stored
    before the first poll. ``attempt`` counts the tries of the present step, which rests until ``not_before``, and
    ``returned`` the runs that spent none, because they were stopped or hindered.
    ``otherwise`` says how it differs from the order by what the API says of it, and ``made_from`` and ``made_to`` what
    it is about by that. ``doubt`` is why people should look at what it brought, which is believed all the same.
    ``revision`` counts the writes of the row, so that a write based on an older reading fails.
    """

    source: str
    name: str
    scope: str
    asked_on: date
    start: date
    end: date
    sequence: int
    report_type: str
    definition: str
    state: ReportState = ReportState.INTENDED
    revision: int = 0
    waves: Mapping[str, int] = field(default_factory=dict)
    report_id: str = ""
    adopted: bool = False
    attempt: int = 0
    returned: int = 0
    not_before: datetime | None = None
    intended_at: datetime | None = None
    requested_at: datetime | None = None
    polls: int = 0
    polled_at: datetime | None = None
    overdue: bool = False
    document: str = ""
    otherwise: str = ""
    made_from: datetime | None = None
    made_to: datetime | None = None
    ready_at: datetime | None = None
    run_id: str = ""
    bytes: int = 0
    sha256: str = ""
    charset: str = ""
    raw_key: str = ""
    stored_at: datetime | None = None
    rows: int = 0
    outside_rows: int = 0
    outside_key: str = ""
    landed_at: datetime | None = None
    changed_at: datetime | None = None
    error: str = ""
    doubt: str = ""
    permanent: bool = False

    @property
    def feed(self) -> str:
        return f"{self.source}/{self.name}/{self.scope}"

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def failed(self) -> bool:
        return self.state is ReportState.FAILED

    @property
    def days(self) -> list[date]:
        """The dates of its range, the oldest first."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days + 1)]

    @property
    def key(self) -> str:
        """Its name among the reports of one definition and scope."""
        return f"{self.asked_on}#{self.start}_{self.end}#{self.sequence:02d}"

    @property
    def sort_key(self) -> str:
        return f"report#{self.key}"

    def index_name(self, feed: str) -> str:
        return "" if self.ended else active_reports(self.source)


def active_reports(source: str) -> str:
    """Under which name the index lists the reports of a source that have not ended."""
    return f"reports#{source}"
