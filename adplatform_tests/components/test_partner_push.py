"""One partner, end to end through Dagster's own sensor, assets and checks, on real S3, SQS, SNS, Glue and DynamoDB."""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.loader import LoadingContextForTest

from adplatform.components import PartnerPush
from adplatform.components.assembly.ownership import take_over
from adplatform.components.assembly.runs import WORKER_TAG
from adplatform.contracts.source import Topics
from adplatform.flow.lifecycle import claim
from adplatform.flow.services import Services
from adplatform.flow.undelivered import notify_undelivered
from adplatform.lake.details import read_details
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.item_size import MAX_ITEM, item_size
from adplatform.ledger.messages import Notified
from adplatform.ledger.publications import Outcome
from adplatform.ledger.rows import to_item
from adplatform.ledger.workers import identity_of
from adplatform.platform.aws import Aws
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.instances import as_if_new
from adplatform_tests.support.platforms import (
    YESTERDAY,
    Platform,
    forget_services,
    make_platform,
    make_services,
    resources_with,
)

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
    "usual_volume": True,
    "consumers": {"athena": {}, "quicksight": {"refresh": "daily"}},
}
BODY = b"order_id,email,amount\n1,Ann@Example.com,9.90\n2,bob@example.com,oops\n1,ann@example.com,10.00\n"
CALLS_OF_A_LOOK, CALLS_OF_A_RUN, CALLS_OF_A_QUIET_LOOK = 26, 52, 10
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
    "usual_volume",
    "fit_for_athena",
    "fit_for_quicksight",
}


def acme_of(services: Services, instance: dg.DagsterInstance) -> Platform:
    feeds = [{**ORDERS, "bounds": {"max_quarantined": 0.5}}]
    return make_platform(services, {"source": "acme", "owners": ["team:crm"], "feeds": feeds}, instance)


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    return acme_of(services, instance)


@dataclass(frozen=True)
class Published:
    """What became of one delivery, which tests look at and leave as it is."""

    platform: Platform
    result: dg.ExecuteInProcessResult
    messages: list[dict[str, Any]]


@pytest.fixture(scope="module")
def published(
    aws: Aws, one_instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Published]:
    services = make_services(aws, tmp_path_factory.mktemp("home"))
    with as_if_new(one_instance):
        platform = acme_of(services, one_instance)
        inbox = platform.messages
        deliver(platform)
        [result] = platform.process()
        made = Published(platform, result, inbox.read())
    yield made
    forget_services(services)


def deliver(platform: Platform, body: bytes = BODY, name: str = "orders.csv") -> None:
    platform.put(f"orders/dt={YESTERDAY}/{name}", body)
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")


def test_a_delivery_becomes_a_table_and_every_check_passes(published: Published) -> None:
    acme, result = published.platform, published.result
    assert result.success
    assert {c.check_name for c in result.get_asset_check_evaluations() if c.passed} == CHECKS
    [(order, digest, amount)] = acme.query("select order_id, email_lake, amount from {orders}")
    assert (order, str(amount), len(digest)) == (1, "10.00", 64)
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.published, delivery.pending) == (DeliveryState.PUBLISHED, 1, 0)


def test_the_materialization_shows_counts_schema_lineage_and_table(published: Published) -> None:
    acme, result = published.platform, published.result
    [clean] = [m for m in result.get_asset_materialization_events() if m.asset_key and m.asset_key.path[0] == "clean"]
    metadata = clean.materialization.metadata
    assert metadata["dagster/partition_row_count"].value == 1
    assert metadata["dagster/table_name"].value == acme.table("orders")
    assert [c.name for c in metadata["dagster/column_schema"].value.columns][:3] == ["order_id", "email_lake", "amount"]
    spec = acme.definitions.resolve_assets_def(dg.AssetKey(["clean", "acme", "orders"])).specs_by_key
    lineage = next(iter(spec.values())).metadata["dagster/column_lineage"].deps_by_column["email_lake"]
    assert [(d.asset_key.to_user_string(), d.column_name) for d in lineage] == [("raw/acme/orders", "email")]


