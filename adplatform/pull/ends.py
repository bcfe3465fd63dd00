"""How a report rests, is given back, withdrawn or given up, and what people are notified of then."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from adplatform.failures import (
    AccessRefused,
    CredentialsRefused,
    EnvironmentFailure,
    NotOffered,
    PermanentFailure,
)
from adplatform.flow.hindrances import begin_hindrance
from adplatform.flow.services import Services
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Trouble
from adplatform.ledger.report import Report
from adplatform.pull.account import Account
from adplatform.pull.notices import notify

log = logging.getLogger(__name__)

MAX_ORDERS = 3
"""Orders of one range on one day; a range that failed this often is planned again the next day."""
MAX_SNAPSHOT_ORDERS = 6
"""Orders of a snapshot, for as long as its day lasts: with the pauses between them, 15 hours."""
REORDER_AFTER = timedelta(minutes=30)
ASK_AGAIN_AFTER = timedelta(minutes=5)
"""Wait after a call that failed for now; doubled with each attempt, up to the next constant."""
LONGEST_WAIT = timedelta(hours=2)
CLOCKS_DIFFER = timedelta(hours=1)
"""What the ledger has from further in the future was written by a clock that was wrong."""
_LATELY = timedelta(days=7)
"""Where a snapshot had rows within this time, it is unlikely that there are none."""
NOT_DECLARED = "its definition or scope was removed or changed"
REPORTS = "reports"
"""The kind of an account's work that something may hinder on this side of Amazon."""
DOUBTFUL = "Amazon says there is no data, but there was before; asked once more"


def may_be_asked(report: Report, now: datetime) -> bool:
    """Whether its rest is over. One that was written by a clock that was ahead of this one is."""
    rests = report.not_before is not None and report.not_before > now
    return not rests or (report.changed_at is not None and report.changed_at - now > CLOCKS_DIFFER)


def rest(ledger: Ledger, report: Report, error: str, pause: timedelta, attempt: int | None = None) -> Report | None:
    """Leave a report as it is for a while, and note why."""
    return ledger.reports.rest(report, error, ledger.now() + pause, attempt=attempt)


def refused(
    services: Services, account: Account, report: Report, error: AccessRefused, attempt: int | None = None
) -> Report | None:
    """Let a report rest that Amazon gives no access to, the longer the longer that lasts. People are notified when
    it begins; of credentials that are good for nothing they are by the job that places orders."""
    ledger, gate = services.ledger, refused_gate(account, report, error)
    if isinstance(error, CredentialsRefused):
        return rest(services.ledger, report, str(error), ASK_AGAIN_AFTER, attempt)
    lasts = ledger.now() - note_refusal(services, account, gate, error).since
    return rest(services.ledger, report, str(error), min(max(lasts / 2, ASK_AGAIN_AFTER), LONGEST_WAIT), attempt)


def refused_gate(account: Account, report: Report, error: AccessRefused) -> str:
    """What a refusal is about, and all that need not be asked for meanwhile."""
    whole, alone = account.gates(report)
    return alone if isinstance(error, NotOffered) else whole


def hindered(services: Services, account: Account, report: Report, error: EnvironmentFailure) -> Report | None:
    """Let a report rest because the place where it is worked on cannot do it, the longer the longer that lasts. It is
    no attempt. People are notified when it begins."""
    ledger = services.ledger
    facts = {"source": account.source, "feed": report.feed, "error": str(error)}
    subject = f"{account.source}: reports wait for the place they run in"
    trouble = begin_hindrance(
        services.ledger,
        account.source,
        REPORTS,
        error,
        lambda: services.notifier(account.topics).failure("reports_hindered", subject, facts),
    )
    lasts = ledger.now() - trouble.since if trouble else timedelta(0)
    until = ledger.now() + min(max(lasts / 2, ASK_AGAIN_AFTER), LONGEST_WAIT)
    return ledger.reports.hindered(report, str(error), until)


def note_refusal(services: Services, account: Account, gate: str, error: PermanentFailure) -> Trouble:
    """Remember that Amazon gives no access to a gate; people are notified when it begins."""
    known = services.ledger.messages.troubles(account.source).get(gate)
    if known is not None:
        return known
    facts = {"source": account.source, "refused": gate, "error": str(error)}
    notify(services, account, "access_refused", f"{account.source}: no access to {gate}; others go on", facts)
    return services.ledger.messages.note_trouble(account.source, gate, str(error))


def withdraw(ledger: Ledger, report: Report, why: str, successor: Report | None = None) -> Report | None:
    """End a report that nobody wants any more, without alarm. Its dates count as not asked for."""
    log.info("%s %s is not pursued: %s", report.feed, report.key, why)
    return ledger.reports.withdraw(report, why, successor)


def is_doubtful(ledger: Ledger, account: Account, report: Report) -> bool:
    """Whether it is to be believed only the second time that no date of the report has rows: where there were some, or
    where those of a snapshot were some days before. Of hours it is never believed: they do not go away, and are asked
    for again soon."""
    definition = account.definition(report.name)
    if report.sequence > 1 and not (definition and definition.policy.hours):
        return False
    feeds = [f"{report.source}/{d.feed}/{report.scope}" for d in definition.datasets] if definition else []
    if definition and definition.snapshot:
        return any(o.rows for feed in feeds for o in ledger.observations.since(feed, report.start - _LATELY)[-1:])
    newest = (ledger.observations.of_day(feed, day)[-1:] for feed in feeds for day in report.days)
    return any(o.rows for observed in newest for o in observed)


def give_up(
    ledger: Ledger,
    account: Account,
    report: Report,
    error: str,
    *,
    reorder: bool,
    polled_at: datetime | None = None,
) -> Report | None:
    """End a report that brought nothing, as a poll at ``polled_at`` showed where there was one.

    Its dates count as not asked for; ``reorder`` asks again on the same day. What was planned days ago is not asked for
    again, nor is a report by the hour: later plans have its dates. One that is not asked for again by itself is
    ``permanent``, and :func:`notify_given_up` names it."""
    definition = account.definition(report.name)
    policy = definition.policy if definition else None
    by_turns = policy is not None and policy.hours is not None
    overtaken = bool(report.waves) and (by_turns or (ledger.now().date() - report.asked_on).days > 1)
    most = MAX_SNAPSHOT_ORDERS if definition and definition.snapshot else MAX_ORDERS
    again = reorder and report.sequence < most and not overtaken
    pause = max(REORDER_AFTER * 2 ** (report.sequence - 1), policy.made_every if policy else timedelta(0))
    log.warning("%s %s failed: %s%s", report.feed, report.key, error, "; it is asked for again" if again else "")
    return ledger.reports.give_up(
        report,
        error,
        permanent=not again and not (reorder and overtaken),
        successor=anew(report, sequence=report.sequence + 1, not_before=ledger.now() + pause) if again else None,
        polled_at=polled_at,
    )


def anew(report: Report, **changes: Any) -> Report:
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


def pause_of(attempt: int) -> timedelta:
    return min(ASK_AGAIN_AFTER * float(2 ** min(attempt - 1, 10)), LONGEST_WAIT)
