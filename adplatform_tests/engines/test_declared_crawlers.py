"""Crawlers that YAML declares: what Glue is asked for, what differs, and what a start does that is not shown yet."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adplatform.engines.crawler import GlueCrawler
from adplatform.engines.declared_crawlers import DeclaredCrawler, declared_crawler, drift, provide
from adplatform.engines.engine import Finding, Started
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention
from adplatform_tests.support.crawls import crawls, order_fault, put_parquet, wait_for_crawl


@pytest.fixture
def orders(services: Services) -> DeclaredCrawler:
    """The crawler of a table with one date, made."""
    services.s3.create_bucket(Bucket=services.zones.clean_bucket)
    put_parquet(services.aws, services.zones.clean_bucket, "acme/orders/dt=2026-01-01/a.parquet", {"id": [1]})
    declared = declared_crawler(services.settings, services.zones, "acme/orders", partitioned=True)
    assert provide(services.glue, declared)
    return declared


def described(services: Services, declared: DeclaredCrawler) -> dict[str, Any]:
    found: dict[str, Any] = services.glue.get_crawler(Name=declared.name)["Crawler"]
    return found


def test_a_crawler_is_made_once_and_can_change_no_table_that_is_registered(
    services: Services, orders: DeclaredCrawler
) -> None:
    made = described(services, orders)
    assert not provide(services.glue, replace(orders, role="another"))
    assert described(services, orders) == made
    assert not made["DatabaseName"].startswith(services.settings.database_prefix)
    assert set(made["SchemaChangePolicy"].values()) == {"LOG"}
    assert made["Targets"]["S3Targets"][0]["Path"] == f"s3://{services.zones.clean_bucket}/acme/orders/"
    assert list(drift(orders, made)) == []


@pytest.mark.parametrize(
    ("changes", "fatal", "says"),
    [
        ({"DatabaseName": "clean_acme"}, True, "writes into database clean_acme"),
        ({"Targets": {"S3Targets": [{"Path": "s3://other/"}]}}, True, "reads s3://other, and is to read s3://"),
        ({"Targets": {"CatalogTargets": [{"DatabaseName": "d", "Tables": ["t"]}]}}, True, "reads CatalogTargets"),
        ({"SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE"}}, False, "set its update and delete behavior"),
        ({"Configuration": json.dumps({"Version": 1.0})}, False, "groups files into tables in another way"),
        ({"Role": "arn:aws:iam::123456789012:role/admin"}, False, "reads as arn:aws:iam::123456789012:role/admin"),
    ],
)
def test_what_differs_is_a_finding(
    services: Services, orders: DeclaredCrawler, changes: dict[str, Any], fatal: bool, says: str
) -> None:
    [finding] = drift(orders, described(services, orders) | changes)
    assert finding.fatal is fatal
    assert says in finding.text


def test_a_role_by_its_arn_is_no_difference(services: Services, orders: DeclaredCrawler) -> None:
    by_arn = {"Role": f"arn:aws:iam::123456789012:role/{orders.role}"}
    assert list(drift(orders, described(services, orders) | by_arn)) == []


def test_a_database_that_is_missing_is_a_finding(services: Services, orders: DeclaredCrawler) -> None:
    services.glue.delete_database(Name=orders.database)
    [finding] = GlueCrawler(services.glue, orders).check()
    assert finding.fatal
    assert "there is no database" in finding.text
    assert GlueCrawler(services.glue, orders, "copies are off").check()[0] == Finding("copies are off")


def test_a_crawl_that_was_started_and_is_not_shown_yet_is_found_by_the_next_call(
    services: Services, orders: DeclaredCrawler, aws_endpoint: str
) -> None:
    engine, asked = GlueCrawler(services.glue, orders), datetime.now(UTC)
    order_fault(aws_endpoint, "no_records", orders.name, times=2)
    wanted = Intention("acme", "crawl-orders", "k", begun=1, begun_at=asked, window_end=asked)
    with pytest.raises(TransientFailure, match="does not show it yet"):
        engine.start(wanted)
    wait_for_crawl(services.aws, orders.name)
    answer = engine.start(replace(wanted, begun=2))
    assert isinstance(answer, Started)
    assert answer.adopted
    assert len(crawls(services.aws, orders.name)) == 1


def test_a_crawl_of_before_what_is_wanted_is_not_taken_for_it(services: Services, orders: DeclaredCrawler) -> None:
    services.glue.start_crawler(Name=orders.name)
    wait_for_crawl(services.aws, orders.name)
    since = datetime.now(UTC)
    wanted = Intention("acme", "crawl-orders", "k", begun=2, begun_at=since, window_end=since)
    answer = GlueCrawler(services.glue, orders).start(wanted)
    assert isinstance(answer, Started)
    assert not answer.adopted


def test_a_start_removes_what_earlier_crawls_left(services: Services, orders: DeclaredCrawler) -> None:
    glue, root = services.glue, "acme/orders/dt="
    glue.start_crawler(Name=orders.name)
    wait_for_crawl(services.aws, orders.name)
    services.s3.delete_object(Bucket=services.zones.clean_bucket, Key=f"{root}2026-01-01/a.parquet")
    put_parquet(services.aws, services.zones.clean_bucket, f"{root}2026-01-02/a.parquet", {"id": ["x"]})
    GlueCrawler(glue, orders).start(Intention("acme", "crawl-orders", "k", begun=1))
    wait_for_crawl(services.aws, orders.name)
    [table] = glue.get_tables(DatabaseName=orders.database)["TableList"]
    assert [(c["Name"], c["Type"]) for c in table["StorageDescriptor"]["Columns"]] == [("id", "string")]
    partitions = glue.get_partitions(DatabaseName=orders.database, TableName=table["Name"])["Partitions"]
    assert [p["Values"] for p in partitions] == [["2026-01-02"]]


def test_only_the_crawl_that_is_named_is_stopped(
    services: Services, orders: DeclaredCrawler, aws_endpoint: str
) -> None:
    order_fault(aws_endpoint, "stuck", orders.name, seconds=2)
    services.glue.start_crawler(Name=orders.name)
    with pytest.raises(PermanentFailure, match="is not at crawl another"):
        GlueCrawler(services.glue, orders).cancel("another")
    assert wait_for_crawl(services.aws, orders.name)["State"] == "COMPLETED"