def test_a_delivery_asks_aws_no_more_often_than_it_needs(services: Services, instance: dg.DagsterInstance) -> None:
    aws = CountedAws(services.aws.region, services.aws.endpoint_url)
    counted = replace(services, aws=aws)
    platform = make_platform(counted, {"source": "acme", "feeds": [ORDERS]}, instance)
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", b"order_id,email,amount\n1,ann@example.com,9.90\n")
    platform.put(f"orders/dt={YESTERDAY}/_SUCCESS", b"")
    with aws.most(CALLS_OF_A_LOOK):
        [request] = platform.tick()
    with aws.most(CALLS_OF_A_RUN):
        assert platform.run(request).success
    with aws.most(CALLS_OF_A_QUIET_LOOK):
        assert platform.tick() == []


@pytest.mark.usefixtures("instance")
def test_nothing_is_requested_again_once_published(published: Published) -> None:
    """Also where Dagster knows nothing of the run."""
    take_over(published.platform.services.ledger, published.platform.instance)
    assert look(published.platform).skip_message == "nothing to start"


def test_a_requested_run_is_requested_under_the_same_key_until_it_claims_the_delivery(acme: Platform) -> None:
    deliver(acme)
    [first], [second] = acme.tick(), acme.tick()
    assert first.run_key == second.run_key == f"acme/orders:{YESTERDAY}:v1:a1"


def test_source_files_are_archived_only_after_publishing(published: Published) -> None:
    acme = published.platform
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
    [wrong] = [o for o in services.ledger.objects.of_day("acme/orders", YESTERDAY) if o.key.endswith("wrong.csv")]
    assert f"{wrong.file_id}: declared columns are missing" in platform.delivery("orders").error
    assert platform.query("select count(*) from {aside}") == [(1,)]
    outcomes = platform.services.ledger.publications.file_outcomes("acme/aside", YESTERDAY, 1)
    assert {o.origin.rsplit("/", 1)[-1]: o.outcome for o in outcomes} == {
        "good.csv": Outcome.LOADED,
        "wrong.csv": Outcome.QUARANTINED,
    }


def test_empty_files_are_an_outcome_and_leave_an_empty_partition(acme: Platform) -> None:
    deliver(acme, b"")
    [result] = acme.process()
    assert result.success
    assert acme.query("select count(*) from {orders}") == [(0,)]
    [outcome] = acme.services.ledger.publications.file_outcomes("acme/orders", YESTERDAY, 1)
    assert outcome.outcome is Outcome.EMPTY


REGIONS: dict[str, Any] = {
    "name": "regions",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"id": {"type": "bigint", "required": True}, "region": {"required": True}},
    "partition_by": "region",
    "bounds": {"max_quarantined": 1},
}


def test_a_row_whose_value_cannot_be_a_partition_is_put_aside_and_the_others_are_published(
    services: Services, instance: dg.DagsterInstance
) -> None:
    platform = make_platform(services, {"source": "acme", "feeds": [REGIONS]}, instance)
    longest = "x" * 512
    platform.put(f"regions/dt={YESTERDAY}/a.csv", f"id,region\n1,A\n2,{'é' * 400}\n3,{longest}\n".encode())
    platform.put(f"regions/dt={YESTERDAY}/_SUCCESS", b"")
    [result] = platform.process()
    assert result.success
    assert platform.query("select id, region from {regions} order by 1") == [(1, "A"), (3, longest)]
    publication = services.ledger.publications.get("acme/regions", YESTERDAY, 1)
    assert publication is not None
    assert (publication.state, publication.reasons) == (DeliveryState.PUBLISHED, {"bad_partition:region": 1})


@pytest.mark.parametrize("partitions", [pytest.param(number, marks=pytest.mark.slow) for number in (55, 510)])
def test_a_delivery_of_many_partitions_is_published_and_all_its_locations_are_remembered(
    services: Services, instance: dg.DagsterInstance, partitions: int
) -> None:
    off = Services(replace(services.settings, path_copies=False), services.aws)
    platform = make_platform(off, {"source": "acme", "feeds": [REGIONS]}, instance)
    inbox = platform.messages
    rows = "".join(f"{n},{n:03d}{'x' * 500}\n" for n in range(partitions))
    platform.put(f"regions/dt={YESTERDAY}/a.csv", f"id,region\n{rows}".encode())
    platform.put(f"regions/dt={YESTERDAY}/_SUCCESS", b"")
    [result] = platform.process()
    assert result.success
    assert platform.query("select count(*), count(distinct region) from {regions}") == [(partitions, partitions)]
    row = off.ledger.publications.get("acme/regions", YESTERDAY, 1)
    assert row is not None
    assert row.state is DeliveryState.PUBLISHED
    assert (row.location_count, bool(row.details_key)) == (partitions, True)
    assert item_size(to_item("acme/regions", row)) < MAX_ITEM / 4
    locations = read_details(off.store, row).locations
    assert len(set(locations)) == partitions
    assert [m["event"] for m in inbox.read()] == ["delivery_published"]


