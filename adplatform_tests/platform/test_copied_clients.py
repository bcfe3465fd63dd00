"""What tests take for clients of the embedded AWS are such, each with nobody's event handlers but its own."""

from datetime import timedelta

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
