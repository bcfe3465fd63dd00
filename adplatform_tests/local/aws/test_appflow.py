"""AppFlow over the real port with boto3, reading a simulated CRM that each test has for itself."""

import csv
import io
import threading
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from adplatform.local.world.saas.server import Server, serving
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import FIELDS, NOW, Events, code, new_bucket, new_world, truth
from adplatform_tests.support.saas import (
    flow_request,
    make_flow,
    make_profile,
    order_fault,
    records,
    rows,
    run_flow,
    wait_for_run,
    written,
)


def task(kind: str, operator: str, sources: list[str], destination: str = "", **properties: str) -> dict[str, Any]:
    named = {"destinationField": destination} if destination else {}
    return {
        "taskType": kind,
        "sourceFields": sources,
        "connectorOperator": {"Salesforce": operator},
        "taskProperties": properties,
        **named,
    }


def test_run_writes_what_the_application_has_and_says_how_much(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket, "crm")
    record = run_flow(aws, flow)
    there = truth(saas.world, "Contact")
    assert rows(aws, bucket, record["executionId"]) == there
    ((key, body),) = written(aws, bucket, record["executionId"]).items()
    day = f"{record['startedAt'].astimezone(UTC):%Y/%m/%d}"
    assert key.startswith(f"crm/{flow}/schemaVersion_1/{day}/{record['executionId']}/")
    assert record["executionStatus"] == "Successful"
    result = record["executionResult"]
    assert (result["recordsProcessed"], result["bytesWritten"]) == (len(there), len(body))
    assert "errorInfo" not in result
    assert "dataPullStartTime" not in record


