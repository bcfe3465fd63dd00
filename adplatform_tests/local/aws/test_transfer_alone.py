"""SFTP connectors where they need an embedded AWS of their own: the clock, and the end of the process."""

import json
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from adplatform.local.endpoint import HEALTH_PATH, Endpoint, ensure
from adplatform.platform.aws import Aws, local_aws
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

HOUR = 3600


def new_bucket(aws: Aws) -> str:
    name = f"landing-{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def start(aws: Aws, connector: str, bucket: str, *paths: str) -> str:
    started = aws.client("transfer").start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=list(paths), LocalDirectoryPath=f"/{bucket}"
    )
    return str(started["TransferId"])


def kill_saved(endpoint: Endpoint) -> None:
    def saved() -> bool:
        with urllib.request.urlopen(endpoint.url + HEALTH_PATH, timeout=30) as response:
            return bool(json.load(response) == {"unsaved": []})

    assert eventually(saved)
    assert endpoint.process is not None
    endpoint.process.kill()
    endpoint.process.wait()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with ensure(tmp_path_factory.mktemp("alone")) as endpoint:
        yield local_aws(endpoint.url)


@pytest.fixture
def landing(own: Aws) -> str:
    return new_bucket(own)


@pytest.fixture
def connector(own: Aws, sftp_host: SftpHost) -> str:
    """One whose host has two files."""
    for name in ("a.csv", "b.csv"):
        (sftp_host.folder / name).write_text(name)
    return make_connector(own, sftp_host)


def statuses(aws: Aws, connector: str, transfer: str) -> list[str]:
    return [each["StatusCode"] for each in results(aws, connector, transfer).values()]


def test_results_are_kept_for_seven_days(own: Aws, landing: str, connector: str) -> None:
    done = start(own, connector, landing, "a.csv")
    wait_for_transfer(own, connector, done)
    administer(own, advance=6 * 24 * HOUR)
    assert statuses(own, connector, done) == ["COMPLETED"]
    administer(own, advance=24 * HOUR)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        results(own, connector, done)


def test_a_transfer_can_begin_late(own: Aws, landing: str, connector: str) -> None:
    order_connector_fault(own, "late", connector, seconds=HOUR)
    late = start(own, connector, landing, "a.csv", "b.csv")
    retrieve(own, connector, f"/{landing}/other", "a.csv")
    assert statuses(own, connector, late) == ["QUEUED", "QUEUED"]
    administer(own, advance=HOUR)
    wait_for_transfer(own, connector, late)
    assert statuses(own, connector, late) == ["COMPLETED", "COMPLETED"]


def test_a_transfer_can_be_stuck_for_a_while(own: Aws, landing: str, connector: str) -> None:
    order_connector_fault(own, "stuck", connector, seconds=HOUR)
    stuck = start(own, connector, landing, "a.csv", "b.csv")
    assert eventually(lambda: statuses(own, connector, stuck) == ["IN_PROGRESS", "QUEUED"])
    administer(own, advance=HOUR)
    wait_for_transfer(own, connector, stuck)
    assert statuses(own, connector, stuck) == ["COMPLETED", "COMPLETED"]


@pytest.mark.parametrize(("fault", "status"), [("connector_errored", "ERRORED"), ("connector_pending", "PENDING")])
def test_a_connector_can_be_of_no_use_for_a_while(
    own: Aws, landing: str, connector: str, fault: str, status: str
) -> None:
    transfer = own.client("transfer")
    order_connector_fault(own, fault, connector, seconds=HOUR)
    said = transfer.describe_connector(ConnectorId=connector)["Connector"]
    assert (said["Status"], bool(said.get("ErrorMessage"))) == (status, status == "ERRORED")
    with pytest.raises(ClientError, match=f"InvalidRequestException.* is {status}"):
        start(own, connector, landing, "a.csv")
    administer(own, advance=HOUR)
    assert transfer.describe_connector(ConnectorId=connector)["Connector"]["Status"] == "ACTIVE"
    assert retrieve(own, connector, f"/{landing}", "a.csv")["a.csv"]["StatusCode"] == "COMPLETED"


def test_listings_can_be_limited_to_three_a_second(own: Aws, landing: str, connector: str) -> None:
    session = boto3.Session(own.key.id, own.key.secret, region_name=own.region)
    once = Config(retries={"total_max_attempts": 1})
    transfer = session.client("transfer", endpoint_url=own.endpoint_url, config=once)
    asked = {"ConnectorId": connector, "RemoteDirectoryPath": ".", "OutputDirectoryPath": f"/{landing}"}
    order_connector_fault(own, "listing_rate", connector, seconds=HOUR)
    with pytest.raises(ClientError) as raised:
        for _ in range(200):
            transfer.start_directory_listing(**asked)
    assert raised.value.response["Error"]["Code"] == "ThrottlingException"
    administer(own, advance=float(raised.value.response["RetryAfterSeconds"]))
    transfer.start_directory_listing(**asked)
    administer(own, advance=HOUR)
    for _ in range(20):
        transfer.start_directory_listing(**asked)


@pytest.mark.slow
def test_state_survives_the_killing_of_the_process_and_what_was_going_on_goes_on(
    tmp_path: Path, sftp_host: SftpHost
) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        (sftp_host.folder / name).write_text(name)
    endpoint = ensure(tmp_path)
    aws = local_aws(endpoint.url)
    connector, landing = make_connector(aws, sftp_host), new_bucket(aws)
    transfer = aws.client("transfer")
    server = transfer.create_server(Protocols=["SFTP"])["ServerId"]
    described = transfer.describe_connector(ConnectorId=connector)["Connector"]
    transfer.tag_resource(Arn=described["Arn"], Tags=[{"Key": "source", "Value": "acme"}])
    done = start(aws, connector, landing, "a.csv", "gone.csv")
    kept = wait_for_transfer(aws, connector, done)
    order_connector_fault(aws, "stuck", connector)
    stuck = start(aws, connector, landing, "a.csv")
    assert eventually(lambda: results(aws, connector, stuck)["a.csv"]["StatusCode"] == "IN_PROGRESS")
    order_connector_fault(aws, "late", connector, seconds=HOUR)
    late = start(aws, connector, landing, "b.csv", "c.csv")
    order_connector_fault(aws, "late", connector, seconds=HOUR)
    deleted = transfer.start_remote_delete(ConnectorId=connector, DeletePath=str(sftp_host.folder / "a.csv"))
    kill_saved(endpoint)
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        transfer = aws.client("transfer")
        again = transfer.describe_connector(ConnectorId=connector)["Connector"]
        assert again == {**described, "Tags": [{"Key": "source", "Value": "acme"}]}
        assert transfer.describe_server(ServerId=server)["Server"]["ServerId"] == server
        assert results(aws, connector, done) == kept
        taken = events_of(aws, connector)
        administer(aws, advance=HOUR)
        found = wait_for_transfer(aws, connector, late)
        assert {each["StatusCode"] for each in found.values()} == {"COMPLETED"}
        assert aws.client("s3").get_object(Bucket=landing, Key="c.csv")["Body"].read() == b"c.csv"
        assert eventually(lambda: not (sftp_host.folder / "a.csv").exists())
        details = [event["detail"] for event in taken(3)]
        assert sorted(each["operation"] for each in details) == ["DELETE", "RETRIEVE", "RETRIEVE"]
        assert {each.get("transfer-id") or each["delete-id"] for each in details} == {late, deleted["DeleteId"]}
        assert results(aws, connector, stuck)["a.csv"]["StatusCode"] == "IN_PROGRESS"
