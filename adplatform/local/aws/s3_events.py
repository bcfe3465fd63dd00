"""S3 event notifications in the formats of AWS (S3 user guide, "Event message structure" and "EventBridge event
message structure"): sent for created and removed objects, to SQS, SNS and Lambda directly and to EventBridge.
"""

import time
import uuid
from typing import Any
from urllib.parse import quote_plus

from moto.core.utils import iso_8601_datetime_with_milliseconds, unix_time
from moto.s3 import notifications

from adplatform.local.aws.event_bus import deliver

_last_sequence = 0


def send_event(account_id: str, event_name: Any, bucket: Any, key: Any) -> None:
    """moto announces a completed multipart upload twice, every put also as a change of tags, lacks most fields, encodes
    slashes in keys and sends S3 events to every rule on every bus, also to rules that only have a schedule."""
    configuration = bucket.notification_configuration
    event_name = str(event_name.value)
    category, _, action = event_name.removeprefix("s3:").partition(":")
    if configuration is None or category not in {"ObjectCreated", "ObjectRemoved"}:
        return
    if action == "Put" and getattr(key, "multipart", None) is not None:
        return
    sequencer = _next_sequencer()
    direct = [
        *((notification, notifications._send_sqs_message, "name") for notification in configuration.queue),
        *((notification, notifications._send_sns_message, "arn") for notification in configuration.topic),
        *((notification, notifications._invoke_awslambda, "arn") for notification in configuration.cloud_function),
    ]
    for notification, send, address in direct:
        if notification.matches(event_name, key.name):
            record = _record(event_name, account_id, bucket, key, notification.id, sequencer)
            target = notification.arn.split(":")[-1] if address == "name" else notification.arn
            send(account_id, {"Records": [record]}, target, notification.arn.split(":")[3])
    if configuration.event_bridge is not None:
        deliver(account_id, bucket.region_name, _event(category, action, account_id, bucket, key, sequencer))


def send_test_event(account_id: str, bucket: Any) -> None:
    event = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": iso_8601_datetime_with_milliseconds(),
        "Bucket": bucket.name,
        "RequestId": _request_id(),
        "HostId": uuid.uuid4().hex,
    }
    for arn in {notification.arn for notification in bucket.notification_configuration.queue}:
        notifications._send_sqs_message(account_id, event, arn.split(":")[-1], arn.split(":")[3])
    for arn in {notification.arn for notification in bucket.notification_configuration.topic}:
        notifications._send_sns_message(account_id, event, arn, arn.split(":")[3])


def _record(
    event_name: str, account_id: str, bucket: Any, key: Any, configuration_id: str, sequencer: str
) -> dict[str, Any]:
    described = {"key": quote_plus(key.name, safe="/"), "sequencer": sequencer.upper()}
    if event_name.startswith("s3:ObjectCreated"):
        described |= {"size": key.size, "eTag": key.etag.strip('"')}
    if bucket.is_versioned:
        described["versionId"] = key.version_id
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region_name,
        "eventTime": iso_8601_datetime_with_milliseconds(),
        "eventName": event_name.removeprefix("s3:"),
        "userIdentity": {"principalId": f"AWS:{account_id}"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": _request_id(), "x-amz-id-2": uuid.uuid4().hex},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {"name": bucket.name, "ownerIdentity": {"principalId": account_id}, "arn": bucket.arn},
            "object": described,
        },
    }


def _event(category: str, action: str, account_id: str, bucket: Any, key: Any, sequencer: str) -> dict[str, Any]:
    described: dict[str, Any] = {"key": key.name, "sequencer": sequencer}
    extra: dict[str, str] = {}
    if category == "ObjectCreated":
        described |= {"size": key.size, "etag": key.etag.strip('"')}
        reasons = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}
        detail_type, reason = "Object Created", reasons.get(action, action)
    else:
        marker = action == "DeleteMarkerCreated"
        extra["deletion-type"] = "Delete Marker Created" if marker else "Permanently Deleted"
        detail_type, reason = "Object Deleted", "DeleteObject"
    if bucket.is_versioned:
        described["version-id"] = key.version_id
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": account_id,
        "time": unix_time(),
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket.name},
            "object": described,
            "request-id": _request_id(),
            "requester": account_id,
            "source-ip-address": "127.0.0.1",
            "reason": reason,
            **extra,
        },
    }


def _next_sequencer() -> str:
    """Hexadecimal and greater than every one before, also after a restart. Callers hold the lock."""
    global _last_sequence  # noqa: PLW0603
    _last_sequence = max(_last_sequence + 1, time.time_ns())
    return f"{_last_sequence:018x}"


def _request_id() -> str:
    return uuid.uuid4().hex[:16].upper()


def install() -> None:
    notifications.send_event = send_event
    notifications.send_test_event = send_test_event
