"""What services do with a table when it was published: from the publication to what came of it, in Dagster."""

import io
import json
import uuid
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import EndpointConnectionError

from adplatform.consumers.registration.entity_resolution import workflow_name
from adplatform.consumers.registration.quicksight import data_set_id
from adplatform.consumers.registration.registered import Clients, declared, registered
from adplatform.consumers.registration.resource import Place
from adplatform.engines.failed import FailedRun
from adplatform.engines.watches import failed_of_engines
from adplatform.engines.workloads.runs import look_at_workloads, workload_watch
from adplatform.flow.fitness import consumed_table
from adplatform.flow.services import Services
from adplatform.lake.table import table_name
from adplatform.ledger.engine_run import EngineRun, Intention, IntentState, RunState
from adplatform.platform.clock import utc_now
from adplatform_tests.support.calls import CountedAws, WatchedAws
from adplatform_tests.support.event_buses import Bus
from adplatform_tests.support.plainly import killed_at
from adplatform_tests.support.platforms import (
    YESTERDAY,
    Platform,
    forget_services,
    make_platform,
    make_services,
    resources_with,
)
from adplatform_tests.support.replication import administer
from adplatform_tests.support.spice import DataSet, make_data_set
from adplatform_tests.support.waiting import eventually
from adplatform_tests.support.warehouses import order_redshift_fault, statement

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)"},
}
TOTALS = "SELECT dt, sum(amount) AS amount FROM {table} GROUP BY dt"
SPICE, UNLOAD = "quicksight-orders", "athena-orders-totals"
DAYS = [YESTERDAY - timedelta(days=n) for n in range(3)]


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@dataclass
class Consumed:
    """A platform whose tables services read, and the sensor of its source, which remembers its cursor."""

    platform: Platform
    clock: Clock
    cursor: str | None = None

    @classmethod
    def make(cls, services: Services, instance: dg.DagsterInstance, *feeds: dict[str, Any]) -> "Consumed":
        clock = Clock()
        timed = replace(services, now=clock)
        return cls(make_platform(timed, {"source": "acme", "feeds": list(feeds)}, instance), clock)

    @property
    def services(self) -> Services:
        return self.platform.services

    def tick(self) -> dg.SensorResult:
        sensor = self.platform.definitions.resolve_sensor_def("acme_arrivals")
        context = dg.build_sensor_context(
            instance=self.platform.instance,
            definitions=self.platform.definitions,
            resources=resources_with(self.services),
            cursor=self.cursor,
        )
        tick: Any = sensor.evaluate_tick(context)
        self.cursor = tick.cursor
        for event in tick.asset_events:
            self.platform.instance.report_runless_asset_event(event)
        for request in tick.run_requests or ():
            assert self.platform.run(request).success
        return dg.SensorResult(asset_events=tick.asset_events, run_requests=tick.run_requests)

    def publish(self, day: date = YESTERDAY, feed: str = "orders", rows: int = 2, body: bytes = b"") -> None:
        made = "\n".join(["order_id,amount", *(f"{n},{n}.50" for n in range(rows))])
        self.platform.put(f"{feed}/dt={day}/{rows}.csv", body or made.encode())
        requests = []
        while not requests:
            requests = list(self.tick().run_requests or ())

    def register(self, *feeds: str) -> None:
        """What services are to have of the tables, as `adplatform consumers apply` makes it."""
        prefix, place = self.services.settings.database_prefix, Place(self.services.settings, self.services.account)
        own = [flow for flow in self.platform.source.feeds if not feeds or flow.feed.name in feeds]
        tables = [consumed_table(flow, prefix) for flow in own]
        known = declared([table for table in tables if table is not None], place, lambda _: True)
        assert known.refused == ()
        assert {done.failure for done in registered(Clients(self.services.aws), known.wanted)} == {""}

    def wanted(self, target: str) -> list[Intention]:
        found = self.services.ledger.engine_runs.intentions("acme", target)
        return sorted(found, key=lambda i: i.intended_at or utc_now())

    def runs(self, target: str) -> list[EngineRun]:
        return self.services.ledger.engine_runs.runs("acme", target)

    def until_done(self, target: str) -> list[dg.AssetMaterialization]:
        """Ticks until nothing more is wanted of the target; what was made."""
        made: list[dg.AssetMaterialization] = []
        for _ in range(100):
            made += [e for e in self.tick().asset_events if isinstance(e, dg.AssetMaterialization)]
            if not any(i.state in (IntentState.INTENDED, IntentState.STARTED) for i in self.wanted(target)):
                return made
            self.clock.ahead += timedelta(minutes=5)
        raise TimeoutError(f"{target}: {self.wanted(target)}")


