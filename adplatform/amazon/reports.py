"""What Amazon's two report APIs have in common: an order, its progress, a document to fetch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from adplatform.failures import PermanentFailure
from adplatform.ledger.scopes import Scope


class ReportStatus(StrEnum):
    """What Amazon says of a report. EMPTY is an answer, not an error; GONE is a report that Amazon does not know."""

    QUEUED = "queued"
    PROCESSING = "processing"
    READY = "ready"
    EMPTY = "empty"
    FAILED = "failed"
    GONE = "gone"


@dataclass(frozen=True)
class ReportOrder:
    """What is asked of Amazon: one report for one scope and a range of dates, both ends included.

    ``scope`` is a profile id (Ads) or a marketplace id (Selling Partner). ``configuration`` is the definition's part of
    the request body: for Ads the whole ``configuration`` object, for the Selling Partner API ``reportOptions``.
    ``timezone`` says where the dates begin and end, for reports that are asked for by instants. A ``restricted`` report
    holds personal data and is fetched with a token of its own. A ``snapshot`` is of its date because it is asked for on
    that date in ``timezone``: no range is sent, or one that ``looks_back`` so far from now, and once the date is over
    only what was made on it is taken. A report by the hour has ``instants``, from when to when it is, in the place of
    the first and last second of its dates.
    """

    name: str
    report_type: str
    scope: str
    start: date
    end: date
    configuration: Mapping[str, Any]
    timezone: str = "UTC"
    restricted: bool = False
    snapshot: bool = False
    looks_back: timedelta = timedelta(0)
    instants: tuple[datetime, datetime] | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it is too late to ask for a snapshot of this date."""
        return self.snapshot and now.astimezone(ZoneInfo(self.timezone)).date() > self.end


@dataclass(frozen=True)
class Created:
    """Amazon has the order. ``adopted`` when it had it before: after a lost answer, or by an equal order of others."""

    report_id: str
    adopted: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a report is. ``document`` names what to fetch (SP: document id); ``size`` is in bytes where reported.

    ``reason`` is Amazon's own text about a failure; ``retryable`` whether to order again later can help. One that has
    FAILED because it is not what was ordered can be taken all the same: ``otherwise``.
    """

    report_id: str
    status: ReportStatus
    document: str = ""
    size: int | None = None
    reason: str = ""
    retryable: bool = False
    otherwise: "MadeOtherwise | None" = None


@dataclass(frozen=True)
class MadeOtherwise:
    """How a report differs from its order by what Amazon says of it, in words, and how far it is. ``start`` and ``end``
    are the first and the last instant that it is about; ``options`` whether it was made with other ones."""

    text: str
    progress: Progress
    start: datetime
    end: datetime
    options: bool = False

    @property
    def refused(self) -> Progress:
        """The progress of a report that is not taken."""
        reason = f"Amazon made another report: {self.text}"
        return Progress(self.progress.report_id, ReportStatus.FAILED, reason=reason, otherwise=self)


@dataclass(frozen=True)
class Document:
    """A report's bytes on disk, exactly as received. ``charset`` is the one its HTTP header names, "" for none."""

    path: Path
    size: int
    sha256: str
    charset: str = ""


@dataclass(frozen=True)
class Discovered:
    """A report that Amazon made on its own schedule, for a period of ``scopes`` that ends at ``end``."""

    report_id: str
    document: str
    scopes: tuple[str, ...]
    end: datetime
    created: datetime


class PastRetention(PermanentFailure):
    """Amazon keeps the report type's data only from ``oldest`` on, and the order begins before."""

    def __init__(self, text: str, oldest: date) -> None:
        super().__init__(text)
        self.oldest = oldest


class DateIsOver(PermanentFailure):
    """A snapshot cannot be asked for a date that is over."""

    def __init__(self, day: date) -> None:
        super().__init__(f"{day} was over before Amazon took the order, and a snapshot cannot be asked for afterwards")


class MadeToOrder(Protocol):
    """What is ordered of Amazon, made there, and fetched. How calls wait and fail is said at :class:`ReportApi`."""

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        """Place the order. ``again`` says that an earlier attempt since ``intended_at`` may have been accepted unseen:
        it is looked for first, so that no second report is made; ``others`` are ids that are known not to be it.

        Raises:
            DateIsOver: it is a snapshot whose date is over, and nothing was made of it on that date.
        """

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        """Ask how far the report is, and compare what Amazon made of the order with the order itself: a report
        that differs has FAILED."""

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        """Stream the document to ``target`` and verify its size; a URL that expired is minted anew."""

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        """Give up a report that waits for ever. One that cannot be cancelled any more is no error."""


class ReportApi(MadeToOrder, Protocol):
    """One of the two APIs, for one account in one region.

    All calls wait for their token bucket, retry what may pass for a bounded time, and raise PermanentFailure,
    AccessRefused where it is about permissions, or TransientFailure for the rest.
    """

    def scopes(self) -> list[Scope]:
        """The profiles or marketplaces that the credentials can read."""

    def discover(self, report_type: str, since: datetime) -> list[Discovered]:
        """The finished reports of a type that Amazon made by itself since then; none where it makes none."""