def test_a_refusal_about_thousands_of_columns_fails_once_and_says_the_first_and_how_many(acme: Platform) -> None:
    header = ",".join(["order_id", "email", "amount", *(f"{'c' * 300}_{n}" for n in range(900))])
    inbox = acme.messages
    deliver(acme, f"{header}\n{',' * 902}\n".encode())
    [result] = acme.process()
    assert not result.success
    delivery = acme.delivery("orders")
    assert (delivery.state, delivery.permanent, delivery.published) == (DeliveryState.FAILED, True, 0)
    assert "and 890 more; declare them, or set schema_policy" in delivery.error
    assert item_size(to_item("acme/orders", delivery)) < MAX_ITEM / 40
    assert acme.tick() == []
    [message] = inbox.read()
    assert (message["event"], len(message["changes"]), message["changes_count"]) == ("schema_changed", 50, 200)
    assert acme.tick() == inbox.read() == []


@pytest.mark.slow
def test_a_file_with_the_longest_of_names_is_published_and_archived(acme: Platform) -> None:
    name = "n" * (1020 - len(f"{acme.source.prefix}orders/dt={YESTERDAY}/")) + ".csv"
    deliver(acme, name=name)
    [result] = acme.process()
    assert result.success
    bucket = acme.services.zones.raw_bucket
    archived = acme.services.s3.list_objects_v2(Bucket=bucket, Prefix="archive/acme/orders/")["Contents"]
    assert sorted(o["Size"] for o in archived) == [0, len(BODY)]
    assert max(len(o["Key"].encode()) for o in archived) == 1024
    assert any(o["Key"].endswith("nnn.csv") for o in archived)


def test_success_is_reported_with_counts_and_without_personal_data(published: Published) -> None:
    [message] = published.messages
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


