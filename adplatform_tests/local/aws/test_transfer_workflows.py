"""Managed workflows of the embedded AWS: which files they begin for, what their steps do, and what is left out."""

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.local.aws.transfer.executions import taken
from adplatform.local.endpoint import ensure
from adplatform.local.functions import make_function
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.files.openpgp import Workshop
from adplatform_tests.local.aws.test_transfer_alone import kill_saved
from adplatform_tests.support.replication import administer
from adplatform_tests.support.sftp_uploads import (
    ROLE,
    Partner,
    dropped,
    make_partner,
    make_server,
    needs_sftp,
    order_server_fault,
)
from adplatform_tests.support.waiting import eventually

HANDLERS = "adplatform_tests.support.transfer_functions"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs_sftp()
    return tmp_path_factory.mktemp("alone")


@pytest.fixture(scope="module")
def own(home: Path) -> Iterator[Aws]:
    with ensure(home) as endpoint:
        yield local_aws(endpoint.url)


@pytest.fixture
def bucket(own: Aws) -> str:
    name = f"raw-{uuid.uuid4().hex[:12]}"
    own.client("s3").create_bucket(Bucket=name)
    return name


def custom(arn: str, seconds: int = 30, source: str = "${original.file}") -> dict[str, Any]:
    details = {"Name": "custom", "Target": arn, "TimeoutSeconds": seconds, "SourceFileLocation": source}
    return {"Type": "CUSTOM", "CustomStepDetails": details}


def tag(value: str) -> dict[str, Any]:
    return {"Type": "TAG", "TagStepDetails": {"Name": "tag", "Tags": [{"Key": "seen", "Value": value}]}}


def elsewhere(kind: str, bucket: str, key: str, overwrite: bool = False) -> dict[str, Any]:
    where = {"DestinationFileLocation": {"S3FileLocation": {"Bucket": bucket, "Key": key}}}
    details = {"Name": "step", "OverwriteExisting": str(overwrite).upper(), **where}
    if kind == "COPY":
        return {"Type": "COPY", "CopyStepDetails": details}
    return {"Type": "DECRYPT", "DecryptStepDetails": {**details, "Type": "PGP"}}


def function(aws: Aws, handler: str, timeout: float = 60.0, **environment: str) -> str:
    """The ARN of a function of the test's own."""
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:f-{uuid.uuid4().hex[:8]}"
    make_function(str(aws.endpoint_url), arn, f"{HANDLERS}:{handler}", environment, timeout)
    return arn


def workflow(aws: Aws, steps: list[dict[str, Any]], handling: list[dict[str, Any]] | None = None) -> str:
    """The id of a workflow. The account has ten at most, so those of earlier tests go."""
    client = aws.client("transfer")
    known = client.list_workflows()["Workflows"]
    for each in known if len(known) >= 8 else ():
        client.delete_workflow(WorkflowId=each["WorkflowId"])
    return str(client.create_workflow(Steps=steps, OnExceptionSteps=handling or [])["WorkflowId"])


def partner_with(aws: Aws, bucket: str, folder: Path, upload: str = "", partial: str = "") -> tuple[str, Partner]:
    """A server with these workflows, and a partner."""
    workflows = {"OnUpload": upload, "OnPartialUpload": partial}
    details = {name: [{"WorkflowId": each, "ExecutionRole": ROLE}] for name, each in workflows.items() if each}
    server = make_server(aws, WorkflowDetails=details)
    return server, make_partner(aws, server, bucket, folder)


def tags(aws: Aws, bucket: str, key: str) -> dict[str, str]:
    found = aws.client("s3").get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {each["Key"]: each["Value"] for each in found}


def body(aws: Aws, bucket: str, key: str) -> bytes | None:
    try:
        return bytes(aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError:
        return None


def calls(aws: Aws, bucket: str) -> list[dict[str, Any]]:
    """The events that the functions of :mod:`adplatform_tests.support.transfer_functions` were called with."""
    s3 = aws.client("s3")
    found = s3.list_objects_v2(Bucket=bucket, Prefix="calls/").get("Contents", [])
    return [json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()) for each in found]


