"""A source that is paused: nothing is started, nothing is lost, and everything due is caught up."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from adplatform.cli.pauses import require_source
from adplatform.components import AmazonAdsReports
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform_tests.components.assembly.test_backfills import DECLARED, NOON, rows
from adplatform_tests.engines.world import Brought
from adplatform_tests.support.backfills import Backfills, backfilling
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform, resources_with
from adplatform_tests.support.report_api import MemoryReports

ACME = {
    "source": "acme",
    "feeds": [
        {
            "name": "orders",
            "start_date": "2026-01-01",
            "arrival": {"complete_when": "count", "expected_files": 1, "deadline": "6h"},
            "schedule": "0 6 * * *",
            "columns": {"order_id": {"type": "bigint", "required": True}},
            "key": "order_id",
        },
        {
            "name": "items",
            "start_date": "2026-01-01",
            "arrival": {"complete_when": "count", "expected_files": 1},
            "columns": {"item_id": {"type": "bigint", "required": True}},
            "key": "item_id",
        },
    ],
}


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    return make_platform(services, ACME, instance)


def skipped(platform: Platform) -> str:
    sensor = platform.definitions.resolve_sensor_def("acme_arrivals")
    context = dg.build_sensor_context(
        instance=platform.instance,
        definitions=platform.definitions,
        resources=resources_with(platform.services),
    )
    return str(sensor.evaluate_tick(context).skip_message)


def test_what_a_partner_delivers_to_a_paused_source_settles_and_waits(acme: Platform) -> None:
    pauses = acme.services.ledger.pauses
    assert pauses.begin("acme", "ann@desk", "the contract is being changed") is not None
    acme.put(f"items/dt={YESTERDAY}/a.csv", b"item_id\n1\n")
    assert acme.tick() == []
    assert acme.delivery("items").version == 1, "what arrives is noted and settles"
    said = skipped(acme)
    assert "acme is paused since" in said
    assert "by ann@desk: the contract is being changed" in said
    assert "1 runs wait for that" in said
    assert acme.tick() == []
    pauses.end("acme")
    [result] = acme.process()
    assert result.success
    assert acme.query("select count(*) from {items}") == [(1,)]


def test_the_schedules_of_a_paused_source_skip_and_those_of_another_do_not(acme: Platform) -> None:
    named = ("acme_orders_processing", "acme_orders_deadline", "acme_collect_daily", "acme_compare_hourly")

    def reasons(names: Sequence[str] = named) -> list[str]:
        found = []
        for name in names:
            context = dg.build_schedule_context(
                scheduled_execution_time=datetime.now(UTC),
                resources=resources_with(acme.services),
                repository_def=acme.definitions.get_repository_def(),
            )
            found.append(str(acme.definitions.resolve_schedule_def(name).evaluate_tick(context).skip_message))
        return found

    acme.services.ledger.pauses.begin("globex", "ann@desk")
    assert not any("paused" in reason for reason in reasons(named[1:]))
    acme.services.ledger.pauses.begin("acme", "ann@desk")
    assert all("acme is paused since" in reason for reason in reasons())


def test_a_second_pause_changes_nothing_and_a_pause_ends_once(services: Services) -> None:
    provision(services, [])
    pauses = services.ledger.pauses
    first = pauses.begin("acme", "ann@desk", "a")
    assert pauses.begin("acme", "bob@desk", "b") is None
    assert pauses.of("acme") == first
    assert pauses.every() == [first]
    assert pauses.end("acme") == first
    assert pauses.end("acme") is None
    assert pauses.every() == []


def test_no_engine_is_started_for_a_paused_source_and_what_others_started_lands() -> None:
    brought = Brought.make()
    pauses = brought.ledger.pauses
    pauses.begin(brought.source.name, "ann@desk")
    brought.look()
    assert brought.intentions() == []
    foreign = brought.engine.begin()
    brought.engine.write(foreign, "a.json")
    brought.engine.end(foreign)
    brought.look()
    assert (brought.run(foreign).state, brought.run(foreign).ended) == (RunState.SUCCEEDED, True)
    assert [run.intent for run in brought.runs()] == [""]
    pauses.end(brought.source.name)
    brought.later(hours=1)
    brought.look()
    assert [each.state for each in brought.intentions()] == [IntentState.STARTED]


def test_a_name_that_is_no_source_is_answered_with_the_nearest() -> None:
    require_source("northwind", ["northwind", "clubcard"])
    with pytest.raises(PermanentFailure, match=r"no source 'northwnd' \(did you mean northwind\?\); there are"):
        require_source("northwnd", ["northwind", "clubcard"])
    with pytest.raises(PermanentFailure, match="a source is paused as a whole"):
        require_source("northwind/orders", ["northwind", "clubcard"])


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


@pytest.fixture
def ads(timed: Services) -> dg.Definitions:
    api = MemoryReports(lambda: NOON + timedelta(0), rows)
    return dg.Definitions.merge(
        dg.component_defs(component=AmazonAdsReports(DECLARED, lambda *_: api)),
        dg.Definitions(resources=resources_with(timed), executor=dg.in_process_executor),
    )


@pytest.fixture
def dagster(ads: dg.Definitions, timed: Services) -> Iterator[Backfills]:
    with backfilling(ads, timed.settings.home / "own") as made:
        yield made


def test_runs_that_wait_in_the_queue_are_taken_out_of_it_and_asked_for_again(
    dagster: Backfills, ads: dg.Definitions, timed: Services
) -> None:
    def tick() -> tuple[list[dg.RunRequest], str]:
        context = dg.build_sensor_context(instance=dagster.instance, definitions=ads, resources=resources_with(timed))
        found = ads.resolve_sensor_def("ads_reports").evaluate_tick(context)
        return list(found.run_requests or ()), found.skip_message or ""

    [orders], _ = tick()
    dagster.submit([orders])
    timed.ledger.pauses.begin("ads", "ann@desk")
    requests, said = tick()
    assert requests == []
    assert "ads is paused since 2026-06-10 20:00 UTC by ann@desk" in said
    assert [run.status for run in dagster.instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
    timed.ledger.pauses.end("ads")
    again, _ = tick()
    assert [request.job_name for request in again] == [orders.job_name]