def test_a_bad_partner_manifest_is_reported_once_and_does_not_stop_other_feeds(
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


@pytest.mark.parametrize(
    ("promised", "met"),
    [pytest.param(2, True, marks=pytest.mark.slow), (4, False)],
    ids=["one-record", "more-than-lines"],
)
def test_a_manifest_counts_records_that_cannot_be_split_as_one_row_or_as_their_lines(
    services: Services, instance: dg.DagsterInstance, promised: int, met: bool
) -> None:
    listed = {**ORDERS, "arrival": {"complete_when": "manifest"}, "bounds": {"max_quarantined": 1}}
    platform = make_platform(services, {"source": "acme", "feeds": [listed]}, instance)
    body = b'order_id,email,amount\n1,a@b.example,1.00\n2,"two\nlines"\n'
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", body)
    files = {"files": [{"name": "orders.csv", "size": len(body), "rows": promised}]}
    platform.put(f"orders/dt={YESTERDAY}/manifest.json", json.dumps(files).encode())
    [result] = platform.process()
    assert checks(result)["manifest_rows"] is met
    assert result.success is met


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {c.check_name: c.passed for c in result.get_asset_check_evaluations()}


def by_hand(platform: Platform, *, day: date = YESTERDAY, tags: Mapping[str, str] | None = None) -> dg.RunRequest:
    """What "Materialize" in the UI does: both assets of a date, and no tags of ours."""
    keys = [dg.AssetKey(["raw", "acme", "orders"]), dg.AssetKey(["clean", "acme", "orders"])]
    return dg.RunRequest(partition_key=day.isoformat(), asset_selection=keys, tags=tags or {})


def resolved_checks(platform: Platform) -> dict[str, str]:
    """What the UI shows of every check that a run was to evaluate."""
    context = LoadingContextForTest(platform.instance)
    graph = platform.definitions.get_repository_def().asset_graph
    records = platform.instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    return {key.name: asyncio.run(record.resolve_status(context)).value for key, record in records.items()}


def test_a_run_by_hand_of_a_date_that_was_not_delivered_fails_one_check_and_nothing_else(acme: Platform) -> None:
    inbox = acme.messages
    result = acme.run(by_hand(acme))
    assert result.success
    assert [name for name, passed in checks(result).items() if not passed] == ["delivered"]
    assert result.get_asset_materialization_events() == []
    assert [e.event_type_value for e in result.events_for_node("clean__acme__orders")] == ["STEP_SKIPPED"]
    shown = resolved_checks(acme)
    assert [name for name, status in shown.items() if "FAILED" in status] == ["delivered"]
    reported = next(c.description for c in result.get_asset_check_evaluations() if not c.passed)
    assert reported is not None
    assert reported.startswith(
        f"acme/orders {YESTERDAY} was not delivered. `adplatform ledger acme/orders {YESTERDAY}`"
    )
    [message] = inbox.read()
    assert message == {
        "event": "not_delivered",
        "feed": "acme/orders",
        "date": YESTERDAY.isoformat(),
        "run_id": result.run_id,
        "error": reported,
    }
    assert acme.delivery("orders").revision == 0, "nothing was claimed"


def test_a_delivery_that_comes_after_such_a_run_is_published_as_ever(acme: Platform) -> None:
    acme.run(by_hand(acme))
    deliver(acme)
    [result] = acme.process()
    assert checks(result) == dict.fromkeys(CHECKS, True)
    assert acme.query("select count(*) from {orders}") == [(1,)]


@pytest.mark.slow
def test_a_backfill_over_dates_that_were_not_delivered_sends_one_message(acme: Platform) -> None:
    inbox = acme.messages
    days = [YESTERDAY - timedelta(days=n) for n in range(5)]
    for day in days:
        result = acme.run(by_hand(acme, day=day, tags={"dagster/backfill": "abcdefgh"}))
        assert not result.success, "a backfill shows a date as failed, and its run says why"
        assert "was not delivered" in str(
            result.failure_data_for_node("raw__acme__orders").user_failure_data.description
        )
    [message] = inbox.read()
    assert (message["event"], message["feed"], message["date"]) == ("not_delivered", "acme/orders", str(days[0]))
    assert message["backfill"] == "abcdefgh"
    acme.run(by_hand(acme, tags={"dagster/backfill": "ijklmnop"}))
    assert [m["backfill"] for m in inbox.read()] == ["ijklmnop"]


def test_a_message_of_a_backfill_that_could_not_be_sent_is_sent_by_its_next_date(acme: Platform) -> None:
    services = acme.services
    unheard = replace(acme.flow("orders"), topics=Topics(failure="no-such-topic"))
    notify_undelivered(services, unheard, YESTERDAY, "e", "r", backfill="abcdefgh")
    inbox = acme.messages
    for _ in range(2):
        notify_undelivered(services, acme.flow("orders"), YESTERDAY, "e", "r", backfill="abcdefgh")
    assert [m["backfill"] for m in inbox.read()] == ["abcdefgh"]


def test_what_was_reported_long_ago_is_forgotten(acme: Platform) -> None:
    ledger = acme.services.ledger
    for days, backfill in ((200, "old"), (50, "new"), (0, "newest")):
        past = replace(ledger, now=lambda days=days: ledger.now() - timedelta(days=days))
        assert past.messages.note_notified("acme/orders", f"backfill/{backfill}")
    kept = [reported.what for reported in ledger.access.query(Notified, "acme/orders", "told#")]
    assert kept == ["backfill/new", "backfill/newest"]


def deadline(platform: Platform, days: int = 0) -> list[dg.RunRequest]:
    """What the tick of yesterday's deadline asks for, or one some days later."""
    context = dg.build_schedule_context(
        instance=platform.instance,
        scheduled_execution_time=datetime.combine(YESTERDAY + timedelta(days=1 + days), time(9), UTC),
        resources=resources_with(platform.services),
        repository_def=platform.definitions.get_repository_def(),
    )
    schedule = platform.definitions.resolve_schedule_def("acme_orders_deadline")
    return list(schedule.evaluate_tick(context).run_requests or ())


def test_a_deadline_whose_tick_was_skipped_is_asked_about_by_the_next_and_once(acme: Platform, tmp_path: Path) -> None:
    acme.services.ledger.deliveries.settle(
        "acme/orders", acme.delivery("orders"), objects=1, manifest_key="m", because="it came"
    )
    with dg.DagsterInstance.local_temp(str(tmp_path)) as lasting:
        take_over(acme.services.ledger, lasting)
        later = replace(acme, instance=lasting)
        asked = deadline(later, days=2)
        assert [r.partition_key for r in asked] == [str(YESTERDAY + timedelta(days=n)) for n in (1, 2)]
        run = lasting.create_run_for_job(
            acme.definitions.resolve_implicit_global_asset_job_def(), tags={"dagster/run_key": str(asked[0].run_key)}
        )
        assert deadline(later, days=2) == asked[1:]
        lasting.report_run_failed(run)
        assert deadline(later, days=2) == asked


def test_the_deadline_asks_for_a_run_whose_check_fails_and_tells_once_when_nothing_came(acme: Platform) -> None:
    inbox = acme.messages
    [_, _, request] = deadline(acme)
    assert request.partition_key == YESTERDAY.isoformat()
    for _ in range(2):
        result = acme.run(request)
        assert result.success
        assert [name for name, passed in checks(result).items() if not passed] == ["delivered"]
    [message] = inbox.read()
    assert (message["event"], message["feed"], message["date"]) == ("delivery_missed", "acme/orders", str(YESTERDAY))


def test_the_deadline_also_asks_for_a_date_that_cannot_settle(services: Services, instance: dg.DagsterInstance) -> None:
    listed = {**ORDERS, "arrival": {"complete_when": "manifest", "deadline": "9h"}}
    platform = make_platform(services, {"source": "acme", "feeds": [listed]}, instance)
    platform.put(f"orders/dt={YESTERDAY}/manifest.json", b"{")
    assert platform.tick() == []
    assert platform.delivery("orders").state is DeliveryState.FAILED
    [_, _, request] = deadline(platform)
    assert request.partition_key == YESTERDAY.isoformat()
    result = platform.run(request)
    assert [c.check_name for c in result.get_asset_check_evaluations() if not c.passed] == ["delivered"]
    assert "not a manifest" in platform.delivery("orders").error


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
        later = replace(acme.services, now=lambda days=days: acme.services.now() + timedelta(days=days))
        job = dg.Definitions.merge(
            dg.component_defs(component=PartnerPush(acme.declared)), dg.Definitions(resources=resources_with(later))
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
            tags={"dagster/run_key": str(request.run_key), WORKER_TAG: str(identity_of(process.pid))},
        )
        claim(acme.services.ledger, acme.flow("orders"), YESTERDAY, run.run_id)
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


def look(platform: Platform, cursor: str | None = None) -> dg.SensorResult | Any:
    sensor = platform.definitions.resolve_sensor_def(f"{platform.source.name}_arrivals")
    resources = resources_with(platform.services)
    return sensor.evaluate_tick(
        dg.build_sensor_context(
            instance=platform.instance, definitions=platform.definitions, resources=resources, cursor=cursor
        )
    )


def test_a_tick_says_what_deliveries_wait_for(services: Services, instance: dg.DagsterInstance) -> None:
    quiet = {**ORDERS, "name": "quiet", "arrival": {"quiet_period": "30d", "max_wait": "60d"}}
    platform = make_platform(services, {"source": "acme", "feeds": [ORDERS, quiet]}, instance)
    assert look(platform).skip_message == "nothing to start"
    platform.put(f"orders/dt={YESTERDAY}/a.csv", BODY)
    one = look(platform).skip_message
    assert one == f"nothing to start; 1 delivery waits: acme/orders {YESTERDAY}: no _SUCCESS yet"
    for n in range(1, 6):
        platform.put(f"orders/dt={YESTERDAY - timedelta(days=n)}/a.csv", BODY)
    platform.put(f"quiet/dt={YESTERDAY}/a.csv", BODY)
    message = look(platform).skip_message
    assert message.startswith("nothing to start; 7 deliveries wait: acme/")
    assert f"acme/orders {YESTERDAY - timedelta(days=5)}: no _SUCCESS yet" in message
    assert f"acme/quiet {YESTERDAY}: objects may still come (until " in message
    assert message.endswith("; and 2 more")
    assert look(platform).skip_message.startswith("nothing to start; 7 deliveries wait")


def test_a_tick_without_time_goes_on_with_the_next(services: Services, instance: dg.DagsterInstance) -> None:
    hasty = replace(services, settings=replace(services.settings, tick_seconds=0))
    platform = make_platform(hasty, {"source": "acme", "feeds": [ORDERS]}, instance)
    days = [YESTERDAY - timedelta(days=n) for n in range(4)]
    # The first look takes no more messages than one call brings.
    for file in ("a.csv", "b.csv", "c.csv", "_SUCCESS"):
        for day in days:
            platform.put(f"orders/dt={day}/{file}", BODY if file != "_SUCCESS" else b"")
    cursor, keys, cut = None, set(), 0
    for _ in range(30):
        data = look(platform, cursor)
        cursor = data.cursor
        keys |= {request.run_key for request in data.run_requests or ()}
        cut += "more is to be looked at" in (data.skip_message or "")
    assert keys == {f"acme/orders:{day}:v1:a1" for day in days}
    assert cut


def test_refused_objects_are_reported_once_together_and_noise_is_not(acme: Platform) -> None:
    inbox = acme.messages
    for n in range(3):
        acme.put(f"orders/dt=2025-01-0{n + 1}/a.csv", BODY)
    far = YESTERDAY + timedelta(days=400)
    for key in (f"orders/dt={far}/a.csv", "elsewhere/a.csv", "orders/", f"orders/dt={YESTERDAY}/a.csv.part"):
        acme.put(key, b"")
    for _ in range(3):
        acme.tick()
    messages = {(m["event"], m["feed"], m["objects"], m["reason"], m["action"]) for m in inbox.read()}
    assert messages == {
        (
            "objects_refused",
            "acme/orders",
            3,
            "its date is before the feed's start_date 2026-01-01",
            "lower start_date to take it",
        ),
        (
            "objects_refused",
            "acme/orders",
            1,
            "its date is further ahead than accept_early 2 days, 0:00:00 allows",
            "lengthen accept_early to take it, or ask the sender to send it again when its date is nearer",
        ),
        (
            "objects_refused",
            "acme/_unplaced",
            1,
            "it fits no feed's landing layout, or the date in its key is none",
            "correct the feed's `landing`, or ask the sender to put it where `landing` says",
        ),
    }
    acme.tick()
    assert inbox.read() == []


def test_a_back_fill_takes_what_was_before_the_start_date(services: Services, instance: dg.DagsterInstance) -> None:
    old = YESTERDAY - timedelta(days=40)
    feed = {**ORDERS, "start_date": YESTERDAY.isoformat(), "bounds": {"max_quarantined": 1}}
    platform = make_platform(services, {"source": "acme", "feeds": [feed]}, instance)
    for day in (old, YESTERDAY):
        platform.put(f"orders/dt={day}/a.csv", f"order_id,email,amount\n{day.day},a@example.com,1\n".encode())
        platform.put(f"orders/dt={day}/_SUCCESS", b"")
    assert [r.success for r in platform.process()] == [True]
    lowered = make_platform(services, {"source": "acme", "feeds": [{**feed, "start_date": str(old)}]}, instance)
    assert [r.success for r in lowered.process()] == [True]
    assert lowered.query("select count(*) from {orders}") == [(2,)]
    assert lowered.process() == []


def test_a_refusal_of_which_nobody_could_be_notified_is_reported_by_a_later_tick(acme: Platform) -> None:
    settings = replace(acme.services.settings, failure_topic="arn:aws:sns:us-east-1:123456789012:gone")
    mute = replace(acme, services=replace(acme.services, settings=settings))
    acme.put("orders/dt=2025-01-01/a.csv", BODY)
    mute.tick()
    inbox = acme.messages
    for _ in range(2):
        acme.tick()
    assert [(m["event"], m["objects"]) for m in inbox.read()] == [("objects_refused", 1)]