def test_run_without_records_is_successful_and_writes_nothing(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
    saas.world.fault("query", "empty")
    record = run_flow(aws, flow)
    assert (record["executionStatus"], record["executionResult"]["recordsProcessed"]) == ("Successful", 0)
    assert written(aws, bucket, record["executionId"]) == {}


def test_one_token_starts_one_run(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Account", ["Id"], bucket)
    first, again = (appflow.start_flow(flowName=flow, clientToken="once")["executionId"] for _ in range(2))
    assert first == again
    wait_for_run(aws, flow, first)
    assert appflow.start_flow(flowName=flow, clientToken="once")["executionId"] == first
    other = appflow.start_flow(flowName=flow, clientToken="another")["executionId"]
    wait_for_run(aws, flow, other)
    assert set(records(aws, flow)) == {first, other}


def test_second_start_is_refused_while_a_run_is_going_on(
    aws: Aws, aws_endpoint: str, appflow: Any, saas: Server, bucket: str, flow: str
) -> None:
    make_flow(aws, saas.url, flow, "Account", ["Id"], bucket)
    order_fault(aws_endpoint, "stuck", flow)
    run = appflow.start_flow(flowName=flow)["executionId"]
    with pytest.raises(ClientError) as refused:
        appflow.start_flow(flowName=flow)
    assert code(refused.value) == ("ConflictException", 409)
    with pytest.raises(ClientError) as refused:
        appflow.delete_flow(flowName=flow)
    assert code(refused.value) == ("ConflictException", 409)
    assert records(aws, flow)[run]["executionStatus"] == "InProgress"
    assert records(aws, flow)[run]["executionResult"] == {}
    assert appflow.cancel_flow_executions(flowName=flow, executionIds=[run, "x"])["invalidExecutions"] == ["x"]
    assert records(aws, flow)[run]["executionStatus"] == "Canceled"
    assert run_flow(aws, flow)["executionStatus"] == "Successful"


def test_cancelled_run_leaves_what_it_wrote(aws: Aws, appflow: Any, bucket: str, flow: str) -> None:
    world, reached, goes_on = new_world(page_size=5), threading.Event(), threading.Event()
    world.sleep = lambda _: reached.set() or bool(goes_on.wait(30)) or None
    with serving(world) as saas:
        make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
        world.fault("more", "slow", skip=1)
        run = appflow.start_flow(flowName=flow)["executionId"]
        assert reached.wait(30)
        assert appflow.cancel_flow_executions(flowName=flow)["invalidExecutions"] == []
        assert records(aws, flow)[run]["executionStatus"] == "CancelStarted"
        goes_on.set()
        assert wait_for_run(aws, flow, run)["executionStatus"] == "Canceled"
    assert len(rows(aws, bucket, run)) == 10


def test_every_record_is_on_some_page(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Campaign", ["Id"], bucket)
    runs = {run_flow(aws, flow)["executionId"] for _ in range(5)}
    seen: list[str] = []
    page: dict[str, Any] = {}
    while True:
        answer = appflow.describe_flow_execution_records(flowName=flow, maxResults=2, **page)
        assert len(answer["flowExecutions"]) <= 2
        seen += [record["executionId"] for record in answer["flowExecutions"]]
        if "nextToken" not in answer:
            break
        page = {"nextToken": answer["nextToken"]}
    assert sorted(seen) == sorted(runs)


# What a flow may be


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file_type": "Parquet"}, r"'Parquet' at 'destinationFlowConfigList.1.member.*fileType' .* \[CSV, JSON, PARQ"),
        ({"name": "-bad"}, r"Value '-bad' at 'flowName' .* regular expression pattern: \[a-zA-Z0-9\]"),
        ({"bucket": "none-such"}, "Create Flow request failed due to:.*bucket none-such does not exist"),
        ({"profile": "none"}, "Connector profile none does not exist"),
        ({"fields": []}, "You must map at least one field"),
        ({"schedule": {"scheduleExpression": "cron(0 1 * * ? *)"}}, "schedule expression is not valid"),
        (
            {"file_type": "PARQUET", "output": {"aggregationConfig": {"aggregationType": "SingleFile"}}},
            "Parquet files cannot be aggregated",
        ),
    ],
)
def test_flows_that_are_refused(
    aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str, change: dict[str, Any], said: str
) -> None:
    good = {"profile": make_profile(aws, saas.url), "name": flow, "object": "Contact", "fields": FIELDS}
    with pytest.raises(ClientError, match=said) as refused:
        appflow.create_flow(**flow_request(**{**good, "bucket": bucket, **change}))
    assert code(refused.value) == ("ValidationException", 400)


def test_flow_needs_a_projection(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Contact", FIELDS, bucket)
    with pytest.raises(ClientError, match="You must specify a projection task or a MapAll task"):
        appflow.create_flow(**{**asked, "tasks": asked["tasks"][1:]})
    with pytest.raises(ClientError, match="fields are not projected: Email"):
        appflow.create_flow(
            **{**asked, "tasks": [task("Filter", "PROJECTION", ["Id"]), task("Map", "NO_OP", ["Email"])]}
        )


@pytest.mark.parametrize(
    "change",
    [
        {"triggerConfig": {"triggerType": "Event"}},
        {"tasks": [task("Arithmetic", "ADDITION", ["Amount", "Probability"], "Sum")]},
        {
            "sourceFlowConfig": {
                "connectorType": "Marketo",
                "sourceConnectorProperties": {"Marketo": {"object": "leads"}},
            }
        },
    ],
)
def test_what_is_not_there_says_so(
    aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str, change: dict[str, Any]
) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Opportunity", ["Id"], bucket)
    with pytest.raises(ClientError, match="the embedded AWS does not implement it") as refused:
        appflow.create_flow(**{**asked, **change})
    assert code(refused.value) == ("NotImplemented", 501)


def test_calls_about_nothing(appflow: Any, flow: str) -> None:
    for call in ("describe_flow", "start_flow", "stop_flow", "delete_flow", "cancel_flow_executions"):
        with pytest.raises(ClientError) as refused:
            getattr(appflow, call)(flowName=flow)
        assert code(refused.value) == ("ResourceNotFoundException", 404)
    with pytest.raises(ClientError) as refused:
        appflow.describe_flow_execution_records(flowName=flow, maxResults=101)
    assert code(refused.value) == ("ValidationException", 400)


def test_flow_is_created_once(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Contact", FIELDS, bucket)
    first, again = (appflow.create_flow(**asked, clientToken="a") for _ in range(2))
    assert (first["flowArn"], first["flowStatus"]) == (again["flowArn"], "Active")
    with pytest.raises(ClientError) as refused:
        appflow.create_flow(**asked, clientToken="b")
    assert code(refused.value) == ("ConflictException", 409)


def test_flow_is_described_listed_tagged_and_deleted(
    aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str
) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Contact", FIELDS, bucket)
    arn = appflow.create_flow(**asked, tags={"team": "crm"}, description="Contacts")["flowArn"]
    described = appflow.describe_flow(flowName=flow)
    assert {name: described[name] for name in ("tasks", "triggerConfig", "sourceFlowConfig")} == {
        name: asked[name] for name in ("tasks", "triggerConfig", "sourceFlowConfig")
    }
    assert "lastRunExecutionDetails" not in described
    run_flow(aws, flow)
    assert appflow.describe_flow(flowName=flow)["lastRunExecutionDetails"]["mostRecentExecutionStatus"] == "Successful"
    listed: list[dict[str, Any]] = []
    answer = appflow.list_flows(maxResults=1)
    while True:
        listed += answer["flows"]
        if "nextToken" not in answer:
            break
        answer = appflow.list_flows(maxResults=100, nextToken=answer["nextToken"])
    (found,) = (known for known in listed if known["flowName"] == flow)
    assert (found["triggerType"], found["sourceConnectorType"]) == ("OnDemand", "Salesforce")
    appflow.tag_resource(resourceArn=arn, tags={"cost": "1"})
    appflow.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert appflow.list_tags_for_resource(resourceArn=arn)["tags"] == {"cost": "1"}
    appflow.delete_flow(flowName=flow)
    with pytest.raises(ClientError, match="does not exist"):
        appflow.describe_flow(flowName=flow)


def test_flow_that_is_deleted_during_a_run_is_there_until_its_end(
    aws: Aws, appflow: Any, bucket: str, flow: str
) -> None:
    world, asked, goes_on = new_world(), threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        asked.set()
        goes_on.wait(30)

    world.sleep = sleep
    with serving(world) as saas:
        make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
        world.fault("query", "slow")
        appflow.start_flow(flowName=flow)
        assert asked.wait(30)
        appflow.delete_flow(flowName=flow, forceDelete=True)
        assert appflow.describe_flow(flowName=flow)["flowStatus"] == "Deleted"
        goes_on.set()
        with pytest.raises(ClientError, match="does not exist"):
            while True:
                appflow.describe_flow(flowName=flow)


def test_update_changes_the_mapping_but_not_the_bucket(
    aws: Aws, aws_endpoint: str, appflow: Any, saas: Server, bucket: str, flow: str
) -> None:
    profile = make_profile(aws, saas.url)
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket, profile=profile)

    def update(fields: tuple[str, ...], to: str) -> None:
        asked = flow_request(profile, flow, "Contact", fields, to)
        appflow.update_flow(**asked)

    with pytest.raises(ClientError, match="Destination object for the destination connector can not be updated"):
        update(FIELDS, new_bucket(aws))
    update(("Id", "Phone"), bucket)
    run = run_flow(aws, flow)["executionId"]
    assert rows(aws, bucket, run) == truth(saas.world, "Contact", ("Id", "Phone"))
    assert all("/schemaVersion_2/" in key for key in written(aws, bucket, run))
    update(("Id", "Phone"), bucket)
    assert appflow.describe_flow(flowName=flow)["schemaVersion"] == 2
    order_fault(aws_endpoint, "update_late", flow, seconds=3600)
    update(("Id",), bucket)
    assert rows(aws, bucket, run_flow(aws, flow)["executionId"]) == truth(saas.world, "Contact", ("Id", "Phone"))


# What a run writes


def test_csv_has_a_header_and_every_row(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    fields = ("Id", "Name", "MailingStreet", "HasOptedOutOfEmail", "Birthdate")
    make_flow(aws, saas.url, flow, "Contact", fields, bucket, file_type="CSV")
    (body,) = written(aws, bucket, run_flow(aws, flow)["executionId"]).values()
    texts = {True: "true", False: "false", None: ""}
    expected = [{k: texts.get(v, v) for k, v in row.items()} for row in truth(saas.world, "Contact", fields)]
    assert list(csv.DictReader(io.StringIO(body.decode(), newline=""))) == expected


OPPORTUNITY = ("Id", "Amount", "IsWon", "CloseDate", "SystemModstamp")


def test_parquet_has_texts_unless_the_types_are_kept(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    profile = make_profile(aws, saas.url)
    there = truth(saas.world, "Opportunity", OPPORTUNITY)
    tables = {}
    for typed in (False, True):
        name = f"{flow}-{typed}"
        make_flow(
            *(aws, saas.url, name, "Opportunity", OPPORTUNITY, bucket),
            file_type="PARQUET",
            profile=profile,
            preserveSourceDataTyping=typed,
        )
        (body,) = written(aws, bucket, run_flow(aws, name)["executionId"]).values()
        tables[typed] = pq.read_table(io.BytesIO(body))
    assert set(tables[False].schema.types) == {pa.string()}
    assert tables[False]["Amount"].to_pylist() == [None if r["Amount"] is None else str(r["Amount"]) for r in there]
    expected = [
        {
            **row,
            "CloseDate": date.fromisoformat(row["CloseDate"]),
            "SystemModstamp": datetime.fromisoformat(row["SystemModstamp"]),
        }
        for row in there
    ]
    assert tables[True].to_pylist() == expected


@pytest.mark.parametrize(("aggregation", "files"), [("None", 3), ("SingleFile", 1)])
def test_pages_are_files_unless_aggregated(aws: Aws, bucket: str, flow: str, aggregation: str, files: int) -> None:
    with serving(new_world(page_size=50)) as saas:
        output = {"aggregationConfig": {"aggregationType": aggregation}}
        make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket, **output)
        run = run_flow(aws, flow)["executionId"]
        assert len(written(aws, bucket, run)) == files
        found = sorted(rows(aws, bucket, run), key=lambda row: row["Id"])
        assert found == sorted(truth(saas.world, "Contact"), key=lambda row: row["Id"])


@pytest.mark.parametrize(
    ("prefix", "pattern"),
    [
        (None, "crm/{flow}/{file}"),
        ({"pathPrefixHierarchy": ["EXECUTION_ID"]}, "crm/{flow}/{run}/{file}"),
        ({"prefixType": "PATH", "prefixFormat": "HOUR"}, "crm/{flow}/{at:%Y/%m/%d/%H}/{file}"),
        ({"prefixType": "FILENAME", "prefixFormat": "MONTH"}, "crm/{flow}/{at:%Y-%m}-{file}"),
        (
            {
                "prefixType": "PATH_AND_FILENAME",
                "prefixFormat": "DAY",
                "pathPrefixHierarchy": ["EXECUTION_ID", "SCHEMA_VERSION"],
            },
            "crm/{flow}/schemaVersion_1/{at:%Y/%m/%d}/{run}/{at:%Y-%m-%d}-{file}",
        ),
    ],
)
def test_folders_are_those_asked_for(
    aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str, prefix: dict[str, Any] | None, pattern: str
) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Campaign", ["Id"], bucket, "crm")
    s3 = asked["destinationFlowConfigList"][0]["destinationConnectorProperties"]["S3"]
    s3["s3OutputFormatConfig"] = {"fileType": "JSON"} | ({} if prefix is None else {"prefixConfig": prefix})
    appflow.create_flow(**asked)
    record = run_flow(aws, flow)
    (key,) = (found["Key"] for found in aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"])
    at = record["startedAt"].astimezone(UTC)
    # A file is named by a number and the time of the run.
    file = f"{key.rpartition('/')[2].rpartition(f'{at:%Y-%m-%dT}')[0]}"
    number = file.removeprefix(f"{at:%Y-%m}-").removeprefix(f"{at:%d}-")
    name = f"{number}{at:%Y-%m-%dT%H:%M:%S}"
    assert key == pattern.format(flow=flow, run=record["executionId"], at=at, file=name)


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        (
            [task("Filter", "EQUAL_TO", ["LeadSource"], DATA_TYPE="picklist", VALUE="Web")],
            lambda r: r["LeadSource"] == "Web",
        ),
        (
            [task("Filter", "EQUAL_TO", ["LeadSource"], DATA_TYPE="picklist", VALUES="Web,Other")],
            lambda r: r["LeadSource"] in ("Web", "Other"),
        ),
        ([task("Filter", "CONTAINS", ["LastName"], DATA_TYPE="string", VALUE="O'N")], lambda r: "O'N" in r["LastName"]),
        (
            [
                task(
                    *("Filter", "BETWEEN", ["SystemModstamp"]),
                    DATA_TYPE="datetime",
                    LOWER_BOUND=str(int(datetime(2026, 11, 10, tzinfo=UTC).timestamp() * 1000)),
                    UPPER_BOUND=str(int(datetime(2026, 11, 12, tzinfo=UTC).timestamp() * 1000)),
                )
            ],
            lambda r: "2026-11-10" <= r["SystemModstamp"] <= "2026-11-12",
        ),
        (
            [
                task("Filter", "GREATER_THAN", ["Birthdate"], DATA_TYPE="date", VALUE="1980-01-01"),
                task("Filter", "NOT_EQUAL_TO", ["HasOptedOutOfEmail"], DATA_TYPE="boolean", VALUE="true"),
            ],
            lambda r: (r["Birthdate"] or "") > "1980-01-01" and not r["HasOptedOutOfEmail"],
        ),
    ],
)
def test_filters_choose_records(
    aws: Aws, saas: Server, bucket: str, flow: str, filters: list[dict[str, Any]], keeps: Any
) -> None:
    fields = ("Id", "LastName", "LeadSource", "Birthdate", "HasOptedOutOfEmail", "SystemModstamp")
    make_flow(aws, saas.url, flow, "Contact", fields, bucket, filters=filters)
    there = truth(saas.world, "Contact", fields)
    kept = [row for row in there if keeps(row)]
    assert 0 < len(kept) < len(there)
    assert rows(aws, bucket, run_flow(aws, flow)["executionId"]) == kept


def test_tasks_rename_mask_cut_join_and_drop(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    fields = ["Id", "FirstName", "LastName", "Email", "Phone", "City"]
    asked = flow_request(make_profile(aws, saas.url), flow, "Lead", ["Id"], bucket)
    asked["tasks"] = [
        task("Filter", "PROJECTION", fields),
        task("Map", "NO_OP", ["Id"], "lead_id"),
        task("Map", "NO_OP", ["Email"], "email"),
        task("Mask", "MASK_FIRST_N", ["Phone"], "phone", MASK_VALUE="#", MASK_LENGTH="8"),
        task("Truncate", "NO_OP", ["City"], "city", TRUNCATE_LENGTH="3"),
        task("Merge", "NO_OP", ["FirstName", "LastName"], "name", CONCAT_FORMAT="${LastName}, ${FirstName}"),
        task("Validate", "VALIDATE_NON_NULL", ["Phone"], VALIDATION_ACTION="DropRecord"),
    ]
    appflow.create_flow(**asked)
    events = Events(aws, flow)
    there = truth(saas.world, "Lead", tuple(fields))
    expected = [
        {
            "lead_id": row["Id"],
            "email": row["Email"],
            "phone": "#" * 8 + row["Phone"][8:],
            "city": row["City"][:3],
            "name": f"{row['LastName']}, {row['FirstName']}",
        }
        for row in there
        if row["Phone"]
    ]
    record = run_flow(aws, flow)
    assert rows(aws, bucket, record["executionId"]) == expected
    assert record["executionResult"]["recordsProcessed"] == len(there)
    (event,) = events.wait()
    assert event["detail"]["num-of-records-filtered"] == str(len(there) - len(expected))


def test_map_all_follows_the_fields_of_the_object(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Account", ["Id"], bucket)
    asked["tasks"] = [task("Map_all", "NO_OP", [], EXCLUDE_SOURCE_FIELDS_LIST='["Phone"]')]
    appflow.create_flow(**asked)
    saas.world.set(added={"Account": {"Tier__c": "int"}}, removed={"Account": ["Website"]})
    found = rows(aws, bucket, run_flow(aws, flow)["executionId"])
    names = tuple(field.name for field in saas.world.fields("Account") if field.name != "Phone")
    assert "Tier__c" in names
    assert found == truth(saas.world, "Account", names)


def test_deleted_records_come_on_request(aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str) -> None:
    asked = flow_request(make_profile(aws, saas.url), flow, "Contact", ["Id", "IsDeleted"], bucket)
    asked["sourceFlowConfig"]["sourceConnectorProperties"]["Salesforce"]["includeDeletedRecords"] = True
    appflow.create_flow(**asked)
    found = rows(aws, bucket, run_flow(aws, flow)["executionId"])
    assert found == [{k: r[k] for k in ("Id", "IsDeleted")} for r in saas.world.records("Contact", NOW)]
    assert any(row["IsDeleted"] for row in found)


# What the application does


def test_run_is_patient_with_an_application_that_asks_for_it(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
    saas.world.fault("query", "throttle", seconds=0.01, times=2)
    saas.world.fault("query", "unavailable")
    assert run_flow(aws, flow)["executionStatus"] == "Successful"
    saas.world.fault("query", "drop")
    assert run_flow(aws, flow)["executionStatus"] == "Successful"


def test_expired_access_token_is_renewed(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
    run_flow(aws, flow)
    before = saas.world.counts["token"]
    saas.world.tokens.clear()
    assert run_flow(aws, flow)["executionStatus"] == "Successful"
    run_flow(aws, flow)
    assert saas.world.counts["token"] == before + 1


def test_revoked_permission_makes_the_flow_errored_until_a_run_works(
    aws: Aws, appflow: Any, saas: Server, bucket: str, flow: str
) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
    saas.world.revoke()
    record = run_flow(aws, flow)
    assert record["executionStatus"] == "Error"
    message = "ConnectorAuthenticationException: invalid_grant: expired access/refresh token"
    assert record["executionResult"]["errorInfo"] == {"putFailuresCount": 0, "executionMessage": message}
    described = appflow.describe_flow(flowName=flow)
    assert (described["flowStatus"], described["flowStatusMessage"]) == ("Errored", message)
    saas.world.revoke(revoked=False)
    assert run_flow(aws, flow)["executionStatus"] == "Successful"
    assert appflow.describe_flow(flowName=flow)["flowStatus"] == "Active"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"removed": {"Contact": ["Email"]}}, "INVALID_FIELD: No such column 'Email' on entity 'Contact'"),
        ({"daily_requests": 0}, "REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded."),
    ],
)
def test_run_fails_with_what_the_application_says(
    aws: Aws, saas: Server, bucket: str, flow: str, settings: dict[str, Any], said: str
) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
    saas.world.set(**settings)
    record = run_flow(aws, flow)
    assert record["executionStatus"] == "Error"
    assert said in record["executionResult"]["errorInfo"]["executionMessage"]


def test_run_fails_when_the_bucket_is_gone(aws: Aws, saas: Server, bucket: str, flow: str) -> None:
    make_flow(aws, saas.url, flow, "Contact", FIELDS, bucket)
    aws.client("s3").delete_bucket(Bucket=bucket)
    assert "NoSuchBucket" in run_flow(aws, flow)["executionResult"]["errorInfo"]["executionMessage"]
