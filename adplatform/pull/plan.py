"""What to ask for, and when: each definition and scope is planned once on each of its own days."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.restatement import Window, plan
from adplatform.ledger.asked import Asked, Known, covered
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.plans import Plan, Seen
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.reports import Turn as ReportTurn
from adplatform.ledger.scopes import Planned, Scope
from adplatform.pull.account import Account, local_zone

log = logging.getLogger(__name__)

A_DAY = timedelta(days=1)
_PLANNED_TOGETHER = 100
_TRIES = 3
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

    @property
    def of(self) -> str:
        return f"{self.definition.name}/{self.scope.id}"


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
    """Write the intentions of turns to the ledger, each with that it was planned. What they build on is read by one
    query for all of them."""
    left = list(due)
    seen = ledger.plans.seen(account.source) if left else {}
    found = {definition.name for definition in account.definitions if definition.discovered}
    needless = [note for of, each in seen.items() if of.partition("/")[0] in found for note in each.notes]
    ledger.plans.forget(account.source, needless)
    read = _read(ledger, account, left, seen)
    for start in range(0, len(left), _PLANNED_TOGETHER):
        some = left[start : start + _PLANNED_TOGETHER]
        made = {turn.of: _planned(ledger, account, turn, seen.get(turn.of, Seen()), read.get(turn.of)) for turn in some}
        written = ledger.plans.write(account.source, [plan for plan, _ in made.values()])
        late = {f"{each.row.name}/{each.row.scope}" for each in written}
        for turn in some:
            dates = _planned_late(ledger, account, turn) if turn.of in late else made[turn.of][1]
            if dates is not None:
                yield turn, dates


def _read(
    ledger: Ledger, account: Account, due: Iterable[Turn], seen: Mapping[str, Seen]
) -> dict[str, dict[str, Report]]:
    """The reports that have to be read themselves, by key, of each turn for which what was ``seen`` suffices with them;
    few, and by few calls."""
    some = [turn for turn in due if seen.get(turn.of, Seen()).suffices(turn.day)]
    read: dict[str, dict[str, Report]] = {turn.of: {} for turn in some}
    wanted = [
        (f"{account.source}/{turn.of}", key)
        for turn in some
        if turn.of in seen
        for key in seen[turn.of].unsure(partial(_is_wanted, turn))
    ]
    for report in ledger.reports.named(wanted):
        if report is not None:
            read[f"{report.name}/{report.scope}"][report.key] = report
    return read


def _is_wanted(turn: Turn, each: Asked, at: ReportTurn) -> bool:
    """Whether more is to be known of a report that has not ended: it may be idle, or count only once it has ended."""
    if turn.definition.snapshot:
        return each.definition != turn.definition.definition_hash
    if turn.definition.policy.hours and each.end == turn.day:
        return True
    return at.state is ReportState.INTENDED and each.asked_on < turn.day


def _planned_late(ledger: Ledger, account: Account, turn: Turn) -> Dates | None:
    """A turn whose rows changed while it was planned, once more; None where that goes on: it will come again."""
    for _ in range(_TRIES):
        plan, dates = _planned(ledger, account, turn, ledger.plans.seen_of(account.source, turn.of))
        if not list(ledger.plans.write(account.source, [plan])):
            return dates
    log.info("%s/%s changes while it is planned; it is left to the next turn", account.source, turn.of)
    return None


def _planned(
    ledger: Ledger, account: Account, turn: Turn, seen: Seen, read: Mapping[str, Report] | None = None
) -> tuple[Plan, Dates]:
    """What a turn comes to, and what is said of other dates. ``read`` are the reports with which what was ``seen``
    suffices; None where all have to be read."""
    definition = turn.definition
    since = turn.day - timedelta(days=definition.policy.retention_days) - MARGIN
    if read is None:
        reports = ledger.reports.of_feed(f"{account.source}/{turn.of}", since)
        known = Known(tuple(map(Asked.of, reports)))
    else:
        reports = [each for each in read.values() if each.asked_on >= since]
        known = seen.known(read).since(since)
    idle = [] if definition.snapshot else [each for each in reports if _is_idle(each, turn.day)]
    known = known.having(lambda r: r.key not in {each.key for each in idle}) if idle else known
    reports, row, dates = _intended(ledger, account, turn, known)
    late = f"not asked for before {turn.day}, when its dates were planned anew"
    return Plan(row, reports, [(each, late) for each in idle], known, seen), dates


def _is_idle(report: Report, day: date) -> bool:
    """It was planned on an earlier day and never asked for: the plan of this one has its dates, in ranges that Amazon
    still keeps."""
    never_asked = report.state is ReportState.INTENDED and report.attempt == 0
    return never_asked and report.asked_on < day and bool(report.waves)


def _intended(ledger: Ledger, account: Account, turn: Turn, asked: Known) -> tuple[list[Report], Planned, Dates]:
    definition, scope = turn.definition, turn.scope
    if definition.snapshot:
        # Readers see a date that was had as another definition asked for it; what is on its way so will be withdrawn.
        known = asked
        pulled = known.having(lambda r: r.ended or r.definition == definition.definition_hash).covered()
    else:
        # A clock that was far ahead knows nothing.
        known = asked.having(lambda r: r.asked_on <= turn.day + A_DAY)
        pulled = known.covered(definition.definition_hash)
    present = _present(ledger, turn, known.reports)
    if definition.policy.hours and not present:
        pulled[turn.day] = turn.day
    today = [r for r in known.reports if r.asked_on == turn.day]
    spent = len({(r.start, r.end) for r in today if r.definition == definition.definition_hash})
    oldest = oldest_wanted(account, turn.day, known.covered())
    planned = plan(definition.policy, turn.day, oldest, pulled, spent=spent)
    taken = turn.day < oldest or any(turn.day in window.waves for window in planned.windows)
    reports = [
        _intention(account, turn, window, sum((r.start, r.end) == (window.start, window.end) for r in today))
        for window in (*planned.windows, *(() if taken else present))
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
    return reports, row, Dates(planned.at_risk, _lost(turn, known.reports) if definition.snapshot else ())


def _present(ledger: Ledger, turn: Turn, known: Iterable[Asked]) -> tuple[Window, ...]:
    """The request for the hours that today has by now; none where it has none, or they are on their way."""
    hours = turn.definition.policy.hours
    if hours is None:
        return ()
    begin, end = hours.had(turn.day, turn.day, local_zone(turn.definition, turn.scope), ledger.now())
    coming = any(r.end == turn.day and not r.ended and not r.overdue for r in known)
    return (Window(turn.day, turn.day, {turn.day: 0}),) if end > begin and not coming else ()


def _lost(turn: Turn, known: Iterable[Asked]) -> tuple[date, ...]:
    """Dates of a snapshot, since it was planned last, for which nobody was asked."""
    asked = {day for report in known for day in report.days}
    since = (turn.day - turn.last).days - 1 if turn.last else 0
    passed = (turn.day - timedelta(days=age) for age in range(since, 0, -1))
    return tuple(day for day in passed if day not in asked)


def oldest_wanted(account: Account, today: date, read: Iterable[date]) -> date:
    """``history`` limits how far back the first requests go. From then on dates that were ``read``, under whatever
    definition, are asked for until they are final, and what an outage left out is asked for however long it was."""
    return max(account.start_date, min([account.first_day(today), *read]))


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
