"""DataSync as an engine before its stand-in: what its reports prove, and what it costs to look at its executions."""

import json
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adplatform.engines.datasync import LONGEST_MESSAGE, DataSync
from adplatform.engines.engine import Run
from adplatform.engines.task_reports import TaskReport, read_report
from adplatform.failures import PermanentFailure
from adplatform.ledger.engine_run import RunState
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import new_bucket
from adplatform_tests.support.replication import (
    execute,
    make_task,
    object_storage_location,
    order_fault,
    report_to,
    wait_for_execution,
)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SLOWLY = {"TransferMode": "ALL", "VerifyMode": "NONE", "BytesPerSecond": 1}


@dataclass
class Calls:
    """A boto3 client that counts its calls by name."""

    client: Any
    counted: Counter[str] = field(default_factory=Counter)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if name in ("exceptions", "meta", "get_paginator"):
            return found

        def call(**arguments: Any) -> Any:
            self.counted[name] += 1
            return found(**arguments)

        return call


@dataclass(frozen=True)
class World:
    """A task of its own between buckets of its own. ``reports`` is where it reports to, ``s3`` counts calls."""

    aws: Aws
    source: str
    landing: str
    reports: str
    task: str

    def put(self, name: str, body: bytes = b"1") -> None:
        self.aws.client("s3").put_object(Bucket=self.source, Key=name, Body=body)

    def engine(self, **more: Any) -> DataSync:
        s3 = self.aws.client("s3")
        return DataSync(self.aws.client("datasync"), s3, self.task, self.landing, "landing/cloud/", **more)

    def claimed(self, execution: str) -> dict[str, str]:
        """Version by key."""
        engine = self.engine()
        run = engine.observe([execution])[execution]
        return {claim.key.removeprefix("landing/cloud/"): claim.version for claim in engine.claims(run)}

    def written(self) -> set[str]:
        """Keys of reports."""
        listed = self.aws.client("s3").list_objects_v2(Bucket=self.reports).get("Contents", [])
        return {each["Key"] for each in listed}


def make_world(aws: Aws, *, mode: str = "ENHANCED", **settings: Any) -> World:
    source, landing, reports = new_bucket(aws), new_bucket(aws), new_bucket(aws)
    aws.client("s3").put_bucket_versioning(Bucket=landing, VersioningConfiguration={"Status": "Enabled"})
    if mode == "BASIC":
        agent = aws.client("datasync").create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")["AgentArn"]
        where = object_storage_location(aws, source, AgentArns=[agent])
    else:
        where = source
    given = {"TaskReportConfig": report_to(f"{reports}/below"), **settings}
    given = {name: value for name, value in given.items() if value is not None}
    return World(
        aws, source, landing, reports, make_task(aws, where, f"{landing}/landing/cloud", TaskMode=mode, **given)
    )


def cancelled_halfway(world: World) -> str:
    """An execution that is cancelled once the first of its two files is copied."""
    client = world.aws.client("datasync")
    world.put("a.csv")
    world.put("b.csv", b"1" * 3600)
    execution = str(client.start_task_execution(TaskArn=world.task)["TaskExecutionArn"])
    while client.describe_task_execution(TaskExecutionArn=execution)["FilesTransferred"] < 1:
        pass
    client.cancel_task_execution(TaskExecutionArn=execution)
    assert wait_for_execution(world.aws, execution)["Status"] == "ERROR"
    return execution


# What is proved


def test_an_engine_of_tasks_proves_each_file(aws: Aws) -> None:
    assert make_world(aws).engine().limits.proves_files


def test_what_a_failed_execution_did_transfer_is_claimed_by_its_report(aws: Aws) -> None:
    world = make_world(aws, mode="BASIC", Name=f"cloud {uuid.uuid4().hex[:8]}")
    for name in ("a.csv", "b.csv", "c.csv"):
        world.put(name)
    order_fault(aws, "run_fails", world.task, count=2)
    said = execute(aws, world.task)
    assert said["Status"] == "ERROR"
    claimed = world.claimed(said["TaskExecutionArn"])
    assert set(claimed) == {"a.csv", "b.csv"}
    assert all(claimed.values())
    assert execute(aws, world.task)["FilesTransferred"] == 1, "no later execution would bring them"


def test_what_a_cancelled_execution_did_transfer_is_claimed_by_its_report(aws: Aws) -> None:
    world = make_world(aws, mode="BASIC", Options=SLOWLY)
    execution = cancelled_halfway(world)
    assert set(world.claimed(execution)) == {"a.csv"}


