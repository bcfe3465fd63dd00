"""Asking for reports and asking how far they are. Every step is written to the ledger before the next begins.

A worker may die between any two lines: an intention that may have reached Amazon is looked for there before it is asked
again, and a report whose id is stored is only ever polled.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from adplatform.amazon.http import TurnIsLater
from adplatform.amazon.reports import PastRetention, Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.failures import (
    AccessRefused,
    CredentialsRefused,
    EnvironmentFailure,
    PermanentFailure,
    TransientFailure,
    listed,
)
from adplatform.flow.hindrances import begin_hindrance
from adplatform.flow.services import Services
from adplatform.flow.untold import tell as send
from adplatform.ledger.messages import Trouble, Untold
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import Account, local_zone
from adplatform.pull.plan import covered

log = logging.getLogger(__name__)

MAX_ORDERS = 3
"""Orders of one range on one day; a range that failed this often is planned again the next day."""
REORDER_AFTER = timedelta(minutes=30)
ASK_AGAIN_AFTER = timedelta(minutes=5)
"""Wait after a call that failed for now; doubled with each attempt, up to the next constant."""
LONGEST_WAIT = timedelta(hours=2)
CLOCKS_DIFFER = timedelta(hours=1)
"""What the ledger has from further in the future was written by a clock that was wrong."""
SLOWEST_POLL = timedelta(minutes=10)
MOST_NAMED = 50
"""Reports that one message names."""
NOT_DECLARED = "its definition or scope was removed or changed"
REPORTS = "reports"
"""The kind of an account's work that something may hinder on this side of Amazon."""
DOUBTFUL = "Amazon says there is no data, but there was before; asked once more"


def refresh_scopes(services: Services, account: Account, api: ReportApi) -> None:
    """Learn from Amazon which profiles or marketplaces there are; those it no longer names stay as they were. Declared
    ones that it never named are told to people once, and hold up no others.

    Raises:
        PermanentFailure: none that is wanted was ever among those that the credentials can read.
    """
    ledger = services.ledger
    found = [replace(scope, seen_at=ledger.now()) for scope in api.scopes()]
    ledger.scopes.put(account.source, found)
    scopes = ledger.scopes.of_source(account.source)
    readable = listed(sorted(s.id for s in found), MOST_NAMED) or "none"
    can = f"in region {account.region} these credentials can read {readable}"
    if not any(account.wants(scope) for scope in scopes):
        wanted = listed(account.wanted, MOST_NAMED) or f"a {account.dimension} that is wanted"
        raise PermanentFailure(
            f"{account.source}: {wanted} cannot be read: {can}. Correct the list, the region, or who authorised them"
        )
    known, troubles = {scope.id for scope in scopes}, ledger.messages.troubles(account.source)
    for scope in account.wanted:
        if scope in known and missing(scope) in troubles:
            ledger.messages.clear_trouble(account.source, missing(scope))
        elif scope not in known and missing(scope) not in troubles:
            what = f"{account.dimension} {scope} cannot be read: {can}"
            facts = {"source": account.source, account.dimension: scope, "error": what}
            tell(services, account, "access_refused", f"{account.source}: {what}", facts)
            ledger.messages.note_trouble(account.source, missing(scope), what)


def missing(scope: str) -> str:
    """Under which name it is noted that a declared scope was never named by Amazon."""
    return f"missing/{scope}"


def may_be_asked(report: Report, now: datetime) -> bool:
    """Whether its rest is over. One that was written by a clock that was ahead of this one is."""
    rests = report.not_before is not None and report.not_before > now
    return not rests or (report.changed_at is not None and report.changed_at - now > CLOCKS_DIFFER)


