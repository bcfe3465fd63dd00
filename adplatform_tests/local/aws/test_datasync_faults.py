"""What can be made to go wrong with DataSync of the embedded AWS."""

import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import (
    execute,
    make_task,
    object_storage_location,
    order_fault,
    reported,
    wait_for_execution,
)


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture(scope="module")
def datasync(aws: Aws) -> Any:
    return aws.client("datasync")


@pytest.fixture(scope="module")
def impatient(aws: Aws) -> Any:
    """A client that tries once."""
    return aws.client_once("datasync")


@pytest.fixture
def buckets(s3: Any) -> tuple[str, str, str]:
    """Source with three objects, destination, and reports."""
    names = [f"{role}-{uuid.uuid4().hex[:12]}" for role in ("partner", "landing", "reports")]
    for name in names:
        s3.create_bucket(Bucket=name)
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=names[0], Key=key, Body=key.encode())
    return names[0], names[1], names[2]


@pytest.fixture
def task(aws: Aws, buckets: tuple[str, str, str]) -> str:
    return make_task(aws, buckets[0], buckets[1], reports=buckets[2])


def events_of(aws: Aws, task: str) -> Any:
    """How often the end of an execution of the task was announced since this call."""
    sqs, events, name = aws.client("sqs"), aws.client("events"), f"q-{uuid.uuid4().hex[:12]}"
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = (
        f'{{"source": ["aws.datasync"], "resources": [{{"prefix": "{task}"}}], "detail": {{"State": ["SUCCESS"]}}}}'
    )
    events.put_rule(Name=name, EventPattern=pattern)
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])

    def count() -> int:
        asked = ["ApproximateNumberOfMessages"]
        return int(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=asked)["Attributes"][asked[0]])

    return count


def eventually(check: Any, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


@pytest.mark.parametrize(("fault", "state"), [("stuck_queued", "QUEUED"), ("stuck_launching", "LAUNCHING")])
def test_an_execution_can_be_stuck_until_it_is_cancelled(
    aws: Aws, datasync: Any, task: str, fault: str, state: str
) -> None:
    order_fault(aws, fault, task)
    execution = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    time.sleep(0.3)
    assert datasync.describe_task_execution(TaskExecutionArn=execution)["Status"] == state
    datasync.cancel_task_execution(TaskExecutionArn=execution)
    assert wait_for_execution(aws, execution)["Status"] == "ERROR"


def test_an_execution_can_be_stuck_for_a_while(aws: Aws, task: str) -> None:
    order_fault(aws, "stuck_queued", task, seconds=0.3)
    said = execute(aws, task)
    assert said["Status"] == "SUCCESS"
    assert (said["LaunchTime"] - said["StartTime"]).total_seconds() >= 0.29


@pytest.mark.slow
def test_the_event_of_the_end_can_be_lost_or_sent_twice(aws: Aws, task: str) -> None:
    count = events_of(aws, task)
    order_fault(aws, "event_lost", task)
    execute(aws, task)
    order_fault(aws, "event_twice", task)
    execute(aws, task)
    assert eventually(lambda: count() == 2)
    execute(aws, task)
    assert eventually(lambda: count() == 3)


def test_the_event_of_the_end_can_be_late(aws: Aws, task: str) -> None:
    count = events_of(aws, task)
    order_fault(aws, "event_late", task, seconds=1.5)
    said = execute(aws, task)
    assert (said["Status"], count()) == ("SUCCESS", 0)
    assert eventually(lambda: count() == 1)


def test_the_event_of_the_end_can_come_before_the_answer_to_the_start(aws: Aws, datasync: Any, task: str) -> None:
    count = events_of(aws, task)
    order_fault(aws, "event_early", task)
    execution = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]
    assert count() == 1
    assert datasync.describe_task_execution(TaskExecutionArn=execution)["Status"] == "SUCCESS"


def test_the_answer_to_a_start_can_be_lost_and_the_execution_found_by_its_tag(
    aws: Aws, datasync: Any, impatient: Any, task: str
) -> None:
    order_fault(aws, "answer_lost", task)
    with pytest.raises(ConnectionClosedError):
        impatient.start_task_execution(TaskArn=task, Tags=[{"Key": "intent", "Value": "7"}])
    (listed,) = datasync.list_task_executions(TaskArn=task)["TaskExecutions"]
    execution = listed["TaskExecutionArn"]
    assert datasync.list_tags_for_resource(ResourceArn=execution)["Tags"] == [{"Key": "intent", "Value": "7"}]
    assert wait_for_execution(aws, execution)["Status"] == "SUCCESS"


