"""Reports that Amazon says it made otherwise than ordered: which are taken, and why the others are not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.reports import Progress, ReportOrder, ReportStatus
from adplatform.amazon.slices import SliceFile
from adplatform.failures import PermanentFailure, listed
from adplatform.ledger.report import Report
from adplatform.pull.account import Account

_NEARLY = timedelta(minutes=1)
"""What may lack of a date at its end: Amazon names its last second, or the first of the next."""


def as_taken(account: Account, progress: Progress) -> Progress:
    """The progress of a report that differs from its order: as it stands where it is taken, or where the dates of its
    rows are to be looked at, else that it has failed, with what to do."""
    otherwise = progress.otherwise
    if otherwise is None or account.made_otherwise == "accept":
        return otherwise.progress if otherwise else progress
    if otherwise.options:
        advice = f"order what it makes, or take it as it is by {_setting(account)}"
        return replace(progress, reason=f"{progress.reason}; {advice}")
    shows_dates = otherwise.progress.status is not ReportStatus.EMPTY
    return otherwise.progress if shows_dates and account.made_otherwise == "check" else progress


def checked(
    account: Account,
    definition: ReportDefinition,
    order: ReportOrder,
    report: Report,
    slices: Sequence[SliceFile],
    outside_rows: int,
) -> str:
    """Why people should look at a report that is taken all the same, by the dates of its rows; "" for one that is what
    was ordered.

    Raises:
        PermanentFailure: its rows are not all that was ordered, or nobody can tell.
    """
    if not report.otherwise:
        return ""
    said = f"Amazon says of it: {report.otherwise}"
    wrong = _lack(definition, order, report, slices, halves=account.made_otherwise == "accept")
    if not wrong and account.made_otherwise != "accept":
        if all(dataset.date_field is None for dataset in definition.datasets):
            wrong = f"whose rows have no date by which it could be checked; {_setting(account)} takes it as it is"
        elif outside_rows:
            wrong = f"with {outside_rows:,} rows of other dates; {_setting(account)} takes it without those"
    if wrong:
        raise PermanentFailure(f"Amazon made another report, {wrong}; nothing changed. {said}")
    return f"{said}; its rows have the dates that were ordered"


def _lack(
    definition: ReportDefinition, order: ReportOrder, report: Report, slices: Sequence[SliceFile], *, halves: bool
) -> str:
    """Which dates of the order a report lacks: it is not about them, and has no rows that show the contrary. Of a date
    that it is about in part the rows show nothing where it was asked for by instants."""
    zone, with_rows = ZoneInfo(order.timezone), {s.day for s in slices if s.rows}
    ordered = [order.start + timedelta(days=n) for n in range((order.end - order.start).days + 1)]
    lacking = [day for day in ordered if not _is_about(report, day, zone)]
    cut = [
        day for day in lacking if definition.takes_instants and not halves and _is_about(report, day, zone, any_of=True)
    ]
    gone = [day for day in lacking if day not in with_rows]
    if cut:
        return f"which has only a part of {listed(map(str, cut))}"
    return f"which is not about {listed(map(str, gone))} and has no rows of that" if gone else ""


def _is_about(report: Report, day: date, zone: ZoneInfo, *, any_of: bool = False) -> bool:
    """Whether a report is about a whole date, or about ``any_of`` it."""
    midnight = time(0, tzinfo=zone)
    begin, end = datetime.combine(day, midnight), datetime.combine(day + timedelta(days=1), midnight)
    first, last = report.made_from or begin, report.made_to or end
    if any_of:
        return first < end - _NEARLY and last > begin + _NEARLY
    return first <= begin and last >= end - _NEARLY


def _setting(account: Account) -> str:
    return f"`made_otherwise: accept` of {account.source}"
