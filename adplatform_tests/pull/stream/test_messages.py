"""What a message of the Marketing Stream is, in whatever form it comes."""

import json
from datetime import date

import pytest

from adplatform.amazon.ads.stream import DATASETS, is_topic_of, queue_policy, topics
from adplatform.pull.stream.messages import Message, read_message

RECORD = {"dataset_id": "sp-traffic", "time_window_start": "2026-10-31T23:00:00-07:00", "clicks": -1}
TEXT = json.dumps(RECORD)
READ = Message(TEXT, "sp-traffic", date(2026, 10, 31))


@pytest.mark.parametrize(
    "body",
    [TEXT, json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": TEXT})],
    ids=["as it is", "in the envelope of a topic"],
)
def test_a_record_is_of_the_date_that_it_writes(body: str) -> None:
    assert read_message(body) == READ


def test_a_record_over_several_lines_becomes_one_with_the_same_content() -> None:
    read = read_message(json.dumps(RECORD, indent=2).replace("\n", "\r\n"))
    assert (json.loads(read.text), read.dataset, read.day) == (RECORD, READ.dataset, READ.day)
    assert "\n" not in read.text


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[" * 100_000,
        '{"dataset_id": 5, "time_window_start": "yesterday"}',
        '{"time_window_start": "2026-02-30T00:00:00Z"}',
        json.dumps({"Type": "Notification", "Message": "not JSON"}),
        json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": 5}),
    ],
)
def test_anything_else_is_of_no_data_set_or_date(body: str) -> None:
    read = read_message(body)
    assert (read.dataset, read.day, read.topic) == ("", None, "")


def test_a_confirmation_names_its_topic_and_shows_its_token_to_nobody() -> None:
    topic = "arn:aws:sns:us-east-1:906013806264:x"
    read = read_message(json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": topic, "Token": "secret"}))
    assert (read.topic, read.token) == (topic, "secret")
    assert "secret" not in repr(read)


def test_only_topics_of_the_declared_data_sets_and_region_are_amazons() -> None:
    arn = "arn:aws:sns:us-east-1:906013806264:anything"
    assert is_topic_of(arn, ["sp-traffic"], "na")
    assert not is_topic_of(arn, ["sp-conversion"], "na")
    assert not is_topic_of(arn, ["sp-traffic"], "eu")
    assert not is_topic_of("arn:aws:sns:us-east-1:9060138062649:x", ["sp-traffic"], "na")


def test_the_queue_takes_messages_of_each_declared_data_set_and_of_nobody_else() -> None:
    queue = "arn:aws:sqs:eu-west-1:123456789012:stream"
    send, review = queue_policy(queue, ["sp-traffic", "sd-conversion"], "eu")["Statement"]
    allowed = send["Condition"]["ArnLike"]["aws:SourceArn"]
    assert allowed == [topics("sp-traffic", "eu"), topics("sd-conversion", "eu")]
    assert {each["Resource"] for each in (send, review)} == {queue}


def test_no_two_data_sets_or_regions_have_a_topic_in_common() -> None:
    every = [topics(name, region) for name in DATASETS for region in ("na", "eu", "fe")]
    assert len(set(every)) == len(every) == 18
