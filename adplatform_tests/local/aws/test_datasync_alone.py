"""DataSync where it needs an embedded AWS of its own: shares, the clock, another cloud, and the end of the process."""

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.local.endpoint import HEALTH_PATH, Endpoint, ensure
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.support.replication import (
    administer,
    execute,
    make_task,
    object_storage_location,
    order_fault,
    reported,
    s3_location,
    wait_for_execution,
)
from adplatform_tests.support.waiting import eventually

HOUR = 3600


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alone")


@pytest.fixture(scope="module")
def own(data: Path) -> Iterator[Aws]:
    with ensure(data) as endpoint:
        yield local_aws(endpoint.url)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def new_bucket(aws: Aws, **objects: str) -> str:
    name = unique("bucket")
    aws.client("s3").create_bucket(Bucket=name)
    for key, body in objects.items():
        aws.client("s3").put_object(Bucket=name, Key=key, Body=body.encode())
    return name


def keys(aws: Aws, bucket: str) -> list[str]:
    return [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents", [])]


def new_agent(aws: Aws) -> str:
    return str(aws.client("datasync").create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")["AgentArn"])


def nfs_location(aws: Aws, host: str, path: str) -> str:
    created = aws.client("datasync").create_location_nfs(
        ServerHostname=host, Subdirectory=path, OnPremConfig={"AgentArns": [new_agent(aws)]}
    )
    return str(created["LocationArn"])


def executions(aws: Aws, task: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = aws.client("datasync").list_task_executions(TaskArn=task)["TaskExecutions"]
    return listed


# Other places


def test_a_bucket_of_another_cloud_is_copied_into_the_account(aws: Aws, own: Aws) -> None:
    theirs, ours = new_bucket(own, a="1", b="2"), new_bucket(aws)
    location = object_storage_location(aws, theirs, server=str(own.endpoint_url))
    assert execute(aws, make_task(aws, location, ours))["FilesTransferred"] == 2
    assert keys(aws, ours) == ["a", "b"]


def test_files_of_a_server_arrive_with_their_folders_owners_and_times(own: Aws, data: Path) -> None:
    export = data / "shares" / "nas.partner" / "export"
    (export / "2026").mkdir(parents=True)
    (export / "2026" / "a.csv").write_text("1")
    (export / "secret").symlink_to(data / "endpoint.json")
    landing, reports = new_bucket(own), new_bucket(own)
    task = make_task(own, nfs_location(own, "nas.partner", "/export"), landing, reports=reports, TaskMode="BASIC")
    first = execute(own, task)
    assert (first["Status"], first["FilesTransferred"], first["FilesVerified"]) == ("SUCCESS", 2, 2)
    assert keys(own, landing) == ["2026/", "2026/a.csv"]
    metadata = own.client("s3").head_object(Bucket=landing, Key="2026/a.csv")["Metadata"]
    assert {"file-mtime", "file-atime", "file-owner", "file-group", "file-permissions"} <= metadata.keys()
    told = {entry["RelativePath"]: entry for entry in reported(own, reports, first["TaskExecutionArn"])}
    assert told["/2026"]["SrcMetadata"]["Type"] == "Directory"
    assert told["/2026/a.csv"]["SrcMetadata"]["Mode"] == metadata["file-permissions"]
    assert execute(own, task)["FilesTransferred"] == 0
    (export / "2026" / "a.csv").write_text("2")
    assert execute(own, task)["FilesTransferred"] >= 1
    assert own.client("s3").get_object(Bucket=landing, Key="2026/a.csv")["Body"].read() == b"2"


def test_a_container_of_azure_is_a_directory_without_folders(own: Aws, data: Path) -> None:
    container = data / "shares" / "acme.blob.core.windows.net" / "exports"
    (container / "day").mkdir(parents=True)
    (container / "day" / "a.csv").write_text("1")
    datasync, landing = own.client("datasync"), new_bucket(own)
    location = datasync.create_location_azure_blob(
        ContainerUrl="https://acme.blob.core.windows.net/exports",
        AuthenticationType="SAS",
        SasConfiguration={"Token": "sp=rl"},
    )["LocationArn"]
    described = datasync.describe_location_azure_blob(LocationArn=location)
    assert described["LocationUri"] == "azure-blob://acme.blob.core.windows.net/exports/"
    assert "SasConfiguration" not in described
    assert execute(own, make_task(own, location, landing))["FilesTransferred"] == 1
    assert keys(own, landing) == ["day/a.csv"]


@pytest.mark.parametrize("path", ["/absent", "/export/../..", "/a.txt", "/out"])
def test_only_directories_of_a_share_are_mounted(own: Aws, data: Path, path: str) -> None:
    share = data / "shares" / "smb.partner"
    share.mkdir(parents=True, exist_ok=True)
    (share / "a.txt").write_text("1")
    if not (share / "out").is_symlink():
        (share / "out").symlink_to(data)
    with pytest.raises(ClientError, match="cannot be mounted"):
        own.client("datasync").create_location_smb(
            ServerHostname="smb.partner", Subdirectory=path, User="u", Password="p", AgentArns=[new_agent(own)]
        )


def test_the_secret_of_another_cloud_can_lie_in_secrets_manager(own: Aws) -> None:
    secret = own.client("secretsmanager").create_secret(Name=unique("key"), SecretString=own.key.secret)["ARN"]
    role = "arn:aws:iam::123456789012:role/datasync"
    config = {"SecretArn": secret, "SecretAccessRoleArn": role}
    location = object_storage_location(own, new_bucket(own, a="1"), CustomSecretConfig=config)
    assert execute(own, make_task(own, location, new_bucket(own)))["FilesTransferred"] == 1


# The clock


def test_a_schedule_starts_executions_by_the_clock_until_it_is_disabled(own: Aws) -> None:
    datasync = own.client("datasync")
    task = make_task(own, new_bucket(own, a="1"), new_bucket(own), Schedule={"ScheduleExpression": "rate(1 hour)"})
    assert executions(own, task) == []
    administer(own, advance=HOUR + 1)
    (first,) = eventually(lambda: executions(own, task))
    assert wait_for_execution(own, first["TaskExecutionArn"])["FilesTransferred"] == 1
    administer(own, advance=5 * HOUR)
    assert eventually(lambda: len(executions(own, task)) == 2)
    datasync.update_task(TaskArn=task, Schedule={"ScheduleExpression": "rate(1 hour)", "Status": "DISABLED"})
    described = datasync.describe_task(TaskArn=task)
    assert described["ScheduleDetails"]["DisabledBy"] == "USER"
    assert described["ScheduleDetails"]["DisabledReason"] == "Manually disabled by user."
    administer(own, advance=2 * HOUR)
    time.sleep(0.5)
    assert len(executions(own, task)) == 2
    datasync.update_task(TaskArn=task, Schedule={"ScheduleExpression": ""})
    assert "Schedule" not in datasync.describe_task(TaskArn=task)


def test_history_is_kept_for_30_days(own: Aws) -> None:
    task = make_task(own, new_bucket(own, a="1"), new_bucket(own))
    execution = execute(own, task)["TaskExecutionArn"]
    administer(own, advance=29 * 24 * HOUR)
    assert [each["TaskExecutionArn"] for each in executions(own, task)] == [execution]
    administer(own, advance=2 * 24 * HOUR)
    assert executions(own, task) == []
    with pytest.raises(ClientError, match="is not found"):
        own.client("datasync").list_tags_for_resource(ResourceArn=execution)


def test_what_is_late_comes_when_the_clock_has_moved(own: Aws) -> None:
    task = make_task(own, new_bucket(own, a="1"), new_bucket(own), reports=new_bucket(own))
    order_fault(own, "report_late", task, seconds=HOUR)
    datasync = own.client("datasync")
    execution = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    assert eventually(lambda: datasync.describe_task_execution(TaskExecutionArn=execution)["Status"] == "SUCCESS")
    assert datasync.describe_task_execution(TaskExecutionArn=execution)["ReportResult"]["Status"] == "PENDING"
    administer(own, advance=HOUR)
    assert wait_for_execution(own, execution)["ReportResult"]["Status"] == "SUCCESS"


# The end of the process


def kill_saved(endpoint: Endpoint) -> None:
    def saved() -> bool:
        with urllib.request.urlopen(endpoint.url + HEALTH_PATH, timeout=30) as response:
            return bool(json.load(response) == {"unsaved": []})

    assert eventually(saved)
    assert endpoint.process is not None
    endpoint.process.kill()
    endpoint.process.wait()


def test_state_survives_the_killing_of_the_process_and_what_was_going_on_goes_on_or_fails(tmp_path: Path) -> None:
    endpoint = ensure(tmp_path)
    aws = local_aws(endpoint.url)
    source, landing, reports = new_bucket(aws, a="1", b="2" * 50), new_bucket(aws), new_bucket(aws)
    done_task = make_task(aws, s3_location(aws, source), landing, Name="kept", reports=reports)
    done = execute(aws, done_task, Tags=[{"Key": "intent", "Value": "1"}])["TaskExecutionArn"]
    order_fault(aws, "report_late", done_task, seconds=4)
    datasync = aws.client("datasync")
    unreported = datasync.start_task_execution(TaskArn=done_task)["TaskExecutionArn"]
    queued_task = make_task(aws, s3_location(aws, source), f"{landing}/queued")
    order_fault(aws, "stuck_queued", queued_task, seconds=5)
    queued = datasync.start_task_execution(TaskArn=queued_task)["TaskExecutionArn"]
    slow = {"TaskMode": "BASIC", "Options": {"BytesPerSecond": 1}}
    copying_task = make_task(aws, s3_location(aws, source), f"{landing}/slow", reports=reports, **slow)
    copying = datasync.start_task_execution(TaskArn=copying_task)["TaskExecutionArn"]
    assert eventually(lambda: datasync.describe_task_execution(TaskExecutionArn=copying)["FilesTransferred"] == 2)
    kill_saved(endpoint)
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        datasync = aws.client("datasync")
        described = datasync.describe_task(TaskArn=done_task)
        assert (described["Name"], described["CurrentTaskExecutionArn"]) == ("kept", unreported)
        assert datasync.describe_task_execution(TaskExecutionArn=done)["FilesTransferred"] == 2
        assert datasync.list_tags_for_resource(ResourceArn=done)["Tags"] == [{"Key": "intent", "Value": "1"}]
        assert wait_for_execution(aws, unreported)["ReportResult"]["Status"] == "SUCCESS"
        assert wait_for_execution(aws, queued)["Status"] == "SUCCESS"
        assert keys(aws, landing)[:4] == ["a", "b", "queued/a", "queued/b"]
        interrupted = wait_for_execution(aws, copying)
        assert (interrupted["Status"], interrupted["Result"]["ErrorCode"]) == ("ERROR", "InternalError")
        assert execute(aws, copying_task, OverrideOptions={"BytesPerSecond": -1})["Status"] == "SUCCESS"
