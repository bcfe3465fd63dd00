"""SFTP connectors of the embedded AWS over its port, at a real SFTP server."""

import io
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import paramiko
import pytest
from botocore.exceptions import ClientError

from adplatform.local.aws.transfer import sftp
from adplatform.local.aws.transfer.transfers import parts
from adplatform.platform.aws import Aws
from adplatform_tests.support.connectors import (
    ROLE,
    events_of,
    make_connector,
    make_secret,
    results,
    retrieve,
    wait_for_transfer,
)
from adplatform_tests.support.sftp_host import SftpHost


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture(scope="module")
def transfer(aws: Aws) -> Any:
    return aws.client("transfer")


@pytest.fixture
def landing(s3: Any) -> str:
    name = f"landing-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def connector(aws: Aws, sftp_host: SftpHost) -> str:
    return make_connector(aws, sftp_host)


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        call()
    response: dict[str, Any] = raised.value.response
    return response


def keys(s3: Any, bucket: str) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def body(s3: Any, bucket: str, key: str) -> bytes:
    found: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


# Connectors


def test_a_connector_is_described_listed_changed_and_deleted(aws: Aws, transfer: Any, sftp_host: SftpHost) -> None:
    secret = make_secret(aws, Username="acme", Password="secret")
    created = transfer.create_connector(
        Url="sftp://sftp.acme.example",
        AccessRole=ROLE,
        LoggingRole=ROLE,
        SftpConfig={"UserSecretId": secret, "OrderedUserSecretVersionStages": ["AWSPENDING", "AWSCURRENT"]},
        Tags=[{"Key": "source", "Value": "acme"}],
    )
    name = created["ConnectorId"]
    said = transfer.describe_connector(ConnectorId=name)["Connector"]
    assert (said["Status"], said["Url"], said["EgressType"]) == (
        "ACTIVE",
        "sftp://sftp.acme.example",
        "SERVICE_MANAGED",
    )
    assert said["SftpConfig"] == {
        "UserSecretId": secret,
        "MaxConcurrentConnections": 1,
        "OrderedUserSecretVersionStages": ["AWSPENDING", "AWSCURRENT"],
    }
    assert said["Tags"] == [{"Key": "source", "Value": "acme"}]
    pinned = {"TrustedHostKeys": list(sftp_host.host_keys), "MaxConcurrentConnections": 5}
    transfer.update_connector(ConnectorId=name, Url="sftp://sftp.acme.example:2222", SftpConfig=pinned)
    said = transfer.describe_connector(ConnectorId=name)["Connector"]
    assert (said["Url"], said["LoggingRole"]) == ("sftp://sftp.acme.example:2222", ROLE)
    assert said["SftpConfig"] == {
        "UserSecretId": secret,
        "OrderedUserSecretVersionStages": ["AWSPENDING", "AWSCURRENT"],
        **pinned,
    }
    listed = [each for page in transfer.get_paginator("list_connectors").paginate() for each in page["Connectors"]]
    assert {"Arn": said["Arn"], "ConnectorId": name, "Url": said["Url"]} in listed
    transfer.delete_connector(ConnectorId=name)
    gone = refusal(lambda: transfer.describe_connector(ConnectorId=name))
    assert gone["Error"]["Code"] == "ResourceNotFoundException"
    assert (gone["Resource"], gone["ResourceType"]) == (name, "Connector")