def ended(aws: Aws, name: str) -> Callable[[], bool]:
    return lambda: not aws.client("transfer").list_executions(WorkflowId=name)["Executions"]


def test_every_step_is_taken_for_a_file_that_was_uploaded(own: Aws, bucket: str, tmp_path: Path) -> None:
    check = function(own, "succeeds", BUCKET=bucket)
    copies = "copies/${Transfer:UserName}/"
    name = workflow(own, [custom(check), tag("yes"), elsewhere("COPY", bucket, copies), tag("copied")])
    server, partner = partner_with(own, bucket, tmp_path, name)
    partner.put({"a b+c.csv": b"id\n1\n"})
    copy = f"copies/{partner.user}/a b+c.csv"
    assert eventually(lambda: body(own, bucket, copy) and tags(own, bucket, copy) == {"seen": "copied"})
    assert tags(own, bucket, "landing/acme/a b+c.csv") == {"seen": "yes"}
    [event] = calls(own, bucket)
    assert event["fileLocation"] == {
        "domain": "S3",
        "bucket": bucket,
        "key": "landing/acme/a b+c.csv",
        "eTag": own.client("s3").head_object(Bucket=bucket, Key="landing/acme/a b+c.csv")["ETag"].strip('"'),
        "versionId": None,
    }
    told = event["serviceMetadata"]
    assert (told["executionDetails"]["workflowId"], told["transferDetails"]["serverId"]) == (name, server)
    assert eventually(ended(own, name))


def test_no_workflow_begins_for_a_file_without_content_or_for_a_rename(own: Aws, bucket: str, tmp_path: Path) -> None:
    name = workflow(own, [elsewhere("COPY", bucket, "copies/")])
    _, partner = partner_with(own, bucket, tmp_path, name)
    partner.put({"empty.csv": b"", "a.tmp": b"x"})
    assert eventually(lambda: body(own, bucket, "copies/a.tmp"))
    partner.sftp("rename a.tmp a.csv")
    assert eventually(ended(own, name))
    assert body(own, bucket, "copies/empty.csv") is None
    assert body(own, bucket, "copies/a.csv") is None


