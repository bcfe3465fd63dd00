"""Messages that a report is finished (notification REPORT_PROCESSING_FINISHED of the Selling Partner API), from SQS.

A message only brings a report's next poll forward: what it says is not believed, and one that is lost costs minutes.
"""

import json
import logging
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.ledger.report import ReportState
from adplatform.platform.queues import delete_messages, find_url, receive
from adplatform.pull.account import Account

log = logging.getLogger(__name__)

NOTIFICATION = "REPORT_PROCESSING_FINISHED"
MOST = 100
"""Messages taken from the queue at one look."""


def receive_finished(services: Services, account: Account) -> int:
    """Let the reports be polled now that messages say are finished; how many those are.

    A message leaves the queue when the ledger knows; one of a report that is not ours leaves it too. One that is no
    such message stays, for the queue's own dead-letter rule. A queue that cannot be read is logged, and polling goes on
    without it.
    """
    if not account.finished_queue:
        return 0
    try:
        return _receive(services, account)
    except (BotoCoreError, ClientError, PermanentFailure) as e:
        log.warning("%s: finished_queue %s cannot be read: %s", account.source, account.finished_queue, e)
        return 0


def _receive(services: Services, account: Account) -> int:
    sqs, name = services.sqs, account.finished_queue
    url = name if "://" in name else find_url(sqs, name)
    if url is None:
        raise PermanentFailure("it does not exist in this account and region")
    waiting = {
        r.report_id: r for r in services.ledger.reports.active(account.source) if r.state is ReportState.REQUESTED
    }
    hastened = taken = 0
    while taken < MOST:
        messages = receive(sqs, url)
        if not messages:
            break
        taken += len(messages)
        known = []
        for message in messages:
            report_id = finished_report(message["Body"])
            if not report_id:
                log.warning("%s: a message in %s is no %s", account.source, name, NOTIFICATION)
                continue
            report = waiting.pop(report_id, None)
            if report is not None and report.not_before is not None:
                hastened += services.ledger.reports.hasten(report) is not None
            known.append(message)
        delete_messages(sqs, url, known)
    return hastened


def finished_report(body: str) -> str:
    """The id of the report that a message is about, "" when it is no such message (notification version 2020-09-04).

    Envelopes of SNS and EventBridge around it are opened. Amazon writes names like ``notificationType`` with a capital
    in some of them.
    """
    message = _members(body)
    if "TopicArn" in message:
        message = _members(message.get("Message"))
    if "detail-type" in message:
        message = _members(message.get("detail"))
    if _named(message, "notificationType") != NOTIFICATION:
        return ""
    payload = _members(_named(message, "payload"))
    report_id = _members(_named(payload, "reportProcessingFinishedNotification")).get("reportId")
    return report_id if isinstance(report_id, str) else ""


def _named(members: dict[str, Any], name: str) -> Any:
    return members.get(name, members.get(name[0].upper() + name[1:]))


def _members(value: Any) -> dict[str, Any]:
    """The members of an object, or of a text that is one; none of anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
