"""The Data API of Redshift of the embedded AWS: external schemas, who may use them, and what they show."""

import io
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from adplatform.platform.aws import Aws
from adplatform_tests.support.spice import put_table
from adplatform_tests.support.warehouses import ROLE, order_redshift_fault, rows, statement

ORDERS = pa.table({"id": pa.array([1, 2], pa.int64()), "note": ["it's", None]})
SCHEMA = "create external schema if not exists \"lake\" from data catalog database '{}' iam_role '" + ROLE + "'"


@pytest.fixture
def workgroup() -> str:
    return f"wg-{uuid.uuid4().hex[:12]}"


def test_an_external_schema_shows_the_tables_of_the_catalog(aws: Aws, workgroup: str) -> None:
    database, table = put_table(aws, ORDERS, {"id": "bigint", "note": "string"})
    assert statement(aws, workgroup, SCHEMA.format(database))["Status"] == "FINISHED"
    assert rows(aws, workgroup, f"select id, note from lake.{table} order by id") == [(1, "it's"), (2, True)]
    named = [{"name": "note", "value": "it's"}]
    assert rows(aws, workgroup, f"select count(*) from lake.{table} where note = :note", Parameters=named) == [(1,)]
    seen = rows(aws, workgroup, "select schemaname, databasename, esoptions from svv_external_schemas")
    assert seen == [("lake", database, f'{{"IAM_ROLE":"{ROLE}"}}')]
    assert "already exists" in statement(aws, workgroup, SCHEMA.format(database).replace("if not exists ", ""))["Error"]


def test_a_transaction_is_done_as_a_whole_or_not_and_single_commits_one_by_one(aws: Aws, workgroup: str) -> None:
    grant = 'grant usage on schema "lake" to role "nobody"'
    privileges = "select namespace_name, privilege_type, identity_type, identity_name from svv_schema_privileges"
    schemas = "select schemaname from svv_external_schemas"
    told = statement(aws, workgroup, SCHEMA.format("any"), grant, "create role late")
    assert (told["Status"], [each["Status"] for each in told["SubStatements"]]) == (
        "FAILED",
        ["FINISHED", "FAILED", "ABORTED"],
    )
    assert 'role "nobody" does not exist' in told["Error"]
    assert rows(aws, workgroup, schemas) == []
    alone = ("create role nobody", SCHEMA.format("any"), grant)
    assert statement(aws, workgroup, *alone, ExecutionMode="AUTO_COMMIT")["Status"] == "FINISHED"
    assert rows(aws, workgroup, privileges) == [("lake", "USAGE", "role", "nobody")]
    statement(aws, workgroup, grant.replace("grant", "revoke").replace(" to ", " from "))
    assert rows(aws, workgroup, privileges) == []


def test_a_token_is_for_one_statement_and_an_answer_may_be_lost(aws: Aws, workgroup: str) -> None:
    order_redshift_fault(aws, "answer_lost", workgroup)
    with pytest.raises(ClientError, match="InternalServerException"):
        statement(aws, workgroup, "create role once", ClientToken="t")
    assert statement(aws, workgroup, "create role once", ClientToken="t")["Status"] == "FINISHED"
    with pytest.raises(ClientError, match="other parameters"):
        statement(aws, workgroup, "create role twice", ClientToken="t")
    order_redshift_fault(aws, "run_fails", workgroup)
    assert "not available" in statement(aws, workgroup, "select 1")["Error"]


def test_a_statement_that_is_stuck_can_be_cancelled(aws: Aws, workgroup: str) -> None:
    client = aws.client_once("redshift-data")
    order_redshift_fault(aws, "stuck", workgroup)
    id = client.execute_statement(Sql="create role late", WorkgroupName=workgroup, Database="dev")["Id"]
    client.cancel_statement(Id=id)
    assert client.describe_statement(Id=id)["Status"] == "ABORTED"
    assert statement(aws, workgroup, "create role late")["Status"] == "FINISHED"


def test_a_materialized_view_is_refreshed_and_a_query_unloaded(aws: Aws, workgroup: str) -> None:
    database, table = put_table(aws, ORDERS, {"id": "bigint", "note": "string"})
    statement(aws, workgroup, SCHEMA.format(database))
    view = f"create materialized view totals as select sum(id) as total from lake.{table}"
    assert statement(aws, workgroup, view, "refresh materialized view totals")["Status"] == "FINISHED"
    assert rows(aws, workgroup, "select total from totals") == [(3,)]
    assert "does not exist" in statement(aws, workgroup, "refresh materialized view others")["Error"]
    unload = (
        f"unload ('select id from lake.{table} where note = ''it''''s''') to 's3://{database}/out/' iam_role '{ROLE}'"
    )
    assert statement(aws, workgroup, f"{unload} format as parquet")["Status"] == "FINISHED"
    [key] = [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=database, Prefix="out/")["Contents"]]
    body = aws.client("s3").get_object(Bucket=database, Key=key)["Body"].read()
    assert pq.read_table(io.BytesIO(body)).to_pydict() == {"id": [1]}


@pytest.mark.parametrize("sql", ["drop table x", "select * from nowhere.at_all", "grant usage on schema x to y"])
def test_what_is_not_there_is_refused_with_words(aws: Aws, workgroup: str, sql: str) -> None:
    told = statement(aws, workgroup, sql)
    assert told["Status"] == "FAILED"
    assert told["Error"]
