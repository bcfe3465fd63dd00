"""Who hears what when a run, a tick or a table fails: the source's people, once, in our own words."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.awsrequest import AWSResponse
from dagster._utils.error import serializable_error_info_from_exc_info

from adplatform.components.assembly.alerts import build_alerts, concern_of, failure_of_run
from adplatform.components.assembly.delivery_assets import TOPIC_TAG
from adplatform.components.assembly.errors import sentence, step_error, without_classes
from adplatform.components.assembly.runs import FEED_TAG, NOTIFIED_TAG
from adplatform.failures import PermanentFailure
from adplatform.files.bad_file import BadFile, Reason
from adplatform.flow.services import Services
from adplatform_tests.components.test_partner_push import ORDERS
from adplatform_tests.support.platforms import YESTERDAY, Inbox, Platform, make_platform, resources_with

CLASS = re.compile(r"dagster\.|dagster_|botocore|adplatform\.|\b[A-Z]\w+(Error|Exception|Failure)\b|\bBadFile\b")
SENSOR = {s.name: s for s in build_alerts(dg.DefaultSensorStatus.STOPPED)}
STRICT = {**ORDERS, "arrival": {"complete_when": "done_file"}}


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    services.sns.create_topic(Name=services.settings.failure_topic + "-acme")
    feeds = [STRICT, {**STRICT, "name": "returns"}]
    topics = {"failure": services.settings.failure_topic + "-acme"}
    return make_platform(services, {"source": "acme", "feeds": feeds, "topics": topics}, instance)


def inbox_of(platform: Platform) -> Inbox:
    """An inbox of the source's own topic alone."""
    services = platform.services
    own = Services(services.settings, services.aws)
    inbox = Inbox.subscribe(own)
    for subscription in services.sns.list_subscriptions()["Subscriptions"]:
        if subscription["Endpoint"].endswith(inbox.url.rpartition("/")[2]):
            services.sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    arn = services.sqs.get_queue_attributes(QueueUrl=inbox.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = services.topic_arn(services.settings.failure_topic + "-acme")
    services.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return inbox


def started_by_hand(platform: Platform, feeds: Sequence[str], executed: Sequence[dg.AssetsDefinition] = ()) -> Any:
    """A run as the UI starts it: an asset selection, and no tags of ours."""
    keys = [dg.AssetKey([zone, "acme", feed]) for feed in feeds for zone in ("raw", "clean")]
    return dg.materialize(
        executed or [platform.definitions.resolve_assets_def(key) for key in keys],
        selection=keys if not executed else None,
        partition_key=YESTERDAY.isoformat(),
        instance=platform.instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
        resources=resources_with(platform.services) if executed else None,
    )


def alert(
    platform: Platform,
    result: dg.ExecuteInProcessResult,
    selection: Sequence[str] | None = None,
    tags: dict[str, str] | None = None,
) -> None:
    """What the sensor does of a run that failed."""
    run = result.dagster_run._replace(tags={**result.dagster_run.tags, **(tags or {})})
    if selection is not None:
        run = run._replace(asset_selection=frozenset(dg.AssetKey(key.split("/")) for key in selection))
    event = next(e for e in result.all_events if e.event_type_value == "PIPELINE_FAILURE")
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_event=event,
        dagster_instance=platform.instance,
        dagster_run=run,
        resources=resources_with(platform.services),
        repository_def=platform.definitions.get_repository_def(),
    ).for_run_failure()
    SENSOR["failed_runs"](context)


def test_a_failed_run_by_hand_is_reported_by_feed_to_the_topic_of_its_source(acme: Platform) -> None:
    inbox, everybody = inbox_of(acme), acme.messages
    acme.put(f"orders/dt={YESTERDAY}/a.csv", b"id,mail\n1,a@example.com\n")
    acme.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")
    acme.tick()
    result = started_by_hand(acme, ["orders"])
    assert not result.success
    selection = ["raw/acme/orders", "clean/acme/orders"]
    alert(acme, result, selection)
    [message] = inbox.read()
    assert (message["event"], message["feed"], message["date"]) == ("run_failed", "acme/orders", str(YESTERDAY))
    assert message["error"] == acme.delivery("orders").error
    assert ": declared columns are missing from the header" in message["error"]
    assert "a.csv" not in message["error"]
    assert not CLASS.search(message["error"])
    assert everybody.read() == []
    alert(acme, result, selection, tags={NOTIFIED_TAG: f"{result.run_id}: by the ledger"})
    assert inbox.read() == []
    alert(acme, result, selection, tags={NOTIFIED_TAG: "the run that was executed again: by the ledger"})
    assert len(inbox.read()) == 1


