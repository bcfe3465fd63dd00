"""Changes of a table through Dagster: from the files of DMS to the rows that there are."""

import io
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.components import DatabaseChanges
from adplatform.components.assembly.automation import Looking, Tick
from adplatform.components.assembly.folds import CONSERVED
from adplatform.contracts.changes import ChangesSource
from adplatform.flow.budget import UNLIMITED
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.lake.table import table_name
from adplatform.platform.aws import Aws
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.support.changes import ORDERS, SCHEMA, sequence
from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import dms_task
from adplatform_tests.support.measured import sums, values_of, with_metrics
from adplatform_tests.support.platforms import Platform, make_platform, resources_with


def platform_of(services: Services, instance: dg.DagsterInstance, **feed: Any) -> Platform:
    quick = {"arrival": {"quiet_period": "0s"}}
    declared = {"source": "shop", "feeds": [{**ORDERS, **quick, **feed}]}
    return make_platform(services, declared, instance, DatabaseChanges)


def put(platform: Platform, name: str, *rows: dict[str, Any]) -> None:
    body = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist([{"dms_ts": "2026-11-01 00:00:00.000000", **row} for row in rows], SCHEMA), body
    )
    platform.put(f"public/orders/{name}", body.getvalue())


def rows(platform: Platform, table: str, columns: str = "id, status") -> list[tuple[Any, ...]]:
    settings = platform.services.settings
    sql = f"select {columns} from {settings.database_prefix}shop.{table} order by all"
    return run_query(platform.services.aws, platform.services.glue, settings.database_prefix, sql, 1_000)[1]


def test_changes_are_merged_by_the_source_s_own_sensor(services: Services, instance: dg.DagsterInstance) -> None:
    naming = {"status": {"patterns": "{step}", "prefix": "named"}, "allowed": {"step": ["new", "settled"]}}
    named = {"naming": {**naming, "aliases": {"step": {"paid": "settled"}}}}
    platform = platform_of(services, instance, outputs=["current", "history"], consumers=["quicksight"], **named)
    put(platform, "LOAD00000001.parquet", {"Op": "I", "id": 1, "status": "new"}, {"Op": "I", "id": 2, "status": "new"})
    results = platform.process()
    assert all(result.success for result in results)
    checks = [check for result in results for check in result.get_asset_check_evaluations()]
    fit = [(check.asset_key.path[-1], check.passed) for check in checks if check.check_name == "fit_for_quicksight"]
    assert fit == [("orders", True)]
    assert rows(platform, "orders") == [(1, "new"), (2, "new")]
    put(
        platform,
        "20261101-000000001.parquet",
        {"Op": "U", "id": 1, "status": "paid", "ar_h_change_seq": sequence(1)},
        {"Op": "D", "id": 2, "ar_h_change_seq": sequence(2)},
    )
    assert all(result.success for result in platform.process())
    # One change of two rows is more than the share, so nobody waits for an hour.
    assert rows(platform, "orders", "id, status, named_step, status_conforms") == [(1, "paid", "settled", True)]
    assert rows(platform, "orders_deleted", "id, status, named_step") == [(2, "new", "new")]
    assert rows(platform, "orders_history", "id, status, _closed_by") == [
        (1, "new", sequence(1)),
        (2, "new", sequence(2)),
    ]
    assert rows(platform, "orders_changes", "_op, id") == [("D", 2), ("I", 1), ("I", 2), ("U", 1)]
    made = instance.get_latest_materialization_event(dg.AssetKey(["clean", "shop", "orders"]))
    assert made and made.asset_materialization
    assert made.asset_materialization.metadata["dagster/row_count"].value == 1


