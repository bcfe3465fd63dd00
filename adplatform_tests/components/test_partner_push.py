"""One partner, end to end through Dagster's own sensor, assets and checks, on real S3, SQS, SNS, Glue and DynamoDB."""

import socket
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.components import PartnerPush
from adplatform.components.runs import WORKER_TAG
from adplatform.flow.lifecycle import claim
from adplatform.flow.services import Services
from adplatform.ledger.rows import DeliveryState, Outcome
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file", "deadline": "9h"},
    "columns": {
        "order_id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "amount": "decimal(12,2)",
    },
    "key": "order_id",
}
BODY = b"order_id,email,amount\n1,Ann@Example.com,9.90\n2,bob@example.com,oops\n1,ann@example.com,10.00\n"
CHECKS = {
    "delivered",
    "files_accepted",
    "row_conservation",
    "schema",
    "bounds",
    "no_personal_data_in_clear",
    "suspected_personal_data",
    "one_hashing_key",
    "manifest_rows",
}


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    feeds = [{**ORDERS, "bounds": {"max_quarantined": 0.5}}]
    return make_platform(services, {"source": "acme", "owners": ["team:crm"], "feeds": feeds}, instance)


def deliver(platform: Platform, body: bytes = BODY, name: str = "orders.csv") -> None:
    platform.put(f"orders/dt={YESTERDAY}/{name}", body)
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")


def test_a_delivery_becomes_a_table_and_every_check_passes(acme: Platform) -> None:
    deliver(acme)
    [result] = acme.process()
    assert result.success
    assert {c.check_name for c in result.get_asset_check_evaluations() if c.passed} == CHECKS
    [(order, digest, amount)] = acme.query("select order_id, email_lake, amount from {orders}")
    assert (order, str(amount), len(digest)) == (1, "10.00", 64)
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.published, delivery.pending) == (DeliveryState.PUBLISHED, 1, 0)


def test_the_materialization_shows_counts_schema_lineage_and_table(acme: Platform) -> None:
    deliver(acme)
    [result] = acme.process()
    [clean] = [m for m in result.get_asset_materialization_events() if m.asset_key and m.asset_key.path[0] == "clean"]
    metadata = clean.materialization.metadata
    assert metadata["dagster/partition_row_count"].value == 1
    assert metadata["dagster/table_name"].value == acme.table("orders")
    assert [c.name for c in metadata["dagster/column_schema"].value.columns][:3] == ["order_id", "email_lake", "amount"]
    spec = acme.definitions.resolve_assets_def(dg.AssetKey(["clean", "acme", "orders"])).specs_by_key
    lineage = next(iter(spec.values())).metadata["dagster/column_lineage"].deps_by_column["email_lake"]
    assert [(d.asset_key.to_user_string(), d.column_name) for d in lineage] == [("raw/acme/orders", "email")]


def test_nothing_is_requested_again_once_published(acme: Platform) -> None:
    deliver(acme)
    acme.process()
    assert acme.tick() == []


def test_a_requested_run_is_requested_under_the_same_key_until_it_claims_the_delivery(acme: Platform) -> None:
    deliver(acme)
    [first], [second] = acme.tick(), acme.tick()
    assert first.run_key == second.run_key == f"acme/orders:{YESTERDAY}:v1:a1"


def test_source_files_are_archived_only_after_publishing(acme: Platform) -> None:
    deliver(acme)
    acme.process()
    bucket = acme.services.zones.raw_bucket
    left = acme.services.s3.list_object_versions(Bucket=bucket, Prefix="landing/")
    assert "Versions" not in left
    archived = acme.services.s3.list_objects_v2(Bucket=bucket, Prefix="archive/acme/orders/")["Contents"]
    assert sorted(o["Size"] for o in archived) == [0, len(BODY)]


def test_a_late_file_opens_its_date_again(acme: Platform) -> None:
    deliver(acme)
    acme.process()
    deliver(acme, b"order_id,email,amount\n3,c@example.com,1.00\n1,ann@example.com,11.00\n", "late.csv")
    acme.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"again")
    [result] = acme.process()
    assert result.success
    rows = acme.query("select order_id, amount from {orders} order by 1")
    assert [(o, str(a)) for o, a in rows] == [(1, "11.00"), (3, "1.00")]
    assert acme.delivery("orders").published == 2


