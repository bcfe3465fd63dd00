"""DataSync of the embedded AWS over its port: what is copied, counted, reported and announced."""

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.local.aws.datasync.copying import selects
from adplatform.local.aws.datasync.reports import split
from adplatform.platform.access_keys import key_for
from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import (
    ROLE,
    execute,
    make_task,
    object_storage_location,
    order_fault,
    report_to,
    reported,
    s3_location,
    wait_for_execution,
)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture(scope="module")
def datasync(aws: Aws) -> Any:
    return aws.client("datasync")


@pytest.fixture
def source(s3: Any) -> str:
    return made(s3, "partner")


@pytest.fixture
def landing(s3: Any) -> str:
    """A bucket that keeps versions."""
    name = made(s3, "landing")
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def reports(s3: Any) -> str:
    return made(s3, "reports")


def made(s3: Any, prefix: str) -> str:
    name = unique(prefix)
    s3.create_bucket(Bucket=name)
    return name


def put(s3: Any, bucket: str, **objects: str) -> None:
    for name, body in objects.items():
        s3.put_object(Bucket=bucket, Key=f"{name.replace('_', '/')}.csv", Body=body.encode())


def keys(s3: Any, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def rule(patterns: str) -> list[dict[str, str]]:
    return [{"FilterType": "SIMPLE_PATTERN", "Value": patterns}]


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        call()
    response: dict[str, Any] = raised.value.response
    return response


def agent(datasync: Any) -> str:
    return str(datasync.create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE", AgentName="vm")["AgentArn"])


# What is copied


def test_objects_arrive_with_what_belongs_to_them_and_the_report_names_their_versions(
    aws: Aws, s3: Any, source: str, landing: str, reports: str
) -> None:
    s3.put_object(
        Bucket=source,
        Key="out/2026/a b.csv",
        Body=b"x,y\n",
        Metadata={"feed": "orders"},
        ContentType="text/csv",
        ContentEncoding="identity",
        Tagging="team=a%2Bb",
    )
    task = make_task(aws, f"{source}/out", f"{landing}/in", reports=f"{reports}/datasync/", Name="partner orders")
    said = execute(aws, task)
    assert said["Status"] == "SUCCESS"
    got = s3.get_object(Bucket=landing, Key="in/2026/a b.csv")
    assert (got["Body"].read(), got["ContentType"], got["ContentEncoding"]) == (b"x,y\n", "text/csv", "identity")
    assert got["Metadata"]["feed"] == "orders"
    assert got["Metadata"]["file-mtime"].endswith("000000ns")
    tags = s3.get_object_tagging(Bucket=landing, Key="in/2026/a b.csv")["TagSet"]
    assert tags == [{"Key": "team", "Value": "a+b"}]
    (entry,) = reported(aws, reports, said["TaskExecutionArn"])
    assert (entry["RelativePath"], entry["DstS3VersionId"]) == ("2026/a b.csv", got["VersionId"])
    assert (entry["TransferStatus"], entry["Overwrite"]) == ("SUCCESS", "False")
    assert entry["SourceMetadata"]["ContentSize"] == 4
    task_id, run = task.rpartition("/")[2], said["TaskExecutionArn"].rpartition("/")[2]
    place = f"datasync/partner orders/Detailed-Reports/{task_id}/{run}/{run}.files-transferred-v1-00001-"
    assert any(key.startswith(place) for key in keys(s3, reports))


def test_a_copy_makes_events_as_any_write_does(aws: Aws, s3: Any, source: str, landing: str) -> None:
    queue, arn = new_queue(aws)
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=landing, NotificationConfiguration=configuration)
    received(aws, queue)
    put(s3, source, a="1")
    execute(aws, make_task(aws, source, landing))
    (event,) = received(aws, queue)
    assert event["Records"][0]["s3"]["object"]["key"] == "a.csv"


def test_the_next_execution_copies_only_what_changed(aws: Aws, s3: Any, source: str, landing: str) -> None:
    put(s3, source, a="1", b="2")
    task = make_task(aws, source, landing)
    first = execute(aws, task)
    assert (first["FilesTransferred"], first["FilesSkipped"], first["BytesTransferred"]) == (2, 0, 2)
    put(s3, source, b="3", c="4")
    second = execute(aws, task)
    assert (second["EstimatedFilesToTransfer"], second["FilesTransferred"], second["FilesSkipped"]) == (2, 2, 1)
    assert s3.get_object(Bucket=landing, Key="b.csv")["Body"].read() == b"3"
    assert (second["FilesListed"]["AtSource"], second["FilesPrepared"], second["FilesVerified"]) == (3, 2, 2)
    assert len(s3.list_object_versions(Bucket=landing)["Versions"]) == 4


def test_objects_of_many_parts_are_not_copied_again_though_their_etags_differ(
    aws: Aws, s3: Any, source: str, landing: str
) -> None:
    upload = s3.create_multipart_upload(Bucket=source, Key="big")["UploadId"]
    part = s3.upload_part(Bucket=source, Key="big", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=source, Key="big", UploadId=upload, MultipartUpload=parts)
    task = make_task(aws, source, landing)
    first, second = execute(aws, task), execute(aws, task)
    assert (first["Status"], first["FilesTransferred"], first["FilesVerified"]) == ("SUCCESS", 1, 1)
    assert (second["FilesTransferred"], second["FilesSkipped"]) == (0, 1)


def test_everything_is_copied_again_if_asked_for(aws: Aws, s3: Any, source: str, landing: str, reports: str) -> None:
    put(s3, source, a="1")
    task = make_task(aws, source, landing, reports=reports)
    execute(aws, task)
    said = execute(aws, task, OverrideOptions={"TransferMode": "ALL"})
    assert said["FilesTransferred"] == 1
    assert [entry["Overwrite"] for entry in reported(aws, reports, said["TaskExecutionArn"])] == ["True"]
    assert said["Options"]["TransferMode"] == "ALL"


def test_what_is_there_already_is_kept_if_nothing_may_be_overwritten(
    aws: Aws, s3: Any, source: str, landing: str, reports: str
) -> None:
    put(s3, source, a="new", b="1")
    put(s3, landing, a="old")
    said = execute(aws, make_task(aws, source, landing, reports=reports, Options={"OverwriteMode": "NEVER"}))
    assert (said["Status"], said["FilesTransferred"], said["FilesSkipped"]) == ("SUCCESS", 1, 1)
    assert s3.get_object(Bucket=landing, Key="a.csv")["Body"].read() == b"old"
    skipped = reported(aws, reports, said["TaskExecutionArn"], "Skipped")
    assert [entry["RelativePath"] for entry in skipped] == ["a.csv"]


def test_what_the_source_has_no_longer_is_removed_only_if_asked_for(
    aws: Aws, s3: Any, source: str, landing: str, reports: str
) -> None:
    put(s3, source, a="1")
    put(s3, landing, a="1", gone="2", kept_b="3")
    task = make_task(
        aws, source, landing, reports=reports, Excludes=[{"FilterType": "SIMPLE_PATTERN", "Value": "/kept"}]
    )
    execute(aws, task)
    assert keys(s3, landing) == ["a.csv", "gone.csv", "kept/b.csv"]
    said = execute(aws, task, OverrideOptions={"PreserveDeletedFiles": "REMOVE"})
    assert keys(s3, landing) == ["a.csv", "kept/b.csv"]
    assert (said["FilesDeleted"], said["EstimatedFilesToDelete"]) == (1, 1)
    assert said["FilesListed"]["AtDestinationForDelete"] == 3
    deleted = reported(aws, reports, said["TaskExecutionArn"], "Deleted")
    assert [(entry["RelativePath"], entry["DeleteStatus"]) for entry in deleted] == [("gone.csv", "SUCCESS")]


def test_filters_of_an_execution_choose_what_is_copied(aws: Aws, s3: Any, source: str, landing: str) -> None:
    put(s3, source, in_a="1", in_tmp_b="2", inner_c="3", out_d="4")
    said = execute(
        aws,
        make_task(aws, source, landing),
        Includes=rule("/in|/inner*"),
        Excludes=rule("*/tmp"),
    )
    assert keys(s3, landing) == ["in/a.csv", "inner/c.csv"]
    assert said["Includes"] == rule("/in|/inner*")
    none = execute(
        aws, make_task(aws, source, landing), Includes=[{"FilterType": "SIMPLE_PATTERN", "Value": "/nothing"}]
    )
    assert (none["Status"], none["FilesTransferred"]) == ("SUCCESS", 0)


@pytest.mark.parametrize(
    ("patterns", "path", "matches"),
    [
        ("/a*", "a/b/c.csv", True),
        ("/a", "a/b/c.csv", True),
        ("/a", "ab.csv", False),
        ("/x|/a/b", "a/b/c.csv", True),
        ("*.csv", "a/b/c.csv", True),
        ("*.csv", "a/b/c.csv.tmp", False),
        (r"/a\|b", "a|b", True),
        ("/A", "a", False),
    ],
)
def test_patterns_match_whole_paths_and_all_that_is_below_them(patterns: str, path: str, matches: bool) -> None:
    assert selects(patterns, "", path) is matches
    assert selects("", patterns, path) is not matches


def test_a_manifest_names_objects_and_their_versions(
    aws: Aws, s3: Any, source: str, landing: str, reports: str
) -> None:
    s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=source, Key="out/a.csv", Body=b"first")["VersionId"]
    put(s3, source, out_a="second", out_b="not named")
    s3.put_object(Bucket=source, Key='out/c,"d".csv', Body=b"quoted")
    manifest = f'a.csv,{first}\n"c,""d"".csv"\nmissing.csv\n'
    s3.put_object(Bucket=reports, Key="lists/manifest.csv", Body=manifest.encode())
    place = {"S3BucketArn": f"arn:aws:s3:::{reports}", "ManifestObjectPath": "lists/manifest.csv"}
    config = {"Action": "TRANSFER", "Format": "CSV", "Source": {"S3": {**place, "BucketAccessRoleArn": ROLE}}}
    task = make_task(aws, f"{source}/out", landing, reports=reports)
    said = execute(aws, task, ManifestConfig=config)
    assert keys(s3, landing) == ["a.csv", 'c,"d".csv']
    assert s3.get_object(Bucket=landing, Key="a.csv")["Body"].read() == b"first"
    assert (said["Status"], said["FilesListed"]["AtSource"], said["FilesFailed"]["Prepare"]) == ("SUCCESS", 2, 1)
    failed = [
        entry for entry in reported(aws, reports, said["TaskExecutionArn"]) if entry["TransferStatus"] != "SUCCESS"
    ]
    assert [(entry["RelativePath"], entry["ErrorCode"]) for entry in failed] == [("missing.csv", "NotFound")]