def test_tags_of_a_connector_come_and_go(aws: Aws, transfer: Any, connector: str) -> None:
    arn = transfer.describe_connector(ConnectorId=connector)["Connector"]["Arn"]
    transfer.tag_resource(Arn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    transfer.untag_resource(Arn=arn, TagKeys=["a"])
    assert transfer.list_tags_for_resource(Arn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    other = refusal(lambda: transfer.list_tags_for_resource(Arn=f"{arn}0"))
    assert other["Error"]["Code"] == "ResourceNotFoundException"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAm8QC7vVHN+N7IlOgdkgoE72+5qg9IP+lX5+9XTolRO"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"TrustedHostKeys": [f"{KEY} root@partner"]}, "remove the comment"),
        ({"TrustedHostKeys": ["ssh-ed25519 not-base64"]}, "its body"),
        ({"TrustedHostKeys": [KEY.replace("ssh-ed25519", "ssh-rsa")]}, "its body"),
        ({"TrustedHostKeys": [KEY.split()[1]]}, "its body"),
        ({"TrustedHostKeys": [KEY] * 11}, "length less than or equal to 10"),
        ({"MaxConcurrentConnections": 6}, "5 at most"),
        ({"Url": "sftp://user@host"}, "is not sftp://host"),
        ({"Url": "sftp://host:0"}, "is not sftp://host"),
        ({"Url": "sftp://host/folder"}, "is not sftp://host"),
        ({"Url": "ftp://host"}, "is not sftp://host"),
    ],
)
def test_what_a_connector_cannot_be_is_refused_at_creation_and_at_change(
    transfer: Any, connector: str, asked: dict[str, Any], why: str
) -> None:
    url = {name: value for name, value in asked.items() if name == "Url"}
    config = {name: value for name, value in asked.items() if name != "Url"}
    before = transfer.describe_connector(ConnectorId=connector)["Connector"]
    wanted = {"Url": "sftp://host", **url, "SftpConfig": {"UserSecretId": "name", **config}}
    for call in (
        lambda: transfer.create_connector(AccessRole=ROLE, **wanted),
        lambda: transfer.update_connector(ConnectorId=connector, **url, SftpConfig=config),
    ):
        said = refusal(call)
        assert said["Error"]["Code"] == "InvalidRequestException"
        assert why in said["Error"]["Message"]
    assert transfer.describe_connector(ConnectorId=connector)["Connector"] == before


def test_a_trusted_host_key_may_follow_the_name_of_its_host(aws: Aws, transfer: Any, sftp_host: SftpHost) -> None:
    name = make_connector(aws, sftp_host, TrustedHostKeys=[f"sftp.acme.example {sftp_host.host_keys[0]}"])
    assert transfer.test_connection(ConnectorId=name)["Status"] == "OK"


def test_servers_of_the_service_stay_what_moto_makes_of_them(transfer: Any) -> None:
    server = transfer.create_server(Protocols=["SFTP"], IdentityProviderType="SERVICE_MANAGED")["ServerId"]
    transfer.create_user(ServerId=server, UserName="acme", Role=ROLE)
    assert transfer.describe_server(ServerId=server)["Server"]["ServerId"] == server
    assert transfer.describe_user(ServerId=server, UserName="acme")["User"]["UserName"] == "acme"


# The connection


def test_the_host_key_that_a_test_shows_can_be_pinned(aws: Aws, transfer: Any, sftp_host: SftpHost) -> None:
    name = make_connector(aws, sftp_host, TrustedHostKeys=[])
    first = transfer.test_connection(ConnectorId=name)
    assert (first["Status"], first["ConnectorId"]) == ("ERROR", name)
    shown = first["SftpConnectionDetails"]["HostKey"]
    assert shown in sftp_host.host_keys
    transfer.update_connector(ConnectorId=name, SftpConfig={"TrustedHostKeys": [shown]})
    second = transfer.test_connection(ConnectorId=name)
    assert (second["Status"], second["StatusMessage"]) == ("OK", "Connection succeeded")
    assert second["SftpConnectionDetails"]["HostKey"] == shown


def test_each_key_of_the_host_can_be_the_only_one_that_is_trusted(aws: Aws, transfer: Any, sftp_host: SftpHost) -> None:
    for line in sftp_host.host_keys:
        said = transfer.test_connection(ConnectorId=make_connector(aws, sftp_host, TrustedHostKeys=[line]))
        assert (said["Status"], said["SftpConnectionDetails"]["HostKey"]) == ("OK", line)