def test_a_refused_audit_publishes_nothing_and_says_why(services: Services, instance: dg.DagsterInstance) -> None:
    strict = make_platform(services, {"source": "acme", "feeds": [ORDERS]}, instance)
    deliver(strict)
    [result] = strict.process()
    assert not result.success
    failed = [c.check_name for c in result.get_asset_check_evaluations() if not c.passed]
    assert failed == ["bounds"]
    assert strict.services.glue.get_databases()["DatabaseList"] == [] or not strict.query(
        "select 1 from information_schema.tables where table_name = 'orders'"
    )
    delivery = strict.delivery("orders")
    assert delivery.state is DeliveryState.FAILED
    assert delivery.permanent
    assert "bounds" in delivery.error
    assert strict.tick() == []


def test_a_bad_file_is_refused_by_name_or_put_aside(services: Services, instance: dg.DagsterInstance) -> None:
    aside = {**ORDERS, "name": "aside", "bad_file": "quarantine"}
    platform = make_platform(services, {"source": "acme", "feeds": [ORDERS, aside]}, instance)
    for feed in ("orders", "aside"):
        platform.put(f"{feed}/dt={YESTERDAY}/good.csv", b"order_id,email,amount\n1,a@example.com,1\n")
        platform.put(f"{feed}/dt={YESTERDAY}/wrong.csv", b"id,mail\n1,a@example.com\n")
        platform.put(f"{feed}/dt={YESTERDAY}/_SUCCESS", b"")
    results = platform.process()
    assert [r.success for r in results] == [False, True]
    assert "wrong.csv" in platform.delivery("orders").error
    assert platform.query("select count(*) from {aside}") == [(1,)]
    outcomes = platform.services.ledger.file_outcomes("acme/aside", YESTERDAY, 1)
    assert {o.origin.rsplit("/", 1)[-1]: o.outcome for o in outcomes} == {
        "good.csv": Outcome.LOADED,
        "wrong.csv": Outcome.QUARANTINED,
    }


def test_empty_files_are_an_outcome_and_leave_an_empty_partition(acme: Platform) -> None:
    deliver(acme, b"")
    [result] = acme.process()
    assert result.success
    assert acme.query("select count(*) from {orders}") == [(0,)]
    [outcome] = acme.services.ledger.file_outcomes("acme/orders", YESTERDAY, 1)
    assert outcome.outcome is Outcome.EMPTY


def test_success_is_told_with_counts_and_without_personal_data(acme: Platform) -> None:
    inbox = acme.messages
    deliver(acme)
    acme.process()
    [message] = inbox.read()
    assert message["event"] == "delivery_published"
    assert (message["rows_in"], message["clean"], message["superseded"], message["quarantined"]) == (3, 1, 1, 1)
    assert "example.com" not in str(message)