def test_a_failed_execution_without_a_report_claims_nothing(aws: Aws) -> None:
    world = make_world(aws, mode="BASIC", Options=SLOWLY, TaskReportConfig=None)
    assert world.claimed(cancelled_halfway(world)) == {}


def test_a_success_without_a_report_claims_what_was_written_meanwhile(aws: Aws) -> None:
    world = make_world(aws, TaskReportConfig=None)
    world.put("a.csv")
    assert set(world.claimed(execute(aws, world.task)["TaskExecutionArn"])) == {"a.csv"}


def test_a_report_that_only_this_execution_wrote_is_found_where_it_is(aws: Aws) -> None:
    world = make_world(aws, TaskReportConfig=None)
    world.put("a.csv")
    said = execute(aws, world.task, TaskReportConfig=report_to(world.reports))
    assert all(world.claimed(said["TaskExecutionArn"]).values())


def test_a_report_that_never_comes_is_told(aws: Aws) -> None:
    patience = make_world(aws).engine().limits.patience
    assert all(patience[state] for state in (RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED))


# Reports


@pytest.mark.parametrize("name", ["partner orders", None])
def test_a_report_is_read_without_a_look_at_others(aws: Aws, name: str | None) -> None:
    world = make_world(aws, Name=name)
    for number in range(3):
        world.put(f"{number}.csv")
        last = execute(aws, world.task)["TaskExecutionArn"]
    s3 = Listed(aws.client("s3"))
    report = replace(world.engine().report(last), s3=s3)
    assert [file.path for file in report.files("Transferred")] == ["2.csv"]
    assert all(last.rpartition("/")[2] in prefix for prefix in s3.prefixes)


def test_of_an_execution_that_copied_nothing_no_other_report_is_listed(aws: Aws) -> None:
    world = make_world(aws, Name="idle", TaskReportConfig=report_to("x"))
    reports = {**report_to(f"{world.reports}/below")}
    aws.client("datasync").update_task(TaskArn=world.task, TaskReportConfig=reports)
    last = execute(aws, world.task)["TaskExecutionArn"]
    s3 = Listed(aws.client("s3"))
    assert list(replace(world.engine().report(last), s3=s3).files("Transferred")) == []
    assert all(last.rpartition("/")[2] in prefix for prefix in s3.prefixes)


def test_a_report_in_another_folder_is_found_too(aws: Aws) -> None:
    world = make_world(aws)
    world.put("a.csv")
    last = execute(aws, world.task)["TaskExecutionArn"]
    s3 = aws.client("s3")
    for key in world.written():
        s3.copy_object(Bucket=world.reports, CopySource={"Bucket": world.reports, "Key": key}, Key=f"below/new/{key}")
        s3.delete_object(Bucket=world.reports, Key=key)
    assert set(world.claimed(last)) == {"a.csv"}


def test_a_task_that_reports_nowhere_has_no_report() -> None:
    for config in ({}, {"Destination": {}}, {"Destination": {"S3": {}}}):
        assert list(TaskReport(None, config, "", "arn:aws:datasync:x:1:task/t/execution/e").files("Skipped")) == []


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "no list"),
        (b'{"Transferred": {}}', "no list"),
        (b'{"Transferred": [{"RelativePath": "a"}, {}]}', "entry 2 has no RelativePath"),
        (b'{"Transferred": ["a"]}', "entry 1 has no RelativePath"),
    ],
)
def test_a_damaged_report_is_named(body: bytes, what: str) -> None:
    with pytest.raises(PermanentFailure, match=f"s3://r/x.json.*{what}"):
        list(read_report("s3://r/x.json", body, "Transferred"))


def test_a_report_that_is_damaged_in_the_bucket_fails_for_good(aws: Aws) -> None:
    world = make_world(aws)
    world.put("a.csv")
    last = execute(aws, world.task)["TaskExecutionArn"]
    [key] = [key for key in world.written() if "files-transferred" in key]
    aws.client("s3").put_object(Bucket=world.reports, Key=key, Body=b"{}{")
    with pytest.raises(PermanentFailure, match=key):
        world.claimed(last)
    aws.client("s3").delete_object(Bucket=world.reports, Key=key)
    assert set(world.claimed(last)) == {"a.csv"}, "what was written meanwhile counts"


def test_a_report_whose_bucket_is_gone_is_no_raw_error(aws: Aws) -> None:
    report = TaskReport(
        aws.client("s3"), report_to(f"gone-{uuid.uuid4().hex}"), "", "arn:aws:datasync:x:1:task/t/execution/e"
    )
    with pytest.raises(PermanentFailure, match="reports s3://gone-"):
        list(report.files("Transferred"))