def test_a_host_with_another_key_is_not_talked_to_until_that_is_trusted_too(
    aws: Aws, transfer: Any, landing: str, s3: Any, sftp_host: SftpHost, connector: str
) -> None:
    (sftp_host.folder / "a.csv").write_text("1")
    before = list(sftp_host.host_keys)
    sftp_host.restart(new_host_key=True)
    said = transfer.test_connection(ConnectorId=connector)
    assert (said["Status"], said["SftpConnectionDetails"]["HostKey"]) == ("ERROR", sftp_host.host_keys[0])
    failed = retrieve(aws, connector, f"/{landing}", "a.csv")["a.csv"]
    assert (failed["StatusCode"], failed["FailureCode"]) == ("FAILED", "HOST_KEY_ERROR")
    both = {"TrustedHostKeys": [*before, *sftp_host.host_keys]}
    transfer.update_connector(ConnectorId=connector, SftpConfig=both)
    assert retrieve(aws, connector, f"/{landing}", "a.csv")["a.csv"]["StatusCode"] == "COMPLETED"
    assert keys(s3, landing) == ["a.csv"]


def test_a_type_of_key_that_the_host_does_not_have_is_told_with_the_key_that_it_shows(
    aws: Aws, transfer: Any, sftp_host: SftpHost
) -> None:
    rsa = paramiko.RSAKey.generate(2048)
    name = make_connector(aws, sftp_host, TrustedHostKeys=[f"ssh-rsa {rsa.get_base64()}"])
    said = transfer.test_connection(ConnectorId=name)
    assert (said["Status"], said["SftpConnectionDetails"]["HostKey"]) == ("ERROR", sftp_host.host_keys[0])
    assert "no algorithm in common" in said["StatusMessage"]


def test_the_first_stage_of_the_secret_that_can_be_retrieved_is_taken_whatever_the_host_says(
    aws: Aws, transfer: Any, sftp_host: SftpHost
) -> None:
    good = {"Username": sftp_host.user, "PrivateKey": sftp_host.private_key}
    other = paramiko.RSAKey.generate(2048)
    text = io.StringIO()
    other.write_private_key(text)
    secret = make_secret(aws, **good)
    name = make_connector(
        aws, sftp_host, UserSecretId=secret, OrderedUserSecretVersionStages=["AWSPENDING", "AWSCURRENT"]
    )
    assert transfer.test_connection(ConnectorId=name)["Status"] == "OK"
    bad = json.dumps({**good, "PrivateKey": text.getvalue()})
    aws.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=bad, VersionStages=["AWSPENDING"])
    said = transfer.test_connection(ConnectorId=name)
    assert said["Status"] == "ERROR"
    assert "refuses the credentials" in said["StatusMessage"]
    transfer.update_connector(
        ConnectorId=name, SftpConfig={"OrderedUserSecretVersionStages": ["AWSCURRENT", "AWSPENDING"]}
    )
    assert transfer.test_connection(ConnectorId=name)["Status"] == "OK"


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("not-json-at-all", "is not JSON"),
        ('{"PrivateKey": "hidden"}', "has no Username"),
        ('{"Username": "acme"}', "neither Password nor PrivateKey"),
        ('{"Username": "acme", "PrivateKey": "hidden"}', "not a key without a passphrase"),
        (None, "cannot be retrieved in the stages AWSCURRENT"),
    ],
)
def test_a_secret_that_is_no_login_is_told_without_what_is_in_it(
    aws: Aws, transfer: Any, sftp_host: SftpHost, secret: str | None, why: str
) -> None:
    name = f"sftp-{uuid.uuid4().hex[:12]}"
    if secret is not None:
        aws.client("secretsmanager").create_secret(Name=name, SecretString=secret)
    said = transfer.test_connection(ConnectorId=make_connector(aws, sftp_host, UserSecretId=name))
    assert said["Status"] == "ERROR"
    assert why in said["StatusMessage"]
    assert "hidden" not in said["StatusMessage"]


