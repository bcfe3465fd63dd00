"""What to ask for, and when: each definition and scope is planned once on each of its own days."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.restatement import Window, plan
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Planned, Scope
from adplatform.pull.account import Account, local_zone

log = logging.getLogger(__name__)

A_DAY = timedelta(days=1)
_PLANNED_TOGETHER = 25
_SUMMER = timedelta(hours=2)
"""What a day may be shorter than others, and more."""
MARGIN = timedelta(days=3)
"""Reports asked for before the oldest date that can be had, plus this, say nothing about dates that still can."""


@dataclass(frozen=True)
class Turn:
    """A definition and scope whose day has come. ``day`` is the date where the report's dates are counted, ``last`` the
    one on which it was planned before. A report by the hour has several turns a day, of which this is the one with the
    ``number``."""

    definition: ReportDefinition
    scope: Scope
    day: date
    last: date | None = None
    number: int = 0


@dataclass(frozen=True)
class Dates:
    """What a plan says of dates beside those that it asks for: those that will soon not be had any more, and those that
    were not asked for while they could be."""

    at_risk: tuple[date, ...]
    lost: tuple[date, ...] = ()


def turns(ledger: Ledger, account: Account) -> list[Turn]:
    """What has not been planned today, where today's time of asking has come.

    A definition that changed is planned at once, because its history has to be asked for anew.
    """
    now = ledger.now()
    planned = {(p.name, p.scope): p for p in ledger.scopes.planned(account.source)}
    return [turn for turn, last in _turns(ledger, account, now, planned) if _is_due(account, turn, now, last)]


def next_opening(ledger: Ledger, account: Account) -> datetime:
    """Before when no turn comes, where none has come now and nothing is declared otherwise."""
    now = ledger.now()
    opens = (_opens(account, turn, now) for turn, _ in _turns(ledger, account, now, {}))
    later = (each if each > now else each + A_DAY - _SUMMER for each in opens)
    return min((each for each in later if each > now), default=now)


def _turns(
    ledger: Ledger, account: Account, now: datetime, planned: Mapping[tuple[str, str], Planned]
) -> Iterator[tuple[Turn, Planned | None]]:
    for scope in ledger.scopes.of_source(account.source):
        if account.wants(scope):
            for definition in account.definitions:
                last = planned.get((definition.name, scope.id))
                zone = local_zone(definition, scope)
                today, hours = now.astimezone(zone).date(), definition.policy.hours
                number = hours.turns(today, zone, now - account.offset(definition, scope.id)) if hours else 0
                yield Turn(definition, scope, today, last.day if last else None, number), last


def _is_due(account: Account, turn: Turn, now: datetime, last: Planned | None) -> bool:
    # A day that is further in the future than time zones reach was planned by a clock that was wrong.
    planned_day = last is not None and turn.day <= last.day <= turn.day + A_DAY
    if planned_day and last is not None and last.definition == turn.definition.definition_hash:
        return last.day == turn.day and last.turn < turn.number
    if turn.definition.policy.hours is not None:
        return turn.number > 0
    return now >= _opens(account, turn, now)


def _opens(account: Account, turn: Turn, now: datetime) -> datetime:
    """When the turn comes; of a report by the hour, when its next one does."""
    zone, offset = local_zone(turn.definition, turn.scope), account.offset(turn.definition, turn.scope.id)
    if hours := turn.definition.policy.hours:
        return hours.next_turn(turn.day, zone, now - offset) + offset
    opens = datetime.combine(turn.day, account.request_at, zone)
    # Added in UTC: wall-clock arithmetic across a change of daylight saving time is off by an hour.
    return opens.astimezone(now.tzinfo) + offset


def plan_turns(ledger: Ledger, account: Account, due: Iterable[Turn]) -> Iterator[tuple[Turn, Dates]]:
    """Write the intentions of turns to the ledger, and then that they were planned, of many together; both may be
    repeated."""
    left = list(due)
    for start in range(0, len(left), _PLANNED_TOGETHER):
        some = [(turn, *_planned(ledger, account, turn)) for turn in left[start : start + _PLANNED_TOGETHER]]
        ledger.reports.intend_all([report for _, reports, *_ in some for report in reports])
        ledger.scopes.put_all_planned(account.source, [row for _, _, row, _ in some])
        yield from ((turn, dates) for turn, _, _, dates in some)


def _planned(ledger: Ledger, account: Account, turn: Turn) -> tuple[list[Report], Planned, Dates]:
    """What a turn intends, that it is planned then, and what is said of other dates."""
    definition, scope = turn.definition, turn.scope
    feed = f"{account.source}/{definition.name}/{scope.id}"
    since = turn.day - timedelta(days=definition.policy.retention_days) - MARGIN
    known = ledger.reports.of_feed(feed, since)
    if definition.snapshot:
        # Readers see a date that was had as another definition asked for it; what is on its way so will be withdrawn.
        pulled = covered(r for r in known if r.ended or r.definition == definition.definition_hash)
    else:
        known = _still_asked(ledger, turn, known)
        pulled = covered(known, definition.definition_hash)
    present = _present(ledger, turn, known)
    if definition.policy.hours and not present:
        pulled[turn.day] = turn.day
    today = [r for r in known if r.asked_on == turn.day]
    spent = len({(r.start, r.end) for r in today if r.definition == definition.definition_hash})
    oldest = oldest_wanted(account, turn.day, covered(known))
    planned = plan(definition.policy, turn.day, oldest, pulled, spent=spent)
    asked = turn.day < oldest or any(turn.day in window.waves for window in planned.windows)
    reports = [
        _intention(account, turn, window, sum((r.start, r.end) == (window.start, window.end) for r in today))
        for window in (*planned.windows, *(() if asked else present))
    ]
    row = Planned(
        definition.name,
        scope.id,
        turn.day,
        definition.definition_hash,
        at_risk=len(planned.at_risk),
        postponed=planned.postponed,
        turn=turn.number,
    )
    return reports, row, Dates(planned.at_risk, _lost(turn, known) if definition.snapshot else ())


def _present(ledger: Ledger, turn: Turn, known: Iterable[Report]) -> tuple[Window, ...]:
    """The request for the hours that today has by now; none where it has none, or they are on their way."""
    hours = turn.definition.policy.hours
    if hours is None:
        return ()
    begin, end = hours.had(turn.day, turn.day, local_zone(turn.definition, turn.scope), ledger.now())
    coming = any(r.end == turn.day and not r.ended and not r.overdue for r in known)
    return (Window(turn.day, turn.day, {turn.day: 0}),) if end > begin and not coming else ()


def _lost(turn: Turn, known: Iterable[Report]) -> tuple[date, ...]:
    """Dates of a snapshot, since it was planned last, for which nobody was asked."""
    asked = {day for report in known for day in report.days}
    since = (turn.day - turn.last).days - 1 if turn.last else 0
    passed = (turn.day - timedelta(days=age) for age in range(since, 0, -1))
    return tuple(day for day in passed if day not in asked)


def _still_asked(ledger: Ledger, turn: Turn, reports: list[Report]) -> list[Report]:
    """The reports without those that were planned on an earlier day and never asked for: this plan has their dates, in
    ranges that Amazon still keeps. Also without those of a clock that was far ahead."""
    kept = []
    for report in reports:
        idle = report.state is ReportState.INTENDED and report.attempt == 0 and report.asked_on < turn.day
        late = f"not asked for before {turn.day}, when its dates were planned anew"
        replaced = idle and report.waves and ledger.reports.withdraw(report, late)
        if not replaced and report.asked_on <= turn.day + A_DAY:
            kept.append(report)
    return kept


def oldest_wanted(account: Account, today: date, read: Iterable[date]) -> date:
    """``history`` limits how far back the first requests go. From then on dates that were ``read``, under whatever
    definition, are asked for until they are final, and what an outage left out is asked for however long it was."""
    return max(account.start_date, min([account.first_day(today), *read]))


def covered(reports: Iterable[Report], definition: str | None = None) -> dict[date, date]:
    """For each date, the last day on which a report of the definition, or of any, was asked for that brings it or still
    may."""
    days: dict[date, date] = {}
    for report in reports:
        if definition in (None, report.definition) and report.state is not ReportState.FAILED:
            for day in report.days:
                days[day] = max(report.asked_on, days.get(day, report.asked_on))
    return days


def _intention(account: Account, turn: Turn, window: Window, before: int) -> Report:
    return Report(
        source=account.source,
        name=turn.definition.name,
        scope=turn.scope.id,
        asked_on=turn.day,
        start=window.start,
        end=window.end,
        sequence=before + 1,
        report_type=turn.definition.report_type,
        definition=turn.definition.definition_hash,
        waves={day.isoformat(): wave for day, wave in window.waves.items()},
    )


@dataclass(frozen=True)
class Asking:
    """What it takes to ask for days of a report by hand: requests, each for a range with both ends included. Some days
    are ``coming`` already, and of some Amazon has nothing (any more)."""

    scope: str
    today: date
    ranges: tuple[tuple[date, date], ...]
    coming: frozenset[date]
    not_had: frozenset[date]
    known: tuple[Report, ...]


def asking(
    ledger: Ledger, account: Account, definition: ReportDefinition, scope: str, days: set[date]
) -> Asking | None:
    """None of a scope that is not known, and of what Amazon makes by itself."""
    known_scope = next((s for s in ledger.scopes.of_source(account.source) if s.id == scope), None)
    if known_scope is None or definition.discovered:
        return None
    today = ledger.now().astimezone(local_zone(definition, known_scope)).date()
    feed = f"{account.source}/{definition.name}/{scope}"
    known = ledger.reports.of_feed(feed, since=today - timedelta(days=definition.policy.retention_days) - MARGIN)
    coming = covered([r for r in known if not r.ended], definition.definition_hash)
    wanted = sorted(d for d in days - coming.keys() if definition.policy.can_be_had(d, today))
    if (hours := definition.policy.hours) and today in wanted:
        first, last = hours.had(today, today, local_zone(definition, known_scope), ledger.now())
        wanted = wanted if last > first else wanted[:-1]
    return Asking(
        scope,
        today,
        tuple(_ranges(wanted, definition.policy.max_range_days)),
        coming=frozenset(days & coming.keys()),
        not_had=frozenset(days - coming.keys() - set(wanted)),
        known=tuple(known),
    )


def intend_days(
    ledger: Ledger, account: Account, definition: ReportDefinition, scope: str, days: set[date]
) -> list[Report]:
    """Intend reports that bring these days, in the longest ranges that Amazon takes; days that a report already on its
    way brings, or that Amazon no longer keeps, are left out, and nothing is asked for that Amazon makes by itself."""
    asked = asking(ledger, account, definition, scope, days)
    if asked is None:
        return []
    intended = []
    for start, end in asked.ranges:
        same = sum((r.asked_on, r.start, r.end) == (asked.today, start, end) for r in asked.known)
        report = Report(
            source=account.source,
            name=definition.name,
            scope=scope,
            asked_on=asked.today,
            start=start,
            end=end,
            sequence=same + 1,
            report_type=definition.report_type,
            definition=definition.definition_hash,
        )
        if ledger.reports.intend(report):
            intended.append(report)
    return intended


def _ranges(days: list[date], longest: int) -> Iterator[tuple[date, date]]:
    """The fewest ranges that hold all the days, none longer than ``longest`` days."""
    rest = days
    while rest:
        last = rest[0] + timedelta(days=longest - 1)
        inside = [d for d in rest if d <= last]
        yield inside[0], inside[-1]
        rest = rest[len(inside) :]
