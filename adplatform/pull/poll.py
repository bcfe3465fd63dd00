"""Asking how far an ordered report is, and writing down the answer."""

import logging
from datetime import datetime, timedelta

from adplatform.amazon.reports import MadeOtherwise, Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.failures import (
    AccessRefused,
    CredentialsRefused,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
)
from adplatform.flow.services import Services
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import Report
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import Account
from adplatform.pull.ends import DOUBTFUL, NOT_DECLARED, give_up, is_doubtful, pause_of, refused, rest, withdraw
from adplatform.pull.otherwise import as_taken

log = logging.getLogger(__name__)

SLOWEST_POLL = timedelta(minutes=10)


def poll(services: Services, account: Account, api: ReportApi, report: Report, scope: Scope) -> Report | None:
    """Ask how far a requested report is and write down the answer; None when somebody else did.

    A failure is written to the row.

    Raises:
        AccessRefused: Amazon gives no access to it, nor to others of its gate.
    """
    order = account.order(report, scope)
    if order is None:
        return withdraw(services.ledger, report, NOT_DECLARED)
    ledger = services.ledger
    now = ledger.now()
    try:
        progress = api.progress(order, report.report_id)
    except TransientFailure as e:
        too_long = now - (report.requested_at or now) >= account.give_up_after * 2
        if too_long and not isinstance(e, EnvironmentFailure):
            return give_up(services.ledger, account, report, str(e), reorder=True)
        attempt = report.attempt + 1
        return rest(services.ledger, report, str(e), pause_of(attempt), attempt)
    except AccessRefused as e:
        if now - (report.requested_at or now) >= account.give_up_after * 2 and not isinstance(e, CredentialsRefused):
            withdraw(services.ledger, report, str(e))
        else:
            refused(services, account, report, e)
        raise
    except PermanentFailure as e:
        return give_up(services.ledger, account, report, str(e), reorder=False)
    otherwise, progress = progress.otherwise, as_taken(account, progress)
    match progress.status:
        case ReportStatus.READY:
            return _ready(services.ledger, report, now, progress, otherwise)
        case ReportStatus.EMPTY:
            return _empty(services.ledger, account, report, now, progress)
        case ReportStatus.FAILED | ReportStatus.GONE:
            reason = progress.reason or f"Amazon says {progress.status}"
            return give_up(services.ledger, account, report, reason, reorder=progress.retryable, polled_at=now)
        case _:
            return _still_waiting(services.ledger, account, api, order, report, now)


def _ready(
    ledger: Ledger, report: Report, polled_at: datetime, progress: Progress, otherwise: MadeOtherwise | None
) -> Report | None:
    size = progress.size or 0
    if otherwise is None:
        return ledger.reports.ready(report, polled_at, progress.document, size)
    made = (otherwise.start, otherwise.end)
    return ledger.reports.ready(report, polled_at, progress.document, size, otherwise=otherwise.text, made=made)


def _still_waiting(
    ledger: Ledger, account: Account, api: ReportApi, order: ReportOrder, report: Report, polled_at: datetime
) -> Report | None:
    now = ledger.now()
    waited = now - (report.requested_at or now)
    if waited >= account.give_up_after:
        try:
            api.cancel(order, report.report_id)
        except (PermanentFailure, TransientFailure) as e:
            log.warning("%s %s could not be cancelled: %s", report.feed, report.key, e)
        error = f"it was not ready {waited} after it was asked for"
        return give_up(ledger, account, report, error, reorder=True, polled_at=polled_at)
    next_poll = now + min(account.poll_every * 1.5 ** min(report.polls, 20), SLOWEST_POLL)
    return ledger.reports.pending(report, polled_at, next_poll, overdue=waited >= account.overdue_after)


def _empty(ledger: Ledger, account: Account, report: Report, polled_at: datetime, progress: Progress) -> Report | None:
    """Amazon has no data, or gave up because it was busy: it says CANCELLED to both. Where that would take away rows
    that are there, it is asked once more before it is believed."""
    if is_doubtful(ledger, account, report):
        return give_up(ledger, account, report, DOUBTFUL, reorder=True, polled_at=polled_at)
    return ledger.reports.ready_without_rows(report, polled_at, progress.reason)