def test_archived_objects_are_skipped_without_an_error(
    aws: Aws, s3: Any, source: str, landing: str, reports: str
) -> None:
    s3.put_object(Bucket=source, Key="old.csv", Body=b"1", StorageClass="GLACIER")
    said = execute(aws, make_task(aws, source, landing, reports=reports))
    assert (said["Status"], said["FilesTransferred"], said["FilesSkipped"]) == ("SUCCESS", 0, 1)
    skipped = reported(aws, reports, said["TaskExecutionArn"], "Skipped")
    assert [entry["RelativePath"] for entry in skipped] == ["old.csv"]


def test_folder_markers_are_copied_and_counted_as_folders_in_enhanced_mode_only(
    aws: Aws, s3: Any, datasync: Any, source: str, landing: str
) -> None:
    s3.put_object(Bucket=source, Key="folder/", Body=b"")
    enhanced = execute(aws, make_task(aws, source, f"{landing}/e"))
    basic = execute(aws, make_task(aws, s3_location(aws, source), f"{landing}/b", TaskMode="BASIC"))
    assert (enhanced["FilesTransferred"], enhanced["FoldersTransferred"]) == (0, 1)
    assert basic["FilesTransferred"] == 1
    assert keys(s3, landing) == ["b/folder/", "e/folder/"]