def test_an_execution_is_known_while_it_is_in_progress(own: Aws, bucket: str, tmp_path: Path) -> None:
    waiting = function(own, "never_answers", BUCKET=bucket)
    name = workflow(own, [tag("yes"), custom(waiting, 600)])
    server, partner = partner_with(own, bucket, tmp_path, name)
    partner.put({"a.csv": b"x"})
    assert eventually(lambda: calls(own, bucket))
    client = own.client("transfer")
    [listed] = client.list_executions(WorkflowId=name)["Executions"]
    known = client.describe_execution(WorkflowId=name, ExecutionId=listed["ExecutionId"])["Execution"]
    assert (known["Status"], known["Results"]["Steps"]) == ("IN_PROGRESS", [{"StepType": "TAG"}])
    assert known["InitialFileLocation"]["S3FileLocation"]["Key"] == "landing/acme/a.csv"
    assert known["ServiceMetadata"]["UserDetails"]["ServerId"] == server
    [event] = calls(own, bucket)
    said = {"WorkflowId": name, "ExecutionId": listed["ExecutionId"], "Status": "SUCCESS"}
    with pytest.raises(client.exceptions.InvalidRequestException):
        client.send_workflow_step_state(**said, Token="another")
    client.send_workflow_step_state(**said, Token=event["token"])
    assert eventually(ended(own, name))
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.describe_execution(WorkflowId=name, ExecutionId=listed["ExecutionId"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.send_workflow_step_state(**said, Token=event["token"])


@pytest.mark.parametrize(
    ("handler", "seconds"),
    [
        pytest.param("fails", 30, id="it says FAILURE"),
        pytest.param("never_answers", 1, id="it says nothing in time", marks=pytest.mark.slow),
    ],
)
def test_an_exception_is_handled(own: Aws, bucket: str, tmp_path: Path, handler: str, seconds: int) -> None:
    failing, handling = function(own, handler, BUCKET=bucket), function(own, "succeeds", BUCKET=bucket)
    name = workflow(own, [custom(failing, seconds), tag("never")], [custom(handling), tag("failed")])
    _, partner = partner_with(own, bucket, tmp_path, name)
    partner.put({"a.csv": b"x"})
    assert eventually(lambda: tags(own, bucket, "landing/acme/a.csv") == {"seen": "failed"})
    assert len(calls(own, bucket)) == 2


@pytest.mark.slow
def test_a_step_fails_for_a_file_that_is_another_by_then(own: Aws, bucket: str, tmp_path: Path) -> None:
    replacing, handling = function(own, "replaces", BUCKET=bucket), function(own, "succeeds", BUCKET=bucket)
    name = workflow(own, [custom(replacing), tag("never")], [custom(handling)])
    _, partner = partner_with(own, bucket, tmp_path, name)
    partner.put({"a.csv": b"x"})
    assert eventually(lambda: len(calls(own, bucket)) == 2)
    assert tags(own, bucket, "landing/acme/a.csv") == {}


@pytest.mark.slow
def test_a_copy_does_not_go_over_what_is_there_unless_it_may(own: Aws, bucket: str, tmp_path: Path) -> None:
    handling = function(own, "succeeds", BUCKET=bucket)
    strict = workflow(own, [elsewhere("COPY", bucket, "copies/")], [custom(handling)])
    _, partner = partner_with(own, bucket, tmp_path, strict)
    partner.put({"a.csv": b"x"})
    assert eventually(lambda: body(own, bucket, "copies/a.csv"))
    partner.put({"a.csv": b"y"})
    assert eventually(lambda: calls(own, bucket))
    assert body(own, bucket, "copies/a.csv") == b"x"


def test_a_file_is_decrypted_unless_it_is_too_large_or_for_somebody_else(own: Aws, bucket: str, tmp_path: Path) -> None:
    handling = function(own, "succeeds", BUCKET=bucket)
    name = workflow(own, [elsewhere("DECRYPT", bucket, "plain/", True)], [custom(handling)])
    server, partner = partner_with(own, bucket, tmp_path, name)
    with Workshop.open() as workshop:
        us, sender = workshop.partner("us"), workshop.partner("sender")
        own.client("secretsmanager").create_secret(
            Name=f"aws/transfer/{server}/@pgp-default", SecretString=json.dumps({"PGPPrivateKey": us.private})
        )
        signed = workshop.encrypt(b"id\n1\n", us, signers=[sender])
        partner.put({"a.csv.pgp": signed})
        assert eventually(lambda: body(own, bucket, "plain/a.csv.pgp") == b"id\n1\n")
        partner.put({"other.pgp": workshop.encrypt(b"x", sender)})
        assert eventually(lambda: len(calls(own, bucket)) == 1)
        order_server_fault(own, "decrypt_limit", server, count=4)
        partner.put({"large.pgp": signed})
        assert eventually(lambda: len(calls(own, bucket)) == 2)
    assert body(own, bucket, "plain/other.pgp") is None
    assert body(own, bucket, "plain/large.pgp") is None


def test_a_session_that_ends_in_a_file_begins_the_other_workflow(own: Aws, bucket: str, tmp_path: Path) -> None:
    upload, partial = workflow(own, [tag("whole")]), workflow(own, [tag("partial")])
    _, partner = partner_with(own, bucket, tmp_path, upload, partial)
    client = partner.session()
    for name, content in {"none.csv": b"", "a.csv": b"id\n1"}.items():
        file = client.open(name, "wb")
        file.write(content)
        file.stat()
    client.get_channel().get_transport().close()
    assert eventually(lambda: body(own, bucket, "landing/acme/a.csv"))
    assert eventually(lambda: tags(own, bucket, "landing/acme/a.csv") == {"seen": "partial"})
    assert eventually(lambda: body(own, bucket, "landing/acme/none.csv") == b"")
    assert tags(own, bucket, "landing/acme/none.csv") == {}


def test_a_function_that_dies_is_called_again_later(own: Aws, bucket: str, tmp_path: Path) -> None:
    dying = function(own, "dies_at_first", BUCKET=bucket)
    name = workflow(own, [custom(dying, 1200), tag("yes")])
    _, partner = partner_with(own, bucket, tmp_path, name)
    partner.put({"a.csv": b"x"})
    assert eventually(lambda: len(calls(own, bucket)) == 1)
    administer(own, advance=61)
    assert eventually(lambda: tags(own, bucket, "landing/acme/a.csv") == {"seen": "yes"})
    assert len(calls(own, bucket)) == 2


@pytest.mark.slow
def test_servers_workflows_and_executions_outlive_the_process(tmp_path: Path) -> None:
    needs_sftp()
    endpoint = ensure(tmp_path / "aws")
    aws = local_aws(endpoint.url)
    aws.client("s3").create_bucket(Bucket="raw-killed")
    slow = function(aws, "succeeds_later", BUCKET="raw-killed", SECONDS="1.5")
    name = workflow(aws, [custom(slow, 600), tag("yes")])
    _, partner = partner_with(aws, "raw-killed", tmp_path, name)
    partner.put({"a.csv": b"x"})
    assert eventually(lambda: calls(aws, "raw-killed"))
    kill_saved(endpoint)
    with ensure(tmp_path / "aws") as endpoint:
        aws = local_aws(endpoint.url)
        assert eventually(lambda: tags(aws, "raw-killed", "landing/acme/a.csv") == {"seen": "yes"})
        partner.put({"b.csv": b"x"})  # at the same port, with the same key
        assert eventually(lambda: tags(aws, "raw-killed", "landing/acme/b.csv") == {"seen": "yes"})


def test_a_hundred_executions_begin_at_once_and_one_more_each_second() -> None:
    bucket, now, begun = None, datetime(2026, 1, 1, tzinfo=UTC), []
    for seconds in (0, 0.5, 3, 3600):
        for _ in range(120):
            bucket, begins = taken(bucket, now + timedelta(seconds=seconds))
            begun.append((seconds, begins))
    assert Counter(seconds for seconds, begins in begun if begins) == {0: 100, 3: 3, 3600: 100}


@pytest.mark.slow
def test_more_executions_than_may_begin_at_once_are_dropped(own: Aws, bucket: str, tmp_path: Path) -> None:
    administer(own, advance=3600)
    name = workflow(own, [tag("yes")])
    _, partner = partner_with(own, bucket, tmp_path, name)
    before = dropped(own)
    files: Mapping[str, bytes] = {f"{number:03}.csv": b"x" for number in range(130)}
    partner.put(files)
    assert eventually(ended(own, name))
    tagged = sum(tags(own, bucket, f"landing/acme/{file}") == {"seen": "yes"} for file in files)
    assert 100 <= tagged < 130  # one more for each second that it took
    assert dropped(own) - before == 130 - tagged


def test_a_workflow_is_described_and_lacks_no_details(own: Aws) -> None:
    client = own.client("transfer")
    name = client.create_workflow(Description="acme files", Steps=[tag("yes")], Tags=[{"Key": "a", "Value": "b"}])
    known = client.describe_workflow(WorkflowId=name["WorkflowId"])["Workflow"]
    assert (known["Description"], known["Steps"], known["Tags"]) == (
        "acme files",
        [tag("yes")],
        [{"Key": "a", "Value": "b"}],
    )
    with pytest.raises(client.exceptions.InvalidRequestException):
        client.create_workflow(Steps=[{"Type": "TAG"}])
    with pytest.raises(client.exceptions.InvalidRequestException):
        for _ in range(11):
            client.create_workflow(Steps=[])
    for each in client.list_workflows()["Workflows"]:
        client.delete_workflow(WorkflowId=each["WorkflowId"])