def request(services: Services, account: Account, api: ReportApi, report: Report, scope: Scope) -> Report | None:
    """Ask Amazon for an intended report and store its id; None when somebody else is at it.

    A failure is written to the row, so that one scope that may not be read holds up no other.

    Raises:
        AccessRefused: Amazon gives no access to it, nor to others of its gate.
        TurnIsLater: it cannot be asked for yet; it rests until it can.
    """
    order, definition = account.order(report, scope), account.declared(report, scope)
    if order is None or definition is None:
        return withdraw(services, report, NOT_DECLARED)
    ledger = services.ledger
    today = ledger.now().astimezone(local_zone(definition, scope)).date()
    if (today - report.start).days >= definition.policy.retention_days:
        oldest = today - timedelta(days=definition.policy.last_age)
        return _clipped(services, account, report, today, oldest)
    trying = ledger.reports.begin(report)
    if trying is None:
        return None
    try:
        again = report.attempt > 0
        others = _ids_of_equals(services, account, report) if again else ()
        created = api.create(order, report.intended_at or ledger.now(), again=again, others=others)
    except TurnIsLater as e:
        rest(services, trying, str(e), max(e.wait, ASK_AGAIN_AFTER), attempt=report.attempt)
        raise
    except TransientFailure as e:
        log.warning("%s %s: %s", report.feed, report.key, e)
        return rest(services, trying, str(e), _pause(trying.attempt))
    except AccessRefused as e:
        # Amazon has not taken the order: no other worker needs to look for it.
        refused(services, account, trying, e, attempt=report.attempt)
        raise
    except PastRetention as e:
        if e.oldest <= report.start:
            return give_up(services, account, trying, str(e), reorder=False)
        return _clipped(services, account, trying, today, e.oldest)
    except PermanentFailure as e:
        return give_up(services, account, trying, str(e), reorder=False)
    next_poll = ledger.now() + account.poll_every
    return ledger.reports.requested(trying, created.report_id, adopted=created.adopted, next_poll=next_poll)


def rest(services: Services, report: Report, error: str, pause: timedelta, attempt: int | None = None) -> Report | None:
    """Leave a report as it is for a while, and note why."""
    return services.ledger.reports.rest(report, error, services.ledger.now() + pause, attempt=attempt)


def refused(
    services: Services, account: Account, report: Report, error: AccessRefused, attempt: int | None = None
) -> Report | None:
    """Let a report rest that Amazon gives no access to, the longer the longer that lasts. People are told when it
    begins; that the credentials are good for nothing is told by the job that places orders."""
    ledger, gate = services.ledger, account.gate(report)
    if isinstance(error, CredentialsRefused):
        return rest(services, report, str(error), ASK_AGAIN_AFTER, attempt)
    lasts = ledger.now() - note_refusal(services, account, gate, error).since
    return rest(services, report, str(error), min(max(lasts / 2, ASK_AGAIN_AFTER), LONGEST_WAIT), attempt)


def hindered(services: Services, account: Account, report: Report, error: EnvironmentFailure) -> Report | None:
    """Let a report rest because the place where it is worked on cannot do it, the longer the longer that lasts. It is
    no attempt. People are told when it begins."""
    ledger = services.ledger
    facts = {"source": account.source, "feed": report.feed, "error": str(error)}
    subject = f"{account.source}: reports wait for the place they run in"
    trouble = begin_hindrance(
        services,
        account.source,
        REPORTS,
        error,
        lambda: services.notifier(account.topics).failure("reports_hindered", subject, facts),
    )
    lasts = ledger.now() - trouble.since if trouble else timedelta(0)
    until = ledger.now() + min(max(lasts / 2, ASK_AGAIN_AFTER), LONGEST_WAIT)
    return ledger.reports.hindered(report, str(error), until)


def note_refusal(services: Services, account: Account, gate: str, error: PermanentFailure) -> Trouble:
    """Remember that Amazon gives no access to a gate; people are told when it begins."""
    known = services.ledger.messages.troubles(account.source).get(gate)
    if known is not None:
        return known
    facts = {"source": account.source, "refused": gate, "error": str(error)}
    tell(services, account, "access_refused", f"{account.source}: no access to {gate}; others go on", facts)
    return services.ledger.messages.note_trouble(account.source, gate, str(error))


def withdraw(services: Services, report: Report, why: str, successor: Report | None = None) -> Report | None:
    """End a report that nobody wants any more, without alarm. Its dates count as not asked for."""
    log.info("%s %s is not pursued: %s", report.feed, report.key, why)
    return services.ledger.reports.withdraw(report, why, successor)