# How an execution goes


def new_queue(aws: Aws) -> tuple[str, str]:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def received(aws: Aws, url: str, *, at_least: int = 0) -> list[dict[str, Any]]:
    sqs = aws.client("sqs")
    bodies: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    while True:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            bodies.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if not messages and (len(bodies) >= at_least or time.monotonic() > deadline):
            return bodies
        time.sleep(0.02)


@pytest.fixture
def announced(aws: Aws) -> Callable[..., list[str]]:
    """The states that the events of an execution name, in order of their arrival; the rest of the queue is dropped."""
    queue, arn = new_queue(aws)
    events, rule = aws.client("events"), unique("rule")
    pattern = {"source": ["aws.datasync"], "detail-type": ["DataSync Task Execution State Change"]}
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])

    def states(execution: str, *, at_least: int = 0) -> list[str]:
        return [
            event["detail"]["State"]
            for event in received(aws, queue, at_least=at_least)
            if event["resources"] == [execution]
        ]

    return states


def test_states_are_passed_in_order_and_announced(
    aws: Aws, s3: Any, source: str, landing: str, announced: Callable[..., list[str]]
) -> None:
    put(s3, source, a="1")
    said = execute(aws, make_task(aws, source, landing, Options={"VerifyMode": "ONLY_FILES_TRANSFERRED"}))
    states = announced(said["TaskExecutionArn"], at_least=5)
    assert states == ["LAUNCHING", "PREPARING", "TRANSFERRING", "VERIFYING", "SUCCESS"]
    assert [said["Result"][f"{phase}Status"] for phase in ("Prepare", "Transfer", "Verify")] == ["SUCCESS"] * 3
    assert said["StartTime"] <= said["LaunchTime"] <= said["EndTime"]
    assert said["Result"]["PrepareDuration"] == 0 < said["Result"]["TotalDuration"]


