"""QuickSight of the embedded AWS: ingestions that read, one of a data set at a time."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from adplatform.local.endpoint import ensure
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.support.replication import administer
from adplatform_tests.support.spice import ACCOUNT, DataSet, make_data_set, put_file, put_table

ROWS = pa.table(
    {
        "text": ["short", "x" * 2048, None, "é" * 2047],
        "n": pa.array([1, 2, 3, None], pa.int64()),
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None, datetime(1399, 1, 1, tzinfo=UTC), None]),
        "dt": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"],
    }
)
COLUMNS = {"text": "string", "n": "bigint", "at": "timestamp", "dt": "string"}
TYPES = {"text": "STRING", "n": "INTEGER", "at": "DATETIME", "dt": "DATETIME"}
USER = f"arn:aws:quicksight:us-east-1:{ACCOUNT}:user/default/ann"
VIEWER = [
    f"quicksight:{action}"
    for action in (
        "DescribeDataSet",
        "DescribeDataSetPermissions",
        "PassDataSet",
        "DescribeIngestion",
        "ListIngestions",
    )
]


@pytest.fixture
def data_set(aws: Aws) -> DataSet:
    return make_data_set(aws, *put_table(aws, ROWS, COLUMNS), TYPES)


def test_an_ingestion_counts_the_rows_that_it_reads_and_those_that_spice_drops(aws: Aws) -> None:
    database, name = put_table(aws, ROWS, COLUMNS)
    made = make_data_set(aws, database, name, TYPES)
    assert made.ingest("one") in ("INITIALIZED", "RUNNING", "COMPLETED")
    assert made.ended("one")["RowInfo"] == {"RowsIngested": 2, "RowsDropped": 2, "TotalRowsInDataset": 2}
    put_file(aws, database, "part-1.parquet", ROWS.slice(0, 1))
    made.ingest("two")
    assert made.ended("two")["RowInfo"]["RowsIngested"] == 3
    kinds = made.client.list_ingestions(**made.named)["Ingestions"]
    assert [each["RequestType"] for each in kinds] == ["FULL_REFRESH", "FULL_REFRESH", "INITIAL_INGESTION"]


def test_a_second_ingestion_waits_for_the_one_that_runs_and_an_id_is_for_one(data_set: DataSet) -> None:
    data_set.order("stuck")
    data_set.ingest("one")
    assert [data_set.ingest(id) for id in ("two", "three")] == ["QUEUED", "QUEUED"]
    assert data_set.ingestion("two")["QueueInfo"] == {"WaitingOnIngestion": "two", "QueuedIngestion": "one"}
    with pytest.raises(ClientError, match="ResourceExistsException"):
        data_set.ingest("two")
    data_set.client.cancel_ingestion(**data_set.named, IngestionId="one")
    assert data_set.ended("one")["ErrorInfo"]["Type"] == "INGESTION_CANCELED"
    assert [data_set.ended(id)["IngestionStatus"] for id in ("two", "three")] == ["COMPLETED", "COMPLETED"]
    with pytest.raises(ClientError, match="InvalidParameterValueException"):
        data_set.client.cancel_ingestion(**data_set.named, IngestionId="two")


def test_an_edit_ends_what_runs_and_what_waits_and_reads_by_itself(data_set: DataSet) -> None:
    data_set.order("stuck")
    data_set.ingest("one")
    data_set.ingest("two")
    edit = data_set.client.update_data_set(**data_set.named, **data_set.settings)["IngestionId"]
    assert data_set.ended(edit)["IngestionStatus"] == "COMPLETED"
    reasons = [data_set.ingestion(id)["ErrorInfo"]["Type"] for id in ("one", "two")]
    assert reasons == ["INGESTION_SUPERSEDED", "REFRESH_SUPPRESSED_BY_EDIT"]


def test_32_refreshes_of_a_day_are_all_there_are(data_set: DataSet) -> None:
    data_set.order("run_fails", times=32)
    for number in range(32):
        data_set.ingest(f"i{number}")
    with pytest.raises(ClientError, match="LimitExceededException"):
        data_set.ingest("one-too-many")
    assert data_set.ended("i31")["ErrorInfo"]["Type"] == "CONNECTION_FAILURE"


def test_what_cannot_be_read_fails_with_its_reason(aws: Aws, data_set: DataSet) -> None:
    [table] = [each["RelationalTable"] for each in data_set.settings["PhysicalTableMap"].values()]
    aws.client("glue").delete_table(DatabaseName=table["Schema"], Name=table["Name"])
    data_set.ingest("gone")
    assert data_set.ended("gone")["ErrorInfo"]["Type"] == "SQL_TABLE_NOT_FOUND"
    database, name = put_table(aws, ROWS, COLUMNS)
    other = make_data_set(aws, database, name, {"elsewhere": "STRING"})
    other.ingest("column")
    assert other.ended("column")["ErrorInfo"]["Type"] == "SQL_EXCEPTION"


def test_an_answer_may_be_lost_and_the_ingestion_is_there(data_set: DataSet) -> None:
    data_set.order("answer_lost")
    data_set.order("rows_dropped", count=1)
    with pytest.raises(ClientError, match="InternalFailureException"):
        data_set.ingest("one")
    assert data_set.ended("one")["RowInfo"] == {"RowsIngested": 1, "RowsDropped": 3, "TotalRowsInDataset": 1}
    data_set.order("history_expired")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        data_set.ingestion("one")


def test_permissions_are_granted_as_whole_sets_and_revoked(data_set: DataSet) -> None:
    def permissions(**change: Any) -> list[Any]:
        data_set.client.update_data_set_permissions(**data_set.named, **change)
        found: list[Any] = data_set.client.describe_data_set_permissions(**data_set.named)["Permissions"]
        return found

    granted = [{"Principal": USER, "Actions": VIEWER}]
    assert permissions(GrantPermissions=granted) == [{"Principal": USER, "Actions": sorted(VIEWER)}]
    with pytest.raises(ClientError, match="Invalid set of actions"):
        permissions(RevokePermissions=[{"Principal": USER, "Actions": VIEWER[:1]}])
    assert permissions(RevokePermissions=granted) == []


def test_schedules_and_tags_are_kept(data_set: DataSet) -> None:
    client = data_set.client
    daily = {"Interval": "DAILY", "TimeOfTheDay": "03:00", "Timezone": "UTC"}
    schedule = {"ScheduleId": "daily", "ScheduleFrequency": daily, "RefreshType": "FULL_REFRESH"}
    client.create_refresh_schedule(**data_set.named, Schedule=schedule)
    with pytest.raises(ClientError, match="ResourceExistsException"):
        client.create_refresh_schedule(**data_set.named, Schedule=schedule)
    changed = {**schedule, "ScheduleFrequency": {**daily, "TimeOfTheDay": "04:00"}}
    client.update_refresh_schedule(**data_set.named, Schedule=changed)
    [kept] = client.list_refresh_schedules(**data_set.named)["RefreshSchedules"]
    assert kept["ScheduleFrequency"]["TimeOfTheDay"] == "04:00"
    arn = client.describe_data_set(**data_set.named)["DataSet"]["Arn"]
    client.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert client.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_data_source_is_as_good_as_its_workgroup(aws: Aws) -> None:
    client, named = aws.client_once("quicksight"), {"AwsAccountId": ACCOUNT, "DataSourceId": "nowhere"}
    group = {"AthenaParameters": {"WorkGroup": "there-is-none"}}
    client.create_data_source(**named, Name="x", Type="ATHENA", DataSourceParameters=group)
    told = client.describe_data_source(**named)["DataSource"]
    assert (told["Status"], told["ErrorInfo"]["Message"]) == (
        "CREATION_FAILED",
        "WorkGroup there-is-none is not found.",
    )
    client.delete_data_source(**named)


@pytest.mark.slow
def test_what_runs_when_the_endpoint_ends_is_read_by_the_next(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        made = make_data_set(aws, *put_table(aws, ROWS, COLUMNS), TYPES)
        made.order("stuck", seconds=1000)
        made.ingest("one")
        made.ingest("two")
    with ensure(tmp_path) as endpoint:
        again = DataSet(local_aws(endpoint.url), made.id)
        assert again.ingestion("one")["IngestionStatus"] == "INITIALIZED"
        administer(again.aws, advance=1000)
        assert [again.ended(id)["RowInfo"]["RowsIngested"] for id in ("one", "two")] == [2, 2]
