import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.files.events import ObjectCreated, parse_events

KEYS = ["a.csv", "red flower+1.csv", "é/ü%20.csv", "line\nbreak.csv", 'quote".csv', "100%.csv"]


def bridge(key: str, kind: str = "Object Created", **thing: Any) -> dict[str, Any]:
    """As in the S3 user guide, "EventBridge event message structure"."""
    described = {"key": key, "size": 5, "etag": "e", "version-id": "v1", "sequencer": "617f08299329d189", **thing}
    detail = {"version": "0", "bucket": {"name": "raw"}, "object": described, "reason": "PutObject"}
    return {"version": "0", "id": "1", "detail-type": kind, "source": "aws.s3", "region": "r", "detail": detail}


def record(key: str, name: str = "ObjectCreated:Put", **thing: Any) -> dict[str, Any]:
    """As in the S3 user guide, "Event message structure"."""
    described = {"key": quote_plus(key, safe="/"), "size": 5, "eTag": "e", "sequencer": "0055AED6DCD90281E5", **thing}
    s3 = {"s3SchemaVersion": "1.0", "bucket": {"name": "raw", "arn": "arn"}, "object": described}
    return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name, "s3": s3}


def parse(message: Any) -> list[ObjectCreated]:
    return list(parse_events(message if isinstance(message, str) else json.dumps(message)))


@pytest.mark.parametrize("key", KEYS)
def test_event_bridge_sends_keys_as_they_are(key: str) -> None:
    assert parse(bridge(key)) == [ObjectCreated("raw", key, "v1", "617f08299329d189")]


@pytest.mark.parametrize("key", KEYS)
def test_notifications_send_keys_encoded(key: str) -> None:
    expected = ObjectCreated("raw", key, "v2", "0055AED6DCD90281E5")
    assert parse({"Records": [record(key, versionId="v2")]}) == [expected]


@pytest.mark.parametrize("message", [bridge("a b"), {"Records": [record("a b")]}])
def test_a_topic_in_between_wraps_the_message(message: dict[str, Any]) -> None:
    wrapped = {"Type": "Notification", "TopicArn": "arn:aws:sns:r:1:t", "Message": json.dumps(message)}
    assert [e.key for e in parse(wrapped)] == ["a b"]


def test_a_message_may_hold_several_records() -> None:
    others = [record("gone", "ObjectRemoved:Delete"), {"eventSource": "aws:sns"}, record("c", "ObjectCreated:Copy")]
    assert [e.key for e in parse({"Records": [record("a"), record("b"), *others]})] == ["a", "b", "c"]


def test_a_bucket_without_versions_sends_no_version() -> None:
    assert parse({"Records": [record("a")]})[0].version_id is None
    assert parse(bridge("a", **{"version-id": ""}))[0].version_id is None


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z", "Bucket": "raw"},
        bridge("a", kind="Object Deleted"),
        bridge("a", kind="Object Tags Added"),
        {"Records": [record("a", "ObjectRemoved:DeleteMarkerCreated")]},
        {"Type": "SubscriptionConfirmation", "TopicArn": "arn", "Message": "You have chosen to subscribe ..."},
        {"TopicArn": "arn", "Message": None},
        {"TopicArn": "arn"},
        {**bridge("a"), "source": "aws.glue"},
        {**bridge("a"), "detail": None},
        {**bridge("a"), "detail": {"bucket": "raw", "object": "a"}},
        bridge(""),
        {**bridge("a"), "detail": {"bucket": {"name": "raw"}, "object": {"key": 7}}},
        {"Records": None},
        {"Records": "none"},
        {"Records": [None, 1, {"eventSource": "aws:s3", "eventName": None}, {**record("a"), "s3": []}]},
        {},
        [],
        None,
        "",
        "not JSON",
        "[" * 100_000,
        '"text"',
    ],
)
def test_what_is_no_created_object_is_nothing_and_no_error(message: Any) -> None:
    assert parse(message) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Records", "detail", "object", "bucket", "s3", "key", "name", "TopicArn", "Message"]),
                inner,
            )
        ),
        max_leaves=8,
    )
)
def test_no_message_is_poison(content: Any) -> None:
    parse(json.dumps(content))
    if isinstance(content, dict):
        parse(json.dumps({"source": "aws.s3", "detail-type": "Object Created", **content}))
        parse(json.dumps({"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", **content}]}))


HALF = "\\ud800"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(bridge("a")).replace('"a"', f'"landing/{HALF}"'),
        json.dumps(bridge("a")).replace('"v1"', f'"{HALF}"').replace('"a"', f'"{HALF}"'),
        json.dumps(bridge("k" * 1025)),
        json.dumps({"Records": [record("é" * 513)]}),
    ],
)
def test_a_key_that_no_object_can_have_is_dropped(text: str) -> None:
    """Asking S3 for it would fail, and the message would come back for ever."""
    assert list(parse_events(text)) == []


def test_the_longest_key_is_taken() -> None:
    assert [e.key for e in parse({"Records": [record("é" * 512)]})] == ["é" * 512]