def _clipped(services: Services, account: Account, report: Report, today: date, oldest: date) -> Report | None:
    """End an order whose first dates Amazon does not keep any more, and intend one for the others. People are told of
    dates that leave unread."""
    ledger = services.ledger
    gone, clipped = f"Amazon keeps nothing before {oldest}", None
    if oldest <= report.end:
        waves = {day: wave for day, wave in report.waves.items() if date.fromisoformat(day) >= oldest}
        clipped = _anew(report, asked_on=today, start=oldest, sequence=1, waves=waves)
        gone += f"; {oldest} to {report.end} is asked for instead"
    others = [r for r in ledger.reports.of_feed(report.feed, report.start) if r.key != report.key]
    read = covered(others, report.definition)
    ended = withdraw(services, report, gone, clipped)
    first = account.first_day(today)
    lost = [day for day in report.days if first <= day < oldest and day not in read]
    if ended is not None and lost:
        facts = {"feed": report.feed, "first": lost[0], "last": lost[-1], "error": gone}
        tell(services, account, "report_dates_lost", f"{report.feed}: too late for {lost[0]} to {lost[-1]}", facts)
    return ended


def _ids_of_equals(services: Services, account: Account, report: Report) -> set[str]:
    """Ids of the reports of this type and scope that were asked for since: none of them is the one that is missing.
    Clocks differ, so those of the day before are among them."""
    since = report.asked_on - timedelta(days=1)
    return {
        known.report_id
        for definition in account.definitions
        if definition.report_type == report.report_type
        for known in services.ledger.reports.of_feed(f"{report.source}/{definition.name}/{report.scope}", since)
        if known.report_id
    }


def poll(services: Services, account: Account, api: ReportApi, report: Report, scope: Scope) -> Report | None:
    """Ask how far a requested report is and write down the answer; None when somebody else did.

    A failure is written to the row.

    Raises:
        AccessRefused: Amazon gives no access to it, nor to others of its gate.
    """
    order = account.order(report, scope)
    if order is None:
        return withdraw(services, report, NOT_DECLARED)
    ledger, now = services.ledger, services.ledger.now()
    try:
        progress = api.progress(order, report.report_id)
    except TransientFailure as e:
        too_long = now - (report.requested_at or now) >= account.give_up_after * 2
        if too_long and not isinstance(e, EnvironmentFailure):
            return give_up(services, account, report, str(e), reorder=True)
        attempt = report.attempt + 1
        return rest(services, report, str(e), _pause(attempt), attempt)
    except AccessRefused as e:
        if now - (report.requested_at or now) >= account.give_up_after * 2 and not isinstance(e, CredentialsRefused):
            withdraw(services, report, str(e))
        else:
            refused(services, account, report, e)
        raise
    except PermanentFailure as e:
        return give_up(services, account, report, str(e), reorder=False)
    match progress.status:
        case ReportStatus.READY:
            return ledger.reports.ready(report, now, progress.document, progress.size or 0)
        case ReportStatus.EMPTY:
            return _empty(services, account, report, now, progress)
        case ReportStatus.FAILED | ReportStatus.GONE:
            reason = progress.reason or f"Amazon says {progress.status}"
            return give_up(services, account, report, reason, reorder=progress.retryable, polled_at=now)
        case _:
            return _still_waiting(services, account, api, order, report, now)


def _still_waiting(
    services: Services, account: Account, api: ReportApi, order: ReportOrder, report: Report, polled_at: datetime
) -> Report | None:
    ledger, now = services.ledger, services.ledger.now()
    waited = now - (report.requested_at or now)
    if waited >= account.give_up_after:
        try:
            api.cancel(order, report.report_id)
        except (PermanentFailure, TransientFailure) as e:
            log.warning("%s %s could not be cancelled: %s", report.feed, report.key, e)
        error = f"it was not ready {waited} after it was asked for"
        return give_up(services, account, report, error, reorder=True, polled_at=polled_at)
    next_poll = now + min(account.poll_every * 1.5 ** min(report.polls, 20), SLOWEST_POLL)
    return ledger.reports.pending(report, polled_at, next_poll, overdue=waited >= account.overdue_after)


