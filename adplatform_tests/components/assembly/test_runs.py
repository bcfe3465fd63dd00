"""Runs that die, are stopped, are hindered or come second, through Dagster's own instance, sensor and assets."""

import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from botocore.awsrequest import AWSResponse
from dagster._core.errors import DagsterExecutionInterruptedError
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._daemon.monitoring.run_monitoring import monitor_starting_run

from adplatform.components.assembly.ownership import take_over
from adplatform.components.assembly.runs import (
    BEGINS_WITHIN,
    FAILURE_TAG,
    NOTIFIED_TAG,
    WORKER_TAG,
    InstanceRuns,
    runs_of,
    said_of,
    say_of,
)
from adplatform.flow.lifecycle import claim
from adplatform.flow.services import Services
from adplatform.flow.settling import Ending
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.placements import Placement
from adplatform.ledger.workers import ALIVE_FOR, WorkerIdentity, Workers, identity_of, this_worker
from adplatform_tests.support.ledger_rows import put_delivery
from adplatform_tests.support.platforms import YESTERDAY, Inbox, Platform, make_platform, resources_with

FEED = "acme/orders"
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "email": {"pii": "email"}},
    "key": "order_id",
}


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    return make_platform(services, {"source": "acme", "feeds": [ORDERS]}, instance)


@pytest.fixture
def gone() -> WorkerIdentity:
    with subprocess.Popen(["sleep", "600"]) as process:
        found = identity_of(process.pid)
        process.kill()
    assert found is not None
    return found


@pytest.fixture
def other() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def deliver(platform: Platform) -> None:
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", b"order_id,email\n1,a@example.com\n2,b@example.com\n")
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")


def started(platform: Platform, **tags: str) -> dg.DagsterRun:
    """A run that Dagster takes for started."""
    return platform.instance.create_run_for_job(
        platform.definitions.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        tags={name.replace("__", "/"): value for name, value in tags.items()},
    )


