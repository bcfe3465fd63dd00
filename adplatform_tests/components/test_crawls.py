"""Feeds with ``crawl: true``, in Dagster: from a publication to the check of what a crawler found."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.components.assembly.crawls import CHECK
from adplatform.engines.crawls import crawl_watch, crawler_of, failed_crawls, provide_crawlers
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import EngineRun, IntentState, RunState
from adplatform_tests.support.crawls import order_fault, wait_for_crawl
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform, resources_with

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "crawl": True,
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)", "placed": "timestamp"},
    "key": "order_id",
}
BODY = b"order_id,amount,placed\n1,9.90,2026-11-01 10:00:00\n2,10.00,2026-11-01 11:00:00\n"
TARGET = "crawl-orders"


class Crawled:
    """A platform whose orders are crawled, and the sensor of its source, which remembers its cursor."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.services = platform, platform.services
        self.cursor: str | None = None
        provide_crawlers(self.services, platform.source)
        self.crawler = crawler_of(self.services, platform.flow("orders"))

    def deliver(self, body: bytes = BODY, day: object = YESTERDAY) -> None:
        self.platform.put(f"orders/dt={day}/orders.csv", body)
        self.platform.put(f"orders/dt={day}/_SUCCESS", body[:1])

    def tick(self) -> dg.SensorResult:
        sensor = self.platform.definitions.resolve_sensor_def(f"{self.platform.source.name}_arrivals")
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

    def publish(self, body: bytes = BODY, day: object = YESTERDAY) -> None:
        """A delivery that is published, of which the next tick hears."""
        self.deliver(body, day)
        assert len(list(self.tick().run_requests or ())) == 1

    def verdicts(self) -> list[dg.AssetCheckEvaluation]:
        """What the crawl that is wanted says: it is started, awaited and judged."""
        self.tick()
        wait_for_crawl(self.services.aws, self.crawler.name)
        return evaluations(self.tick())

    def runs(self) -> list[EngineRun]:
        return self.services.ledger.engine_runs.runs(self.platform.source.name, TARGET)

    def alter(self, **types: str) -> None:
        """Somebody gives columns of the table other types."""
        glue, (database, name) = self.services.glue, self.platform.table("orders").split(".")
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
        descriptor = table["StorageDescriptor"]
        changed = [{**c, "Type": types.get(c["Name"], c["Type"])} for c in descriptor["Columns"]]
        kept = {key: table[key] for key in ("Name", "PartitionKeys", "Parameters", "TableType")}
        descriptor = {**descriptor, "Columns": changed}
        glue.update_table(DatabaseName=database, TableInput={**kept, "StorageDescriptor": descriptor})


def evaluations(tick: dg.SensorResult) -> list[dg.AssetCheckEvaluation]:
    return [event for event in tick.asset_events if isinstance(event, dg.AssetCheckEvaluation)]


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Crawled:
    return Crawled(make_platform(services, {"source": "acme", "feeds": [ORDERS]}, instance))


def test_a_publication_is_crawled_and_the_crawler_agrees(acme: Crawled) -> None:
    acme.publish()
    [verdict] = acme.verdicts()
    assert (verdict.check_name, verdict.passed) == (CHECK, True), verdict.description
    assert verdict.asset_key == dg.AssetKey(["clean", "acme", "orders"])
    [intention] = acme.services.ledger.engine_runs.intentions("acme", TARGET)
    assert intention.key == f"acme/orders/{YESTERDAY}/v1"
    assert evaluations(acme.tick()) == []
    assert [i.state for i in acme.services.ledger.engine_runs.intentions("acme", TARGET)] == [IntentState.FULFILLED]
    glue = acme.services.glue
    assert glue.get_tables(DatabaseName=acme.crawler.database)["TableList"] == []


def test_a_table_that_somebody_altered_fails_the_check_and_people_hear_of_it_once(acme: Crawled) -> None:
    inbox = acme.platform.messages
    acme.publish()
    acme.alter(amount="string")
    [verdict] = acme.verdicts()
    assert not verdict.passed
    assert verdict.severity is dg.AssetCheckSeverity.WARN
    assert verdict.description == "column amount is decimal(12,2) in the files and string in the catalog"
    [row] = acme.runs()
    assert (row.state, row.error) == (RunState.SUCCEEDED, verdict.description)
    acme.platform.tick()
    told = [m for m in inbox.read() if m["event"] == "crawl_disagrees"]
    assert [m["feed"] for m in told] == ["acme/orders"]
    watch = crawl_watch(acme.services, acme.platform.source)
    watch.intend(watch.targets[0], "asked/1")
    [again] = acme.verdicts()
    assert not again.passed
    assert [m for m in inbox.read() if m["event"] == "crawl_disagrees"] == []
    acme.alter(amount="decimal(12,2)")
    watch.intend(watch.targets[0], "asked/2")
    [mended] = acme.verdicts()
    assert mended.passed


