"""Which tables of the catalog a query opens."""

import uuid

import pytest

from adplatform.lake.query import run_query
from adplatform.lake.views import View
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import columns as columns_of
from adplatform_tests.support.calls import CountedAws

NAMES = "select table_name from information_schema.tables order by all"


@pytest.fixture
def database(aws: Aws) -> str:
    """Two tables and a view of one of them, all without rows."""
    name, glue = f"clean_{uuid.uuid4().hex[:8]}_acme", aws.client("glue")
    glue.create_database(DatabaseInput={"Name": name})
    columns = [{"Name": "id", "Type": "bigint"}]
    for table in ("clicks", "orders"):
        described = {"Columns": columns, "Location": f"s3://clean/{table}/"}
        keys = [{"Name": "dt", "Type": "date"}]
        given = {"Name": table, "StorageDescriptor": described, "PartitionKeys": keys}
        glue.create_table(DatabaseName=name, TableInput=given)
    view = View(name, "since_march", columns_of({"id": "bigint"}), f"SELECT id FROM {name}.orders")
    glue.create_table(DatabaseName=name, TableInput=view.table_input)
    return name


def asked(aws: Aws, database: str, sql: str) -> tuple[list[tuple[object, ...]], int]:
    """The rows, and of how many tables the partitions were listed."""
    counted = CountedAws(aws.region, aws.endpoint_url)
    _, rows = run_query(counted, counted.client("glue"), database, sql, 10)
    return rows, counted.names.count("GetPartitions")


@pytest.mark.parametrize("table", ["orders", "Orders", "since_march"])
def test_of_tables_that_a_query_does_not_name_nothing_is_asked(aws: Aws, database: str, table: str) -> None:
    assert asked(aws, database, f"select count(*) from {database}.{table}") == ([(0,)], 1)


def test_a_query_that_names_no_table_has_them_all(aws: Aws, database: str) -> None:
    rows, listed = asked(aws, database, NAMES)
    assert (listed, {("clicks",), ("orders",)} <= set(rows)) == (2, True)
