"""Partners who upload to an SFTP server of ours with OpenSSH's client, through to the clean table."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.components import SftpFiles
from adplatform.contracts.sftp import SftpSource
from adplatform.engines.sftp.provided_servers import find_server
from adplatform.engines.sftp.server import UploadedFiles, server_files
from adplatform.engines.sftp.workflow_functions import environment_of
from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.uploads import Finding
from adplatform.local.endpoint import ensure
from adplatform.local.functions import make_function
from adplatform.platform.aws import Aws, local_aws
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.files.openpgp import Workshop
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform
from adplatform_tests.support.replication import administer
from adplatform_tests.support.sftp_uploads import KeyPair, Partner, dropped, make_key, needs_sftp, order_server_fault
from adplatform_tests.support.shared_aws import SHARED_AWS
from adplatform_tests.support.waiting import eventually

DAY = f"orders/dt={YESTERDAY}"
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {"order_id": {"type": "bigint", "required": True}, "amount": "decimal(12,2)"},
    "key": "order_id",
}


def rows(*ids: int) -> bytes:
    return b"order_id,amount\n" + b"".join(b"%d,9.90\n" % each for each in ids)


def attributes(
    key: KeyPair, feed: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **server: Any
) -> dict[str, Any]:
    users = [{"name": "acme", "keys": [key.public], **(user or {})}]
    return {
        "source": "acme",
        "from": {"kind": "server", "users": users, **server},
        "feeds": [{**ORDERS, **(feed or {})}],
    }


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """One of its own: how many workflows may begin is for the whole account."""
    needs_sftp()
    with ensure(tmp_path_factory.mktemp("aws"), child=SHARED_AWS) as endpoint:
        yield local_aws(endpoint.url)


@pytest.fixture
def key(tmp_path: Path) -> KeyPair:
    return make_key(tmp_path)


@dataclass(frozen=True)
class Landing:
    """A platform with a source whose partner uploads."""

    platform: Platform
    pattern: UploadedFiles
    partner: Partner

    @property
    def services(self) -> Services:
        return self.platform.services

    def messages(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.platform.messages.read() if message["event"] == event]


Begin = Callable[..., Landing]


@pytest.fixture
def begin(services: Services, instance: dg.DagsterInstance, key: KeyPair, tmp_path: Path) -> Begin:
    def made(workflow: dict[str, Any] | None = None, feed: dict[str, Any] | None = None, **settings: Any) -> Landing:
        here = replace(services, settings=replace(services.settings, **settings))
        unique = services.settings.raw_bucket
        functions = ("function", "exception_function", "partial_function")
        named = {name: f"{name}-{unique}".replace("_", "-") for name in functions}
        server = {"server": unique, **({"workflow": {**named, **workflow}} if workflow is not None else {})}
        declared = attributes(key, feed, **server)
        platform = make_platform(here, declared, instance, SftpFiles)
        pattern = server_files(SftpSource.model_validate(declared), here.settings)
        provision_patterns(here, [pattern])
        address = pattern.address(here)
        assert address is not None
        platform.messages  # noqa: B018 - heard from now on
        return Landing(platform, pattern, Partner(address.port, "acme", key, tmp_path))

    return made


def test_an_upload_becomes_a_table(begin: Begin) -> None:
    landing = begin()
    landing.partner.put({f"{DAY}/orders 1.csv": rows(1), f"{DAY}/_SUCCESS": b""})
    [result] = landing.platform.process()
    assert result.success
    assert landing.platform.query("select order_id, amount::text from {orders}") == [(1, "9.90")]
    assert landing.platform.delivery("orders").state is DeliveryState.PUBLISHED


def test_names_that_are_given_in_the_end_are_delivered_once(begin: Begin) -> None:
    landing = begin()
    landing.partner.put({f"{DAY}/a.csv.filepart": rows(1)})
    landing.partner.sftp(f"rename {DAY}/a.csv.filepart {DAY}/a.csv")
    landing.partner.put({f"{DAY}/_SUCCESS": b""})
    assert [result.success for result in landing.platform.process()] == [True]
    assert landing.platform.query("select count(*) from {orders}") == [(1,)]


@pytest.mark.slow
def test_files_for_which_no_workflow_begins_are_processed_like_the_others(begin: Begin, aws: Aws) -> None:
    administer(aws, advance=3600)
    landing = begin(workflow={"check": True})
    server = find_server(aws.client("transfer"), landing.pattern.declared(landing.services))
    order_server_fault(aws, "workflow_dropped", str(server), times=2)
    landing.partner.put({f"{DAY}/{number}.csv": rows(number) for number in range(3)})
    landing.partner.put({f"{DAY}/_SUCCESS": b""})
    assert eventually(lambda: landing.services.ledger.uploads.of_source("acme"))
    assert [upload.key for upload in landing.services.ledger.uploads.of_source("acme")] == [f"landing/acme/{DAY}/2.csv"]
    assert [result.success for result in landing.platform.process()] == [True]
    assert landing.platform.query("select count(*) from {orders}") == [(3,)]


@pytest.mark.slow
def test_all_of_a_burst_is_processed_though_most_of_it_starts_no_workflow(begin: Begin, aws: Aws) -> None:
    administer(aws, advance=3600)
    before = dropped(aws)
    landing = begin(workflow={"check": True, "tag": {"checked": "yes"}})
    landing.partner.put({f"{DAY}/{number:03}.csv": rows(number) for number in range(500)})
    landing.partner.put({f"{DAY}/_SUCCESS": b""})
    began = 500 - (dropped(aws) - before)
    assert 100 <= began < 200
    found = landing.services.ledger.uploads
    assert eventually(lambda: len(found.of_source("acme")) == began, 60)
    assert {each.finding for each in found.of_source("acme")} == {Finding.CHECKED}
    results = eventually(landing.platform.process, 60)  # one look does not receive so many events
    assert [result.success for result in results] == [True]
    assert landing.platform.query("select count(*), count(distinct order_id) from {orders}") == [(500, 500)]


@pytest.mark.slow
def test_a_file_of_which_a_copy_was_decrypted_counts_once(begin: Begin, aws: Aws) -> None:
    administer(aws, advance=3600)
    with Workshop.open() as workshop:
        us, sender = workshop.partner("us"), workshop.partner("sender")
        ours, theirs = (f"{name}-{uuid.uuid4().hex[:6]}" for name in ("us", "sender"))
        secrets = aws.client("secretsmanager")
        secrets.create_secret(Name=ours, SecretString=us.private)
        secrets.create_secret(Name=theirs, SecretString=sender.public)
        pgp = {"private_keys": [ours], "signer_keys": [theirs]}
        landing = begin(workflow={"decrypt": {"secret": ours}}, feed={"pgp": pgp})
        cipher = workshop.encrypt(rows(1), us, signers=[sender])
        landing.partner.put({f"{DAY}/a.csv.pgp": cipher, f"{DAY}/_SUCCESS": b""})
        assert eventually(lambda: decrypted(landing) == [rows(1)])
        assert [result.success for result in landing.platform.process()] == [True]
    assert landing.platform.query("select count(*) from {orders}") == [(1,)]
    assert landing.platform.tick() == []


def test_a_file_that_a_workflow_refuses_is_noted_and_told_once(begin: Begin, aws: Aws) -> None:
    administer(aws, advance=3600)
    landing = begin(workflow={"check": True}, largest_file=40)
    landing.partner.put({f"{DAY}/large.csv": rows(*range(10)), f"{DAY}/_SUCCESS": b""})
    uploads = landing.services.ledger.uploads
    assert eventually(lambda: uploads.of_source("acme"))
    assert eventually(lambda: idle(landing))
    [upload] = uploads.of_source("acme")
    assert (upload.finding, upload.key) == (Finding.REFUSED, f"landing/acme/{DAY}/large.csv")
    [message] = landing.messages("upload_failed")
    assert "40 are allowed" in message["reason"]
    [result] = landing.platform.process()  # and the flow, which asks no workflow, finds the same
    assert not result.success
    assert "40 are allowed" in landing.platform.delivery("orders").error


def test_a_function_that_dies_before_its_answer_is_called_again_and_notes_nothing_twice(begin: Begin, aws: Aws) -> None:
    administer(aws, advance=3600)
    landing = begin(workflow={"check": True, "tag": {"checked": "yes"}, "timeout": "10m"})
    workflow = landing.pattern.server.workflow
    assert workflow is not None
    arn = landing.pattern.declared(landing.services).function(workflow.function)
    handler = "adplatform_tests.support.transfer_functions:checks_and_dies_at_first"
    make_function(str(aws.endpoint_url), arn, handler, environment_of(landing.services.settings))
    landing.partner.put({f"{DAY}/a.csv": rows(1)})
    uploads, s3 = landing.services.ledger.uploads, landing.services.s3
    assert eventually(lambda: uploads.of_source("acme"))
    [first] = uploads.of_source("acme")
    administer(aws, advance=61)
    where = {"Bucket": landing.services.zones.raw_bucket, "Key": f"landing/acme/{DAY}/a.csv"}
    assert eventually(lambda: s3.get_object_tagging(**where)["TagSet"] == [{"Key": "checked", "Value": "yes"}])
    assert uploads.of_source("acme") == [first]


def test_a_file_that_was_cut_off_is_not_read_until_it_is_sent_again(begin: Begin, aws: Aws) -> None:
    administer(aws, advance=3600)
    landing = begin(workflow={"check": True})
    client = landing.partner.session()
    file = client.open(f"{DAY}/a.csv", "wb")
    file.write(rows(1, 2)[:-4])
    file.stat()  # what was written is there by the answer
    client.get_channel().get_transport().close()
    assert eventually(lambda: idle(landing) and landing.services.ledger.uploads.of_source("acme"))
    landing.partner.put({f"{DAY}/_SUCCESS": b""})
    [result] = landing.platform.process()
    assert not result.success
    assert "in the middle of it" in landing.platform.delivery("orders").error
    assert len(landing.messages("upload_cut_off")) == 1
    landing.partner.put({f"{DAY}/a.csv": rows(1, 2), f"{DAY}/_SUCCESS": b""})
    assert [result.success for result in landing.platform.process()] == [True]
    assert landing.platform.query("select order_id from {orders} order by 1") == [(1,), (2,)]


def decrypted(landing: Landing) -> list[bytes]:
    s3, bucket = landing.services.s3, landing.services.zones.raw_bucket
    found = s3.list_objects_v2(Bucket=bucket, Prefix="prepared/sftp-uploads/acme/").get("Contents", [])
    return [s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found]


def idle(landing: Landing) -> bool:
    """Whether no workflow is at work."""
    client = landing.services.aws.client("transfer")
    known = [each["WorkflowId"] for each in client.list_workflows()["Workflows"]]
    return not any(client.list_executions(WorkflowId=each)["Executions"] for each in known)
