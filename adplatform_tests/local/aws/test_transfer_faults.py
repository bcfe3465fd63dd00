"""What can be made to go wrong with SFTP connectors of the embedded AWS."""

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from adplatform.local.aws.transfer.faults import FAULTS
from adplatform.platform.aws import Aws
from adplatform_tests.support.connectors import (
    events_of,
    make_connector,
    order_connector_fault,
    results,
    retrieve,
    wait_for_transfer,
)
from adplatform_tests.support.replication import administer
from adplatform_tests.support.sftp_host import SftpHost
from adplatform_tests.support.waiting import eventually


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture(scope="module")
def transfer(aws: Aws) -> Any:
    """A client that tries once."""
    return aws.client_once("transfer")


@pytest.fixture
def landing(s3: Any) -> str:
    name = f"landing-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def connector(aws: Aws, sftp_host: SftpHost) -> str:
    """One whose host has two files."""
    for name in ("a.csv", "b.csv"):
        (sftp_host.folder / name).write_text("12345")
    return make_connector(aws, sftp_host)


def start(transfer: Any, connector: str, bucket: str) -> str:
    """The id of a transfer of both."""
    started = transfer.start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=["a.csv", "b.csv"], LocalDirectoryPath=f"/{bucket}"
    )
    return str(started["TransferId"])


def listing(transfer: Any, connector: str, bucket: str) -> str:
    """The key of the listing that is started."""
    asked = {"ConnectorId": connector, "RemoteDirectoryPath": ".", "OutputDirectoryPath": f"/{bucket}"}
    return str(transfer.start_directory_listing(**asked)["OutputFileName"])