@pytest.mark.slow
def test_a_column_that_is_declared_no_more_is_no_difference_once_no_file_has_it(
    services: Services, instance: dg.DagsterInstance, acme: Crawled
) -> None:
    acme.publish()
    assert len(acme.verdicts()) == 1
    columns = {name: column for name, column in ORDERS["columns"].items() if name != "placed"}
    fewer = Crawled(make_platform(services, {"source": "acme", "feeds": [{**ORDERS, "columns": columns}]}, instance))
    fewer.publish(b"order_id,amount\n1,9.90\n")
    [verdict] = fewer.verdicts()
    assert verdict.passed, verdict.description
    fewer.alter(placed="string")
    watch = crawl_watch(services, fewer.platform.source)
    watch.intend(watch.targets[0], "asked/1")
    [again] = fewer.verdicts()
    assert again.passed, again.description


def test_publications_while_a_crawl_goes_on_are_one_more_crawl(acme: Crawled, aws_endpoint: str) -> None:
    days = [YESTERDAY - timedelta(days=n) for n in range(3)]
    acme.publish(day=days[0])
    order_fault(aws_endpoint, "stuck", acme.crawler.name, seconds=4)
    acme.tick()
    acme.publish(day=days[1])
    acme.tick()
    wait_for_crawl(acme.services.aws, acme.crawler.name)
    acme.publish(day=days[2])
    intended = acme.services.ledger.engine_runs.intentions("acme", TARGET)
    assert [i.key.split("/")[2] for i in intended] == [str(days[1]), str(days[0])]


@pytest.mark.slow
def test_what_is_published_during_a_crawl_is_no_difference(acme: Crawled, aws_endpoint: str) -> None:
    acme.publish()
    order_fault(aws_endpoint, "stuck", acme.crawler.name, seconds=1)
    acme.tick()
    acme.publish(day=YESTERDAY - timedelta(days=1))
    wait_for_crawl(acme.services.aws, acme.crawler.name)
    ends = evaluations(acme.tick())
    assert all(verdict.passed for verdict in ends)


def test_a_crawl_that_fails_says_why_and_judges_nothing(acme: Crawled, aws_endpoint: str) -> None:
    inbox = acme.platform.messages
    order_fault(aws_endpoint, "run_fails", acme.crawler.name)
    acme.publish()
    assert acme.verdicts() == []
    [row] = acme.runs()
    assert row.state is RunState.FAILED
    assert row.error == "PermissionError: adplatform-crawler is not authorized to perform s3:GetObject"
    assert [m["error"] for m in inbox.read() if m["event"] == "run_failed"] == [row.error]


def test_a_crawler_that_is_missing_or_writes_elsewhere_is_not_started_and_people_hear_what_to_do(acme: Crawled) -> None:
    inbox, glue = acme.platform.messages, acme.services.glue
    glue.delete_crawler(Name=acme.crawler.name)
    glue.create_crawler(**acme.crawler.request | {"DatabaseName": acme.platform.table("orders").split(".")[0]})
    acme.publish()
    acme.tick()
    glue.delete_crawler(Name=acme.crawler.name)
    acme.tick()
    refused = [m["error"] for m in inbox.read() if m["event"] == "target_refused"]
    assert "and is to write into" in refused[0]
    assert refused[1].startswith(f"there is no crawler {acme.crawler.name}")
    provide_crawlers(acme.services, acme.platform.source)
    [verdict] = acme.verdicts()
    assert verdict.passed