@pytest.mark.parametrize("mode", ["ENHANCED", "BASIC"])
def test_a_success_can_have_files_that_were_not_transferred(
    aws: Aws, s3: Any, datasync: Any, buckets: tuple[str, str, str], mode: str
) -> None:
    agent = datasync.create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")["AgentArn"]
    location = object_storage_location(aws, buckets[0], AgentArns=[agent])
    task = make_task(aws, location, buckets[1], reports=buckets[2], TaskMode=mode)
    order_fault(aws, "transfer_failures", task, count=2)
    said = execute(aws, task)
    assert (said["Status"], said["FilesTransferred"], said["FilesVerified"]) == ("SUCCESS", 1, 1)
    assert said.get("FilesFailed", {}).get("Transfer", 2) == 2
    told = reported(aws, buckets[2], said["TaskExecutionArn"])
    failed = [entry for entry in told if entry["TransferStatus"] != "SUCCESS"]
    assert [entry["RelativePath"].lstrip("/") for entry in failed] == ["a", "b"]
    assert all("ErrorCode" in entry or "FailureCode" in entry for entry in failed)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=buckets[1])["Contents"]] == ["c"]


def test_a_success_can_have_files_that_are_not_what_they_should_be(
    aws: Aws, buckets: tuple[str, str, str], task: str
) -> None:
    order_fault(aws, "verify_failures", task)
    said = execute(aws, task)
    assert (said["Status"], said["FilesTransferred"], said["FilesVerified"]) == ("SUCCESS", 3, 2)
    assert said["FilesFailed"] == {"Prepare": 0, "Transfer": 0, "Verify": 1, "Delete": 0}
    told = reported(aws, buckets[2], said["TaskExecutionArn"], "Verified")
    assert [entry["VerifyStatus"] for entry in told] == ["FAILED", "SUCCESS", "SUCCESS"]


def test_the_report_can_be_late(aws: Aws, datasync: Any, buckets: tuple[str, str, str], task: str) -> None:
    order_fault(aws, "report_late", task, seconds=1.5)
    execution = datasync.start_task_execution(TaskArn=task)["TaskExecutionArn"]

    def described() -> dict[str, Any]:
        said: dict[str, Any] = datasync.describe_task_execution(TaskExecutionArn=execution)
        return said

    assert eventually(lambda: described()["Status"] == "SUCCESS")
    assert described()["ReportResult"] == {"Status": "PENDING"}
    assert reported(aws, buckets[2], execution) == []
    assert wait_for_execution(aws, execution)["ReportResult"] == {"Status": "SUCCESS"}
    assert len(reported(aws, buckets[2], execution)) == 3


def test_the_report_can_fail(aws: Aws, buckets: tuple[str, str, str], task: str) -> None:
    order_fault(aws, "report_fails", task)
    said = execute(aws, task)
    assert (said["Status"], said["ReportResult"]["Status"]) == ("SUCCESS", "ERROR")
    assert said["ReportResult"]["ErrorDetail"]
    assert reported(aws, buckets[2], said["TaskExecutionArn"]) == []


def test_an_agent_can_be_offline(aws: Aws, datasync: Any, buckets: tuple[str, str, str]) -> None:
    agent = datasync.create_agent(ActivationKey="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")["AgentArn"]
    task = make_task(aws, object_storage_location(aws, buckets[0], AgentArns=[agent]), buckets[1])
    assert datasync.describe_agent(AgentArn=agent)["Status"] == "ONLINE"
    order_fault(aws, "agent_offline", task, seconds=1.5)
    described = datasync.describe_task(TaskArn=task)
    assert (described["Status"], described["ErrorCode"]) == ("UNAVAILABLE", "AgentOffline")
    assert datasync.describe_agent(AgentArn=agent)["Status"] == "OFFLINE"
    with pytest.raises(ClientError, match="its agent is offline"):
        datasync.start_task_execution(TaskArn=task)
    assert eventually(lambda: datasync.describe_task(TaskArn=task)["Status"] == "AVAILABLE")
    assert execute(aws, task)["Status"] == "SUCCESS"


def test_a_schedule_can_be_disabled_by_the_service(aws: Aws, datasync: Any, buckets: tuple[str, str, str]) -> None:
    task = make_task(aws, buckets[0], buckets[1], Schedule={"ScheduleExpression": "rate(1 day)"})
    assert datasync.describe_task(TaskArn=task)["Schedule"]["Status"] == "ENABLED"
    order_fault(aws, "schedule_disabled", task)
    assert eventually(lambda: datasync.describe_task(TaskArn=task)["Schedule"]["Status"] == "DISABLED")
    assert datasync.describe_task(TaskArn=task)["ScheduleDetails"]["DisabledBy"] == "SERVICE"


def test_the_history_of_a_task_can_be_forgotten(aws: Aws, datasync: Any, task: str) -> None:
    execution = execute(aws, task)["TaskExecutionArn"]
    order_fault(aws, "history_expired", task)
    assert datasync.list_task_executions(TaskArn=task)["TaskExecutions"] == []
    with pytest.raises(ClientError, match="is not found"):
        datasync.describe_task_execution(TaskExecutionArn=execution)


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [("internal_error", "InternalException", 500), ("throttled", "ThrottlingException", 400)],
)
def test_calls_can_fail_before_they_do_anything(
    aws: Aws, datasync: Any, impatient: Any, task: str, fault: str, code: str, status: int
) -> None:
    order_fault(aws, fault, task)
    with pytest.raises(ClientError) as raised:
        impatient.start_task_execution(TaskArn=task)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert datasync.list_task_executions(TaskArn=task)["TaskExecutions"] == []
