"""Merges that an engine makes, in Dagster: the run that gives one away, the looks, the run that publishes."""

from dataclasses import replace

import dagster as dg

from adplatform.components import DatabaseChanges
from adplatform.engines.declared_spark import SCRIPT
from adplatform.flow.services import Services
from adplatform.flow.standing import merge_line
from adplatform.lake.store import Stored
from adplatform.ledger.folds import FoldState
from adplatform_tests.components.test_database_changes import put, rows
from adplatform_tests.support.changes import ORDERS, sequence
from adplatform_tests.support.platforms import Platform, make_platform
from adplatform_tests.support.spark_runs import emr_runs, make_application, on_emr, put_entry_point, wait_for_emr_run

TABLE = dg.AssetKey(["clean", "shop", "orders"])
FEED = {**ORDERS, "arrival": {"quiet_period": "0s"}, "outputs": ["current", "history"]}


def listed(platform: Platform) -> list[Stored]:
    store = platform.services.store
    return list(store.listing(store.zones.raw_bucket, platform.source.prefix))


def of_table(result: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    found = [event.materialization for event in result.get_asset_materialization_events()]
    return [each for each in found if each.asset_key == TABLE]


def test_a_merge_that_outgrows_the_machine_goes_to_the_engine_and_a_run_of_its_own_publishes_it(
    services: Services, instance: dg.DagsterInstance
) -> None:
    application = make_application(services.aws)

    def platform(spark_from: int) -> Platform:
        spark = on_emr(services, application)
        spark = replace(spark, settings=replace(spark.settings, spark_from=spark_from))
        return make_platform(spark, {"source": "shop", "feeds": [FEED]}, instance, DatabaseChanges)

    large = platform(10**12)
    put_entry_point(large.services, SCRIPT)
    put(large, "LOAD00000001.parquet", *({"Op": "I", "id": n, "status": "new"} for n in range(9)))
    assert all(result.success for result in large.process())
    change = {"Op": "U", "id": 1, "status": "paid", "ar_h_change_seq": sequence(1)}
    put(large, "20261101-000000001.parquet", change)
    [file] = [each for each in listed(large) if "20261101-" in each.key]
    # The file that is transformed is smaller than what is merged, which is the buckets, too.
    small = platform(file.size + 1)
    runs = [small.run(request) for request in small.tick()]
    giving = small.process()[-1] if len(runs) == 1 else runs[-1]
    assert giving.success and of_table(giving) == []
    [observed] = [e for e in giving.all_events if e.event_type_value == "ASSET_OBSERVATION"]
    assert observed.asset_observation_data.asset_observation.asset_key == TABLE
    row = small.services.ledger.folds.get("shop", "orders")
    assert row.state is FoldState.WITH_ENGINE
    assert "an engine makes merge 2; `adplatform runs shop`" in merge_line(row)
    assert small.tick() == []
    [run] = emr_runs(small.services.aws, application)
    assert wait_for_emr_run(small.services.aws, application, run["id"])["state"] == "SUCCESS", run
    [publishing] = small.process()
    [table] = of_table(publishing)
    shown = {name.removeprefix("adplatform/"): value.value for name, value in table.metadata.items()}
    assert (shown["engine"], shown["engine_run"], shown["applied"]) == ("emr-serverless", run["id"], 1)
    assert {"engine_vcpu_hours", "engine_memory_gb_hours", "engine_link"} <= shown.keys()
    assert rows(small, "orders")[:3] == [(0, "new"), (1, "paid"), (2, "new")]
    assert rows(small, "orders_history", "status, _closed_by") == [("new", sequence(1))]