def _empty(
    services: Services, account: Account, report: Report, polled_at: datetime, progress: Progress
) -> Report | None:
    """Amazon has no data, or gave up because it was busy: it says CANCELLED to both. Where that would take away rows
    that are there, it is asked once more before it is believed."""
    if is_doubtful(services, account, report):
        return give_up(services, account, report, DOUBTFUL, reorder=True, polled_at=polled_at)
    return services.ledger.reports.ready_without_rows(report, polled_at, progress.reason)


def is_doubtful(services: Services, account: Account, report: Report) -> bool:
    """Whether it is to be believed only the second time that no date of the report has rows: where there were some."""
    if report.sequence > 1:
        return False
    definition = account.definition(report.name)
    feeds = [f"{report.source}/{d.feed}/{report.scope}" for d in definition.datasets] if definition else []
    newest = (services.ledger.observations.of_day(feed, day)[-1:] for feed in feeds for day in report.days)
    return any(o.rows for observed in newest for o in observed)


def give_up(
    services: Services,
    account: Account,
    report: Report,
    error: str,
    *,
    reorder: bool,
    polled_at: datetime | None = None,
) -> Report | None:
    """End a report that brought nothing, as a poll at ``polled_at`` showed where there was one.

    Its dates count as not asked for; ``reorder`` asks again on the same day. What
    was planned days ago is not asked for again: later plans have its dates. One that is not asked for again by itself
    is ``permanent``, and :func:`tell_reports` should tell it."""
    ledger = services.ledger
    overtaken = bool(report.waves) and (ledger.now().date() - report.asked_on).days > 1
    again = reorder and report.sequence < MAX_ORDERS and not overtaken
    pause = REORDER_AFTER * 2 ** (report.sequence - 1)
    log.warning("%s %s failed: %s%s", report.feed, report.key, error, "; it is asked for again" if again else "")
    return ledger.reports.give_up(
        report,
        error,
        permanent=not again and not (reorder and overtaken),
        successor=_anew(report, sequence=report.sequence + 1, not_before=ledger.now() + pause) if again else None,
        polled_at=polled_at,
    )


def _anew(report: Report, **changes: Any) -> Report:
    """The same order once more, of which nothing has happened yet."""
    order = Report(
        source=report.source,
        name=report.name,
        scope=report.scope,
        asked_on=report.asked_on,
        start=report.start,
        end=report.end,
        sequence=report.sequence,
        report_type=report.report_type,
        definition=report.definition,
        waves=report.waves,
    )
    return replace(order, **changes)


def tell_reports(services: Services, account: Account, event: str, what: str, reports: Sequence[Report]) -> None:
    """Tell people of reports that had the same fate, all in one message."""
    if not reports:
        return
    first = reports[0]
    facts: dict[str, Any] = {
        "feed": first.feed,
        "start": first.start,
        "end": first.end,
        "report_id": first.report_id,
        "state": str(first.state),
        "error": first.error,
    }
    named = [f"{r.feed} {r.start} to {r.end}" for r in reports]
    subject = f"{named[0]} {what}"
    if len(named) > 1:
        facts |= {"reports": len(named), "others": named[1:MOST_NAMED]}
        subject = f"{account.source}: {len(named)} reports, {subject}"
    tell(services, account, event, subject, facts)


def tell_given_up(services: Services, account: Account, reports: Iterable[Report | None]) -> None:
    """Tell people of those that are not asked for again by themselves."""
    given_up = [r for r in reports if r is not None and r.state is ReportState.FAILED and r.permanent]
    reason = f"failed: {given_up[0].error}" if given_up else ""
    tell_reports(services, account, "report_failed", reason, given_up)


def tell(services: Services, account: Account, event: str, subject: str, facts: dict[str, Any]) -> None:
    """Tell those who hear of failures, now or with a later look."""
    log.warning("%s", subject)
    send(services, account.source, Untold.of(account.topics.failure, event, subject, facts))


def _pause(attempt: int) -> timedelta:
    return min(ASK_AGAIN_AFTER * float(2 ** min(attempt - 1, 10)), LONGEST_WAIT)
