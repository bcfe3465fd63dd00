"""Messages that a report is finished, in every envelope in which they may come."""

import json
from typing import Any

import pytest

from adplatform.pull.finished import finished_report

TOLD = {"accountId": "a", "reportId": "54517", "reportType": "T", "processingStatus": "DONE"}
MESSAGE = {
    "notificationVersion": "2020-09-04",
    "notificationType": "REPORT_PROCESSING_FINISHED",
    "payload": {"reportProcessingFinishedNotification": TOLD},
    "notificationMetadata": {"notificationId": "n"},
}
CAPITAL = {name[0].upper() + name[1:]: value for name, value in MESSAGE.items()}


@pytest.mark.parametrize(
    "body",
    [
        MESSAGE,
        CAPITAL,
        {"Type": "Notification", "TopicArn": "arn", "Message": json.dumps(MESSAGE)},
        {"version": "0", "detail-type": "REPORT_PROCESSING_FINISHED", "source": "aws.partner/x", "detail": CAPITAL},
        {"TopicArn": "arn", "Message": json.dumps({"detail-type": "x", "detail": MESSAGE})},
        {**MESSAGE, "payload": json.dumps(MESSAGE["payload"])},
    ],
    ids=["sqs", "capital", "sns", "eventbridge", "eventbridge by sns", "payload as text"],
)
def test_a_message_is_understood_in_its_envelope(body: dict[str, Any]) -> None:
    assert finished_report(json.dumps(body)) == "54517"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[" * 100_000,
        '"text"',
        json.dumps({**MESSAGE, "notificationType": "FEED_PROCESSING_FINISHED"}),
        json.dumps({**MESSAGE, "payload": None}),
        json.dumps({**MESSAGE, "payload": {"reportProcessingFinishedNotification": {"reportId": 5}}}),
        json.dumps({"TopicArn": "arn", "Message": "not JSON"}),
        json.dumps({"detail-type": "x", "detail": []}),
    ],
)
def test_anything_else_is_no_such_message(body: str) -> None:
    assert finished_report(body) == ""