@pytest.mark.slow
def test_every_change_of_a_merge_is_counted_once(
    services: Services, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = platform_of(with_metrics(services), instance)
    put(platform, "LOAD00000001.parquet", {"Op": "I", "id": 1, "status": "new"}, {"Op": "I", "id": 2, "status": "new"})
    platform.process()
    merged = [each for each in values_of(capsys.readouterr().out) if dict(each.dimensions).get("feed") == "orders"]
    assert sums(merged) == {"rows_in": 2, "rows_clean": 2, "rows_superseded": 0, "rows_unplaced": 0}
    assert all(instance.get_run_by_id(each["run_id"]) for each in merged)
    put(
        platform,
        "20261101-000000001.parquet",
        {"Op": "U", "id": 1, "status": "paid", "ar_h_change_seq": sequence(1)},
        {"Op": "U", "id": 1, "status": "sent", "ar_h_change_seq": sequence(2)},
    )
    platform.process()
    merged = [each for each in values_of(capsys.readouterr().out) if dict(each.dimensions).get("feed") == "orders"]
    found = sums(merged)
    assert found["rows_in"] == 2
    assert found["rows_in"] == found["rows_clean"] + found["rows_superseded"] + found["rows_unplaced"]


def test_a_file_that_is_lost_between_a_merge_and_its_check_fails_the_check(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = platform_of(services, instance)
    put(platform, "LOAD00000001.parquet", {"Op": "I", "id": 1, "status": "new"}, {"Op": "I", "id": 2, "status": "new"})
    platform.process()
    assert conserved(instance).passed
    before = services.ledger.folds.get("shop", "orders").locations["shop/orders_deleted"]
    named = table_name("shop/orders_deleted", services.settings.database_prefix)

    def lost(**_: Any) -> None:
        table = services.lake.catalog.table(named)
        if table and table.location != before:
            zones = services.zones
            found = services.store.listing(zones.clean_bucket, zones.clean_key(table.location))
            services.store.delete(zones.clean_bucket, [file.key for file in found], lambda: None)

    services.glue.meta.events.register("after-call.glue.UpdateTable", lost)
    put(platform, "20261101-000000001.parquet", {"Op": "D", "id": 2, "ar_h_change_seq": sequence(1)})
    platform.process()
    assert rows(platform, "orders") == [(1, "new")]
    found = conserved(instance)
    assert (found.passed, "with 1 rows is missing" in str(found.description)) == (False, True)


def conserved(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    """What the last merge found of its counts."""
    key = dg.AssetCheckKey(dg.AssetKey(["clean", "shop", "orders"]), CONSERVED)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event
    assert record.event.dagster_event
    return record.event.dagster_event.asset_check_evaluation_data


def test_few_changes_wait_for_the_time_that_the_feed_sets(services: Services, instance: dg.DagsterInstance) -> None:
    platform = platform_of(services, instance, fold={"every": "1h", "share": 0.5})
    put(platform, "LOAD00000001.parquet", *({"Op": "I", "id": n, "status": "new"} for n in range(10)))
    platform.process()
    put(platform, "20261101-000000001.parquet", {"Op": "U", "id": 1, "status": "paid", "ar_h_change_seq": sequence(1)})
    platform.process()
    assert (1, "new") in rows(platform, "orders")
    now = services.now() + timedelta(hours=1)
    later = replace(platform, services=replace(services, now=lambda: now))
    assert all(result.success for result in later.process())
    assert (1, "paid") in rows(platform, "orders")


@pytest.mark.slow
def test_somebody_may_merge_what_waits_at_any_time(services: Services, instance: dg.DagsterInstance) -> None:
    platform = platform_of(services, instance, fold={"every": "1d", "share": 1})
    put(platform, "LOAD00000001.parquet", {"Op": "I", "id": 1, "status": "new"}, {"Op": "I", "id": 2, "status": "new"})
    platform.process()
    put(platform, "20261101-000000001.parquet", {"Op": "D", "id": 1, "ar_h_change_seq": sequence(1)})
    platform.process()
    by_hand = dg.RunRequest(
        asset_selection=[dg.AssetKey(["clean", "shop", name]) for name in ("orders", "orders_deleted")]
    )
    assert platform.run(by_hand).success
    assert rows(platform, "orders") == [(2, "new")]
    assert platform.run(by_hand).success


def test_a_change_without_a_sequence_is_quarantined_and_the_others_are_merged(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = platform_of(services, instance)
    put(
        platform,
        "20261101-000000001.parquet",
        {"Op": "U", "id": 1, "status": "paid"},
        *({"Op": "I", "id": n, "status": "new", "ar_h_change_seq": sequence(n)} for n in (1, 2)),
    )
    assert all(result.success for result in platform.process())
    assert rows(platform, "orders") == [(1, "new"), (2, "new")]
    [row] = services.ledger.publications.of_feed("shop/orders_changes")
    assert (row.quarantined, dict(row.reasons)) == (1, {"check:sequence": 1})


@pytest.mark.slow
def test_an_insert_without_a_sequence_outside_a_load_stops_the_merge_and_says_what_to_do(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = platform_of(services, instance)
    put(platform, "20261101-000000001.parquet", {"Op": "I", "id": 1, "status": "new"})
    results = platform.process()
    [failed] = [result for result in results if not result.success]
    said = failed.failure_data_for_node("fold__shop__orders")
    assert said and said.error and "$AR_H_CHANGE_SEQ" in said.error.message
    row = services.ledger.folds.get("shop", "orders")
    assert (row.state, "no sequence" in row.error) == ("failed", True)


def test_the_sensor_starts_the_task_and_says_what_dms_says_of_each_table(
    services: Services, shop: Database, instance: dg.DagsterInstance, aws: Aws
) -> None:
    shop.execute("CREATE TABLE orders (id bigint PRIMARY KEY, status text, amount numeric(10,2))")
    shop.execute("INSERT INTO orders VALUES (1, 'new', 1.5)")
    made = platform_of(services, instance)
    settings = {"DataFormat": "parquet", "CdcMaxBatchInterval": 3600}
    with dms_task(
        aws, shop, "public.orders", bucket=services.zones.raw_bucket, folder="landing/shop", s3=settings
    ) as task:
        feed = {**ORDERS, "arrival": {"quiet_period": "0s"}}
        declared = {"source": "shop", "task": task.arn, "driven": True, "feeds": [feed]}
        platform = make_platform(services, declared, instance, DatabaseChanges)
        assert platform.source == made.source
        platform.tick()
        task.wait_for("running")
        task.wait_until_caught_up()
        result, events = ticked(platform)
        assert evaluated(events) == {"replicated": True, "changes_have_come": True}
        for request in result.run_requests or ():
            assert platform.run(request).success
        assert all(each.success for each in platform.process())
        assert rows(platform, "orders") == [(1, "new")]
        task.fault("table_error", table="public.orders")
        shop.execute("UPDATE orders SET status = 'x'")
        task.flush()
        while task.statistics()["public.orders"]["TableState"] != "Table error":
            pass
        messages = platform.messages
        _, events = ticked(platform)
        assert evaluated(events) == {"replicated": False, "changes_have_come": True}
        assert "table_not_followed" in {message["event"] for message in messages.read()}


def test_a_tick_asks_dms_nothing_until_it_reports_something_or_the_time_has_come(
    services: Services, shop: Database, instance: dg.DagsterInstance, aws: Aws
) -> None:
    shop.execute("CREATE TABLE orders (id bigint PRIMARY KEY, status text, amount numeric(10,2))")
    services.s3.create_bucket(Bucket=services.zones.raw_bucket)
    with dms_task(aws, shop, "public.orders", bucket=services.zones.raw_bucket, folder="landing/shop") as task:
        declared = ChangesSource.model_validate({"source": "shop", "task": task.arn, "feeds": [ORDERS]})
        component = DatabaseChanges(declared)
        pattern, automation = component.pattern(services.settings), component.automation()
        provision_patterns(services, [pattern])

        def look(cursor: str | None, now: datetime) -> Tick:
            return automation.look(replace(services, now=lambda: now), instance, Looking(UNLIMITED, cursor))

        now = services.now()
        first = look(None, now)
        spared = look(first.cursor, now + timedelta(seconds=29))
        assert spared.standing.startswith("DMS has reported nothing since")
        assert spared.cursor == first.cursor
        assert look(first.cursor, now + timedelta(seconds=30)).cursor != first.cursor
        task.start()
        # The event may come a moment after what it tells of.
        deadline = time.monotonic() + 30
        while (woken := look(first.cursor, now)).standing.startswith("DMS has reported nothing"):
            assert time.monotonic() < deadline
        assert [each.description for each in woken.events if isinstance(each, dg.AssetObservation)] != []
        task.fault("event_lost")
        task.stop()
        assert look(woken.cursor, now).cursor == woken.cursor


def evaluated(events: list[Any]) -> dict[str, bool]:
    """Which checks a look evaluated, and whether they were passed."""
    return {each.check_name: each.passed for each in events if isinstance(each, dg.AssetCheckEvaluation)}


def ticked(platform: Platform) -> tuple[dg.SensorResult, list[Any]]:
    """One look of the source's sensor, and what it says of its assets."""
    sensor = platform.definitions.resolve_sensor_def("shop_arrivals")
    context = dg.build_sensor_context(
        instance=platform.instance, definitions=platform.definitions, resources=resources_with(platform.services)
    )
    result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result, list(result.asset_events)
