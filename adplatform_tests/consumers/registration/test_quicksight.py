"""What QuickSight has for tables that are declared for it, made in the embedded AWS."""

from typing import Any

import pytest

from adplatform.consumers.registration.registered import Declared, declared
from adplatform.platform.aws import Aws
from adplatform_tests.consumers.registration.applying import (
    ACCOUNT,
    apply,
    differences,
    made_by_mortals,
    place,
    table,
    undeclared_of,
    wanted_of,
)
from adplatform_tests.support.replication import administer

ANN = f"arn:aws:quicksight:us-east-1:{ACCOUNT}:user/default/ann"
BOB = ANN.replace("ann", "bob")
PLACE = place(quicksight_principal=ANN)
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


def described(client: Any, id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.describe_data_set(AwsAccountId=ACCOUNT, DataSetId=id)["DataSet"]
    return found


def test_a_data_set_is_made_once_with_its_owner_and_schedule(aws: Aws) -> None:
    client = aws.client_once("quicksight")
    wanted = wanted_of(table({"quicksight": {"refresh": "weekly"}}), PLACE)
    assert apply(aws, wanted) == {"data source": ("create", ""), "data set": ("create", "")}
    named = {"AwsAccountId": ACCOUNT, "DataSetId": wanted[1].name}
    [relational] = [each["RelationalTable"] for each in described(client, wanted[1].name)["PhysicalTableMap"].values()]
    assert {each["Name"]: each["Type"] for each in relational["InputColumns"]} == {
        "member_id_lake": "STRING",
        "member_id_short_id": "STRING",
        "email_lake": "STRING",
        "email_amazon_ads": "STRING",
        "both_lake": "STRING",
        "country": "STRING",
        "orders": "INTEGER",
        "joined_at": "DATETIME",
        "dt": "STRING",
    }
    [granted] = client.describe_data_set_permissions(**named)["Permissions"]
    assert (granted["Principal"], "quicksight:UpdateDataSetPermissions" in granted["Actions"]) == (ANN, True)
    [schedule] = client.list_refresh_schedules(**named)["RefreshSchedules"]
    assert schedule["ScheduleFrequency"]["RefreshOnDay"] == {"DayOfWeek": "MONDAY"}
    assert differences(aws, wanted) == {}
    assert apply(aws, wanted) == {"data source": ("as declared", ""), "data set": ("as declared", "")}
    [ingestion] = client.list_ingestions(**named)["Ingestions"]
    assert ingestion["RequestType"] == "INITIAL_INGESTION"


def test_what_hands_change_is_seen_and_undone_and_what_they_add_is_kept(aws: Aws) -> None:
    client = aws.client_once("quicksight")
    wanted = wanted_of(table({"quicksight": {"refresh": "daily"}}), PLACE)
    apply(aws, wanted)
    named = {"AwsAccountId": ACCOUNT, "DataSetId": wanted[1].name}
    [granted] = client.describe_data_set_permissions(**named)["Permissions"]
    client.update_data_set_permissions(
        **named, RevokePermissions=[granted], GrantPermissions=[{"Principal": BOB, "Actions": VIEWER}]
    )
    physical = described(client, wanted[1].name)["PhysicalTableMap"]
    del physical["table"]["RelationalTable"]["InputColumns"][0]
    row_level = {"Arn": "arn:aws:quicksight:us-east-1:123456789012:dataset/rules", "PermissionPolicy": "GRANT_ACCESS"}
    asked = {"Name": "mine", "ImportMode": "SPICE", "PhysicalTableMap": physical}
    client.update_data_set(**named, **asked, RowLevelPermissionDataSet=row_level)
    daily = {"Interval": "HOURLY", "Timezone": "UTC"}
    schedule = {"ScheduleId": "adplatform", "ScheduleFrequency": daily, "RefreshType": "FULL_REFRESH"}
    client.update_refresh_schedule(**named, Schedule=schedule)
    found = [each.split(" is ")[0] for each in differences(aws, wanted)["data set"]]
    assert found == [
        "Name",
        "PhysicalTableMap.table.RelationalTable.InputColumns",
        "Permissions",
        "Schedule.ScheduleFrequency.Interval",
        "Schedule.ScheduleFrequency.TimeOfTheDay",
    ]
    assert apply(aws, wanted)["data set"] == ("update", "")
    assert differences(aws, wanted) == {}
    data_set = described(client, wanted[1].name)
    assert data_set["Name"] == wanted[1].name
    assert data_set["RowLevelPermissionDataSet"]["Arn"] == row_level["Arn"]
    assert {each["Principal"] for each in client.describe_data_set_permissions(**named)["Permissions"]} == {ANN, BOB}


def test_an_owner_or_schedule_alone_imports_nothing_anew(aws: Aws) -> None:
    client = aws.client_once("quicksight")
    of = table({"quicksight": {}})
    apply(aws, wanted_of(of, PLACE))
    hourly = table({"quicksight": {"refresh": "hourly"}}, database=of.database)
    wanted = wanted_of(hourly, place(quicksight_principal=BOB))
    assert apply(aws, wanted) == {"data source": ("update", ""), "data set": ("update", "")}
    assert differences(aws, wanted) == {}
    kinds = client.list_ingestions(AwsAccountId=ACCOUNT, DataSetId=wanted[1].name)["Ingestions"]
    assert [each["RequestType"] for each in kinds] == ["INITIAL_INGESTION"]
    [refused] = [
        failure for _, failure in apply(aws, wanted_of(of, place(quicksight_principal=BOB))).values() if failure
    ]
    assert "publications import it, and nothing is deleted here: delete the schedule" in refused


def test_processes_that_are_killed_make_what_is_declared_together(aws: Aws) -> None:
    wanted = wanted_of(table({"quicksight": {"refresh": "monthly"}}), PLACE)
    assert made_by_mortals(aws, wanted) == ["CreateDataSource", "CreateDataSet", "CreateRefreshSchedule"]
    assert differences(aws, wanted) == {}


def test_what_others_made_is_not_touched_and_what_nothing_declares_is_told(aws: Aws) -> None:
    client = aws.client_once("quicksight")
    of = table({"quicksight": {}})
    source, data_set = wanted_of(of, PLACE)
    named = {"AwsAccountId": ACCOUNT, "DataSourceId": source.name}
    client.create_data_source(**named, Name="theirs", Type="ATHENA")
    done = apply(aws, (source, data_set))
    assert "was made by others, and is not touched" in done["data source"][1]
    assert done["data set"] == ("refused", f"it requires the {source.key}, which is not as declared")
    client.tag_resource(
        ResourceArn=client.describe_data_source(**named)["DataSource"]["Arn"],
        Tags=[{"Key": key, "Value": value} for key, value in source.tags.items()],
    )
    assert apply(aws, (source, data_set)) == {"data source": ("update", ""), "data set": ("create", "")}
    own = place(database_prefix=of.database.removesuffix("acme"))
    assert set(undeclared_of(aws, own, Declared())) == {source.name}


def test_a_connection_that_failed_is_tried_again(aws: Aws) -> None:
    group = "there-will-be-one"
    wanted = wanted_of(table({"quicksight": {}}), place(quicksight_principal=ANN, quicksight_workgroup=group))
    apply(aws, wanted)
    assert differences(aws, wanted)["data source"] == [
        f"Failure is WorkGroup {group} is not found. there, and nothing is declared"
    ]
    aws.client_once("athena").create_work_group(Name=group)
    assert apply(aws, wanted)["data source"] == ("update", "")
    assert differences(aws, wanted) == {}


def test_a_platform_without_an_owner_for_data_sets_registers_none(aws: Aws) -> None:
    [refused] = declared([table({"quicksight": {}})], place(quicksight_principal="ann"), lambda _: True).refused
    assert refused.reasons == (
        "nobody would see it: set ADPLATFORM_QUICKSIGHT_PRINCIPAL to the ARN of a user or group of QuickSight",
    )


@pytest.mark.usefixtures("aws")
def test_a_service_that_throttles_says_so_for_its_table_alone(aws: Aws) -> None:
    wanted = wanted_of(table({"quicksight": {}}), PLACE)
    administer(aws, fault={"service": "quicksight", "name": "throttled", "target": wanted[1].name, "times": 50})
    done = apply(aws, wanted)
    assert done["data source"] == ("create", "")
    assert "ThrottlingException" in done["data set"][1]