def test_what_is_not_verified_has_no_such_state(
    aws: Aws, s3: Any, source: str, landing: str, announced: Callable[..., list[str]]
) -> None:
    put(s3, source, a="1")
    said = execute(aws, make_task(aws, source, landing, Options={"VerifyMode": "NONE"}))
    assert "VERIFYING" not in announced(said["TaskExecutionArn"], at_least=4)
    assert (said["FilesTransferred"], said["FilesVerified"]) == (1, 0)


def test_basic_mode_verifies_everything_and_reports_as_file_servers_would(
    aws: Aws, s3: Any, datasync: Any, source: str, landing: str, reports: str
) -> None:
    put(s3, source, a="1", b="2")
    put(s3, landing, b="2")
    location = object_storage_location(aws, source, AgentArns=[agent(datasync)])
    said = execute(aws, make_task(aws, location, landing, reports=reports, TaskMode="BASIC"))
    assert (said["Status"], said["FilesTransferred"], said["FilesVerified"]) == ("SUCCESS", 1, 2)
    assert said["TaskMode"] == "BASIC"
    assert "FilesFailed" not in said
    assert said["Result"]["PrepareDuration"] > 0
    (entry,) = reported(aws, reports, said["TaskExecutionArn"])
    assert (entry["RelativePath"], entry["SrcMetadata"]["Type"]) == ("/a.csv", "Regular")
    assert entry["DstS3VersionId"] == s3.head_object(Bucket=landing, Key="a.csv")["VersionId"]
    verified = reported(aws, reports, said["TaskExecutionArn"], "Verified")
    assert [(each["RelativePath"], each["VerifyStatus"]) for each in verified] == [
        ("/a.csv", "SUCCESS"),
        ("/b.csv", "SUCCESS"),
    ]


def test_a_second_start_waits_for_the_first(
    aws: Aws, s3: Any, datasync: Any, source: str, landing: str, announced: Callable[..., list[str]]
) -> None:
    put(s3, source, a="1")
    task = make_task(aws, source, landing)
    order_fault(aws, "stuck_launching", task)
    first = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    second = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    time.sleep(0.2)
    listed = datasync.list_task_executions(TaskArn=task)["TaskExecutions"]
    assert [(each["TaskExecutionArn"], each["Status"]) for each in listed] == [(first, "LAUNCHING"), (second, "QUEUED")]
    described = datasync.describe_task(TaskArn=task)
    assert (described["Status"], described["CurrentTaskExecutionArn"]) == ("RUNNING", second)
    datasync.cancel_task_execution(TaskExecutionArn=first)
    assert wait_for_execution(aws, first)["Status"] == "ERROR"
    assert wait_for_execution(aws, second)["FilesTransferred"] == 1
    assert announced(second, at_least=9)[:2] == ["QUEUED", "LAUNCHING"]
    assert datasync.describe_task(TaskArn=task)["Status"] == "AVAILABLE"