def test_a_host_that_is_not_there_is_told(aws: Aws, transfer: Any, landing: str, sftp_host: SftpHost) -> None:
    connector = make_connector(aws, sftp_host)
    sftp_host.stop()
    assert "cannot be reached" in transfer.test_connection(ConnectorId=connector)["StatusMessage"]
    failed = retrieve(aws, connector, f"/{landing}", "a.csv", "b.csv")
    assert [each["FailureCode"] for each in failed.values()] == ["CONNECTION_ERROR"] * 2


class _ByPassword(paramiko.ServerInterface):  # type: ignore[misc]
    """A host that knows one password and, if ``after_key``, asks for it only after any key."""

    def __init__(self, *, after_key: bool) -> None:
        self.after_key, self.had_key = after_key, False

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password" if self.after_key and not self.had_key else "password"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.had_key = True
        return int(paramiko.AUTH_PARTIALLY_SUCCESSFUL if self.after_key else paramiko.AUTH_FAILED)

    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("acme", "right") and (self.had_key or not self.after_key)
        return int(paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)


@pytest.fixture(params=[False, True], ids=["password", "key and password"])
def by_password(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, bool]]:
    """URL, host key (RSA), and whether a key is asked for, too."""
    key = paramiko.RSAKey.generate(2048)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                transport.add_server_key(key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer)
                transport.start_server(server=_ByPassword(after_key=request.param), event=threading.Event())

        threading.Thread(target=serve, daemon=True).start()
        url = f"sftp://127.0.0.1:{listening.getsockname()[1]}"
        yield url, f"{key.get_name()} {key.get_base64()}", request.param
        listening.shutdown(socket.SHUT_RDWR)


def test_a_host_may_take_a_password_alone_or_after_a_key(
    aws: Aws, transfer: Any, by_password: tuple[str, str, bool]
) -> None:
    url, host_key, after_key = by_password
    text = io.StringIO()
    paramiko.ECDSAKey.generate().write_private_key(text)
    passing = {"Username": "acme", "Password": "right", "PrivateKey": text.getvalue()}
    alone = {"Username": "acme", "Password": "right"}
    wrong = {**passing, "Password": "wrong"}
    statuses = []
    for members in (passing, alone, wrong):
        config = {"UserSecretId": make_secret(aws, **members), "TrustedHostKeys": [host_key]}
        name = transfer.create_connector(Url=url, AccessRole=ROLE, SftpConfig=config)["ConnectorId"]
        statuses.append(transfer.test_connection(ConnectorId=name)["Status"])
    assert statuses == ["OK", "ERROR" if after_key else "OK", "ERROR"]


# Transfers


def test_files_arrive_as_objects_and_each_is_told_with_its_event(
    aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    folder = sftp_host.folder / "out"
    folder.mkdir()
    (folder / "a b.csv").write_bytes(b"1,2\n")
    (folder / "empty.csv").touch()
    taken = events_of(aws, connector)
    paths = [f"{folder}/a b.csv", "out/empty.csv", "/no/such.csv"]
    started = transfer.start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=paths, LocalDirectoryPath=f"/{landing}/in/2026/"
    )["TransferId"]
    found = wait_for_transfer(aws, connector, started)
    assert [found[path]["StatusCode"] for path in paths] == ["COMPLETED", "COMPLETED", "FAILED"]
    assert found["/no/such.csv"]["FailureCode"] == "RETRIEVE_FILE_NOT_FOUND"
    assert "/no/such.csv does not exist" in found["/no/such.csv"]["FailureMessage"]
    assert {key: body(s3, landing, key) for key in keys(s3, landing)} == {
        "in/2026/a b.csv": b"1,2\n",
        "in/2026/empty.csv": b"",
    }
    events = {event["detail"]["file-path"]: event for event in taken(3)}
    assert sorted(events) == sorted(paths)
    first = events[paths[0]]
    assert first["detail-type"] == "SFTP Connector File Retrieve Completed"
    detail = first["detail"]
    assert detail.pop("start-timestamp") <= detail.pop("end-timestamp")
    assert detail.pop("file-transfer-id") != events[paths[1]]["detail"]["file-transfer-id"]
    assert detail == {
        "operation": "RETRIEVE",
        "connector-id": connector,
        "transfer-id": started,
        "url": f"sftp://{sftp_host.host}:{sftp_host.port}",
        "file-path": paths[0],
        "status-code": "COMPLETED",
        "local-directory-path": f"/{landing}/in/2026/",
        "local-file-location": {"domain": "S3", "bucket": landing, "key": "in/2026/a b.csv"},
        "bytes": 4,
    }
    failed = events["/no/such.csv"]
    assert failed["detail-type"] == "SFTP Connector File Retrieve Failed"
    assert (failed["detail"]["status-code"], failed["detail"]["failure-code"]) == ("FAILED", "RETRIEVE_FILE_NOT_FOUND")
    assert not {"bytes", "local-file-location"} & failed["detail"].keys()


