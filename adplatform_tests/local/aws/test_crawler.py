"""Glue crawlers against Parquet files in the embedded S3."""

import io
import time
import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.platform.aws import Aws

ROLE = "arn:aws:iam::123456789012:role/crawler"


@pytest.fixture
def lake(aws: Aws) -> str:
    """A bucket and a database of one name."""
    name = f"lake{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=name)
    aws.client("glue").create_database(DatabaseInput={"Name": name})
    return name


def put(aws: Aws, lake: str, key: str, table: pa.Table) -> None:
    body = io.BytesIO()
    pq.write_table(table, body)
    aws.client("s3").put_object(Bucket=lake, Key=key, Body=body.getvalue())


def new_crawler(aws: Aws, lake: str, path: str, **settings: Any) -> str:
    name = f"crawler-{uuid.uuid4().hex[:12]}"
    target = {"Path": f"s3://{lake}/{path}", **settings.pop("target", {})}
    aws.client("glue").create_crawler(
        Name=name, Role=ROLE, DatabaseName=lake, Targets={"S3Targets": [target]}, **settings
    )
    return name


def crawl(aws: Aws, name: str) -> dict[str, Any]:
    """Runs a crawler to its end; returns LastCrawl."""
    glue = aws.client("glue")
    glue.start_crawler(Name=name)
    deadline = time.monotonic() + 30
    while (crawler := glue.get_crawler(Name=name)["Crawler"])["State"] != "READY":
        assert crawler["State"] == "RUNNING"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    last: dict[str, Any] = crawler["LastCrawl"]
    return last


def columns(table: dict[str, Any]) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}


ORDERS = pa.table(
    {
        "Id": pa.array([1], pa.int64()),
        "amount": pa.array([Decimal("1.50")], pa.decimal128(12, 2)),
        "day": pa.array([date(2026, 1, 1)]),
        "at": pa.array([0], pa.timestamp("us", "UTC")),
        "tags": pa.array([["a"]], pa.list_(pa.string())),
        "buyer": pa.array([{"zip": "1", "age": 3}], pa.struct([("zip", pa.string()), ("age", pa.int32())])),
        "ok": pa.array([True]),
    }
)


def test_crawler_catalogues_types_and_partitions_of_parquet_files(aws: Aws, lake: str) -> None:
    glue = aws.client("glue")
    for day in ("2026-01-01", "2026-01-02"):
        put(aws, lake, f"clean/orders/dt={day}/region=e%20u/part-0.parquet", ORDERS)
    aws.client("s3").put_object(Bucket=lake, Key="clean/orders/_SUCCESS", Body=b"done")
    name = new_crawler(aws, lake, "clean/orders/", TablePrefix="raw_")
    assert glue.get_crawler(Name=name)["Crawler"]["State"] == "READY"
    assert "LastCrawl" not in glue.get_crawler(Name=name)["Crawler"]
    assert crawl(aws, name)["Status"] == "SUCCEEDED"
    table = glue.get_table(DatabaseName=lake, Name="raw_orders")["Table"]
    assert columns(table) == {
        "id": "bigint",
        "amount": "decimal(12,2)",
        "day": "date",
        "at": "timestamp",
        "tags": "array<string>",
        "buyer": "struct<zip:string,age:int>",
        "ok": "boolean",
    }
    assert table["PartitionKeys"] == [{"Name": "dt", "Type": "string"}, {"Name": "region", "Type": "string"}]
    assert table["StorageDescriptor"]["Location"] == f"s3://{lake}/clean/orders/"
    assert (table["Parameters"]["classification"], table["Parameters"]["recordCount"]) == ("parquet", "2")
    partitions = glue.get_partitions(DatabaseName=lake, TableName="raw_orders")["Partitions"]
    assert {tuple(p["Values"]): p["StorageDescriptor"]["Location"] for p in partitions} == {
        (day, "e u"): f"s3://{lake}/clean/orders/dt={day}/region=e%20u/" for day in ("2026-01-01", "2026-01-02")
    }