def test_a_second_start_is_refused_where_nothing_may_queue(aws: Aws, datasync: Any, source: str, landing: str) -> None:
    task = make_task(aws, source, landing, Options={"TaskQueueing": "DISABLED"})
    order_fault(aws, "stuck_launching", task, seconds=2)
    first = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    refused = refusal(lambda: datasync.start_task_execution(TaskArn=task))
    assert refused["Error"]["Code"] == "InvalidRequestException"
    assert first in refused["Error"]["Message"]
    assert refused["errorCode"] == refused["datasyncErrorCode"] == "TaskRunning"
    assert wait_for_execution(aws, first)["Status"] == "SUCCESS"


def test_a_cancelled_execution_ends_in_error_with_a_report_of_what_it_copied(
    aws: Aws, s3: Any, datasync: Any, source: str, landing: str, reports: str, announced: Callable[..., list[str]]
) -> None:
    put(s3, source, a="1", b="2" * 100)
    location = object_storage_location(aws, source, AgentArns=[agent(datasync)])
    task = make_task(aws, location, landing, reports=reports, TaskMode="BASIC", Options={"BytesPerSecond": 1})
    execution = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    deadline = time.monotonic() + 20
    while datasync.describe_task_execution(TaskExecutionArn=execution)["FilesTransferred"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    datasync.cancel_task_execution(TaskExecutionArn=execution)
    said = wait_for_execution(aws, execution)
    assert (said["Status"], said["Result"]["ErrorCode"]) == ("ERROR", "Cancelled")
    assert said["Result"]["TransferStatus"] == "ERROR"
    assert announced(execution, at_least=5) == ["LAUNCHING", "PREPARING", "TRANSFERRING", "CANCELLING", "ERROR"]
    assert len(reported(aws, reports, execution)) == 2
    assert refusal(lambda: datasync.cancel_task_execution(TaskExecutionArn=execution))["errorCode"]


def test_a_source_that_does_not_answer_fails_the_execution(aws: Aws, landing: str, reports: str) -> None:
    location = object_storage_location(aws, "elsewhere", server="http://127.0.0.1:9")
    said = execute(aws, make_task(aws, location, landing, reports=reports))
    assert (said["Status"], said["Result"]["PrepareStatus"]) == ("ERROR", "ERROR")
    assert said["Result"]["TransferStatus"] == "PENDING"
    assert said["Result"]["ErrorCode"] == "EndpointConnectionError"
    assert said["ReportResult"]["Status"] == "SUCCESS"


def test_a_source_bucket_that_is_gone_fails_the_execution(aws: Aws, landing: str) -> None:
    said = execute(aws, make_task(aws, "no-such-bucket", landing))
    assert (said["Status"], said["Result"]["ErrorCode"]) == ("ERROR", "NoSuchBucket")


# Reports


def test_reports_say_what_was_asked_for(aws: Aws, s3: Any, source: str, landing: str, reports: str) -> None:
    put(s3, source, a="1")
    task = make_task(aws, source, landing, Name="n")
    said = execute(aws, task)
    assert "ReportResult" not in said
    execute(aws, task, TaskReportConfig=report_to(reports, OutputType="SUMMARY_ONLY"))
    (summary,) = keys(s3, reports)
    assert summary.startswith("n/Summary-Reports/task-")
    config = report_to(reports, ReportLevel="ERRORS_ONLY", ObjectVersionIds="NONE")
    config["Overrides"] = {"Transferred": {"ReportLevel": "SUCCESSES_AND_ERRORS"}}
    said = execute(aws, task, TaskReportConfig=config, OverrideOptions={"TransferMode": "ALL"})
    (entry,) = reported(aws, reports, said["TaskExecutionArn"])
    assert "DstS3VersionId" not in entry
    assert reported(aws, reports, said["TaskExecutionArn"], "Verified") == []


def test_a_report_whose_bucket_is_gone_is_an_error_of_its_own(aws: Aws, s3: Any, source: str, landing: str) -> None:
    put(s3, source, a="1")
    said = execute(aws, make_task(aws, source, landing, reports="no-such-bucket"))
    assert said["Status"] == "SUCCESS"
    assert (said["ReportResult"]["Status"], said["ReportResult"]["ErrorCode"]) == ("ERROR", "NoSuchBucket")


def test_a_report_is_split_into_parts_that_are_not_too_large() -> None:
    entries = [{"RelativePath": f"{number}.csv"} for number in range(100)]
    parts = list(split(entries, 500))
    assert [entry for part in parts for entry in part] == entries
    assert len(parts) > 5
    assert all(len(json.dumps({"TaskExecutionId": "exec-" + "0" * 17, "Transferred": part})) <= 500 for part in parts)
    assert list(split([{"RelativePath": "x" * 600}], 500)) == [[{"RelativePath": "x" * 600}]]
    assert list(split([], 500)) == []


# Configuration


def test_requests_are_held_against_the_service_model(aws: Aws, datasync: Any, source: str, landing: str) -> None:
    for wrong, said in (
        ({"Name": "ä"}, "Name"),
        ({"Options": {"VerifyMode": "SOMETIMES"}}, "enum value set: [POINT_IN_TIME_CONSISTENT"),
        ({"Tags": [{"Key": str(n), "Value": "x"} for n in range(51)]}, "length less than or equal to 50"),
        ({"Includes": rule("/a") * 2}, "length less than or equal to 1"),
    ):
        refused = refusal(lambda wrong=wrong: make_task(aws, source, landing, **wrong))  # type: ignore[misc]
        assert refused["Error"]["Code"] == "InvalidRequestException"
        assert said in refused["Error"]["Message"]
        assert refused["errorCode"] == "InvalidParameter"


def test_settings_that_contradict_each_other_are_refused(
    aws: Aws, datasync: Any, source: str, landing: str, reports: str
) -> None:
    own = s3_location(aws, source)
    place = {"S3BucketArn": f"arn:aws:s3:::{reports}", "BucketAccessRoleArn": ROLE, "ManifestObjectPath": "m.csv"}
    manifest = {"Action": "TRANSFER", "Format": "CSV", "Source": {"S3": place}}
    for wrong in (
        {"ManifestConfig": manifest, "Includes": rule("/a")},
        {"ManifestConfig": manifest, "Options": {"PreserveDeletedFiles": "REMOVE"}},
        {"Options": {"TransferMode": "ALL", "PreserveDeletedFiles": "REMOVE"}},
        {"Options": {"VerifyMode": "POINT_IN_TIME_CONSISTENT"}},
        {"Options": {"BytesPerSecond": 1000}},
        {"Options": {"Mtime": "NONE"}},
        {"TaskMode": "BASIC", "Options": {"Mtime": "NONE"}},
        {"Schedule": {"ScheduleExpression": "rate(30 minutes)"}},
        {"Schedule": {"ScheduleExpression": "cron(0,30 * * * ? *)"}},
        {"Schedule": {"ScheduleExpression": "sometimes"}},
        {"TaskReportConfig": {"OutputType": "STANDARD"}},
    ):
        refused = refusal(lambda wrong=wrong: make_task(aws, own, landing, **wrong))  # type: ignore[misc]
        assert refused["Error"]["Code"] == "InvalidRequestException"
    agentless = refusal(lambda: make_task(aws, source, landing, TaskMode="BASIC"))
    assert "TaskMode must be ENHANCED" in agentless["Error"]["Message"]


def test_locations_are_described_without_their_secrets(aws: Aws, datasync: Any, source: str, landing: str) -> None:
    storage = object_storage_location(aws, f"{source}/a/b")
    described = datasync.describe_location_object_storage(LocationArn=storage)
    assert described["LocationUri"] == f"object-storage://127.0.0.1/{source}/a/b/"
    assert (described["AccessKey"], described["ServerProtocol"]) == (key_for(str(aws.endpoint_url)).id, "HTTP")
    assert "SecretKey" not in described
    own = s3_location(aws, landing)
    assert datasync.describe_location_s3(LocationArn=own)["S3StorageClass"] == "STANDARD"
    filters = [{"Name": "LocationUri", "Operator": "Contains", "Values": [source]}]
    assert [each["LocationArn"] for each in datasync.list_locations(Filters=filters)["Locations"]] == [storage]
    task = make_task(aws, storage, own)
    assert task in refusal(lambda: datasync.delete_location(LocationArn=own))["Error"]["Message"]
    datasync.delete_task(TaskArn=task)
    datasync.delete_location(LocationArn=own)
    assert "is not found" in refusal(lambda: datasync.describe_location_s3(LocationArn=own))["Error"]["Message"]


def test_a_location_of_a_bucket_that_does_not_exist_is_refused(aws: Aws) -> None:
    assert "does not exist" in refusal(lambda: s3_location(aws, "no-such-bucket"))["Error"]["Message"]


def test_a_task_is_described_updated_listed_and_deleted(
    aws: Aws, datasync: Any, source: str, landing: str, reports: str
) -> None:
    task = make_task(aws, source, landing, Name="before", reports=reports)
    described = datasync.describe_task(TaskArn=task)
    assert (described["Name"], described["Status"], described["TaskMode"]) == ("before", "AVAILABLE", "ENHANCED")
    assert described["Options"]["VerifyMode"] == "ONLY_FILES_TRANSFERRED"
    assert "CurrentTaskExecutionArn" not in described
    datasync.update_task(TaskArn=task, Name="after", Options={"LogLevel": "BASIC"})
    described = datasync.describe_task(TaskArn=task)
    assert (described["Name"], described["Options"]["LogLevel"]) == ("after", "BASIC")
    assert described["TaskReportConfig"]["OutputType"] == "STANDARD"
    filters = [{"Name": "LocationId", "Operator": "Contains", "Values": [described["SourceLocationArn"]]}]
    (listed,) = datasync.list_tasks(Filters=filters)["Tasks"]
    assert (listed["TaskArn"], listed["Name"], listed["Status"]) == (task, "after", "AVAILABLE")
    datasync.delete_task(TaskArn=task)
    assert "is not found" in refusal(lambda: datasync.describe_task(TaskArn=task))["Error"]["Message"]


def test_executions_are_found_by_their_tags_page_by_page(aws: Aws, datasync: Any, source: str, landing: str) -> None:
    task = make_task(aws, source, landing)
    runs = [
        execute(aws, task, Tags=[{"Key": "intent", "Value": str(number)}])["TaskExecutionArn"] for number in range(3)
    ]
    pages = datasync.get_paginator("list_task_executions").paginate(TaskArn=task, PaginationConfig={"PageSize": 2})
    assert [[each["TaskExecutionArn"] for each in page["TaskExecutions"]] for page in pages] == [runs[:2], runs[2:]]
    assert datasync.list_tags_for_resource(ResourceArn=runs[1])["Tags"] == [{"Key": "intent", "Value": "1"}]
    datasync.tag_resource(ResourceArn=task, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    datasync.untag_resource(ResourceArn=task, Keys=["a"])
    assert datasync.list_tags_for_resource(ResourceArn=task)["Tags"] == [{"Key": "b", "Value": "2"}]


def test_arns_are_as_real_ones(aws: Aws, datasync: Any, source: str, landing: str) -> None:
    task = make_task(aws, source, landing)
    execution = execute(aws, task)["TaskExecutionArn"]
    model = datasync.meta.service_model
    for arn, shape in ((task, "TaskArn"), (execution, "TaskExecutionArn"), (agent(datasync), "AgentArn")):
        pattern = model.shape_for(shape).metadata["pattern"]
        assert re.fullmatch(pattern, arn)