def test_a_transfer_makes_events_of_the_bucket_as_any_write_does(
    aws: Aws, s3: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=f"q-{uuid.uuid4().hex[:12]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=landing, NotificationConfiguration=rule)
    sqs.purge_queue(QueueUrl=queue)
    (sftp_host.folder / "a.csv").write_text("1")
    retrieve(aws, connector, f"/{landing}/in", "a.csv")
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    assert json.loads(message["Body"])["Records"][0]["s3"]["object"]["key"] == "in/a.csv"


def test_a_large_file_arrives_whole_in_parts(
    aws: Aws, s3: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    content = b"".join(number.to_bytes(8) for number in range(5 << 18)) + b"end"
    (sftp_host.folder / "large.bin").write_bytes(content)
    assert retrieve(aws, connector, f"/{landing}", "large.bin")["large.bin"]["StatusCode"] == "COMPLETED"
    assert s3.head_object(Bucket=landing, Key="large.bin")["ETag"].strip('"').endswith("-2")
    assert body(s3, landing, "large.bin") == content


def test_a_connection_that_is_lost_in_the_middle_of_a_file_leaves_nothing(
    aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    (sftp_host.folder / "huge.bin").touch()
    os.truncate(sftp_host.folder / "huge.bin", 4 << 30)
    started = transfer.start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=["huge.bin"], LocalDirectoryPath=f"/{landing}"
    )["TransferId"]
    while not s3.list_multipart_uploads(Bucket=landing).get("Uploads"):
        time.sleep(0.03)
    sftp_host.restart()
    failed = wait_for_transfer(aws, connector, started)["huge.bin"]
    assert (failed["StatusCode"], failed["FailureCode"]) == ("FAILED", "CONNECTION_ERROR")
    assert keys(s3, landing) == []
    assert not s3.list_multipart_uploads(Bucket=landing).get("Uploads")
    (sftp_host.folder / "a.csv").write_text("1")
    assert retrieve(aws, connector, f"/{landing}", "a.csv")["a.csv"]["StatusCode"] == "COMPLETED"


def test_a_file_that_becomes_shorter_while_it_is_read_is_not_taken_for_whole(sftp_host: SftpHost) -> None:
    (sftp_host.folder / "a.csv").write_bytes(b"12345")
    login = sftp.Login(
        sftp_host.user, private_key=paramiko.Ed25519Key.from_private_key(io.StringIO(sftp_host.private_key))
    )
    server = sftp.Server(sftp_host.host, sftp_host.port, sftp_host.host_keys)
    with sftp.connected(server, login) as client, client.open("a.csv", "rb") as remote:
        assert list(parts(client, remote, 5)) == [b"12345"]
        with pytest.raises(sftp.Failed, match="became shorter than 6 bytes"):
            list(parts(client, remote, 6))


def test_what_is_more_than_the_connections_of_a_connector_waits(
    aws: Aws, transfer: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    pipe = sftp_host.folder / "pipe"
    os.mkfifo(pipe)  # opening it takes until somebody writes
    (sftp_host.folder / "a.csv").write_text("1")
    asked = {"ConnectorId": connector, "LocalDirectoryPath": f"/{landing}"}
    first = transfer.start_file_transfer(**asked, RetrieveFilePaths=["pipe"])["TransferId"]
    while results(aws, connector, first)["pipe"]["StatusCode"] == "QUEUED":
        time.sleep(0.03)
    second = transfer.start_file_transfer(**asked, RetrieveFilePaths=["a.csv"])["TransferId"]
    retrieve(aws, make_connector(aws, sftp_host), f"/{landing}/other", "a.csv")
    assert results(aws, connector, second)["a.csv"]["StatusCode"] == "QUEUED"
    transfer.update_connector(ConnectorId=connector, SftpConfig={"MaxConcurrentConnections": 2})
    assert wait_for_transfer(aws, connector, second)["a.csv"]["StatusCode"] == "COMPLETED"
    pipe.write_bytes(b"")
    assert wait_for_transfer(aws, connector, first)["pipe"]["StatusCode"] == "COMPLETED"


def test_ten_files_arrive_over_several_connections(
    aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost
) -> None:
    connector = make_connector(aws, sftp_host, MaxConcurrentConnections=5)
    names = [f"{number}.csv" for number in range(10)]
    for name in names:
        (sftp_host.folder / name).write_text(name)
    found = retrieve(aws, connector, f"/{landing}", *names)
    assert {each["StatusCode"] for each in found.values()} == {"COMPLETED"}
    assert {key: body(s3, landing, key).decode() for key in keys(s3, landing)} == {name: name for name in names}


def test_results_come_in_pages(aws: Aws, transfer: Any, landing: str, sftp_host: SftpHost, connector: str) -> None:
    paths = [f"{number}.csv" for number in range(5)]
    started = transfer.start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=paths, LocalDirectoryPath=f"/{landing}"
    )["TransferId"]
    wait_for_transfer(aws, connector, started)
    asked: dict[str, Any] = {"ConnectorId": connector, "TransferId": started, "MaxResults": 2}
    found, token = [], ""
    for _ in range(3):
        page = transfer.list_file_transfer_results(**asked, **({"NextToken": token} if token else {}))
        assert len(page["FileTransferResults"]) <= 2
        found += [each["FilePath"] for each in page["FileTransferResults"]]
        token = page.get("NextToken", "")
    assert (found, token) == (paths, "")
    said = refusal(lambda: transfer.list_file_transfer_results(**asked, NextToken="x"))
    assert said["Error"]["Code"] == "InvalidRequestException"


def test_what_cannot_be_read_or_written_fails_alone(
    aws: Aws, s3: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    (sftp_host.folder / "folder").mkdir()
    (sftp_host.folder / "good.csv").write_text("1")
    found = retrieve(aws, connector, f"/{landing}", "folder", "good.csv")
    assert [found[name]["StatusCode"] for name in ("folder", "good.csv")] == ["FAILED", "COMPLETED"]
    lost = retrieve(aws, connector, "/no-such-bucket-anywhere/in", "good.csv")["good.csv"]
    assert (lost["FailureCode"], "NoSuchBucket" in lost["FailureMessage"]) == ("S3_ERROR", True)


def test_objects_are_sent_to_the_host(aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost) -> None:
    connector = make_connector(aws, sftp_host)
    taken = events_of(aws, connector)
    (sftp_host.folder / "inbox").mkdir()
    content = b"x" * (3 << 20)
    s3.put_object(Bucket=landing, Key="out/a.csv", Body=content)
    asked = {"ConnectorId": connector, "SendFilePaths": [f"/{landing}/out/a.csv", f"{landing}/out/missing.csv"]}
    started = transfer.start_file_transfer(**asked, RemoteDirectoryPath=f"{sftp_host.folder}/inbox")["TransferId"]
    found = wait_for_transfer(aws, connector, started)
    assert [each.get("FailureCode") for each in found.values()] == [None, "SEND_FILE_NOT_FOUND"]
    assert [path.name for path in (sftp_host.folder / "inbox").iterdir()] == ["a.csv"]
    assert (sftp_host.folder / "inbox" / "a.csv").read_bytes() == content
    sent, missing = sorted(taken(2), key=lambda event: event["detail"]["status-code"])
    assert sent["detail-type"] == "SFTP Connector File Send Completed"
    assert sent["detail"]["remote-directory-path"] == f"{sftp_host.folder}/inbox"
    assert (sent["detail"]["operation"], sent["detail"]["bytes"]) == ("SEND", len(content))
    assert missing["detail-type"] == "SFTP Connector File Send Failed"
    home = transfer.start_file_transfer(ConnectorId=connector, SendFilePaths=[f"/{landing}/out/a.csv"])["TransferId"]
    wait_for_transfer(aws, connector, home)
    assert (sftp_host.folder / "a.csv").read_bytes() == content


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"RetrieveFilePaths": ["a"]},
        {"RetrieveFilePaths": ["a"], "LocalDirectoryPath": "/"},
        {"RetrieveFilePaths": ["a"], "SendFilePaths": ["/b/a"], "LocalDirectoryPath": "/b"},
        {"RetrieveFilePaths": ["a"] * 11, "LocalDirectoryPath": "/b"},
        {"SendFilePaths": ["/bucket"]},
    ],
)
def test_a_transfer_that_says_too_little_or_too_much_is_refused(
    transfer: Any, connector: str, asked: dict[str, Any]
) -> None:
    said = refusal(lambda: transfer.start_file_transfer(ConnectorId=connector, **asked))
    assert said["Error"]["Code"] == "InvalidRequestException"


