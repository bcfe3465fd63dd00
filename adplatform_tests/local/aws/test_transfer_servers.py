"""SFTP servers of the embedded AWS, with OpenSSH's own client."""

import json
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.platform.aws import Aws
from adplatform_tests.support.connectors import events_about
from adplatform_tests.support.sftp_uploads import (
    ROLE,
    Partner,
    make_key,
    make_partner,
    make_server,
    needs_sftp,
    order_server_fault,
    port_of,
)
from adplatform_tests.support.waiting import eventually


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture(scope="module")
def transfer(aws: Aws) -> Any:
    return aws.client("transfer")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"raw-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(scope="module")
def server(aws: Aws) -> str:
    needs_sftp()
    return make_server(aws)


@pytest.fixture
def partner(aws: Aws, server: str, bucket: str, tmp_path: Path) -> Partner:
    return make_partner(aws, server, bucket, tmp_path)


def keys(s3: Any, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def body(s3: Any, bucket: str, key: str) -> bytes:
    found: bytes = s3.get_object(Bucket=bucket, Key=f"landing/acme/{key}")["Body"].read()
    return found


def versions(s3: Any, bucket: str, key: str) -> list[int]:
    """Their sizes, oldest first."""
    found = s3.list_object_versions(Bucket=bucket, Prefix=f"landing/acme/{key}").get("Versions", [])
    return [each["Size"] for each in reversed(found)]


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


# Files


def test_what_is_put_is_an_object_below_the_home(s3: Any, bucket: str, partner: Partner) -> None:
    partner.put({"orders/dt=2026-01-01/a b.csv": b"id\n1\n", "empty.csv": b"", "large.bin": bytes(9_000_000)})
    assert keys(s3, bucket) == [
        "landing/acme/empty.csv",
        "landing/acme/large.bin",
        "landing/acme/orders/dt=2026-01-01/a b.csv",
    ]
    assert body(s3, bucket, "orders/dt=2026-01-01/a b.csv") == b"id\n1\n"
    assert body(s3, bucket, "large.bin") == bytes(9_000_000)


def test_what_is_there_is_listed_read_renamed_and_removed(s3: Any, bucket: str, partner: Partner) -> None:
    partner.put({"orders/a.csv.tmp": b"id\n1\n", "b.csv": b"x"})
    there = partner.folder / "got"
    done = partner.sftp("ls -1", "ls -1 orders", "rename orders/a.csv.tmp orders/a.csv", f"get orders/a.csv {there}")
    assert [line for line in done.stdout.split("\n") if line and not line.startswith(("sftp>", "Fetching"))] == [
        *("b.csv", "orders", "orders/a.csv.tmp")
    ]
    assert there.read_bytes() == b"id\n1\n"
    partner.sftp("rm b.csv")
    assert keys(s3, bucket) == ["landing/acme/orders/a.csv"]
    assert "not found" in partner.sftp("ls none", check=False).stderr


def test_a_rename_puts_itself_over_what_has_the_name(s3: Any, bucket: str, partner: Partner) -> None:
    partner.put({"a.csv": b"old", "a.csv.part": b"new"})
    partner.sftp("rename a.csv.part a.csv")
    assert body(s3, bucket, "a.csv") == b"new"


def test_a_rename_may_end_between_the_copy_and_the_deletion(
    aws: Aws, s3: Any, bucket: str, server: str, partner: Partner
) -> None:
    partner.put({"a.part": b"new"})
    order_server_fault(aws, "rename_stops", server)
    assert partner.sftp("rename a.part a.csv", check=False).returncode
    assert keys(s3, bucket) == ["landing/acme/a.csv", "landing/acme/a.part"]


def test_a_file_is_written_over_in_its_place_and_never_appended_to(s3: Any, bucket: str, partner: Partner) -> None:
    partner.put({"a.csv": b"first"})
    partner.put({"a.csv": b"second"})
    local = partner.folder / "more"
    local.write_bytes(b"second and more")
    assert "unsupported" in partner.sftp(f"reput {local} a.csv", check=False).stderr
    assert versions(s3, bucket, "a.csv") == [5, 6]


def test_an_object_may_be_empty_at_first(aws: Aws, s3: Any, bucket: str, server: str, partner: Partner) -> None:
    order_server_fault(aws, "empty_first", server)
    partner.put({"a.csv": b"id\n1\n"})
    assert versions(s3, bucket, "a.csv") == [0, 5]


def test_times_can_be_set_only_where_that_does_nothing(aws: Aws, bucket: str, partner: Partner, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x")
    refused = partner.sftp(f"put -p {local} a.csv", check=False)
    assert "fsetstat: Operation unsupported" in refused.stderr
    lenient = make_server(aws, ProtocolDetails={"SetStatOption": "ENABLE_NO_OP"})
    other = make_partner(aws, lenient, bucket, tmp_path)
    assert "unsupported" not in other.sftp(f"put -p {local} b.csv", "chmod 600 b.csv").stderr


def test_two_sessions_write_at_once_and_the_last_to_close_has_the_name(s3: Any, bucket: str, partner: Partner) -> None:
    with partner.session() as one, partner.session() as other:
        first, second = one.open("a.csv", "wb"), other.open("a.csv", "wb")
        first.write(b"first")
        second.write(b"the second")
        second.close()
        assert body(s3, bucket, "a.csv") == b"the second"
        first.close()
        assert body(s3, bucket, "a.csv") == b"first"


def test_there_is_nothing_before_a_file_is_closed(s3: Any, bucket: str, partner: Partner) -> None:
    with partner.session() as client, client.open("a.csv", "wb") as file:
        file.write(b"id\n")
        assert keys(s3, bucket) == []


def test_a_session_that_ends_in_the_middle_leaves_what_came(s3: Any, bucket: str, partner: Partner) -> None:
    client = partner.session()
    file = client.open("a.csv", "wb")
    file.write(b"id\n1")
    file.stat()  # what was written is there by the answer
    client.get_channel().get_transport().close()
    assert eventually(lambda: keys(s3, bucket) == ["landing/acme/a.csv"])
    assert body(s3, bucket, "a.csv") == b"id\n1"


def test_events_tell_of_files_that_were_closed_and_of_those_that_were_not(
    aws: Aws, transfer: Any, server: str, bucket: str, partner: Partner
) -> None:
    taken = events_about(aws, transfer.describe_server(ServerId=server)["Server"]["Arn"])
    partner.put({"a.csv": b"id\n1\n"})
    client = partner.session()
    file = client.open("b.csv", "wb")
    file.write(b"id")
    file.stat()  # what was written is there by the answer
    client.get_channel().get_transport().close()
    whole, partial = sorted(taken(2), key=lambda event: str(event["detail-type"]))
    assert (whole["detail-type"], partial["detail-type"]) == (
        *("SFTP Server File Upload Completed", "SFTP Server File Upload Failed"),
    )
    detail = whole["detail"]
    assert (detail["server-id"], detail["username"], detail["bytes"]) == (server, partner.user, 5)
    assert (detail["file-path"], detail["status-code"]) == (f"/{bucket}/landing/acme/a.csv", "COMPLETED")
    assert partial["detail"]["bytes"] == 2


# Users


def test_a_user_logs_in_with_each_of_its_keys_until_one_is_removed(
    aws: Aws, transfer: Any, server: str, partner: Partner, tmp_path: Path
) -> None:
    new = make_key(tmp_path)
    name = {"ServerId": server, "UserName": partner.user}
    later = Partner(partner.port, partner.user, new, tmp_path)
    assert "Permission denied" in later.sftp("pwd", check=False).stderr
    imported = transfer.import_ssh_public_key(**name, SshPublicKeyBody=f"{new.public} acme@laptop")
    partner.sftp("pwd")
    later.sftp("pwd")
    [old, _] = transfer.describe_user(**name)["User"]["SshPublicKeys"]
    transfer.delete_ssh_public_key(**name, SshPublicKeyId=old["SshPublicKeyId"])
    assert "Permission denied" in partner.sftp("pwd", check=False).stderr
    later.sftp("pwd")
    assert [key["SshPublicKeyId"] for key in transfer.describe_user(**name)["User"]["SshPublicKeys"]] == [
        imported["SshPublicKeyId"]
    ]


def test_a_session_policy_takes_away_what_it_does_not_allow(
    aws: Aws, s3: Any, server: str, bucket: str, tmp_path: Path
) -> None:
    resource = f"arn:aws:s3:::{bucket}/landing/acme/*"
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": resource}],
    }
    partner = make_partner(aws, server, bucket, tmp_path, Policy=json.dumps(policy))
    partner.put({"a.csv": b"x"})
    assert "Permission denied" in partner.sftp("ls").stderr
    for command in ("get a.csv", "rm a.csv", "rename a.csv b.csv"):
        assert partner.sftp(command, check=False).returncode
    with partner.session() as client, pytest.raises(PermissionError):
        client.open("a.csv", "rb")
    assert keys(s3, bucket) == ["landing/acme/a.csv"]


def test_nobody_leaves_the_home(s3: Any, server: str, bucket: str, partner: Partner) -> None:
    partner.put({"../../../secret/a.csv": b"x"})
    assert keys(s3, bucket) == ["landing/acme/secret/a.csv"]


def test_a_home_of_type_path_is_a_bucket_and_a_prefix(
    aws: Aws, s3: Any, transfer: Any, server: str, bucket: str, tmp_path: Path
) -> None:
    key = make_key(tmp_path)
    home = {"HomeDirectory": f"/{bucket}/landing/acme", "HomeDirectoryType": "PATH"}
    transfer.create_user(ServerId=server, UserName="acme_path", Role=ROLE, SshPublicKeyBody=key.public, **home)
    partner = Partner(port_of(aws, server), "acme_path", key, tmp_path)
    partner.put({"a.csv": b"x"})
    assert f"/{bucket}/landing/acme" in partner.sftp("pwd").stdout
    assert keys(s3, bucket) == ["landing/acme/a.csv"]
    transfer.delete_user(ServerId=server, UserName="acme_path")
    assert partner.sftp("pwd", check=False).returncode


# Calls


def test_a_server_is_described_listed_changed_stopped_and_deleted(
    aws: Aws, transfer: Any, bucket: str, tmp_path: Path
) -> None:
    server = make_server(aws, Tags=[{"Key": "Name", "Value": "acme"}])
    partner = make_partner(aws, server, bucket, tmp_path)
    known = transfer.describe_server(ServerId=server)["Server"]
    shown = partner.session().get_channel().get_transport().get_remote_server_key()
    assert known["HostKeyFingerprint"] == shown.fingerprint
    assert (known["State"], known["UserCount"], known["EndpointType"]) == ("ONLINE", 1, "PUBLIC")
    assert known["Tags"] == [{"Key": "Name", "Value": "acme"}]
    transfer.update_server(ServerId=server, SecurityPolicyName="TransferSecurityPolicy-2024-01")
    known = transfer.describe_server(ServerId=server)["Server"]
    assert (known["SecurityPolicyName"], known["ProtocolDetails"]["SetStatOption"]) == (
        "TransferSecurityPolicy-2024-01",
        "DEFAULT",
    )
    listed = [each for page in transfer.get_paginator("list_servers").paginate() for each in page["Servers"]]
    assert server in [each["ServerId"] for each in listed]
    transfer.stop_server(ServerId=server)
    assert partner.sftp("pwd", check=False).returncode
    transfer.start_server(ServerId=server)
    partner.sftp("pwd")
    transfer.delete_server(ServerId=server)
    assert partner.sftp("pwd", check=False).returncode
    assert code_of(lambda: transfer.describe_server(ServerId=server)) == "ResourceNotFoundException"


def test_a_server_may_be_made_with_a_host_key(aws: Aws, transfer: Any, tmp_path: Path) -> None:
    key = make_key(tmp_path)
    server = make_server(aws, HostKey=key.file.read_text())
    shown = subprocess.run(["ssh-keygen", "-lf", key.file], capture_output=True, text=True, check=True).stdout
    assert transfer.describe_server(ServerId=server)["Server"]["HostKeyFingerprint"] in shown


def test_what_aws_refuses_is_refused(transfer: Any, server: str, partner: Partner, tmp_path: Path) -> None:
    name = {"ServerId": server, "UserName": partner.user}
    user = {"ServerId": server, "Role": ROLE}
    for call, code in {
        lambda: transfer.create_user(**name, Role=ROLE): "ResourceExistsException",
        lambda: transfer.create_user(**user, UserName="x y z"): "InvalidRequestException",
        lambda: transfer.create_user(**user, UserName="xyz", SshPublicKeyBody="ssh-rsa"): "InvalidRequestException",
        lambda: transfer.create_user(
            **user, UserName="xyz", SshPublicKeyBody=partner.key.public.replace("ssh-ed25519 ", "ssh-rsa ")
        ): "InvalidRequestException",
        lambda: transfer.create_user(**user, UserName="xyz", HomeDirectoryType="LOGICAL"): "InvalidRequestException",
        lambda: transfer.import_ssh_public_key(**name, SshPublicKeyBody=partner.key.public): "ResourceExistsException",
        lambda: transfer.describe_user(ServerId=server, UserName="nobody"): "ResourceNotFoundException",
        lambda: transfer.delete_ssh_public_key(
            **name, SshPublicKeyId="key-0123456789abcdef0"
        ): "ResourceNotFoundException",
        lambda: transfer.update_server(
            ServerId=server, WorkflowDetails={"OnUpload": [{"WorkflowId": f"w-{'0' * 17}", "ExecutionRole": ROLE}]}
        ): "ResourceNotFoundException",
        lambda: transfer.create_server(EndpointType="VPC"): "InvalidRequestException",
    }.items():
        assert code_of(call) == code


def test_a_client_that_never_speaks_keeps_nobody_from_logging_in(partner: Partner) -> None:
    with socket.create_connection(("127.0.0.1", partner.port)):
        began = time.monotonic()
        partner.sftp("pwd")
        assert time.monotonic() - began < 20
