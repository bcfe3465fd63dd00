"""What people are notified of about the reports of an account."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from adplatform.flow.outbox import notify as send
from adplatform.flow.services import Services
from adplatform.ledger.messages import Unsent
from adplatform.ledger.report import Report, ReportState
from adplatform.pull.account import Account

log = logging.getLogger(__name__)

MOST_NAMED = 50
"""Reports that one message names."""


def notify_reports(services: Services, account: Account, event: str, what: str, reports: Sequence[Report]) -> None:
    """Notify people of reports that had the same fate, all in one message."""
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
    notify(services, account, event, subject, facts)


def notify_given_up(services: Services, account: Account, reports: Iterable[Report | None]) -> None:
    """Notify people of those that are not asked for again by themselves."""
    given_up = [r for r in reports if r is not None and r.state is ReportState.FAILED and r.permanent]
    for each in given_up:
        services.metrics.failed(account.source, "permanent", feed=each.feed, report=each.key)
    reason = f"failed: {given_up[0].error}" if given_up else ""
    notify_reports(services, account, "report_failed", reason, given_up)


def notify(services: Services, account: Account, event: str, subject: str, facts: dict[str, Any]) -> None:
    """Notify those who hear of failures, now or with a later look."""
    log.warning("%s", subject)
    send(services, account.source, Unsent.of(account.topics.failure, event, subject, facts))