@pytest.mark.slow
@pytest.mark.parametrize(
    "rules",
    [
        {"partition_by": None},
        {
            "columns": {**ORDERS["columns"], "placed": {"required": True}},
            "partition_by": "placed",
            "key": ["order_id", "placed"],
        },
    ],
)
def test_however_a_table_is_partitioned_the_crawler_agrees(
    services: Services, instance: dg.DagsterInstance, rules: dict[str, Any]
) -> None:
    acme = Crawled(make_platform(services, {"source": "acme", "feeds": [{**ORDERS, **rules}]}, instance))
    acme.publish(day=YESTERDAY - timedelta(days=1))
    acme.publish(BODY + b"3,1.00,2026-11-01 12:00:00\n")
    [verdict] = acme.verdicts()
    assert verdict.passed, verdict.description
    acme.alter(amount="string")
    watch = crawl_watch(acme.services, acme.platform.source)
    watch.intend(watch.targets[0], "asked/1")
    [verdict] = acme.verdicts()
    assert "column amount is decimal(12,2) in the files" in str(verdict.description)


@pytest.mark.slow
def test_an_empty_delivery_is_no_difference(acme: Crawled) -> None:
    acme.publish(b"")
    [verdict] = acme.verdicts()
    assert verdict.passed, verdict.description


@pytest.mark.slow
def test_a_partition_that_somebody_registered_elsewhere_fails_the_check(acme: Crawled) -> None:
    acme.publish()
    glue, (database, name) = acme.services.glue, acme.platform.table("orders").split(".")
    [partition] = glue.get_partitions(DatabaseName=database, TableName=name)["Partitions"]
    moved = {**partition["StorageDescriptor"], "Location": "s3://elsewhere/orders/"}
    given = {"Values": partition["Values"], "StorageDescriptor": moved, "Parameters": partition["Parameters"]}
    glue.update_partition(
        DatabaseName=database, TableName=name, PartitionValueList=partition["Values"], PartitionInput=given
    )
    glue.create_partition(DatabaseName=database, TableName=name, PartitionInput={**given, "Values": ["2026-01-02"]})
    [verdict] = acme.verdicts()
    assert not verdict.passed
    assert f"partition '{YESTERDAY}' is registered at s3://elsewhere/orders/" in str(verdict.description)
    assert "dt=2026-01-02/ is registered and the crawler did not find it" in str(verdict.description)


def test_without_path_copies_nothing_is_crawled_and_people_hear_why(
    services: Services, instance: dg.DagsterInstance
) -> None:
    off = Services(replace(services.settings, path_copies=False), services.aws)
    acme = Crawled(make_platform(off, {"source": "acme", "feeds": [ORDERS]}, instance))
    inbox = acme.platform.messages
    acme.publish()
    acme.tick()
    assert acme.runs() == []
    [refused] = [m["error"] for m in inbox.read() if m["event"] == "target_refused"]
    assert refused.startswith("acme/orders cannot be crawled: a crawler reads the copies of current files")


@pytest.mark.slow
def test_a_crawl_of_somebody_else_is_judged_too(acme: Crawled) -> None:
    acme.publish()
    acme.services.glue.start_crawler(Name=acme.crawler.name)
    wait_for_crawl(acme.services.aws, acme.crawler.name)
    first = evaluations(acme.tick())
    assert [verdict.passed for verdict in first] == [True]


@pytest.mark.slow
def test_a_crawl_that_was_given_up_can_be_retried(acme: Crawled, aws_endpoint: str) -> None:
    order_fault(aws_endpoint, "stuck", acme.crawler.name)
    acme.publish()
    acme.tick()
    [row] = acme.runs()
    watch = crawl_watch(acme.services, acme.platform.source)
    watch.cancel(watch.targets[0], row)
    wait_for_crawl(acme.services.aws, acme.crawler.name)
    acme.tick()
    [failed] = failed_crawls(acme.services, acme.platform.source)
    assert failed.name == "acme/crawl-orders"
    assert failed.retry(acme.services).changed
    [verdict] = acme.verdicts()
    assert verdict.passed
    assert failed_crawls(acme.services, acme.platform.source) == []


def test_a_feed_without_crawl_has_no_such_check(services: Services, instance: dg.DagsterInstance) -> None:
    plain = make_platform(services, {"source": "acme", "feeds": [{**ORDERS, "crawl": False}]}, instance)
    asset = plain.definitions.resolve_assets_def(dg.AssetKey(["clean", "acme", "orders"]))
    assert CHECK not in {spec.name for spec in asset.check_specs}
    provide_crawlers(services, plain.source)
    assert list(crawl_watch(services, plain.source).targets) == []
