"""What tests take for clients of the embedded AWS are such, each with nobody's event handlers but its own."""

from datetime import timedelta

from adplatform.platform.access_keys import AccessKey, remember_key
from adplatform.platform.aws import Aws, longest_call
from adplatform_tests.support.calls import CountedAws


def test_a_handler_is_that_of_one_client_alone(aws: Aws) -> None:
    one, other, counted = aws.client("sqs"), aws.client("sqs"), CountedAws(aws.region, aws.endpoint_url)
    seen: list[str] = []
    one.meta.events.register("before-call", lambda model, **_: seen.append(model.name))
    counting = counted.client("sqs")
    other.list_queues()
    assert (seen, counted.names) == ([], [])
    one.list_queues()
    counting.get_paginator("list_queues").paginate().build_full_result()
    assert (seen, counted.names) == (["ListQueues"], ["ListQueues"])


def test_clients_of_other_limits_and_without_repetition_stay_what_they_are(aws: Aws) -> None:
    plain, short, once = aws.client("sqs"), aws.client("sqs", timedelta(seconds=9)), aws.client_once("sqs")
    assert longest_call(short) < longest_call(plain)
    assert [each.meta.config.retries["total_max_attempts"] for each in (plain, once)] == [3, 1]


def test_a_server_that_has_the_port_of_one_before_is_asked_with_its_own_key() -> None:
    url, signed_with = "http://127.0.0.1:1", []
    for key in ("first", "second", "first"):
        remember_key(url, AccessKey(key, "secret"))
        client = Aws("us-east-1", url).client("sqs")
        signed_with.append(client.generate_presigned_url("list_queues").partition("Credential=")[2].partition("%2F")[0])
    assert signed_with == ["first", "second", "first"]