def with_consumers(feed: dict[str, Any] = ORDERS, **consumers: Any) -> dict[str, Any]:
    return {**feed, "consumers": consumers}


@pytest.fixture
def imported(services: Services, instance: dg.DagsterInstance) -> tuple[Consumed, DataSet]:
    """Orders that QuickSight imports; the first publication has been."""
    acme = Consumed.make(services, instance, with_consumers(quicksight={}))
    acme.publish(DAYS[0])
    table = table_name("acme/orders", services.settings.database_prefix)
    columns = {"order_id": "INTEGER", "amount": "DECIMAL", "dt": "DATETIME"}
    return acme, make_data_set(services.aws, table.database, table.name, columns, data_set_id(table))


def asked(data_set: DataSet) -> list[str]:
    """The states of ingestions that were asked for."""
    found = data_set.client.list_ingestions(**data_set.named)["Ingestions"]
    return [each["IngestionStatus"] for each in found if each["RequestType"] == "FULL_REFRESH"]


def latest(services: Services, query: str) -> dict[str, Any]:
    key = f"table-unloads/acme/orders/{query}/latest.json"
    body = services.s3.get_object(Bucket=services.settings.clean_bucket, Key=key)["Body"].read()
    return dict(json.loads(body))


def files(services: Services, prefix: str) -> list[str]:
    found = services.s3.list_objects_v2(Bucket=services.settings.clean_bucket, Prefix=prefix).get("Contents", ())
    return [each["Key"] for each in found]


