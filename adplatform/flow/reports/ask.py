"""Asking for reports and asking how far they are. Every step is written to the ledger before the next begins.

A worker may die between any two lines: an intention that may have reached Amazon is looked for there before it is asked
again, and a report whose id is stored is only ever polled.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.amazon.reports import Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.reports.account import Account
from adplatform.flow.services import Services
from adplatform.ledger.rows import Report, ReportState, Scope

log = logging.getLogger(__name__)

MAX_ORDERS = 3
"""Orders of one range on one day; a range that failed this often is planned again the next day."""
REORDER_AFTER = timedelta(minutes=30)
ASK_AGAIN_AFTER = timedelta(minutes=5)
"""Wait after a call that failed for now; doubled with each attempt, up to the next constant."""
LONGEST_WAIT = timedelta(hours=2)
SLOWEST_POLL = timedelta(minutes=10)
DOUBTFUL = "Amazon says there is no data, but there was before; asked once more"


def refresh_scopes(services: Services, account: Account, api: ReportApi) -> list[Scope]:
    """Learn from Amazon which profiles or marketplaces there are; those it no longer names stay as they were.

    Raises:
        PermanentFailure: a declared scope is not among those that the credentials can read.
    """
    now = services.ledger.now()
    found = [replace(scope, seen_at=now) for scope in api.scopes()]
    services.ledger.put_scopes(account.source, found)
    missing = sorted(set(account.wanted) - {scope.id for scope in found})
    known = {scope.id for scope in services.ledger.scopes(account.source)}
    if unknown := [scope for scope in missing if scope not in known]:
        listed = ", ".join(sorted(s.id for s in found)) or "none"
        raise PermanentFailure(
            f"{account.source}: {', '.join(unknown)} cannot be read with these credentials in this region; they can "
            f"read {listed}. Correct the list, the region, or who authorised the credentials"
        )
    return [scope for scope in found if account.wants(scope)]


def may_be_asked(report: Report, now: datetime) -> bool:
    return report.not_before is None or report.not_before <= now


def request(services: Services, account: Account, api: ReportApi, report: Report, scope: Scope) -> Report | None:
    """Ask Amazon for an intended report and store its id; None when somebody else is at it.

    A failure is written to the row, never raised: one scope that may not be read holds up no other.
    """
    order = account.order(report, scope)
    if order is None:
        return give_up(services, account, report, "the definition was removed or changed", reorder=False)
    ledger = services.ledger
    trying = ledger.change_report(report, attempt=report.attempt + 1)
    if trying is None:
        return None
    try:
        again = report.attempt > 0
        others = _ids_of_equals(services, account, report) if again else ()
        created = api.create(order, report.intended_at or ledger.now(), again=again, others=others)
    except TransientFailure as e:
        log.warning("%s %s: %s", report.feed, report.key, e)
        return ledger.change_report(trying, error=str(e), not_before=ledger.now() + _pause(trying.attempt))
    except PermanentFailure as e:
        return give_up(services, account, trying, str(e), reorder=False)
    return ledger.change_report(
        trying,
        state=ReportState.REQUESTED,
        report_id=created.report_id,
        adopted=created.adopted,
        requested_at=ledger.now(),
        not_before=ledger.now() + account.poll_every,
        attempt=0,
        error="",
    )


def _ids_of_equals(services: Services, account: Account, report: Report) -> set[str]:
    """Ids of the reports of this type and scope that were asked for since: none of them is the one that is missing."""
    return {
        known.report_id
        for definition in account.definitions
        if definition.report_type == report.report_type
        for known in services.ledger.reports(f"{report.source}/{definition.name}/{report.scope}", report.asked_on)
        if known.report_id
    }


def poll(services: Services, account: Account, api: ReportApi, report: Report, scope: Scope) -> Report | None:
    """Ask how far a requested report is and write down the answer; None when somebody else did.

    Failures are written to the row, never raised.
    """
    order = account.order(report, scope)
    if order is None:
        return give_up(services, account, report, "the definition was removed or changed", reorder=False)
    ledger, now = services.ledger, services.ledger.now()
    try:
        progress = api.progress(order, report.report_id)
    except TransientFailure as e:
        if now - (report.requested_at or now) >= account.give_up_after * 2:
            return give_up(services, account, report, str(e), reorder=True)
        attempt = report.attempt + 1
        return ledger.change_report(report, error=str(e), attempt=attempt, not_before=now + _pause(attempt))
    except PermanentFailure as e:
        return give_up(services, account, report, str(e), reorder=False)
    asked = replace(report, polls=report.polls + 1, polled_at=now, attempt=0, error="")
    match progress.status:
        case ReportStatus.READY:
            return ledger.change_report(
                report,
                **_seen(asked),
                state=ReportState.READY,
                document=progress.document,
                bytes=progress.size or 0,
                ready_at=now,
                not_before=None,
            )
        case ReportStatus.EMPTY:
            return _empty(services, account, report, asked, progress)
        case ReportStatus.FAILED | ReportStatus.GONE:
            reason = progress.reason or f"Amazon says {progress.status}"
            return give_up(services, account, asked, reason, reorder=progress.retryable)
        case _:
            return _still_waiting(services, account, api, order, report, asked)


def _still_waiting(
    services: Services, account: Account, api: ReportApi, order: ReportOrder, report: Report, asked: Report
) -> Report | None:
    ledger, now = services.ledger, services.ledger.now()
    waited = now - (report.requested_at or now)
    if waited >= account.give_up_after:
        try:
            api.cancel(order, report.report_id)
        except (PermanentFailure, TransientFailure) as e:
            log.warning("%s %s could not be cancelled: %s", report.feed, report.key, e)
        return give_up(services, account, asked, f"it was not ready {waited} after it was asked for", reorder=True)
    overdue = waited >= account.overdue_after
    changed = ledger.change_report(
        report,
        **_seen(asked),
        overdue=overdue,
        not_before=now + min(account.poll_every * 1.5 ** min(report.polls, 20), SLOWEST_POLL),
    )
    if overdue and not report.overdue and changed is not None:
        _tell(services, account, changed, "report_overdue", f"is not ready {waited} after it was asked for")
    return changed


def _empty(services: Services, account: Account, report: Report, asked: Report, progress: Progress) -> Report | None:
    """Amazon has no data, or gave up because it was busy: it says CANCELLED to both. Where that would take away rows
    that are there, it is asked once more before it is believed."""
    if is_doubtful(services, account, report):
        return give_up(services, account, asked, DOUBTFUL, reorder=True)
    return services.ledger.change_report(
        report,
        **{**_seen(asked), "error": progress.reason},
        state=ReportState.READY,
        document="",
        ready_at=services.ledger.now(),
        not_before=None,
    )


def is_doubtful(services: Services, account: Account, report: Report) -> bool:
    """Whether it is to be believed only the second time that no date of the report has rows: where there were some."""
    if report.sequence > 1:
        return False
    definition = account.definition(report.name)
    feeds = [f"{report.source}/{d.feed}/{report.scope}" for d in definition.datasets] if definition else []
    days = [report.start + timedelta(days=n) for n in range((report.end - report.start).days + 1)]
    newest = (services.ledger.observations(feed, day)[-1:] for feed in feeds for day in days)
    return any(o.rows for observed in newest for o in observed)


def give_up(services: Services, account: Account, report: Report, error: str, *, reorder: bool) -> Report | None:
    """End a report that brought nothing. Its dates count as not asked for; ``reorder`` asks again on the same day."""
    ledger = services.ledger
    again = reorder and report.sequence < MAX_ORDERS
    if again:
        ledger.intend_report(
            Report(
                source=report.source,
                name=report.name,
                scope=report.scope,
                asked_on=report.asked_on,
                start=report.start,
                end=report.end,
                sequence=report.sequence + 1,
                report_type=report.report_type,
                definition=report.definition,
                waves=report.waves,
                not_before=ledger.now() + REORDER_AFTER * 2 ** (report.sequence - 1),
            )
        )
    ended = ledger.change_report(
        report, state=ReportState.FAILED, error=error, permanent=not reorder, not_before=None, run_id=""
    )
    log.warning("%s %s failed: %s%s", report.feed, report.key, error, "; it is asked for again" if again else "")
    if ended is not None and not again:
        _tell(services, account, ended, "report_failed", f"failed: {error}")
    return ended


def _tell(services: Services, account: Account, report: Report, event: str, what: str) -> None:
    facts = {
        "feed": report.feed,
        "start": report.start,
        "end": report.end,
        "report_id": report.report_id,
        "state": str(report.state),
        "error": report.error,
    }
    subject = f"{report.feed} {report.start} to {report.end} {what}"
    try:
        services.notifier(account.topics).failure(event, subject, facts)
    except (BotoCoreError, ClientError) as e:
        log.error("%s, but nobody could be told: %s", subject, e)


def _pause(attempt: int) -> timedelta:
    return min(ASK_AGAIN_AFTER * float(2 ** min(attempt - 1, 10)), LONGEST_WAIT)


def _seen(asked: Report) -> dict[str, object]:
    return {name: getattr(asked, name) for name in ("polls", "polled_at", "attempt", "error")}
