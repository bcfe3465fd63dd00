"""What the reports of an account need now: orders to place, downloads to run, deliveries to publish.

The ledger remembers everything, so this may be asked at any time, by any number of processes, and die anywhere.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import uuid4

from adplatform.amazon.http import TurnIsLater
from adplatform.amazon.reports import ReportApi
from adplatform.failures import AccessRefused, CredentialsRefused, PermanentFailure, TransientFailure
from adplatform.flow.patience import MAX_DEATHS, after_death, after_hindrance
from adplatform.flow.services import Services
from adplatform.flow.settling import MOST_STARTED, Due, Ending, Problem, Runs
from adplatform.flow.slices import slice_settler
from adplatform.ledger.leases import Lease, LeaseHeld
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Trouble
from adplatform.ledger.report import FETCHABLE, Report, ReportState
from adplatform.ledger.rows import digest
from adplatform.ledger.scopes import Opening
from adplatform.pull.account import Account
from adplatform.pull.discover import discover, looked
from adplatform.pull.ends import (
    ASK_AGAIN_AFTER,
    NOT_DECLARED,
    give_up,
    may_be_asked,
    note_refusal,
    refused,
    refused_gate,
    rest,
    withdraw,
)
from adplatform.pull.finished import receive_finished
from adplatform.pull.notices import MOST_NAMED, notify, notify_given_up, notify_reports
from adplatform.pull.order import request
from adplatform.pull.plan import Turn, next_opening, plan_turns, turns
from adplatform.pull.poll import poll
from adplatform.pull.scopes import missing, refresh_scopes

log = logging.getLogger(__name__)

POLL_BUDGET, POLL_PATIENCE = timedelta(seconds=20), timedelta(seconds=10)
"""How long one look may ask for progress, and how long for that of one report: a sensor that takes a minute is cut off
(Dagster, sensor evaluation)."""
ALONE_FOR = timedelta(seconds=60)
"""After which a worker that died while it placed orders is followed by another."""
_LOOKED_FOR_EVERY = timedelta(hours=1)
"""How long it is remembered, at most, that nothing is to be planned."""
MOST_DATES = 200
"""Dates of a table that one run lands, at most, unless a single report has more."""
MOST_BETWEEN = 2 * MOST_DATES
"""Partitions in the range of a run of several reports. Dagster notes that each is to be made, and for each check as
many rows, of which each names all of them."""
ENOUGH_FAILED = 3
"""Failures for now, of profiles or report types in a row, after which Amazon is left alone."""


def orders_are_due(ledger: Ledger, account: Account, due: Sequence[Report] | None = None) -> bool:
    """Whether somebody should run :func:`place_orders`. ``due`` are the reports that do not rest, for who has just read
    them. That nothing is to be planned is remembered for a while, so that it need not be found out each time."""
    intended = _intended(ledger, account, ledger.reports.due(account.source) if due is None else due)
    if intended:
        return True
    now, declared = ledger.now(), _declared(account)
    opening = ledger.scopes.opening(account.source)
    # One of further ahead was written by a clock that was.
    if opening and opening.declared == declared and now < opening.until <= now + _LOOKED_FOR_EVERY:
        return False
    if _turns_are_due(ledger, account):
        return True
    until = min(next_opening(ledger, account), now + _LOOKED_FOR_EVERY)
    if until > now:
        ledger.scopes.put_opening(account.source, Opening(until, declared))
    return False


def _declared(account: Account) -> str:
    """What it depends on what is to be planned, beside what Amazon says of scopes."""
    definitions = (f"{each.name} {each.definition_hash}" for each in account.definitions)
    asked = f"{account.request_at} {account.spread} {account.start_date}"
    return digest(*account.wanted, *account.countries, *account.kinds, *definitions, asked)


def _turns_are_due(ledger: Ledger, account: Account) -> bool:
    known = ledger.scopes.of_source(account.source)
    if not any(account.wants(scope) for scope in known):
        return True
    unknown = set(account.wanted) - {scope.id for scope in known}
    if unknown and {missing(scope) for scope in unknown} - ledger.messages.troubles(account.source).keys():
        return True
    return bool(turns(ledger, account))


def place_orders(
    services: Services, account: Account, api: ReportApi, sleep: Callable[[float], None] = time.sleep
) -> list[Report]:
    """Plan every turn that has come and ask for all that is intended, one worker at a time: who comes while another is
    at it leaves all to that one.

    Raises:
        PermanentFailure: the credentials do not work, or no scope that is wanted can be read.
        TransientFailure: Amazon does not answer, or this worker lost its turn to another.
    """
    name, owner = f"orders/{account.source}", uuid4().hex
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(
                services.ledger.lease(name, owner, ttl=ALONE_FOR, wait=ALONE_FOR * 1.5, sleep=sleep)
            )
        except LeaseHeld:
            log.info("%s: another worker places the orders", account.source)
            return []
        stack.enter_context(lease.kept())
        refresh_scopes(services, account, api)
        services.ledger.reports.mend_turns(account.source)
        due = turns(services.ledger, account)
        _plan(services, account, [turn for turn in due if not turn.definition.discovered])
        delayed = _discover(services, account, api, [turn for turn in due if turn.definition.discovered])
        placed: list[Report] = []
        try:
            for asked in _ask(services, account, api, lease):
                placed.append(asked)
        finally:
            notify_given_up(services, account, placed)
        if delayed is not None:
            raise delayed
        return placed


def _plan(services: Services, account: Account, due: Iterable[Turn]) -> None:
    made = plan_turns(services.ledger, account, due)
    planned = {f"{turn.definition.name}/{turn.scope.id}": dates for turn, dates in made}
    at_risk = {feed: dates.at_risk for feed, dates in planned.items()}
    _notify_dates(services, account, "report_dates_at_risk", "will soon be past what Amazon keeps", at_risk)
    lost = {feed: dates.lost for feed, dates in planned.items()}
    _notify_dates(services, account, "report_dates_lost", "passed unasked, and snapshots have no past", lost)


def _notify_dates(
    services: Services, account: Account, event: str, what: str, dates: Mapping[str, Sequence[date]]
) -> None:
    concerned = {feed: days for feed, days in dates.items() if days}
    if concerned:
        feeds = list(concerned)
        first, last = min(map(min, concerned.values())), max(map(max, concerned.values()))
        subject = f"{account.source}: dates of {len(feeds)} reports {what}"
        facts = {"source": account.source, "first": first, "last": last, "feeds": feeds[:MOST_NAMED]}
        notify(services, account, event, subject, facts)


def _discover(
    services: Services, account: Account, api: ReportApi, due: Sequence[Turn]
) -> PermanentFailure | TransientFailure | None:
    """Enter what Amazon has made by itself. A type of report that cannot be listed holds up no other; the failure that
    is worth another try soon is returned."""
    delayed: PermanentFailure | TransientFailure | None = None
    for name in {turn.definition.name for turn in due}:
        its = [turn for turn in due if turn.definition.name == name]
        try:
            discover(services.ledger, account, api, its)
        except (CredentialsRefused, TransientFailure) as e:
            delayed = e
        except PermanentFailure as e:
            note_refusal(services, account, name, e)
            for turn in its:
                looked(services.ledger, account, turn)
        else:
            if name in services.ledger.messages.troubles(account.source):
                services.ledger.messages.clear_trouble(account.source, name)
    return delayed


def _ask(services: Services, account: Account, api: ReportApi, lease: Lease) -> Iterator[Report]:
    """Ask for what is intended. Where one report was refused, or failed for now, the others of its gate or queue rest
    with it.

    Raises:
        TransientFailure: several gates in a row failed for now: so will the rest.
    """
    scopes = {scope.id: scope for scope in services.ledger.scopes.of_source(account.source)}
    troubles = services.ledger.messages.troubles(account.source)
    closed: dict[str, AccessRefused] = {}
    resting: dict[str, str] = {}
    failing = 0
    for report in _intended(services.ledger, account, services.ledger.reports.active(account.source)):
        if report.scope not in scopes:
            continue
        lease.check()
        queue = account.queue(report)
        if queue in resting:
            rest(services.ledger, report, resting[queue], ASK_AGAIN_AFTER)
            continue
        if refusal := next((closed[g] for g in account.gates(report) if g in closed), None):
            refused(services, account, report, refusal)
            continue
        try:
            asked = request(services, account, api, report, scopes[report.scope])
        except CredentialsRefused:
            raise
        except AccessRefused as e:
            closed[refused_gate(account, report, e)] = e
            continue
        except TurnIsLater as e:
            resting[queue] = str(e)
            continue
        if asked is None:
            continue
        yield asked
        if asked.state is ReportState.INTENDED:
            resting[queue] = asked.error
            failing += 1
            if failing >= ENOUGH_FAILED:
                raise TransientFailure(f"{account.source}: Amazon takes no orders at present: {asked.error}")
        elif asked.state is ReportState.REQUESTED:
            failing = 0
            _end_troubles(services, account, report, troubles)


def _end_troubles(services: Services, account: Account, report: Report, troubles: dict[str, Trouble]) -> None:
    """Amazon refuses nothing of a report any more."""
    for gate in account.gates(report):
        if troubles.pop(gate, None) is not None:
            services.ledger.messages.clear_trouble(account.source, gate)


def _intended(ledger: Ledger, account: Account, active: Sequence[Report]) -> list[Report]:
    """What may be asked for now, the newest dates first; exports after all else, which they would hold up: Amazon makes
    few of them at a time. Reports of a table follow each other by their scopes, so that those that are ready at a time
    can share a run."""
    now = ledger.now()
    intended = [r for r in active if r.state is ReportState.INTENDED and may_be_asked(r, now)]
    by_scope = sorted(intended, key=lambda r: (r.name, r.scope))
    return sorted(by_scope, key=lambda r: (account.queue(r) == account.gate(r), r.end), reverse=True)


def poll_reports(
    services: Services, account: Account, api: Callable[[], ReportApi], due: Sequence[Report] | None = None
) -> list[Report]:
    """Ask for the progress of what was asked for, the longest unasked first; those that changed.

    ``api`` is opened only if there is something to ask. ``due`` are the reports that do not rest, for who has just read
    them.

    Raises:
        CredentialsRefused: they are good for nothing.
    """
    ledger = services.ledger
    if receive_finished(services, account) or due is None:
        due = ledger.reports.due(account.source)
    now = ledger.now()
    waiting = [r for r in due if r.state is ReportState.REQUESTED and may_be_asked(r, now)]
    if not waiting:
        return []
    changed: list[Report] = []
    overdue: list[Report] = []
    try:
        for before, asked in _progress(services, account, api(), waiting):
            changed.append(asked)
            if asked.overdue and not before.overdue:
                overdue.append(asked)
    finally:
        notify_reports(services, account, "report_overdue", f"is not ready after {account.overdue_after}", overdue)
        notify_given_up(services, account, changed)
    return changed


def _progress(
    services: Services, account: Account, api: ReportApi, waiting: Sequence[Report]
) -> Iterator[tuple[Report, Report]]:
    """Reports before and after they were asked for, for as long as one look may take and Amazon answers."""
    ledger, started = services.ledger, services.ledger.now()
    scopes = {scope.id: scope for scope in ledger.scopes.of_source(account.source)}
    troubles = ledger.messages.troubles(account.source)
    closed: dict[str, AccessRefused] = {}
    failing = 0
    for report in sorted(waiting, key=lambda r: r.polled_at or r.requested_at or started):
        if ledger.now() - started > POLL_BUDGET or failing >= ENOUGH_FAILED:
            return
        if refusal := next((closed[g] for g in account.gates(report) if g in closed), None):
            refused(services, account, report, refusal)
            continue
        try:
            asked = poll(services, account, api, report, scopes[report.scope])
        except CredentialsRefused:
            raise
        except AccessRefused as e:
            closed[refused_gate(account, report, e)] = e
            continue
        if asked is None:
            continue
        yield report, asked
        failed = asked.state is ReportState.REQUESTED and asked.attempt > 0
        failing = failing + 1 if failed else 0
        if not failed:
            _end_troubles(services, account, report, troubles)


@dataclass(frozen=True)
class ReportDue:
    """A report to download. ``run_key`` is the same however often it is asked for."""

    report: Report

    @property
    def run_key(self) -> str:
        return f"{self.report.feed}:{self.report.key}:a{self.report.attempt + self.report.returned}"


def reports_due(
    services: Services, account: Account, runs: Runs, awake: Sequence[Report] | None = None
) -> list[ReportDue]:
    """Reports that are ready and have no live run, the longest waiting first, and not more than a look can start. One
    whose run was killed is free again at once; one that is not declared any more is withdrawn. ``awake`` are those that
    do not rest, for who has just read them."""
    now = services.ledger.now()
    scopes = {scope.id: scope for scope in services.ledger.scopes.of_source(account.source)}
    awake = services.ledger.reports.due(account.source) if awake is None else awake
    ready = [r for r in awake if r.state in FETCHABLE and may_be_asked(r, now)]
    due: list[ReportDue] = []
    for report in sorted(ready, key=lambda r: (r.ready_at or now, r.name, r.scope)):
        if len(due) >= MOST_STARTED:
            break
        if report.run_id and runs.alive(report.run_id):
            continue
        if report.scope not in scopes or account.declared(report, scopes[report.scope]) is None:
            withdraw(services.ledger, report, NOT_DECLARED)
            continue
        freed = _freed(services, account, report, runs)
        if freed is not None:
            due.append(ReportDue(freed))
    return due


def together(due: Iterable[ReportDue], scopes: Sequence[str]) -> list[list[ReportDue]]:
    """Reports that one run lands: those of a table and of these ``scopes``, up to ``MOST_DATES`` of it and of no date
    twice; one of another scope alone. From the first to the last of the scopes, in their order, and of the dates there
    are at most ``MOST_BETWEEN``. The first report stays the first until a run has it, so that its run key stands for
    all."""
    places = {scope: place for place, scope in enumerate(scopes)}
    groups: dict[str, list[list[ReportDue]]] = {}
    for each in due:
        of_table = groups.setdefault(each.report.name, [])
        fitting = (group for group in of_table if _fits([e.report for e in group], each.report, places))
        if (group := next(fitting, None)) is not None:
            group.append(each)
        else:
            of_table.append([each])
    return [group for of_table in groups.values() for group in of_table]


def _fits(group: Sequence[Report], report: Report, places: Mapping[str, int]) -> bool:
    every = [*group, report]
    if any(each.scope not in places for each in every) or sum(len(each.days) for each in every) > MOST_DATES:
        return False
    held = [places[each.scope] for each in every]
    days = (max(each.end for each in every) - min(each.start for each in every)).days + 1
    own = (each for each in group if each.scope == report.scope)
    apart = all(other.end < report.start or report.end < other.start for other in own)
    return apart and (max(held) - min(held) + 1) * days <= MOST_BETWEEN


def _freed(services: Services, account: Account, report: Report, runs: Runs) -> Report | None:
    """The report if it may run now, taken from a run that died: at once the first time, then after growing pauses.

    A run that died before it could claim the report leaves its run key spent, and a run key launches only one run.
    """
    spent = runs.spent(ReportDue(report).run_key)
    if not report.run_id and not spent:
        return report
    how = runs.ending(report.run_id or ReportDue(report).run_key)
    if how is not Ending.DIED:
        pause = after_hindrance(report.returned + 1) if how is Ending.HINDERED else timedelta(0)
        freed = services.ledger.reports.give_back(report, _until(services.ledger, pause))
        return None if pause else freed
    deaths, definition = report.attempt + spent, account.definition(report.name)
    # What Amazon made by itself cannot be asked for anew, so it is never given up for deaths of ours.
    if deaths > MAX_DEATHS and not (definition and definition.discovered):
        ended = give_up(services.ledger, account, report, f"its run died {deaths} times", reorder=False)
        notify_given_up(services, account, [ended])
        return None
    pause = after_death(deaths)
    freed = services.ledger.reports.died(report, deaths, _until(services.ledger, pause))
    return None if pause else freed


def _until(ledger: Ledger, pause: timedelta) -> datetime | None:
    return ledger.now() + pause if pause else None


def deliveries_due(services: Services, account: Account, runs: Runs) -> tuple[list[Due], list[Problem]]:
    """Slices that landed and are not published: those whose run was killed, or failed and may be tried again.

    What a live run has landed is that run's to publish, and what the run of a report that is due again will publish is
    only freed from the run that was killed.
    """
    waiting = services.ledger.deliveries.active(account.source)
    if not waiting:
        return [], []
    active = [r for r in services.ledger.reports.active(account.source) if r.state in FETCHABLE]
    live = {(r.name, r.scope) for r in active if r.run_id and runs.alive(r.run_id)}
    wanted = {scope.id for scope in services.ledger.scopes.of_source(account.source) if account.wants(scope)}
    owners: dict[str, tuple[str, str]] = {}
    idle = []
    for definition, flow in account.named_flows(dict.fromkeys(name for name, _ in waiting)):
        scope = flow.scope.value if flow.scope else ""
        owners[flow.name] = (definition.name, scope)
        if scope in wanted and owners[flow.name] not in live:
            idle.append(flow)
    due, problems = slice_settler(services, tuple(idle)).due(runs) if idle else ([], [])
    coming = {(r.name, r.scope) for r in active}
    return [d for d in due if owners[d.flow.name] not in coming], problems
