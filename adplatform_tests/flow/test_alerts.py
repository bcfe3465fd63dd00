"""One cause is one thread: opened once, quiet for a while, and closed once, whatever is killed in between."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.cli.alerts import send_tests
from adplatform.components.assembly.alerts import build_alerts
from adplatform.contracts.feed import Feed
from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.failures import EnvironmentFailure, PermanentFailure
from adplatform.flow.hindrances import begin_hindrance, end_hindrances
from adplatform.flow.outbox import notify, send_unsent
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.ledger.messages import PLATFORM, Unsent
from adplatform_tests.platform.test_notifications import FACTS
from adplatform_tests.support.channels import Channels
from adplatform_tests.support.plainly import killed_at, process
from adplatform_tests.support.platforms import YESTERDAY, Inbox, resources_with

FEED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": "int", "email": {"pii": "email"}},
}
THREAD = f"shop/orders/{YESTERDAY}"
KEY = f"adplatform/{THREAD}"
MAIL, FILE = "ann@example.com", "ann.lee.csv"


@pytest.fixture
def channels(services: Services, tmp_path: Path) -> Channels:
    return Channels.of(services, tmp_path)


def declared(services: Services) -> Source:
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate(FEED)])
    provision(services, [source])
    return source


def delivered(services: Services, source: Source, header: str, run_id: str) -> None:
    """A file comes and is processed; of a run that fails people are told as by the sensor of failed runs."""
    key = f"{source.prefix}orders/dt={YESTERDAY}/{FILE}"
    body = f"{header}\n1,{MAIL}\n".encode()
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    with suppress(PermanentFailure):
        process(services, source, run_id)
    error = services.ledger.deliveries.get("shop/orders", YESTERDAY).error
    if "order_id,email" not in header:
        failed(services, run_id, error)


def failed(services: Services, run_id: str, error: str = "it broke") -> None:
    facts = {"feed": "shop/orders", "date": str(YESTERDAY), "run_id": run_id, "job": "__ASSET_JOB", "error": error}
    notify(services, PLATFORM, Unsent.of(None, "run_failed", f"shop/orders {YESTERDAY}: run failed", facts))


def titles(bodies: list[dict[str, Any]]) -> list[str]:
    return [body["content"]["title"].partition(" ")[2] for body in bodies]


def later(services: Services, by: timedelta) -> Services:
    now: Callable[[], datetime] = services.now
    return replace(services, now=lambda: now() + by)


def test_a_delivery_that_fails_twice_and_is_published_is_one_thread_with_one_end(channels: Channels) -> None:
    services = channels.services
    source = declared(services)
    everybody = Inbox.subscribe(services)
    for run_id, header in (("a", f"{MAIL},x"), ("b", f"y,{MAIL}"), ("c", "order_id,email")):
        delivered(services, source, header, run_id)
    bodies = channels.chat()
    day = f"shop/orders {YESTERDAY}"
    assert titles(bodies) == [f"{day}: run failed", f"{day}: published after 3 attempts"]
    assert {body["metadata"]["threadId"] for body in bodies} == {THREAD}
    assert channels.incidents() == [("trigger", KEY), ("resolve", KEY)]
    said = json.dumps(bodies)
    assert MAIL not in said and FILE not in said and "declared columns are missing" in said
    assert everybody.read() == []
    assert services.ledger.alerts.every() == []
    process(services, source, "d")
    assert (channels.chat(), channels.incidents()) == ([], [])


def test_a_failure_is_said_again_after_the_quiet_time_in_the_same_thread(channels: Channels) -> None:
    services = channels.services
    provision(services, [])
    for run_id in ("a", "b", "b"):  # a sensor that was killed says the last once more
        failed(services, run_id)
    failed(later(services, timedelta(hours=7)), "c")
    first, again = channels.chat()
    assert first["metadata"]["threadId"] == again["metadata"]["threadId"] == THREAD
    assert again["content"]["description"].startswith("3 times since ")
    assert channels.incidents() == [("trigger", KEY)] * 2


def test_what_a_source_has_topics_for_and_what_no_route_takes_goes_where_it_went(channels: Channels) -> None:
    services = channels.services
    provision(services, [])
    inbox = Inbox.subscribe(services)
    own = Topics(failure=services.settings.failure_topic)
    facts = {"feed": "shop/orders", "error": "e"}
    assert services.notifier(own).failure("table_stale", "shop/orders is stale", facts)
    assert services.notifier().failure("objects_refused", "an object refused", facts)  # a warning
    assert [message["event"] for message in inbox.read()] == ["table_stale", "objects_refused"]
    assert titles(channels.chat()) == ["shop/orders is stale"]


def test_a_publication_that_ends_nothing_is_told_in_chat_and_opens_no_incident(channels: Channels) -> None:
    delivered(channels.services, declared(channels.services), "order_id,email", "a")
    assert titles(channels.chat()) == [f"shop/orders {YESTERDAY}: published version 1"]
    assert channels.incidents() == []


def test_another_reason_is_said_at_once_and_the_same_with_other_numbers_is_not(channels: Channels) -> None:
    services = channels.services
    provision(services, [])
    facts = [{"error": error} for error in ("3 messages are lost", "4 messages are lost", "no access")]
    for each in (*facts, *FACTS[1:3]):  # of a size that no row takes
        assert services.notifier().failure("stream_refused", "ads: refused", {"source": "ads", **each})
    assert len(channels.chat()) == 4
    assert {key for _, key in channels.incidents()} == {"adplatform/ads/stream_refused"}


@pytest.mark.slow
def test_a_sensor_that_works_again_closes_its_alert(channels: Channels, tmp_path: Path) -> None:
    services = channels.services
    provision(services, [])
    services.notifier().failure("tick_failed", "acme_arrivals fails", {"name": "acme_arrivals", "error": "e"})
    [sensor] = [each for each in build_alerts(dg.DefaultSensorStatus.STOPPED) if each.name == "failing_ticks"]
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for cursor in (json.dumps({"acme_arrivals": True}), None):
            sensor(dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources_with(services)))
    assert titles(channels.chat()) == ["acme_arrivals fails", "acme_arrivals works again"]
    assert [action for action, _ in channels.incidents()] == ["trigger", "resolve"]


def test_what_hinders_a_source_is_closed_when_it_does_not_any_more(channels: Channels) -> None:
    services = channels.services
    provision(services, [])
    facts = {"source": "shop", "error": "no key"}
    tell = partial(services.notifier().failure, "arrivals_hindered", "shop: deliveries cannot be judged", facts)
    begin_hindrance(services.ledger, "shop", "arrivals", EnvironmentFailure("no key"), tell)
    an_hour_on = later(services, timedelta(hours=1))
    closed(an_hour_on)
    end_hindrances(services.ledger, "shop", "arrivals")
    for _ in range(2):
        closed(an_hour_on)
    assert [action for action, _ in channels.incidents()] == ["trigger", "resolve"]
    assert titles(channels.chat())[1].startswith("shop: arrivals hindered no longer")


def test_what_a_topic_did_not_take_is_sent_by_the_next_look_once(channels: Channels) -> None:
    services = channels.services
    provision(services, [])
    topic = services.topic_arn(channels.urls["chat"].rpartition("/")[2])
    [subscription] = services.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    services.sns.delete_topic(TopicArn=topic)
    failed(services, "a")
    assert channels.incidents() == [("trigger", KEY)]
    services.sns.create_topic(Name=topic.rpartition(":")[2])
    services.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=subscription["Endpoint"])
    for _ in range(2):
        send_unsent(services, PLATFORM)
    assert len(channels.chat()) == 1
    assert channels.incidents() == []


def test_each_route_is_tried_and_it_is_said_where_messages_went(
    channels: Channels, capsys: pytest.CaptureFixture[str]
) -> None:
    services = channels.services
    provision(services, [])
    assert send_tests(services, "shop", PLATFORM_TOPICS)
    said = capsys.readouterr().out.splitlines()
    chat, incident = (channels.urls[form].rpartition("/")[2] for form in ("chat", "pagerduty"))
    settings = services.settings
    assert said == [
        f"alerts.yaml:5: chat to {chat}: sent",
        f"alerts.yaml:5: pagerduty to {incident}: sent",
        f"what no route takes: json to {settings.failure_topic}: sent",
        f"what no route takes: json to {settings.success_topic}: sent",
    ]
    assert titles(channels.chat()) == ["TEST: a message of adplatform; nothing has happened"]
    assert [action for action, _ in channels.incidents()] == ["trigger", "resolve"]
    services.sns.delete_topic(TopicArn=services.topic_arn(chat))
    assert not send_tests(services, None, PLATFORM_TOPICS)
    assert f"chat to {chat}: not sent: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before-call", "after-call"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_whoever_is_killed_while_a_cause_is_closed_has_it_closed_once(channels: Channels, call: int, when: str) -> None:
    """What may come twice is a message that was sent and not noted as sent: it has the same id."""
    services = channels.services
    source = declared(services)
    delivered(services, source, f"{MAIL},x", "a")
    delivered(replace(services, settings=replace(services.settings, alerts=None)), source, "order_id,email", "b")
    assert [action for action, _ in channels.incidents()] == ["trigger"]
    channels.chat()
    named = ("TransactWriteItems", "Publish", "DeleteItem")
    assert killed_at(services, closed, call, named, when)[0] < 0
    send_unsent(services, PLATFORM)
    closed(services)
    assert len({body["id"] for body in channels.chat()}) == 1
    assert set(channels.incidents()) == {("resolve", KEY)}
    assert services.ledger.alerts.every() == []
    assert services.ledger.messages.unsent(PLATFORM) == []


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before-call", "after-call"])
@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_whoever_is_killed_while_a_cause_is_opened_has_it_opened_once(channels: Channels, call: int, when: str) -> None:
    services = channels.services
    provision(services, [])
    named = ("TransactWriteItems", "Publish", "DeleteItem")
    assert killed_at(services, partial(failed, run_id="a"), call, named, when)[0] < 0
    failed(services, "a")
    send_unsent(services, PLATFORM)
    assert len({body["id"] for body in channels.chat()}) == 1
    assert set(channels.incidents()) == {("trigger", KEY)}
    assert services.ledger.messages.unsent(PLATFORM) == []


def closed(services: Services) -> None:
    alerting = services.alerting()
    assert alerting is not None
    alerting.end()
