"""What the reports of an account need now: orders to place, downloads to run, deliveries to publish.

The ledger remembers everything, so this may be asked at any time, by any number of processes, and die anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from adplatform.amazon.reports import ReportApi
from adplatform.flow.reports.account import Account
from adplatform.flow.reports.ask import give_up, may_be_asked, poll, refresh_scopes, request
from adplatform.flow.reports.discover import discover
from adplatform.flow.reports.finished import receive_finished
from adplatform.flow.reports.land import DOWNLOAD_AGAIN_AFTER, FETCHABLE, slice_settler
from adplatform.flow.reports.plan import plan_turn, turns
from adplatform.flow.services import Services
from adplatform.flow.settling import Due, Problem, Runs
from adplatform.ledger.rows import Report, ReportState

POLL_BUDGET = timedelta(seconds=30)
"""How long one look may ask for progress: a sensor that takes a minute is cut off (Dagster, sensor evaluation)."""

MAX_DEATHS = 6
"""Runs of one report that may die without a word, of a mistake of ours or for lack of memory, before it is given up."""


def orders_are_due(services: Services, account: Account) -> bool:
    """Whether somebody should run :func:`place_orders`."""
    known = services.ledger.scopes(account.source)
    if not any(account.wants(scope) for scope in known) or set(account.wanted) - {s.id for s in known}:
        return True
    return bool(turns(services, account)) or bool(_intended(services, account))


def place_orders(services: Services, account: Account, api: ReportApi) -> list[Report]:
    """Plan every turn that has come and ask for all that is intended, one worker at a time.

    Raises:
        PermanentFailure: the credentials do not work, or a declared scope cannot be read.
        TransientFailure: Amazon does not answer, or another worker is at it.
    """
    refresh_scopes(services, account, api)
    scopes = {scope.id: scope for scope in services.ledger.scopes(account.source)}
    due = turns(services, account)
    for turn in due:
        if not turn.definition.discovered:
            plan_turn(services, account, turn)
    discover(services, account, api, [turn for turn in due if turn.definition.discovered])
    placed = (
        request(services, account, api, report, scopes[report.scope])
        for report in _intended(services, account)
        if report.scope in scopes
    )
    return [report for report in placed if report is not None]


def _intended(services: Services, account: Account) -> list[Report]:
    now = services.ledger.now()
    active = services.ledger.active_reports(account.source)
    return [r for r in active if r.state is ReportState.INTENDED and may_be_asked(r, now)]


def poll_reports(services: Services, account: Account, api: Callable[[], ReportApi]) -> list[Report]:
    """Ask for the progress of what was asked for, the longest unasked first; those that changed.

    ``api`` is opened only if there is something to ask.
    """
    ledger = services.ledger
    receive_finished(services, account)
    started = ledger.now()
    waiting = [
        r
        for r in ledger.active_reports(account.source)
        if r.state is ReportState.REQUESTED and may_be_asked(r, started)
    ]
    if not waiting:
        return []
    scopes = {scope.id: scope for scope in ledger.scopes(account.source)}
    opened, changed = api(), []
    for report in sorted(waiting, key=lambda r: r.polled_at or r.requested_at or started):
        if ledger.now() - started > POLL_BUDGET:
            break
        asked = poll(services, account, opened, report, scopes[report.scope])
        if asked is not None:
            changed.append(asked)
    return changed


@dataclass(frozen=True)
class ReportDue:
    """A report to download. ``run_key`` is the same however often it is asked for."""

    report: Report

    @property
    def run_key(self) -> str:
        return f"{self.report.feed}:{self.report.key}:a{self.report.attempt}"


def reports_due(services: Services, account: Account, runs: Runs) -> list[ReportDue]:
    """Reports that are ready and have no live run. One whose run was killed is free again at once."""
    now = services.ledger.now()
    ready = [
        report
        for report in services.ledger.active_reports(account.source)
        if report.state in FETCHABLE and may_be_asked(report, now) and not (report.run_id and runs.alive(report.run_id))
    ]
    freed = (_freed(services, account, report, runs) for report in ready)
    return [ReportDue(report) for report in freed if report is not None]


def _freed(services: Services, account: Account, report: Report, runs: Runs) -> Report | None:
    """The report if it may run now, taken from a run that died: at once the first time, then after growing pauses.

    A run that died before it could claim the report leaves its run key spent, and a run key launches only one run.
    """
    spent = runs.spent(ReportDue(report).run_key)
    if not report.run_id and not spent:
        return report
    deaths = report.attempt + spent
    if deaths > MAX_DEATHS:
        give_up(services, account, report, f"its run died {deaths} times", reorder=False)
        return None
    pause = DOWNLOAD_AGAIN_AFTER * 2 ** (deaths - 2) if deaths > 1 else timedelta(0)
    freed = services.ledger.change_report(
        report, run_id="", attempt=deaths, not_before=services.ledger.now() + pause if pause else None
    )
    return None if pause else freed


def deliveries_due(services: Services, account: Account, runs: Runs) -> tuple[list[Due], list[Problem]]:
    """Slices that landed and are not published: those whose run was killed, or failed and may be tried again.

    What a live run has landed is that run's to publish, and what the run of a report that is due again will publish is
    only freed from the run that was killed.
    """
    active = [r for r in services.ledger.active_reports(account.source) if r.state in FETCHABLE]
    live = {(r.name, r.scope) for r in active if r.run_id and runs.alive(r.run_id)}
    scopes = [scope.id for scope in services.ledger.scopes(account.source)]
    flows = {
        flow.name: (flow, (definition.name, flow.scope.value if flow.scope else ""))
        for definition, flow in account.scoped_flows(scopes)
    }
    idle = tuple(flow for flow, owner in flows.values() if owner not in live)
    due, problems = slice_settler(services, idle).due(runs) if idle else ([], [])
    coming = {(r.name, r.scope) for r in active}
    return [d for d in due if flows[d.flow.name][1] not in coming], problems