def test_second_crawl_adds_columns_and_partitions_and_otherwise_changes_nothing(aws: Aws, lake: str) -> None:
    glue = aws.client("glue")
    put(aws, lake, "t/dt=1/a.parquet", pa.table({"id": pa.array([1], pa.int32())}))
    name = new_crawler(aws, lake, "t", SchemaChangePolicy={"DeleteBehavior": "DELETE_FROM_DATABASE"})
    crawl(aws, name)
    crawl(aws, name)
    assert glue.get_table(DatabaseName=lake, Name="t")["Table"]["VersionId"] == "1"
    put(aws, lake, "t/dt=2/a.parquet", pa.table({"id": pa.array([1], pa.int64()), "note": ["x"]}))
    crawl(aws, name)
    assert columns(glue.get_table(DatabaseName=lake, Name="t")["Table"]) == {"id": "bigint", "note": "string"}
    assert len(glue.get_partitions(DatabaseName=lake, TableName="t")["Partitions"]) == 2
    aws.client("s3").delete_object(Bucket=lake, Key="t/dt=1/a.parquet")
    crawl(aws, name)
    assert [p["Values"] for p in glue.get_partitions(DatabaseName=lake, TableName="t")["Partitions"]] == [["2"]]


def test_each_folder_without_partitions_becomes_a_table(aws: Aws, lake: str) -> None:
    for key in ("clean/orders/a.parquet", "clean/customers-eu/dt=1/a.parquet", "clean/tmp/a.parquet"):
        put(aws, lake, key, pa.table({"id": [1]}))
    crawl(aws, new_crawler(aws, lake, "clean/", target={"Exclusions": ["tmp/*"]}))
    tables = aws.client("glue").get_tables(DatabaseName=lake)["TableList"]
    assert sorted(table["Name"] for table in tables) == ["customers_eu", "orders"]


def test_crawl_that_cannot_read_a_file_fails_and_creates_nothing(aws: Aws, lake: str) -> None:
    put(aws, lake, "t/a.parquet", pa.table({"id": [1]}))
    aws.client("s3").put_object(Bucket=lake, Key="t/b.csv", Body=b"id\n1\n")
    last = crawl(aws, new_crawler(aws, lake, "t"))
    assert last["Status"] == "FAILED"
    assert f"s3://{lake}/t/b.csv is no Parquet file" in last["ErrorMessage"]
    assert aws.client("glue").get_tables(DatabaseName=lake)["TableList"] == []


def test_files_whose_types_contradict_fail_the_crawl(aws: Aws, lake: str) -> None:
    put(aws, lake, "t/a.parquet", pa.table({"id": [1]}))
    put(aws, lake, "t/b.parquet", pa.table({"id": [["x"]]}))
    assert crawl(aws, new_crawler(aws, lake, "t"))["Status"] == "FAILED"


def test_crawls_are_listed_by_pages_and_from_a_time_on(aws: Aws, lake: str) -> None:
    put(aws, lake, "t/a.parquet", pa.table({"id": [1]}))
    name, glue = new_crawler(aws, lake, "t"), aws.client("glue")
    for _ in range(3):
        crawl(aws, name)
    first = glue.list_crawls(CrawlerName=name, MaxResults=2)
    second = glue.list_crawls(CrawlerName=name, MaxResults=2, NextToken=first["NextToken"])
    newest, middle, oldest = [*first["Crawls"], *second["Crawls"]]
    assert "NextToken" not in second
    assert oldest["StartTime"] < middle["StartTime"] < newest["StartTime"] <= newest["EndTime"]

    def listed(field: str, operator: str, value: object) -> list[str]:
        wanted = {"FieldName": field, "FilterOperator": operator, "FieldValue": str(value)}
        return [each["CrawlId"] for each in glue.list_crawls(CrawlerName=name, Filters=[wanted])["Crawls"]]

    later = int(middle["StartTime"].timestamp() * 1000)
    assert listed("START_TIME", "GE", later) == [newest["CrawlId"], middle["CrawlId"]]
    assert listed("CRAWL_ID", "EQ", oldest["CrawlId"]) == [oldest["CrawlId"]]
    assert listed("STATE", "NE", "COMPLETED") == []


def test_a_failed_crawl_says_why_in_the_list_of_crawls(aws: Aws, lake: str) -> None:
    put(aws, lake, "t/a.parquet", pa.table({"id": [1]}))
    put(aws, lake, "t/b.parquet", pa.table({"id": [["x"]]}))
    name = new_crawler(aws, lake, "t")
    crawl(aws, name)
    [failed] = aws.client("glue").list_crawls(CrawlerName=name)["Crawls"]
    assert (failed["State"], bool(failed["ErrorMessage"])) == ("FAILED", True)