def stored(services: Services, result: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a result, in order."""
    [key] = files(services, result["location"].split("/", 3)[3])
    body = services.s3.get_object(Bucket=services.settings.clean_bucket, Key=key)["Body"].read()
    return sorted(tuple(row.values()) for row in pq.read_table(io.BytesIO(body)).to_pylist())


def taken_away(services: Services) -> bool:
    """Whether there were files of the query, which are not there any more."""
    keys = [key for key in files(services, "table-unloads/") if key.endswith(".parquet")]
    for key in keys:
        services.s3.delete_object(Bucket=services.settings.clean_bucket, Key=key)
    return bool(keys)


def test_the_next_look_puts_the_event_that_a_run_could_not(services: Services, instance: dg.DagsterInstance) -> None:
    bus = Bus.of(services)
    acme = Consumed.make(bus.services, instance, ORDERS)
    acme.publish()
    bus.made()
    acme.tick()
    acme.publish(DAYS[1])
    assert [event["detail"]["date"] for event in bus.read()] == list(map(str, DAYS[:2]))


def test_a_publication_is_imported_and_the_asset_downstream_of_the_table_says_what_came_of_it(
    imported: tuple[Consumed, DataSet],
) -> None:
    acme, data_set = imported
    [made] = acme.until_done(SPICE)
    assert made.asset_key == dg.AssetKey(["consumers", "acme", "orders", "quicksight"])
    assert made.metadata["dagster/row_count"].value == 2
    assert asked(data_set) == ["COMPLETED"]
    [intention] = acme.wanted(SPICE)
    assert (intention.key, intention.state) == (f"acme/orders/{DAYS[0]}/v1", IntentState.FULFILLED)
    graph = acme.platform.definitions.resolve_asset_graph()
    assert graph.get(made.asset_key).parent_keys == {dg.AssetKey(["clean", "acme", "orders"])}
    assert graph.get(made.asset_key).group_name == "acme"


def test_publications_during_an_import_are_one_import_more(imported: tuple[Consumed, DataSet]) -> None:
    acme, data_set = imported
    data_set.order("stuck")
    acme.tick()
    for day in DAYS[1:3]:
        acme.publish(day)
    [stuck] = acme.runs(SPICE)
    assert asked(data_set) == ["INITIALIZED"]
    data_set.client.cancel_ingestion(**data_set.named, IngestionId=stuck.run_id)
    [made] = acme.until_done(SPICE)
    assert made.metadata["dagster/row_count"].value == 6
    assert asked(data_set) == ["COMPLETED", "CANCELLED"]
    assert [i.state for i in acme.wanted(SPICE)] == [
        IntentState.GIVEN_UP,
        IntentState.SUPERSEDED,
        IntentState.FULFILLED,
    ]


@pytest.mark.slow
def test_a_version_that_takes_the_place_of_another_is_imported_once_more(imported: tuple[Consumed, DataSet]) -> None:
    acme, data_set = imported
    acme.until_done(SPICE)
    acme.publish(DAYS[0], rows=3)
    [made] = acme.until_done(SPICE)
    assert [i.key.rpartition("/")[2] for i in acme.wanted(SPICE)] == ["v1", "v2"]
    acme.tick()
    assert asked(data_set) == ["COMPLETED", "COMPLETED"]
    assert made.metadata["dagster/row_count"].value in (3, 5)


@pytest.mark.slow
def test_an_import_that_is_not_shown_any_more_holds_up_the_next_for_a_while_only(
    imported: tuple[Consumed, DataSet],
) -> None:
    acme, data_set = imported
    acme.tick()
    told = data_set.client.describe_data_set(**data_set.named)["DataSet"]
    data_set.client.delete_data_set(**data_set.named)
    same = {name: told[name] for name in ("Name", "ImportMode", "PhysicalTableMap")}
    data_set.client.create_data_set(**data_set.named, **same)
    acme.publish(DAYS[1])
    acme.tick()
    assert asked(data_set) == []
    acme.clock.ahead += timedelta(minutes=16)
    acme.tick()
    assert len(asked(data_set)) == 1
    assert [run.overdue for run in acme.runs(SPICE)] == [True, False]


@pytest.mark.parametrize(
    "fault",
    ["answer_lost", *(pytest.param(each, marks=pytest.mark.slow) for each in ("throttled", "no_records", "quota"))],
)
def test_an_answer_that_is_lost_or_refused_for_now_begins_no_second_import(
    imported: tuple[Consumed, DataSet], fault: str
) -> None:
    acme, data_set = imported
    data_set.order(fault)
    assert len(acme.until_done(SPICE)) == 1
    assert asked(data_set) == ["COMPLETED"]
    assert len(acme.runs(SPICE)) == 1


@pytest.mark.parametrize("when", [pytest.param("before-call", marks=pytest.mark.slow), "after-call"])
def test_a_look_that_is_killed_as_it_asks_leaves_one_import_to_the_next(
    imported: tuple[Consumed, DataSet], when: str
) -> None:
    acme, data_set = imported
    plain = Services(acme.services.settings, acme.services.aws)
    look = partial(look_at_workloads, source=acme.platform.source)
    assert killed_at(plain, look, 1, ("CreateIngestion",), when)[0] < 0
    acme.clock.ahead += timedelta(minutes=5)
    assert len(acme.until_done(SPICE)) == 1
    assert asked(data_set) == ["COMPLETED"]
    assert [run.adopted for run in acme.runs(SPICE)] == [True]


def test_an_import_that_fails_or_drops_rows_is_tried_again_and_given_up_and_people_hear_why(
    imported: tuple[Consumed, DataSet],
) -> None:
    acme, data_set = imported
    inbox = acme.platform.messages
    data_set.order("run_fails")
    for _ in range(3):
        data_set.order("rows_dropped", count=1)
    assert acme.until_done(SPICE) == []
    errors = [run.error for run in acme.runs(SPICE)]
    assert errors[0].startswith("CONNECTION_FAILURE")
    assert all(error.startswith("SPICE dropped 1 rows and has 1: ") for error in errors[1:])
    assert [run.state for run in acme.runs(SPICE)] == [RunState.FAILED] * 3
    acme.tick()
    events = [message["event"] for message in inbox.read() if message["event"].startswith("run_")]
    assert events == ["run_failed"] * 3 + ["run_given_up"]
    [failed] = failed_of_engines(acme.services, acme.platform.source)
    assert isinstance(failed, FailedRun) and failed.retry(acme.services).changed
    assert len(acme.until_done(SPICE)) == 1
    assert failed_of_engines(acme.services, acme.platform.source) == []


def test_what_is_not_registered_is_not_started_and_people_hear_what_to_do(
    services: Services, instance: dg.DagsterInstance
) -> None:
    acme = Consumed.make(services, instance, with_consumers(quicksight={}))
    inbox = acme.platform.messages
    acme.publish()

    def unreachable() -> None:
        raise EndpointConnectionError(endpoint_url="https://sts")

    aws = services.aws
    cut_off = WatchedAws(aws.region, aws.endpoint_url, called=unreachable, services=frozenset({"sts"}))
    look_at_workloads(replace(services, aws=cut_off), acme.platform.source)
    for _ in range(2):
        acme.tick()
    [refused] = [message["error"] for message in inbox.read() if message["event"] == "target_refused"]
    assert refused.endswith("in QuickSight: `adplatform consumers apply` makes it")


def test_while_nothing_is_wanted_a_look_asks_no_service(imported: tuple[Consumed, DataSet]) -> None:
    acme, _ = imported
    acme.until_done(SPICE)
    aws = CountedAws(acme.services.aws.region, acme.services.aws.endpoint_url)
    acme.platform = replace(acme.platform, services=replace(acme.services, aws=aws))
    acme.tick()
    acme.tick()
    aws.names.clear()
    acme.tick()
    assert set(aws.names) <= {"GetQueueUrl", "ReceiveMessage", "Query", "GetItem", "BatchGetItem"}
    assert len(aws.names) <= 8, aws.names


def test_a_query_is_stored_by_dates_and_the_newest_result_is_named_beside_it(
    services: Services, instance: dg.DagsterInstance
) -> None:
    dated = TOTALS.replace(" GROUP", " WHERE dt = '{date}' GROUP")
    acme = Consumed.make(services, instance, with_consumers(athena={"unloads": {"totals": TOTALS, "of_date": dated}}))
    for day in DAYS[:2]:
        acme.publish(day)
    acme.register()
    by_date = acme.until_done("athena-orders-of_date")
    acme.until_done(UNLOAD)
    assert [i.key for i in acme.wanted("athena-orders-of_date")] == [f"acme/orders/{day}/v1" for day in DAYS[:2]]
    assert {i.state for i in acme.wanted("athena-orders-of_date")} == {IntentState.FULFILLED}
    assert by_date[-1].metadata["dagster/row_count"].value == 1
    assert latest(services, f"of_date/{DAYS[1]}")["date"] == str(DAYS[1])
    whole = latest(services, "totals")
    assert whole["rows"] == 2
    assert stored(services, whole) == [(str(DAYS[1]), Decimal("2.00")), (str(DAYS[0]), Decimal("2.00"))]
    assert whole["query_execution_id"] == acme.runs(UNLOAD)[-1].run_id
    acme.publish(DAYS[0], rows=3)
    acme.until_done("athena-orders-of_date")
    acme.until_done(UNLOAD)
    newest = latest(services, "totals")
    assert newest["location"] != whole["location"]
    # The first query is so slow that it ends only now.
    late = whole["location"].split("/", 3)[3]
    services.s3.put_object(Bucket=services.settings.clean_bucket, Key=f"{late}1.parquet", Body=b"")
    watch = workload_watch(acme.services, acme.platform.source)
    [judge] = [each.judge for each in watch.targets if each.name == UNLOAD]
    assert judge is not None
    assert judge(acme.runs(UNLOAD)[0]) == "nothing is kept of it: a later run has left a newer result"
    assert latest(services, "totals") == newest
    assert len(files(services, "table-unloads/acme/orders/totals/")) == 2
    assert len(files(services, "table-unloads/acme/orders/of_date/")) == 4


def test_a_query_that_succeeds_and_leaves_nothing_has_failed(services: Services, instance: dg.DagsterInstance) -> None:
    acme = Consumed.make(services, instance, with_consumers(athena={"unloads": {"totals": TOTALS}}))
    acme.publish()
    acme.register()
    acme.tick()
    eventually(lambda: taken_away(services))
    [made] = acme.until_done(UNLOAD)
    first, second = acme.runs(UNLOAD)
    assert (first.state, second.state) == (RunState.FAILED, RunState.SUCCEEDED)
    assert first.error.startswith("the query succeeded, and nothing is below s3://")
    assert made.description == second.error


@pytest.mark.slow
def test_a_query_without_rows_leaves_no_files_and_is_none_the_worse(
    services: Services, instance: dg.DagsterInstance
) -> None:
    none = with_consumers(athena={"unloads": {"totals": "SELECT dt FROM {table} WHERE order_id < 0 -- none;\n ;"}})
    acme = Consumed.make(services, instance, none)
    acme.publish()
    acme.register()
    [made] = acme.until_done(UNLOAD)
    assert (made.metadata["dagster/row_count"].value, latest(services, "totals")["rows"]) == (0, 0)


def test_what_waits_for_other_feeds_begins_when_all_have_the_date_and_again_when_one_comes_anew(
    services: Services, instance: dg.DagsterInstance
) -> None:
    customers = {**ORDERS, "name": "customers"}
    waits = with_consumers(athena={"unloads": {"totals": TOTALS}, "after": ["customers"]})
    acme = Consumed.make(services, instance, waits, customers)
    acme.publish(DAYS[0])
    acme.publish(DAYS[1], "customers")
    assert acme.wanted(UNLOAD) == []
    acme.publish(DAYS[0], "customers")
    assert [i.key for i in acme.wanted(UNLOAD)] == [f"acme/customers/{DAYS[0]}/v1"]
    acme.publish(DAYS[0], "customers", rows=3)
    acme.publish(DAYS[1])
    keys = [f"acme/customers/{DAYS[0]}/v2", f"acme/orders/{DAYS[1]}/v1"]
    assert [i.key for i in acme.wanted(UNLOAD)][1:] == keys
    graph = acme.platform.definitions.resolve_asset_graph()
    parents = graph.get(dg.AssetKey(["consumers", "acme", "orders", "athena", "totals"])).parent_keys
    assert parents == {dg.AssetKey(["clean", "acme", name]) for name in ("orders", "customers")}


MEMBERS: dict[str, Any] = {
    "name": "members",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "partition_by": None,
    "key": "member_id",
    "columns": {
        "member_id": {"required": True, "pii": {"kind": "generic_id", "treatment": ["lake", "short_id"]}},
        "email": {"pii": "email"},
    },
}
MATCHED: dict[str, Any] = {
    "unique_id": "member_id_short_id",
    "columns": {"email_lake": "EMAIL_ADDRESS"},
    "rules": [{"name": "by_email", "match": "email_lake"}],
    "run": "published",
}
MATCHING = "entity_resolution-members"
PEOPLE = b"member_id,email\nm1,ann@example.com\nm2,ann@example.com\nm3,bob@example.com\n"


@pytest.fixture
def matched(services: Services, instance: dg.DagsterInstance) -> Consumed:
    """Members that Entity Resolution matches, of whom two have one address; the first publication has been."""
    acme = Consumed.make(services, instance, with_consumers(MEMBERS, entity_resolution=MATCHED))
    acme.publish(feed="members", body=PEOPLE)
    acme.register()
    return acme


def order_matching(acme: Consumed, fault: str, **more: Any) -> None:
    table = table_name("acme/members", acme.services.settings.database_prefix)
    target = workflow_name(table)
    administer(acme.services.aws, fault={"service": "entityresolution", "name": fault, "target": target, **more})


def jobs(acme: Consumed) -> list[str]:
    name = workflow_name(table_name("acme/members", acme.services.settings.database_prefix))
    found = acme.services.aws.client("entityresolution").list_matching_jobs(workflowName=name)["jobs"]
    return [job["status"] for job in found]


def test_a_publication_is_matched_and_the_counts_are_those_of_the_job(matched: Consumed) -> None:
    [made] = matched.until_done(MATCHING)
    assert made.asset_key == dg.AssetKey(["consumers", "acme", "members", "entity_resolution"])
    assert made.metadata["dagster/row_count"].value == 3
    assert made.description == "3 records, 2 match ids"
    assert jobs(matched) == ["SUCCEEDED"]


def test_what_is_matched_comes_back_as_a_table_that_each_job_replaces(
    services: Services, instance: dg.DagsterInstance
) -> None:
    dated = {**MEMBERS, "partition_by": "dt"}
    acme = Consumed.make(
        services, instance, with_consumers(dated, entity_resolution={**MATCHED, "results": "member_matches"})
    )
    acme.publish(DAYS[0], "members", body=PEOPLE)
    acme.register("members")

    def came(rows: int) -> bool:
        acme.tick()
        table = table_name("acme/member_matches", services.settings.database_prefix)
        is_there = services.lake.catalog.table(table) is not None
        return is_there and acme.platform.query("select count(*) from {member_matches}") == [(rows,)]

    pairs = "select a.match_id = b.match_id from {member_matches} a join {member_matches} b on a.%s < b.%s"
    pairs %= ("member_id_short_id", "member_id_short_id")
    assert len(acme.until_done(MATCHING)) == 1
    eventually(lambda: came(3))
    assert sorted(acme.platform.query(pairs)) == [(False,), (False,), (True,)]
    # A date before, which is in the table, too.
    acme.publish(DAYS[1], "members", body=b"member_id,email\nm4,ann@example.com\n")
    assert len(acme.until_done(MATCHING)) == 1
    eventually(lambda: came(4))
    assert sorted(acme.platform.query(pairs)) == [(False,)] * 3 + [(True,)] * 3
    graph = acme.platform.definitions.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["raw", "acme", "member_matches"])).parent_keys == {
        dg.AssetKey(["consumers", "acme", "members", "entity_resolution"])
    }


@pytest.mark.parametrize(
    "fault",
    [
        "answer_lost",
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("run_fails", "throttled", "records_refused")),
    ],
)
def test_a_matching_job_is_one_whatever_is_lost_and_what_fails_is_tried_again(matched: Consumed, fault: str) -> None:
    order_matching(matched, fault)
    assert len(matched.until_done(MATCHING)) == 1
    first = {"run_fails": ["FAILED"], "records_refused": ["SUCCEEDED"]}.get(fault, [])
    assert jobs(matched) == ["SUCCEEDED", *first]
    [intention] = matched.wanted(MATCHING)
    assert (intention.state, intention.attempt) == (IntentState.FULFILLED, 1 + len(first))


@pytest.mark.slow
def test_a_job_of_somebody_else_is_waited_for(matched: Consumed) -> None:
    order_matching(matched, "stuck", seconds=2)
    name = workflow_name(table_name("acme/members", matched.services.settings.database_prefix))
    matched.services.aws.client("entityresolution").start_matching_job(workflowName=name)
    matched.tick()
    [intention] = matched.wanted(MATCHING)
    assert intention.error.startswith("another run is going on: ")
    eventually(lambda: jobs(matched) == ["SUCCEEDED"])
    assert len(matched.until_done(MATCHING)) == 1
    assert jobs(matched) == ["SUCCEEDED", "SUCCEEDED"]


REFRESHED = "redshift-orders"


@pytest.fixture
def refreshed(services: Services, instance: dg.DagsterInstance) -> Consumed:
    """Orders over which Redshift has a view; the first publication has been."""
    workgroup = f"group-{uuid.uuid4().hex[:8]}"
    shown = f"totals_{uuid.uuid4().hex[:8]}"
    settings = replace(services.settings, redshift_workgroup=workgroup, redshift_role="spectrum")
    acme = Consumed.make(replace(services, settings=settings), instance, with_consumers(redshift={"refresh": [shown]}))
    acme.publish()
    acme.register()
    database = f"{settings.database_prefix}acme"
    view = f'create materialized view {shown} as select count(*) as n from "{database}"."orders"'
    assert statement(services.aws, workgroup, view)["Status"] == "FINISHED"
    return acme


def shown_view(acme: Consumed) -> str:
    redshift = acme.platform.flow("orders").feed.consumers.redshift
    assert redshift is not None
    return redshift.refresh[0]


def test_views_of_a_table_are_refreshed(refreshed: Consumed) -> None:
    [made] = refreshed.until_done(REFRESHED)
    assert (made.description, len(refreshed.runs(REFRESHED))) == (f"refreshed {shown_view(refreshed)}", 1)


@pytest.mark.parametrize(
    "fault",
    ["answer_lost", *(pytest.param(each, marks=pytest.mark.slow) for each in ("run_fails", "throttled", "no_records"))],
)
def test_a_refresh_is_one_whatever_is_lost_and_what_fails_is_tried_again(refreshed: Consumed, fault: str) -> None:
    workgroup = refreshed.services.settings.redshift_workgroup
    order_redshift_fault(refreshed.services.aws, fault, workgroup)
    [made] = refreshed.until_done(REFRESHED)
    assert made.metadata["adplatform/state"].value == "succeeded"
    client = refreshed.services.aws.client("redshift-data")
    listed = client.list_statements(WorkgroupName=workgroup, Status="ALL")["Statements"]
    refreshes = [
        each for each in listed if each.get("QueryString") == f"REFRESH MATERIALIZED VIEW {shown_view(refreshed)}"
    ]
    assert len(refreshes) == len(refreshed.runs(REFRESHED)) == 1 + (fault == "run_fails")


TRAINED = "sagemaker-orders"
PARAMETERS = {"Input": "{table}", "Date": "{date}"}


@pytest.fixture
def trained(services: Services, instance: dg.DagsterInstance) -> Consumed:
    """Orders of which a pipeline is executed for each date; the first publication has been."""
    name = f"pipeline-{uuid.uuid4().hex[:8]}"
    given = {"PipelineName": name, "PipelineDefinition": "{}", "RoleArn": "arn:aws:iam::123456789012:role/pipeline"}
    services.aws.client("sagemaker").create_pipeline(**given)
    acme = Consumed.make(services, instance, with_consumers(sagemaker={"pipeline": name, "parameters": PARAMETERS}))
    acme.publish(DAYS[0])
    return acme


def pipeline(acme: Consumed) -> str:
    return str(acme.platform.flow("orders").feed.consumers.sagemaker.pipeline)  # type: ignore[union-attr]


def parameters(acme: Consumed) -> list[dict[str, str]]:
    """Those of each execution, the oldest first."""
    client = acme.services.aws.client("sagemaker")
    arns = [run.run_id for run in acme.runs(TRAINED)]
    listed = [client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn) for arn in arns]
    return [{each["Name"]: each["Value"] for each in found["PipelineParameters"]} for found in listed]


def test_a_pipeline_is_executed_for_each_date_with_its_parameters(trained: Consumed) -> None:
    trained.publish(DAYS[1])
    assert len(trained.until_done(TRAINED)) == 2
    table = f'"{trained.services.settings.database_prefix}acme"."orders"'
    assert parameters(trained) == [{"Input": table, "Date": str(day)} for day in DAYS[:2]]


@pytest.mark.parametrize(
    "fault",
    ["answer_lost", *(pytest.param(each, marks=pytest.mark.slow) for each in ("run_fails", "throttled", "no_records"))],
)
def test_an_execution_is_one_whatever_is_lost_and_what_fails_is_tried_again(trained: Consumed, fault: str) -> None:
    fails = fault == "run_fails"
    administer(trained.services.aws, fault={"service": "sagemaker", "name": fault, "target": pipeline(trained)})
    [made] = trained.until_done(TRAINED)
    assert made.description == f"the pipeline {pipeline(trained)} succeeded"
    found = trained.services.aws.client("sagemaker").list_pipeline_executions(PipelineName=pipeline(trained))
    assert len(found["PipelineExecutionSummaries"]) == len(trained.runs(TRAINED)) == 1 + fails


def test_an_execution_that_is_cancelled_is_stopped_and_not_begun_again(trained: Consumed) -> None:
    administer(trained.services.aws, fault={"service": "sagemaker", "name": "stuck", "target": pipeline(trained)})
    trained.tick()
    [run] = trained.runs(TRAINED)
    watch = workload_watch(trained.services, trained.platform.source)
    watch.cancel(watch.targets[0], run)
    assert trained.until_done(TRAINED) == []
    assert [(each.state, each.said) for each in trained.runs(TRAINED)] == [(RunState.CANCELLED, "Stopped")]


@pytest.mark.slow
def test_two_platforms_of_an_account_have_runs_of_their_own(services: Services, instance: dg.DagsterInstance) -> None:
    other = make_services(services.aws, services.settings.home)
    for each in (services, other):
        acme = Consumed.make(each, instance, with_consumers(athena={"unloads": {"totals": TOTALS}}))
        acme.publish()
        acme.register()
        assert len(acme.until_done(UNLOAD)) == 1
        assert latest(each, "totals")["location"].startswith(f"s3://{each.settings.clean_bucket}/")
    forget_services(other)


def test_a_run_is_stopped_by_its_id_and_not_begun_again(imported: tuple[Consumed, DataSet]) -> None:
    acme, data_set = imported
    data_set.order("stuck")
    acme.tick()
    [run] = acme.runs(SPICE)
    watch = workload_watch(acme.services, acme.platform.source)
    watch.cancel(watch.targets[0], run)
    assert acme.until_done(SPICE) == []
    assert asked(data_set) == ["CANCELLED"]
