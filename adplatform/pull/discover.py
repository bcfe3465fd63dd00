"""Reports that Amazon makes on its own schedule: found, remembered, and then treated as any other."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.reports import Discovered, ReportApi
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Planned
from adplatform.pull.account import Account, local_zone
from adplatform.pull.plan import Turn

log = logging.getLogger(__name__)

LISTED_FOR = timedelta(days=89)
"""Amazon lists reports for 90 days after it made them."""
CLOCKS_DIFFER = timedelta(days=1)
"""Days of the marketplace and of whoever looked."""


def discover(ledger: Ledger, account: Account, api: ReportApi, turns: Iterable[Turn]) -> list[Report]:
    """Enter in the ledger what Amazon has made since; those that are new. May be repeated.

    A report that covers several marketplaces is entered once, for the first of them that is wanted: their turns come
    at different times of the day.

    Raises:
        PermanentFailure, TransientFailure: as the API's calls do.
    """
    due = {(turn.definition.name, turn.scope.id): turn for turn in turns}
    now = ledger.now()
    known = ledger.scopes.of_source(account.source)
    wanted = {scope.id for scope in known if account.wants(scope)}
    looked_on = {(p.name, p.scope): p.day for p in ledger.scopes.planned(account.source)}
    new = []
    for definition in {turn.definition.name: turn.definition for turn in due.values()}.values():
        for found in api.discover(definition.report_type, now - LISTED_FOR):
            home = next((scope for scope in found.scopes if scope in wanted), "")
            turn = due.get((definition.name, home))
            if turn is None:
                continue
            last = looked_on.get((definition.name, home))
            report = _entered(ledger, account, definition, turn, found, now, last)
            if report is not None:
                new.append(report)
    for turn in due.values():
        looked(ledger, account, turn)
    return new


def looked(ledger: Ledger, account: Account, turn: Turn) -> None:
    """The turn is over; the next day looks again."""
    planned = Planned(turn.definition.name, turn.scope.id, turn.day, turn.definition.definition_hash)
    ledger.scopes.put_planned(account.source, planned)


def _entered(
    ledger: Ledger,
    account: Account,
    definition: ReportDefinition,
    turn: Turn,
    found: Discovered,
    now: datetime,
    last: date | None,
) -> Report | None:
    """A row for the report, unless there is one or it is of before the account's start. It counts for the date on which
    its period ends. What was made since the ``last`` look is wanted however long that is ago."""
    zone = local_zone(definition, turn.scope)
    day, made = found.end.astimezone(zone).date(), found.created.astimezone(zone).date()
    made_since = last is not None and made >= last - CLOCKS_DIFFER
    if day < (account.start_date if made_since else account.first_day(turn.day)):
        return None
    report = Report(
        source=account.source,
        name=definition.name,
        scope=turn.scope.id,
        asked_on=made,
        start=day,
        end=day,
        sequence=1,
        report_type=definition.report_type,
        definition=definition.definition_hash,
        state=ReportState.READY,
        report_id=found.report_id,
        adopted=True,
        requested_at=found.created,
        document=found.document,
        ready_at=now,
    )
    # Another of its marketplaces may have it, of a time when this one was not wanted; there its date may be a day off.
    feeds = [f"{account.source}/{definition.name}/{scope}" for scope in found.scopes]
    known = [r for feed in feeds for r in ledger.reports.of_feed(feed, since=made - timedelta(days=1))]
    return _first_free(ledger, report, known, made)


def _first_free(ledger: Ledger, report: Report, known: list[Report], made: date) -> Report | None:
    """The row under the first sequence that no other report made on that day has."""
    # One that was withdrawn while its definition or scope was not declared is found anew.
    if any(r.report_id == report.report_id and (r.state is not ReportState.FAILED or r.permanent) for r in known):
        return None
    same = (report.feed, made, report.start, report.end)
    taken = {r.sequence for r in known if (r.feed, r.asked_on, r.start, r.end) == same}
    for sequence in range(1, len(taken) + 2):
        if sequence not in taken:
            numbered = replace(report, sequence=sequence)
            if ledger.reports.discovered(numbered):
                log.info("%s: found report %s", report.feed, report.report_id)
                return numbered
    return None