def test_several_assets_of_a_run_are_one_message_that_names_their_feeds(acme: Platform) -> None:
    inbox = inbox_of(acme)

    @dg.asset(key=["raw", "acme", "orders"], partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
    def broken() -> None:
        raise KeyError("ann@example.com")

    result = started_by_hand(acme, [], [broken])
    selection = [f"{zone}/acme/{feed}" for zone in ("raw", "clean") for feed in ("orders", "returns")]
    alert(acme, result, selection)
    [message] = inbox.read()
    assert message["feed"] == "acme/orders, acme/returns"
    assert message["error"] == "unexpected error in step raw__acme__orders; its log says more"


def test_assets_of_sources_with_different_topics_concern_the_platform(acme: Platform) -> None:
    repository = acme.definitions.get_repository_def()
    own = concern_of([dg.AssetKey(["clean", "acme", "orders"])], repository)
    assert (own.feed, own.topic) == ("acme/orders", acme.services.settings.failure_topic + "-acme")
    keys = [dg.AssetKey(["clean", "acme", "orders"]), dg.AssetKey(["restatement", "ads", "sp_campaigns"])]
    mixed = concern_of(keys, repository)
    assert (mixed.feed, mixed.topic) == ("acme/orders, ads/sp_campaigns", None)


def raised(error: BaseException) -> Any:
    """The error as Dagster records one that a sensor raised."""
    try:
        try:
            raise error
        except BaseException as e:
            raise dg.DagsterError("Error occurred during the execution of evaluation_fn for sensor s") from e
    except dg.DagsterError as e:
        return serializable_error_info_from_exc_info((type(e), e, e.__traceback__))


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (PermanentFailure("queue q does not exist: run `adplatform provision`"), None),
        (BadFile("s3://raw/a.csv", Reason.LAYOUT, "columns stand twice: 'a'"), None),
        (dg.Failure("acme/orders: nothing"), "acme/orders: nothing"),
        (ValueError("ann@example.com"), "unexpected error in a tick of s; its log says more"),
        (KeyboardInterrupt(), "a tick of s was stopped from outside"),
    ],
)
def test_an_error_of_a_tick_is_reported_in_our_own_words(error: BaseException, reported: str | None) -> None:
    text = sentence(raised(error), "a tick of s")
    assert text == (reported or str(error))
    assert not CLASS.search(text)


def test_what_dagster_says_of_itself_is_reported_without_its_classes() -> None:
    text = "dagster._core.errors.DagsterUserCodeUnreachableError: Could not reach user code server"
    assert without_classes(text) == "Could not reach user code server"
    assert step_error(None, "s") == ""
    assert sentence(None, "s") == ""


def test_a_failed_run_that_could_not_be_reported_is_reported_when_it_can_be(acme: Platform, tmp_path: Path) -> None:
    services, inbox, topic = acme.services, inbox_of(acme), acme.services.settings.failure_topic + "-acme"
    run = acme.instance.create_run_for_job(
        acme.definitions.resolve_implicit_global_asset_job_def(), tags={FEED_TAG: "acme/orders", TOPIC_TAG: topic}
    )
    answer = {"Error": {"Code": "Throttling", "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    events, hook = services.sns.meta.events, "before-call.sns.Publish"
    events.register(hook, refuse := lambda **_: (AWSResponse("", 400, {}, None), answer))
    failure_of_run(services, run, "it broke")
    events.unregister(hook, refuse)
    assert inbox.read() == []
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for _ in range(2):
            SENSOR["failing_ticks"](dg.build_sensor_context(instance=instance, resources=resources_with(services)))
    assert [message["error"] for message in inbox.read()] == ["it broke"]