def keys(s3: Any, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        call()
    response: dict[str, Any] = raised.value.response
    return response


def test_every_fault_is_told_and_an_unknown_one_is_not_taken(aws: Aws) -> None:
    assert administer(aws)["known"]["transfer"] == dict(FAULTS)


# Calls


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        ("internal_error", "InternalServiceError", 500),
        ("unavailable", "ServiceUnavailableException", 503),
        ("throttled", "ThrottlingException", 400),
    ],
)
def test_a_call_can_fail_and_does_nothing_then(
    aws: Aws, s3: Any, transfer: Any, landing: str, connector: str, fault: str, code: str, status: int
) -> None:
    order_connector_fault(aws, fault, connector)
    said = refusal(lambda: start(transfer, connector, landing))
    assert (said["Error"]["Code"], said["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    transfer.describe_connector(ConnectorId=connector)
    assert keys(s3, landing) == []


def test_a_throttled_call_says_when_to_come_again_and_nothing_else(aws: Aws, transfer: Any, connector: str) -> None:
    order_connector_fault(aws, "throttled", connector, seconds=7)
    said = refusal(lambda: transfer.start_remote_delete(ConnectorId=connector, DeletePath="/a"))
    assert (said["RetryAfterSeconds"], said["Error"]["Message"]) == ("7", "")


def test_the_answer_to_any_start_can_be_lost_though_the_work_is_done(
    aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    folder, taken = sftp_host.folder, events_of(aws, connector)
    ends: dict[str, Callable[[], object]] = {
        "Retrieve": lambda: start(transfer, connector, landing),
        "Listing": lambda: listing(transfer, connector, landing),
        "Move": lambda: transfer.start_remote_move(
            ConnectorId=connector, SourcePath=f"{folder}/a.csv", TargetPath=f"{folder}/c.csv"
        ),
        "Delete": lambda: transfer.start_remote_delete(ConnectorId=connector, DeletePath=f"{folder}/b.csv"),
    }
    for title, call in ends.items():
        order_connector_fault(aws, "answer_lost", connector)
        with pytest.raises(ConnectionClosedError):
            call()
        told = taken(2 if title == "Retrieve" else 1)
        assert {f"{title} Completed" in event["detail-type"] for event in told} == {True}
    assert [path.name for path in folder.iterdir()] == ["c.csv"]
    assert len(keys(s3, landing)) == 3


# Events


def test_events_can_be_lost_or_sent_twice(aws: Aws, transfer: Any, landing: str, connector: str) -> None:
    taken = events_of(aws, connector)
    order_connector_fault(aws, "event_lost", connector)
    assert {each["StatusCode"] for each in retrieve(aws, connector, f"/{landing}", "a.csv").values()} == {"COMPLETED"}
    order_connector_fault(aws, "event_twice", connector)
    key = listing(transfer, connector, landing)
    told = taken(2)
    assert [event["detail"]["output-file-location"]["key"] for event in told] == [key, key]
    retrieve(aws, connector, f"/{landing}", "a.csv")
    assert len(taken(1)) == 1


def test_events_can_come_before_the_answer(aws: Aws, transfer: Any, landing: str, connector: str) -> None:
    taken = events_of(aws, connector)
    order_connector_fault(aws, "event_early", connector)
    started = start(transfer, connector, landing)
    assert {event["detail"]["transfer-id"] for event in taken(0)} == {started}


# Transfers


def test_a_transfer_can_be_stuck(aws: Aws, s3: Any, transfer: Any, landing: str, connector: str) -> None:
    order_connector_fault(aws, "stuck", connector)
    started = start(transfer, connector, landing)
    assert eventually(lambda: results(aws, connector, started)["a.csv"]["StatusCode"] == "IN_PROGRESS")
    retrieve(aws, connector, f"/{landing}/other", "a.csv", "b.csv")
    assert [each["StatusCode"] for each in results(aws, connector, started).values()] == ["IN_PROGRESS", "QUEUED"]
    assert keys(s3, landing) == ["other/a.csv", "other/b.csv"]


def test_one_file_of_a_transfer_can_fail_or_all(aws: Aws, s3: Any, landing: str, connector: str) -> None:
    taken = events_of(aws, connector)
    order_connector_fault(aws, "file_fails", connector)
    found = retrieve(aws, connector, f"/{landing}", "a.csv", "b.csv")
    assert [each["StatusCode"] for each in found.values()] == ["FAILED", "COMPLETED"]
    order_connector_fault(aws, "transfer_fails", connector)
    found = retrieve(aws, connector, f"/{landing}", "a.csv", "b.csv")
    assert [each["FailureCode"] for each in found.values()] == ["CONNECTION_ERROR"] * 2
    assert keys(s3, landing) == ["b.csv"]
    titles = sorted(event["detail-type"] for event in taken(4))
    assert titles == ["SFTP Connector File Retrieve Completed", *["SFTP Connector File Retrieve Failed"] * 3]


def test_an_object_can_be_shorter_than_its_file(aws: Aws, s3: Any, landing: str, connector: str) -> None:
    order_connector_fault(aws, "short_object", connector, count=2)
    found = retrieve(aws, connector, f"/{landing}", "a.csv")
    assert found["a.csv"]["StatusCode"] == "COMPLETED"
    assert s3.get_object(Bucket=landing, Key="a.csv")["Body"].read() == b"123"


def test_the_results_of_what_has_ended_can_be_forgotten(aws: Aws, transfer: Any, landing: str, connector: str) -> None:
    done = start(transfer, connector, landing)
    wait_for_transfer(aws, connector, done)
    order_connector_fault(aws, "stuck", connector)
    going_on = start(transfer, connector, landing)
    order_connector_fault(aws, "history_expired", connector)
    assert len(results(aws, connector, going_on)) == 2
    said = refusal(lambda: transfer.list_file_transfer_results(ConnectorId=connector, TransferId=done))
    assert (said["Error"]["Code"], said["ResourceType"]) == ("ResourceNotFoundException", "Transfer")


# Listings


def test_a_listing_can_be_lost(aws: Aws, s3: Any, transfer: Any, landing: str, connector: str) -> None:
    taken = events_of(aws, connector)
    order_connector_fault(aws, "listing_lost", connector)
    listing(transfer, connector, landing)
    key = listing(transfer, connector, landing)
    (event,) = taken(1)
    assert event["detail"]["output-file-location"]["key"] == key
    assert keys(s3, landing) == [key]


@pytest.mark.parametrize("as_bool", [False, True])
def test_a_listing_can_be_truncated_and_say_so_as_text_or_as_a_boolean(
    aws: Aws, s3: Any, transfer: Any, landing: str, connector: str, as_bool: bool
) -> None:
    taken = events_of(aws, connector)
    order_connector_fault(aws, "listing_truncated", connector, count=1)
    if as_bool:
        order_connector_fault(aws, "truncated_bool", connector)
    key = listing(transfer, connector, landing)
    taken(1)
    said = json.load(s3.get_object(Bucket=landing, Key=key)["Body"])
    assert (len(said["files"]), said["truncated"]) == (1, True if as_bool else "true")


def test_entries_of_a_listing_can_be_without_time_and_size(
    aws: Aws, s3: Any, transfer: Any, landing: str, connector: str
) -> None:
    taken = events_of(aws, connector)
    order_connector_fault(aws, "no_times", connector)
    key = listing(transfer, connector, landing)
    taken(1)
    said = json.load(s3.get_object(Bucket=landing, Key=key)["Body"])
    assert sorted(said["files"], key=lambda each: each["filePath"]) == [
        {"filePath": "./a.csv"},
        {"filePath": "./b.csv"},
    ]
