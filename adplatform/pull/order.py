"""Ordering a report. Every step is written to the ledger before the next begins.

A worker may die between any two lines: an intention that may have reached Amazon is looked for there before it is asked
again.
"""

import logging
from datetime import date, timedelta

from adplatform.amazon.http import TurnIsLater
from adplatform.amazon.reports import PastRetention, ReportApi
from adplatform.failures import (
    AccessRefused,
    PermanentFailure,
    TransientFailure,
)
from adplatform.flow.services import Services
from adplatform.ledger.asked import covered
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import Report
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import Account, local_zone
from adplatform.pull.ends import (
    ASK_AGAIN_AFTER,
    LONGEST_WAIT,
    NOT_DECLARED,
    anew,
    give_up,
    pause_of,
    refused,
    rest,
    withdraw,
)
from adplatform.pull.notices import notify

log = logging.getLogger(__name__)


def request(services: Services, account: Account, api: ReportApi, report: Report, scope: Scope) -> Report | None:
    """Ask Amazon for an intended report and store its id; None when somebody else is at it.

    A failure is written to the row, so that one scope that may not be read holds up no other.

    Raises:
        AccessRefused: Amazon gives no access to it, nor to others of its gate.
        TurnIsLater: it cannot be asked for yet; it rests until it can.
    """
    order, definition = account.order(report, scope), account.declared(report, scope)
    if order is None or definition is None:
        return withdraw(services.ledger, report, NOT_DECLARED)
    ledger = services.ledger
    today = ledger.now().astimezone(local_zone(definition, scope)).date()
    if definition.snapshot and today < report.start:
        return rest(ledger, report, f"{report.start} has not begun", LONGEST_WAIT)  # a clock that was wrong planned it
    if not definition.snapshot and (today - report.start).days >= definition.policy.retention_days:
        oldest = today - timedelta(days=definition.policy.last_age)
        return _clipped(services, account, report, today, oldest)
    trying = ledger.reports.begin(report)
    if trying is None:
        return None
    try:
        again = report.attempt > 0
        others = _ids_of_equals(services.ledger, account, report) if again else ()
        created = api.create(order, report.intended_at or ledger.now(), again=again, others=others)
    except TurnIsLater as e:
        rest(services.ledger, trying, str(e), max(e.wait, ASK_AGAIN_AFTER), attempt=report.attempt)
        raise
    except TransientFailure as e:
        log.warning("%s %s: %s", report.feed, report.key, e)
        return rest(services.ledger, trying, str(e), pause_of(trying.attempt))
    except AccessRefused as e:
        # Amazon has not taken the order: no other worker needs to look for it.
        refused(services, account, trying, e, attempt=report.attempt)
        raise
    except PastRetention as e:
        if e.oldest <= report.start:
            return give_up(services.ledger, account, trying, str(e), reorder=False)
        return _clipped(services, account, trying, today, e.oldest)
    except PermanentFailure as e:
        return give_up(services.ledger, account, trying, str(e), reorder=False)
    next_poll = ledger.now() + account.poll_every
    return ledger.reports.requested(trying, created.report_id, adopted=created.adopted, next_poll=next_poll)


def _clipped(services: Services, account: Account, report: Report, today: date, oldest: date) -> Report | None:
    """End an order whose first dates Amazon does not keep any more, and intend one for the others. People are notified
    of dates that leave unread."""
    ledger = services.ledger
    gone, clipped = f"Amazon keeps nothing before {oldest}", None
    if oldest <= report.end:
        waves = {day: wave for day, wave in report.waves.items() if date.fromisoformat(day) >= oldest}
        clipped = anew(report, asked_on=today, start=oldest, sequence=1, waves=waves)
        gone += f"; {oldest} to {report.end} is asked for instead"
    others = [r for r in ledger.reports.of_feed(report.feed, report.start) if r.key != report.key]
    read = covered(others, report.definition)
    ended = withdraw(services.ledger, report, gone, clipped)
    first = account.first_day(today)
    lost = [day for day in report.days if first <= day < oldest and day not in read]
    if ended is not None and lost:
        facts = {"feed": report.feed, "first": lost[0], "last": lost[-1], "error": gone}
        notify(services, account, "report_dates_lost", f"{report.feed}: too late for {lost[0]} to {lost[-1]}", facts)
    return ended


def _ids_of_equals(ledger: Ledger, account: Account, report: Report) -> set[str]:
    """Ids of the reports of this type and scope that were asked for since: none of them is the one that is missing.
    Clocks differ, so those of the day before are among them."""
    since = report.asked_on - timedelta(days=1)
    return {
        known.report_id
        for definition in account.definitions
        if definition.report_type == report.report_type
        for known in ledger.reports.of_feed(f"{report.source}/{definition.name}/{report.scope}", since)
        if known.report_id
    }