def status(platform: Platform, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = platform.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


# -- dead runs


def test_a_sweep_ends_the_runs_whose_process_is_gone_and_no_others(acme: Platform, gone: WorkerIdentity) -> None:
    me = this_worker()
    fates = {
        str(gone): dg.DagsterRunStatus.FAILURE,
        str(me): dg.DagsterRunStatus.STARTED,
        str(replace(me, started="1")): dg.DagsterRunStatus.FAILURE,  # its id was given to another process
        str(replace(me, host="renamed")): dg.DagsterRunStatus.STARTED,
        str(replace(gone, host="renamed")): dg.DagsterRunStatus.FAILURE,
        str(replace(gone, boot="elsewhere")): dg.DagsterRunStatus.STARTED,  # Dagster's to watch
        "host:4711": dg.DagsterRunStatus.STARTED,
    }
    runs = {worker: started(acme, adplatform__worker=worker) for worker in fates}
    runs_of(acme.services.ledger, acme.instance).sweep()
    assert {worker: status(acme, run) for worker, run in runs.items()} == fates


@pytest.mark.parametrize(("feed", "dies"), [({"adplatform__feed": FEED}, True), ({}, False)])
def test_a_run_of_ours_that_nobody_begins_is_dead_after_a_while(
    acme: Platform, feed: dict[str, str], dies: bool
) -> None:
    run = acme.instance.create_run_for_job(
        acme.definitions.resolve_implicit_global_asset_job_def(),
        tags={name.replace("__", "/"): value for name, value in feed.items()},
    )
    acme.instance.report_dagster_event(
        DagsterEvent(event_type_value="PIPELINE_START", job_name=run.job_name), run_id=run.run_id
    )
    for seconds, dead in ((-5, False), (5, dies)):
        at = time.time() + BEGINS_WITHIN.total_seconds() + seconds
        InstanceRuns(acme.instance, Workers(acme.services.ledger), lambda at=at: at).sweep()
        assert (status(acme, run) is dg.DagsterRunStatus.FAILURE) is dead


@pytest.mark.parametrize("lives", [True, False])
def test_a_run_that_a_code_server_of_this_machine_launched_lives_as_its_process_does(
    acme: Platform, gone: WorkerIdentity, lives: bool
) -> None:
    run = started(acme, dagster__grpc_info='{"host": "localhost", "socket": "/tmp/x"}')
    pid = this_worker().pid if lives else gone.pid
    acme.instance.report_engine_event(f"Started process for run (pid: {pid}).", run, EngineEventData.in_process(pid))
    runs_of(acme.services.ledger, acme.instance).sweep()
    assert status(acme, run) is (dg.DagsterRunStatus.STARTED if lives else dg.DagsterRunStatus.FAILURE)


def test_a_run_of_another_instance_lives_as_long_as_it_shows_it(
    acme: Platform, other: dg.DagsterInstance, gone: WorkerIdentity
) -> None:
    workers, unknown = Workers(acme.services.ledger), runs_of(acme.services.ledger, other)
    with workers.beating("theirs", FEED, this_worker()):
        assert unknown.alive("theirs")
    workers.forget("theirs")
    assert not unknown.alive("theirs")
    run = started(acme, adplatform__worker=str(gone))
    with workers.beating(run.run_id, FEED, this_worker()):
        later = replace(acme.services.ledger, now=lambda: acme.services.ledger.now() + ALIVE_FOR * 2)
        assert runs_of(acme.services.ledger, acme.instance).alive(run.run_id)
        assert InstanceRuns(other, Workers(later)).alive(run.run_id)
    assert status(acme, run) is dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("at_creation", [False, True])
def test_a_run_that_is_executed_again_lives_and_fails_for_itself(
    acme: Platform, gone: WorkerIdentity, at_creation: bool
) -> None:
    first = started(acme, **({"adplatform__worker": str(gone)} if at_creation else {}))
    said = {NOTIFIED_TAG: "by the ledger", FAILURE_TAG: "EnvironmentFailure"}
    say_of(acme.instance, first.run_id, said if at_creation else {**said, WORKER_TAG: str(gone)})
    runs = runs_of(acme.services.ledger, acme.instance)
    assert not runs.alive(first.run_id)
    copied = acme.instance.get_run_by_id(first.run_id)
    assert copied is not None
    again = acme.instance.create_run_for_job(
        acme.definitions.resolve_implicit_global_asset_job_def(),
        status=dg.DagsterRunStatus.STARTED,
        tags=copied.tags,
        parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )
    assert runs.alive(again.run_id)
    assert status(acme, again) is dg.DagsterRunStatus.STARTED
    acme.instance.report_run_failed(again)
    assert (runs.ending(first.run_id), runs.ending(again.run_id)) == (Ending.HINDERED, Ending.DIED)
    assert (said_of(copied, NOTIFIED_TAG), said_of(again, NOTIFIED_TAG)) == ("by the ledger", "")


def test_how_a_run_ended(acme: Platform) -> None:
    runs = runs_of(acme.services.ledger, acme.instance)
    canceled, failed, interrupted, hindered = (started(acme, dagster__run_key=f"key-{n}") for n in range(4))
    acme.instance.report_run_canceled(canceled)
    acme.instance.report_run_failed(failed)
    acme.instance.add_run_tags(interrupted.run_id, {"dagster/failure_reason": "UNEXPECTED_TERMINATION"})
    acme.instance.add_run_tags(hindered.run_id, {"adplatform/failure": "EnvironmentFailure"})
    expected = [Ending.STOPPED, Ending.DIED, Ending.STOPPED, Ending.HINDERED]
    assert [runs.ending(run.run_id) for run in (canceled, failed, interrupted, hindered)] == expected
    assert [runs.ending(f"key-{n}") for n in range(4)] == expected
    assert runs.ending("nobody knows it") is Ending.DIED


def test_a_run_that_somebody_cancels_is_no_attempt_and_the_next_tick_runs_it_again(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()
    run = started(acme, dagster__run_key=str(request.run_key))
    claim(acme.services.ledger, acme.flow("orders"), YESTERDAY, run.run_id)
    acme.instance.report_run_canceled(run)
    [again] = acme.tick()
    assert again.run_key == f"{FEED}:{YESTERDAY}:v1:a2"
    assert acme.run(again).success
    assert (acme.delivery("orders").attempt, acme.delivery("orders").deaths) == (1, 0)


def test_a_run_whose_task_never_starts_is_asked_for_again_once_dagster_gives_it_up(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()
    run = acme.instance.create_run_for_job(
        acme.definitions.resolve_implicit_global_asset_job_def(), tags={"dagster/run_key": str(request.run_key)}
    )
    starting = DagsterEvent(event_type_value="PIPELINE_STARTING", job_name=run.job_name)
    launched = time.time() - 2 * acme.instance.run_monitoring_start_timeout_seconds
    acme.instance.report_dagster_event(starting, run_id=run.run_id, timestamp=launched)
    [same] = acme.tick()
    assert same.run_key == request.run_key, "Dagster launches one run for a key"
    record = acme.instance.get_run_record_by_id(run.run_id)
    assert record is not None
    monitor_starting_run(acme.instance, record, logging.getLogger(__name__))
    assert status(acme, run) is dg.DagsterRunStatus.FAILURE
    [again] = acme.tick()
    assert again.run_key == f"{FEED}:{YESTERDAY}:v1:a2"
    assert acme.run(again).success
    assert acme.delivery("orders").attempt == 1


def test_a_delivery_whose_runs_take_too_long_is_tried_as_often_as_any_that_fails(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()

    def interrupt(**_: Any) -> None:
        """Dagster's monitoring ends the run."""
        [run] = acme.instance.get_runs(limit=1)
        acme.instance.report_run_canceling(run, "Canceling due to exceeding maximum runtime of 5 seconds.")
        raise DagsterExecutionInterruptedError

    acme.services.glue.meta.events.register("before-call.glue.CreateTable", interrupt)
    with suppress(DagsterExecutionInterruptedError):
        acme.run(request)
    found = acme.delivery("orders")
    assert (found.state, found.attempt) == (DeliveryState.FAILED, 2)
    assert "took longer than a run may" in found.error
    [run] = acme.instance.get_runs(limit=1)
    assert (said_of(run, NOTIFIED_TAG), runs_of(acme.services.ledger, acme.instance).ending(run.run_id)) == (
        "",
        Ending.DIED,
    )


def test_a_run_shows_who_works_on_it_from_before_its_claim_until_it_has_ended(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()
    result = acme.run(request)
    run = acme.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert said_of(run, WORKER_TAG) == str(this_worker())
    assert Workers(acme.services.ledger).live(result.run_id) is None


# -- lost claims


def test_a_run_whose_delivery_another_run_has_ends_without_failure_message_or_materialization(acme: Platform) -> None:
    inbox = Inbox.subscribe(acme.services)
    deliver(acme)
    [request] = acme.tick()
    holder = claim(acme.services.ledger, acme.flow("orders"), YESTERDAY, "another")
    result = acme.run(request)
    assert result.success
    assert result.get_asset_materialization_events() == []
    assert result.get_asset_check_evaluations() == []
    assert (acme.delivery("orders"), inbox.read()) == (holder, [])
    assert list((acme.services.settings.home / "tmp").glob("*_*")) == []


def test_a_run_that_loses_its_delivery_in_the_middle_fails_nothing(
    services: Services, instance: dg.DagsterInstance
) -> None:
    acme = make_platform(services, {"source": "acme", "feeds": [ORDERS]}, instance)
    deliver(acme)
    [request] = acme.tick()
    ledger, taken = services.ledger, []

    def lose(params: dict[str, Any], **_: Any) -> None:
        """Just before the first row of the table is uploaded, another run takes the delivery."""
        if not taken and "/table-versions/" in params["url_path"]:
            taken.append(1)
            put_delivery(ledger, FEED, ledger.deliveries.get(FEED, YESTERDAY), run_id="thief")

    services.s3.meta.events.register("before-call.s3.PutObject", lose)
    result = acme.run(request)
    assert (result.success, taken) == (True, [1])
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.run_id, delivery.error) == (DeliveryState.RUNNING, "thief", "")


# -- hindrances


def test_a_temporary_directory_that_cannot_be_used_burns_no_attempt_and_is_reported_once(acme: Platform) -> None:
    inbox = Inbox.subscribe(acme.services)
    home = acme.services.settings.home
    home.mkdir(parents=True, exist_ok=True)
    (home / "tmp").write_text("in the way")
    deliver(acme)
    for times in range(1, 6):
        [request] = acme.tick()
        result = acme.run(request)
        assert not result.success
        run = acme.instance.get_run_by_id(result.run_id)
        assert run is not None
        assert said_of(run, NOTIFIED_TAG) == "by the ledger, when it began"
        delivery = acme.delivery("orders")
        assert (delivery.attempt, delivery.hindered, delivery.permanent) == (1, times, False)
        assert acme.tick() == []
        put_delivery(acme.services.ledger, FEED, delivery, not_before=acme.services.ledger.now())
    (home / "tmp").unlink()
    [result] = acme.process()
    assert result.success
    assert [m["event"] for m in inbox.read()] == ["delivery_hindered", "delivery_published"]
    assert acme.query("select count(*) from {orders}") == [(2,)]


@pytest.mark.parametrize(
    ("code", "status", "call"),
    [
        ("ExpiredTokenException", 400, "GetItem"),
        ("ProvisionedThroughputExceededException", 400, "GetItem"),
        ("ProvisionedThroughputExceededException", 400, "PutItem"),
    ],
    ids=["denied", "throttled", "throttled when it begins its work"],
)
def test_a_run_that_cannot_reach_the_ledger_before_its_claim_is_no_death(
    acme: Platform, code: str, status: int, call: str
) -> None:
    deliver(acme)
    [request] = acme.tick()
    answer = {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}}
    events, hook = acme.services.ledger.client.meta.events, f"before-call.dynamodb.{call}"
    events.register(hook, refuse := lambda **_: (AWSResponse("", status, {}, None), answer))
    assert not acme.run(request).success
    events.unregister(hook, refuse)
    acme.tick()
    assert (acme.delivery("orders").hindered, acme.delivery("orders").deaths) == (1, 0)


def test_without_the_hashing_key_nothing_is_lost_and_the_delivery_waits(acme: Platform) -> None:
    secrets, name = acme.services.secrets, acme.services.settings.hash_key_secret
    deliver(acme)
    secrets.delete_secret(SecretId=name)
    [request] = acme.tick()
    assert not acme.run(request).success
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.permanent, delivery.attempt) == (DeliveryState.FAILED, False, 1)
    assert "hashing key, secret" in delivery.error
    secrets.restore_secret(SecretId=name)
    put_delivery(acme.services.ledger, FEED, delivery, not_before=acme.services.ledger.now())
    [again] = acme.tick()
    assert acme.run(again).success


# -- versions that readers see already


def test_a_version_that_readers_see_is_closed_without_its_files(acme: Platform) -> None:
    deliver(acme)
    acme.process()
    ledger = acme.services.ledger
    ledger.placements.put(FEED, Placement(YESTERDAY, 1))
    put_delivery(ledger, FEED, acme.delivery("orders"), state=DeliveryState.SETTLED, published=0, launches=2)
    bucket = acme.services.settings.raw_bucket
    for listed in acme.services.s3.list_objects_v2(Bucket=bucket, Prefix="archive/")["Contents"]:
        acme.services.s3.delete_object(Bucket=bucket, Key=listed["Key"])
    inbox = Inbox.subscribe(acme.services)
    [result] = acme.process()
    assert result.success
    assert len(result.get_asset_materialization_events()) == 2
    assert (acme.delivery("orders").state, acme.delivery("orders").published) == (DeliveryState.PUBLISHED, 1)
    [message] = inbox.read()
    assert (message["event"], message["clean"]) == ("delivery_published", 2)


# -- automation


def test_sensors_of_a_second_instance_start_nothing_and_say_why(acme: Platform, other: dg.DagsterInstance) -> None:
    deliver(acme)
    assert len(acme.tick()) == 1
    second = replace(acme, instance=other)
    sensor = second.definitions.resolve_sensor_def("acme_arrivals")
    context = dg.build_sensor_context(
        instance=other, definitions=second.definitions, resources=resources_with(acme.services)
    )
    skipped = sensor.evaluate_tick(context)
    assert not skipped.run_requests
    assert "another Dagster instance starts the runs of this ledger" in (skipped.skip_message or "")
    take_over(acme.services.ledger, other)
    assert len(second.tick()) == 1
    assert acme.tick() == []


def test_every_sensor_and_schedule_of_a_second_instance_skips(
    services: Services, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    feed = {**ORDERS, "schedule": "0 6 * * *", "arrival": {"complete_when": "done_file", "deadline": "9h"}}
    acme = make_platform(services, {"source": "acme", "feeds": [feed]}, instance)
    take_over(services.ledger, instance)
    skipped = set()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as second:
        given = {"instance": second, "resources": resources_with(services)}
        repository = acme.definitions.get_repository_def()
        for sensor in acme.definitions.sensors or ():
            asked = sensor.evaluate_tick(dg.build_sensor_context(definitions=acme.definitions, **given))
            skipped |= {sensor.name} if "--take-over" in (asked.skip_message or "") else set()
        for schedule in acme.definitions.schedules or ():
            context = dg.build_schedule_context(
                repository_def=repository, scheduled_execution_time=datetime.now(UTC), **given
            )
            reported = schedule.evaluate_tick(context)
            skipped |= {schedule.name} if "--take-over" in (reported.skip_message or "") else set()
    assert skipped == {
        *("acme_arrivals", "acme_orders_processing", "acme_orders_deadline"),
        *("acme_collect_daily", "acme_compare_hourly"),
    }
