"""Athena of the embedded AWS: queries that are answered, and what they leave in S3 and in the catalog."""

import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from adplatform.platform.aws import Aws
from adplatform_tests.support.queries import execution, make_workgroup, order_athena_fault
from adplatform_tests.support.spice import put_table

ORDERS = pa.table(
    {
        "id": pa.array([1, 2], pa.int64()),
        "amount": pa.array([Decimal("1.50"), None], pa.decimal128(12, 2)),
        "good": [True, False],
    }
)
COLUMNS = {"id": "bigint", "amount": "decimal(12,2)", "good": "boolean"}


@pytest.fixture
def lake(aws: Aws) -> str:
    return put_table(aws, ORDERS, COLUMNS)[0]


@pytest.fixture
def group(aws: Aws, lake: str) -> str:
    return make_workgroup(aws, lake)


def test_a_query_is_answered_with_types_and_where_the_workgroup_says(aws: Aws, lake: str, group: str) -> None:
    client = aws.client_once("athena")
    ended = execution(
        aws,
        group,
        "with o as (select * from t) select id, amount, good from o order by 1",
        QueryExecutionContext={"Database": lake},
        ResultConfiguration={"OutputLocation": "s3://elsewhere/"},
    )
    assert ended["Status"]["State"] == "SUCCEEDED", ended
    output = ended["ResultConfiguration"]["OutputLocation"]
    assert output == f"s3://{lake}/results/{ended['QueryExecutionId']}.csv"
    body = aws.client("s3").get_object(Bucket=lake, Key=output.removeprefix(f"s3://{lake}/"))["Body"].read()
    assert body.startswith(b'"id","amount","good"\n"1","1.50",')
    found = client.get_query_results(QueryExecutionId=ended["QueryExecutionId"])["ResultSet"]
    types = [(each["Name"], each["Type"], each["Precision"]) for each in found["ResultSetMetadata"]["ColumnInfo"]]
    assert types == [("id", "bigint", 0), ("amount", "decimal", 12), ("good", "boolean", 0)]
    rows = [[value.get("VarCharValue") for value in row["Data"]] for row in found["Rows"]]
    assert rows == [["id", "amount", "good"], ["1", "1.50", "true"], ["2", None, "false"]]


def test_tables_are_made_and_rows_unloaded_where_nothing_is_yet(aws: Aws, lake: str, group: str) -> None:
    make = f"create table {lake}.copies with (format = 'PARQUET', external_location = 's3://{lake}/copies/') as"
    assert execution(aws, group, f"{make} select id, amount from {lake}.t")["Status"]["State"] == "SUCCEEDED"
    made = aws.client("glue").get_table(DatabaseName=lake, Name="copies")["Table"]["StorageDescriptor"]
    assert {each["Name"]: each["Type"] for each in made["Columns"]} == {"id": "bigint", "amount": "decimal(12,2)"}
    again = execution(aws, group, f"{make} select 1 as id")
    assert "HIVE_PATH_ALREADY_EXISTS" in again["Status"]["StateChangeReason"]
    unload = f"unload (select id from {lake}.copies where id > 1) to 's3://{lake}/out/' with (format = 'PARQUET')"
    assert execution(aws, group, unload)["SubstatementType"] == "UNLOAD"
    [key] = [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=lake, Prefix="out/")["Contents"]]
    body = aws.client("s3").get_object(Bucket=lake, Key=key)["Body"].read()
    assert pq.read_table(io.BytesIO(body)).to_pydict() == {"id": [2]}


def test_a_token_is_for_one_query_and_an_answer_may_be_lost(aws: Aws, group: str) -> None:
    client, token = aws.client_once("athena"), "t" * 32
    order_athena_fault(aws, "answer_lost", group)
    with pytest.raises(ClientError, match="InternalServerException"):
        execution(aws, group, "select 1", ClientRequestToken=token)
    assert execution(aws, group, "select 1", ClientRequestToken=token)["Status"]["State"] == "SUCCEEDED"
    assert len(client.list_query_executions(WorkGroup=group)["QueryExecutionIds"]) == 1
    with pytest.raises(ClientError, match="Idempotent parameters do not match"):
        execution(aws, group, "select 2", ClientRequestToken=token)


def test_what_cannot_be_answered_fails_with_words(aws: Aws, lake: str, group: str) -> None:
    for sql in ("drop table x", "select nothing from nowhere", f"select nope from {lake}.t"):
        ended = execution(aws, group, sql)
        assert (ended["Status"]["State"], bool(ended["Status"]["StateChangeReason"])) == ("FAILED", True)
    order_athena_fault(aws, "run_fails", group)
    assert "exhausted" in execution(aws, group, "select 1")["Status"]["StateChangeReason"]
    with pytest.raises(ClientError, match="No output location provided"):
        execution(aws, "primary", "select 1")


def test_a_query_that_is_stuck_can_be_stopped(aws: Aws, group: str) -> None:
    client = aws.client_once("athena")
    order_athena_fault(aws, "stuck", group)
    id = client.start_query_execution(QueryString="select 1", WorkGroup=group)["QueryExecutionId"]
    assert client.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]["State"] == "QUEUED"
    client.stop_query_execution(QueryExecutionId=id)
    assert client.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]["State"] == "CANCELLED"


def test_workgroups_and_named_queries_are_changed(aws: Aws, group: str) -> None:
    client = aws.client_once("athena")
    updates = {"BytesScannedCutoffPerQuery": 10**7, "ResultConfigurationUpdates": {"RemoveOutputLocation": True}}
    client.update_work_group(WorkGroup=group, Description="less", ConfigurationUpdates=updates)
    told = client.get_work_group(WorkGroup=group)["WorkGroup"]
    assert (told["Description"], told["Configuration"]["BytesScannedCutoffPerQuery"]) == ("less", 10**7)
    assert told["Configuration"]["ResultConfiguration"] == {}
    client.update_work_group(WorkGroup=group, ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True})
    assert "BytesScannedCutoffPerQuery" not in client.get_work_group(WorkGroup=group)["WorkGroup"]["Configuration"]
    asked = {
        "Name": "q",
        "Database": "d",
        "QueryString": "select 1",
        "WorkGroup": group,
        "ClientRequestToken": "t" * 40,
    }
    ids = {client.create_named_query(**asked)["NamedQueryId"] for _ in range(2)}
    assert [*ids] == client.list_named_queries(WorkGroup=group)["NamedQueryIds"]
    client.update_named_query(NamedQueryId=next(iter(ids)), Name="q", QueryString="select 2")
    [query] = client.batch_get_named_query(NamedQueryIds=[*ids])["NamedQueries"]
    assert query["QueryString"] == "select 2"
    with pytest.raises(ClientError, match="WorkGroup none is not found"):
        client.get_work_group(WorkGroup="none")