def test_a_run_that_never_started_is_launched_again_under_a_new_key(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()
    failed = acme.instance.create_run_for_job(
        acme.definitions.resolve_implicit_global_asset_job_def(), tags={"dagster/run_key": str(request.run_key)}
    )
    acme.instance.report_run_failed(failed)
    [again] = acme.tick()
    assert acme.delivery("orders").error == "the run ended before it began its work"
    assert again.run_key == f"acme/orders:{YESTERDAY}:v1:a2"


def test_a_bad_partner_manifest_is_told_once_and_does_not_stop_other_feeds(
    services: Services, instance: dg.DagsterInstance
) -> None:
    listed = {**ORDERS, "name": "listed", "arrival": {"complete_when": "manifest"}}
    loose = {**ORDERS, "bounds": {"max_quarantined": 1}}
    platform = make_platform(services, {"source": "acme", "feeds": [listed, loose]}, instance)
    inbox = platform.messages
    platform.put(f"listed/dt={YESTERDAY}/manifest.json", b'{"files": "all of them"}')
    deliver(platform)
    results = platform.process()
    assert [r.success for r in results] == [True]
    assert platform.tick() == []
    stuck = [m for m in inbox.read() if m["event"] == "delivery_stuck"]
    assert [m["feed"] for m in stuck] == ["acme/listed"]
    assert "not a manifest" in stuck[0]["error"]


def test_the_deadline_asks_for_a_run_that_fails_when_nothing_came(acme: Platform) -> None:
    schedule = acme.definitions.resolve_schedule_def("acme_orders_deadline")
    context = dg.build_schedule_context(
        instance=acme.instance,
        scheduled_execution_time=datetime.combine(YESTERDAY + timedelta(days=1), time(9), UTC),
        resources={"services": acme.services},
        repository_def=acme.definitions.get_repository_def(),
    )
    [request] = schedule.evaluate_tick(context).run_requests or ()
    assert request.partition_key == YESTERDAY.isoformat()
    result = acme.run(request)
    assert not result.success
    assert [(c.check_name, c.passed) for c in result.get_asset_check_evaluations()] == [("delivered", False)]


def test_the_daily_collection_removes_replaced_versions_when_their_time_has_come(acme: Platform) -> None:
    deliver(acme)
    acme.process()
    acme.put(f"orders/dt={YESTERDAY}/late.csv", b"order_id,email,amount\n3,c@example.com,1.00\n")
    acme.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"again")
    acme.process()

    def versions() -> set[str]:
        bucket = acme.services.zones.clean_bucket
        listed = acme.services.s3.list_objects_v2(Bucket=bucket, Prefix="table-versions/acme/orders/")["Contents"]
        return {entry["Key"].split("/")[3] for entry in listed}

    assert len(versions()) == 2
    for days in (0, 15):
        later = Services(acme.services.settings, acme.services.aws)
        ledger = later.ledger
        later.__dict__["ledger"] = replace(
            ledger, now=lambda ledger=ledger, days=days: ledger.now() + timedelta(days=days)
        )
        job = dg.Definitions.merge(
            dg.component_defs(component=PartnerPush(acme.declared)), dg.Definitions(resources={"services": later})
        ).resolve_job_def("acme_collect")
        assert job.execute_in_process(instance=acme.instance).success
    assert len(versions()) == 1
    assert acme.query("select order_id from {orders} order by 1") == [(1,), (3,)]


def test_a_run_whose_process_was_killed_is_found_dead_and_its_delivery_runs_again_at_once(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()
    with subprocess.Popen(["sleep", "600"]) as process:
        run = acme.instance.create_run_for_job(
            acme.definitions.resolve_implicit_global_asset_job_def(),
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/run_key": str(request.run_key), WORKER_TAG: f"{socket.gethostname()}:{process.pid}"},
        )
        claim(acme.services, acme.flow("orders"), YESTERDAY, run.run_id)
        assert acme.tick() == []
        process.kill()
    [again] = acme.tick()
    assert again.run_key == f"acme/orders:{YESTERDAY}:v1:a2"
    assert acme.run(again).success
    assert acme.query("select count(*) from {orders}") == [(1,)]


def test_a_deadline_run_leaves_a_delivery_that_came_meanwhile_to_its_own_run(acme: Platform) -> None:
    deliver(acme)
    [request] = acme.tick()
    missed = dg.RunRequest(
        partition_key=request.partition_key,
        asset_selection=[dg.AssetKey(["raw", "acme", "orders"])],
        tags={"adplatform/deadline": "missed"},
    )
    assert acme.run(missed).success
    assert acme.delivery("orders").state is DeliveryState.SETTLED
    assert acme.run(request).success


def test_an_empty_delivery_does_not_replace_published_rows_unless_the_contract_says_so(acme: Platform) -> None:
    deliver(acme)
    acme.process()
    deliver(acme, b"")
    acme.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"again")
    [result] = acme.process()
    assert not result.success
    assert "no row is left of the 1 that readers see" in acme.delivery("orders").error
    assert acme.query("select count(*) from {orders}") == [(1,)]