def test_what_is_not_known_is_not_found(aws: Aws, transfer: Any, sftp_host: SftpHost, connector: str) -> None:
    unknown, other = "c-0123456789abcdef0", make_connector(aws, sftp_host)
    started = transfer.start_file_transfer(
        ConnectorId=connector, RetrieveFilePaths=["a"], LocalDirectoryPath="/bucket"
    )["TransferId"]
    for call in (
        lambda: transfer.start_remote_delete(ConnectorId=unknown, DeletePath="/a"),
        lambda: transfer.test_connection(ConnectorId=unknown),
        lambda: transfer.list_file_transfer_results(ConnectorId=connector, TransferId="unknown"),
        lambda: transfer.list_file_transfer_results(ConnectorId=other, TransferId=started),
    ):
        assert refusal(call)["Error"]["Code"] == "ResourceNotFoundException"


# Listings


def test_a_listing_has_the_files_and_folders_of_one_level(
    aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    (sftp_host.folder / "out" / "deeper").mkdir(parents=True)
    (sftp_host.folder / "out" / "deeper" / "hidden.csv").write_text("1")
    (sftp_host.folder / "out" / "ä b.csv").write_text("12")
    taken, folder = events_of(aws, connector), f"{sftp_host.folder}/out"
    started = transfer.start_directory_listing(
        ConnectorId=connector, RemoteDirectoryPath=f"{folder}/", OutputDirectoryPath=f"/{landing}/lists"
    )
    assert started["OutputFileName"] == f"{connector}-{started['ListingId']}.json"
    (event,) = taken(1)
    key = f"lists/{started['OutputFileName']}"
    said = json.loads(body(s3, landing, key))
    moment = said["files"][0].pop("modifiedTimestamp")
    assert (moment[10], moment[-1], len(moment)) == ("T", "Z", 20)
    assert said == {
        "files": [{"filePath": f"{folder}/ä b.csv", "size": 2}],
        "paths": [{"path": f"{folder}/deeper"}],
        "truncated": "false",
    }
    assert event["detail-type"] == "SFTP Connector Directory Listing Completed"
    detail = event["detail"]
    assert (detail["listing-id"], detail["item-count"], detail["max-items"]) == (started["ListingId"], 2, 1000)
    assert (detail["truncated"], detail["remote-directory-path"]) == (False, f"{folder}/")
    assert detail["output-directory-path"] == f"/{landing}/lists"
    assert detail["output-file-location"] == {"domain": "S3", "bucket": landing, "key": key}


def test_a_listing_ends_at_the_most_items_that_were_asked_for_and_says_so(
    aws: Aws, s3: Any, transfer: Any, landing: str, sftp_host: SftpHost, connector: str
) -> None:
    for number in range(3):
        (sftp_host.folder / f"{number}.csv").touch()
    taken = events_of(aws, connector)
    for most in (2, 3):
        started = transfer.start_directory_listing(
            ConnectorId=connector, RemoteDirectoryPath=".", OutputDirectoryPath=f"/{landing}", MaxItems=most
        )
        (event,) = taken(1)
        said = json.loads(body(s3, landing, started["OutputFileName"]))
        assert (len(said["files"]), said["truncated"]) == (most, "true" if most == 2 else "false")
        assert event["detail"]["truncated"] is (most == 2)
    asked = {"ConnectorId": connector, "RemoteDirectoryPath": ".", "OutputDirectoryPath": f"/{landing}"}
    said = refusal(lambda: transfer.start_directory_listing(**asked, MaxItems=200_001))
    assert said["Error"]["Code"] == "InvalidRequestException"


def test_a_listing_of_no_folder_fails_with_its_event_and_no_object(
    aws: Aws, s3: Any, transfer: Any, landing: str, connector: str
) -> None:
    taken = events_of(aws, connector)
    transfer.start_directory_listing(
        ConnectorId=connector, RemoteDirectoryPath="/no/such", OutputDirectoryPath=f"/{landing}"
    )
    (event,) = taken(1)
    assert event["detail-type"] == "SFTP Connector Directory Listing Failed"
    assert event["detail"]["failure-code"] == "LIST_FILE_NOT_FOUND"
    assert keys(s3, landing) == []


# Moves and deletions


def test_a_file_is_moved_but_not_over_another(aws: Aws, transfer: Any, sftp_host: SftpHost, connector: str) -> None:
    folder = sftp_host.folder
    (folder / "done").mkdir()
    for name in ("a.csv", "b.csv", "done/b.csv"):
        (folder / name).write_text(name)
    taken = events_of(aws, connector)
    asked = {"SourcePath": f"{folder}/a.csv", "TargetPath": f"{folder}/done/a.csv"}
    moved = transfer.start_remote_move(ConnectorId=connector, **asked)["MoveId"]
    (event,) = taken(1)
    assert (folder / "done" / "a.csv").read_text() == "a.csv"
    assert not (folder / "a.csv").exists()
    assert event["detail-type"] == "SFTP Connector Remote Move Completed"
    assert (event["detail"]["move-id"], event["detail"]["operation"]) == (moved, "MOVE")
    assert event["detail"]["move-source-path"] == asked["SourcePath"]
    assert event["detail"]["move-target-path"] == asked["TargetPath"]
    for source in ("b.csv", "gone.csv"):
        transfer.start_remote_move(
            ConnectorId=connector, SourcePath=f"{folder}/{source}", TargetPath=f"{folder}/done/b.csv"
        )
        (event,) = taken(1)
        assert event["detail-type"] == "SFTP Connector Remote Move Failed"
    assert event["detail"]["failure-code"] == "MOVE_FILE_NOT_FOUND"
    assert (folder / "done" / "b.csv").read_text() == "done/b.csv"


def test_files_and_empty_folders_are_deleted(aws: Aws, transfer: Any, sftp_host: SftpHost, connector: str) -> None:
    folder = sftp_host.folder
    (folder / "a.csv").touch()
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "b.csv").touch()
    taken = events_of(aws, connector)
    titles = {}
    for name in ("a.csv", "empty", "full", "gone"):
        started = transfer.start_remote_delete(ConnectorId=connector, DeletePath=f"{folder}/{name}")["DeleteId"]
        (event,) = taken(1)
        assert (event["detail"]["delete-id"], event["detail"]["delete-path"]) == (started, f"{folder}/{name}")
        titles[name] = event["detail-type"].rpartition(" ")[2]
    assert titles == {"a.csv": "Completed", "empty": "Completed", "full": "Failed", "gone": "Failed"}
    assert [path.name for path in folder.iterdir()] == ["full"]