def test_a_file_of_a_report_has_what_either_mode_says_of_it() -> None:
    enhanced = {
        "RelativePath": "a/b.csv",
        "SourceMetadata": {"Type": "Object", "ContentSize": 6, "LastModified": "2024-10-04T14:40:55Z"},
        "DstS3VersionId": "v1",
        "TransferStatus": "SUCCESS",
    }
    basic = {
        "RelativePath": "/a/b.csv",
        "SrcMetadata": {"Type": "Regular", "ContentSize": 6, "Mtime": "2024-10-04T14:40:55Z"},
        "DstS3VersionId": "v1",
        "TransferStatus": "SUCCESS",
    }
    folder = {"RelativePath": "/a", "SrcMetadata": {"Type": "Directory"}}
    for entry in (enhanced, basic):
        body = json.dumps({"TaskExecutionId": "exec-1", "Transferred": [entry, folder]}).encode()
        [file] = read_report("x", body, "Transferred")
        assert (file.path, file.succeeded, file.version, file.size) == ("a/b.csv", True, "v1", 6)
        assert file.modified == datetime(2024, 10, 4, 14, 40, 55, tzinfo=UTC)


# What looking costs


def test_ended_executions_that_somebody_remembers_are_not_described(aws: Aws) -> None:
    world = make_world(aws)
    known: dict[str, Run] = {}
    for _ in range(4):
        execute(aws, world.task)
    first = {run.run_id: run for run in world.engine().recent(LONG_AGO)}
    known |= dict(list(first.items())[:3])
    asked: list[str] = []

    def remembered(run_ids: Collection[str]) -> Mapping[str, Run]:
        asked.extend(run_ids)
        return {run_id: known[run_id] for run_id in run_ids if run_id in known}

    client = Calls(aws.client("datasync"))
    engine = replace(world.engine(remembered=remembered), client=client)
    for _ in range(2):
        assert {run.run_id for run in engine.recent(LONG_AGO)} == set(first)
    assert client.counted["describe_task_execution"] == 1
    assert len(asked) == 4


def test_what_is_remembered_has_its_own_time(aws: Aws) -> None:
    world = make_world(aws)
    execution = execute(aws, world.task)["TaskExecutionArn"]
    old = Run(execution, RunState.SUCCEEDED, "SUCCESS", final=True, started_at=datetime.now(UTC) - timedelta(days=9))
    engine = world.engine(remembered=lambda _: {execution: old})
    assert list(engine.recent(datetime.now(UTC) - timedelta(days=1))) == []
    assert list(engine.recent(LONG_AGO)) == [old]


# What is stopped


@pytest.mark.slow
def test_an_execution_that_ends_while_it_is_stopped_is_no_error(aws: Aws) -> None:
    @dataclass
    class Stale:
        """A client that is behind with its first answer."""

        client: Any
        asked: int = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.client, name)

        def describe_task_execution(self, **asked: str) -> Any:
            self.asked += 1
            said = self.client.describe_task_execution(**asked)
            return said if self.asked > 1 else {**said, "Status": "TRANSFERRING"}

    world = make_world(aws)
    ended = execute(aws, world.task)["TaskExecutionArn"]
    client = Stale(aws.client("datasync"))
    replace(world.engine(), client=client).cancel(ended)
    assert client.asked == 2


# What is said


def test_a_long_text_of_aws_is_cut() -> None:
    class Client:
        def describe_task_execution(self, **_: str) -> dict[str, Any]:
            return {"Status": "ERROR", "Result": {"ErrorCode": "OpNotSupp", "ErrorDetail": "x" * 5_000}}

    run = DataSync(Client(), None, "cloud", "raw", "landing/cloud/")._described("exec")
    assert run.message.startswith("OpNotSupp xxx")
    assert len(run.message) <= LONGEST_MESSAGE


@dataclass
class Listed:
    """A client of S3 that notes what prefixes are listed."""

    client: Any
    prefixes: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def get_paginator(self, name: str) -> "Listed":
        return self

    def paginate(self, **asked: str) -> Any:
        self.prefixes.append(asked["Prefix"])
        return self.client.get_paginator("list_objects_v2").paginate(**asked)


def test_a_file_that_failed_its_verification_is_claimed_with_its_fault(aws: Aws) -> None:
    world = make_world(aws)
    for name in ("a.csv", "b.csv"):
        world.put(name)
    order_fault(aws, "verify_failures", world.task, count=1)
    execution = world.aws.client("datasync").start_task_execution(TaskArn=world.task)["TaskExecutionArn"]
    wait_for_execution(aws, execution)
    engine = world.engine()
    claims = list(engine.claims(engine.observe([execution])[execution]))
    assert sorted(claim.fault for claim in claims) == ["", "failed their verification"]
