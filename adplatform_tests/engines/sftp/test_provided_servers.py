"""What ``adplatform provision`` makes of a declared SFTP server, and what it changes of one that is there."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_server import SftpServer
from adplatform.engines.sftp.provided_servers import DeclaredServer, find_server, provide
from adplatform.engines.sftp.server import UploadedFiles, require_agreement, server_files
from adplatform.failures import PermanentFailure
from adplatform.platform.aws import Aws
from adplatform.platform.settings import Settings
from adplatform_tests.support.calls import CountedAws, WatchedAws
from adplatform_tests.support.sftp_uploads import make_key

ACCOUNT = "123456789012"
FEED = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": "bigint"}}


def public_key() -> str:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


KEY, OTHER = public_key(), public_key()


@pytest.fixture
def bucket() -> str:
    return f"raw-{uuid.uuid4().hex[:12]}"


Declare = Callable[..., DeclaredServer]


@pytest.fixture
def declare(bucket: str) -> Declare:
    def made(source: str = "acme", users: list[dict[str, Any]] | None = None, **server: Any) -> DeclaredServer:
        wanted = {"kind": "server", "users": users or [{"name": "acme", "keys": [KEY]}], **server}
        prefix = f"landing/{source}/"
        return DeclaredServer(source, SftpServer.model_validate(wanted), bucket, prefix, ACCOUNT, "us-east-1")

    return made


@pytest.fixture
def transfer(aws: Aws) -> Iterator[Any]:
    """A client. Workflows, of which an account has ten, go afterwards."""
    client = aws.client("transfer")
    yield client
    for each in client.list_workflows()["Workflows"]:
        client.delete_workflow(WorkflowId=each["WorkflowId"])


def provided(aws: Aws, declared: DeclaredServer) -> str:
    return provide(aws.client("transfer"), aws.client("secretsmanager"), declared)


def described(transfer: Any, server: str) -> dict[str, Any]:
    return dict(transfer.describe_server(ServerId=server)["Server"])


def user_of(transfer: Any, server: str, name: str = "acme") -> dict[str, Any]:
    return dict(transfer.describe_user(ServerId=server, UserName=name)["User"])


def keys_of(transfer: Any, server: str, name: str = "acme") -> list[str]:
    return [key["SshPublicKeyBody"] for key in user_of(transfer, server, name)["SshPublicKeys"]]


def attached(transfer: Any, server: str, occasion: str = "OnUpload") -> dict[str, Any] | None:
    """The workflow that the server has for the occasion."""
    details = described(transfer, server).get("WorkflowDetails", {}).get(occasion)
    return transfer.describe_workflow(WorkflowId=details[0]["WorkflowId"])["Workflow"] if details else None


def test_a_server_and_its_users_are_made(aws: Aws, transfer: Any, declare: Declare, bucket: str) -> None:
    users = [
        {"name": "acme", "keys": [KEY, f"{OTHER} a comment"], "folder": "eu"},
        {"name": "drop", "keys": [KEY], "can": "put"},
    ]
    server = provided(aws, declare(users=users))
    known = described(transfer, server)
    assert (known["EndpointType"], known["SecurityPolicyName"], known["UserCount"]) == (
        *("PUBLIC", "TransferSecurityPolicy-2024-01"),
        2,
    )
    assert known["ProtocolDetails"]["SetStatOption"] == "ENABLE_NO_OP"
    assert {tag["Key"]: tag["Value"] for tag in known["Tags"]}["Name"] == "adplatform"
    user = user_of(transfer, server)
    assert user["HomeDirectoryMappings"] == [{"Entry": "/", "Target": f"/{bucket}/landing/acme/eu"}]
    assert user["Role"] == f"arn:aws:iam::{ACCOUNT}:role/adplatform-transfer"
    assert keys_of(transfer, server) == [KEY, OTHER]
    objects = json.loads(user["Policy"])["Statement"][-1]
    assert objects["Resource"] == f"arn:aws:s3:::{bucket}/landing/acme/eu/*"
    dropping = json.loads(user_of(transfer, server, "drop")["Policy"])
    assert "s3:PutObject" in json.dumps(dropping)
    assert not {"s3:GetObject", "s3:ListBucket", "s3:DeleteObject"} & set(json.dumps(dropping).split('"'))


def test_what_is_as_declared_is_left_alone(aws: Aws, transfer: Any, declare: Declare) -> None:
    declared = declare(workflow={"check": True, "tag": {"a": "b"}})
    server = provided(aws, declared)
    counted = CountedAws(aws.region, aws.endpoint_url)
    assert provided(counted, declared) == server
    assert [name for name in counted.names if not name.startswith(("Describe", "List", "Get"))] == []


def test_what_differs_is_changed(aws: Aws, transfer: Any, declare: Declare, bucket: str) -> None:
    server = provided(aws, declare())
    changed = declare(
        users=[{"name": "acme", "keys": [KEY], "can": "put", "folder": "eu"}],
        set_stat=False,
        security_policy="TransferSecurityPolicy-2025-03",
        role="other",
        logging_role="logs",
    )
    assert provided(aws, changed) == server
    known, user = described(transfer, server), user_of(transfer, server)
    assert (known["ProtocolDetails"]["SetStatOption"], known["SecurityPolicyName"]) == (
        *("DEFAULT", "TransferSecurityPolicy-2025-03"),
    )
    assert known["LoggingRole"] == f"arn:aws:iam::{ACCOUNT}:role/logs"
    assert user["Role"] == f"arn:aws:iam::{ACCOUNT}:role/other"
    assert user["HomeDirectoryMappings"][0]["Target"] == f"/{bucket}/landing/acme/eu"
    assert "ListBucket" not in user["Policy"]


def test_a_workflow_is_attached_replaced_found_again_and_detached(
    aws: Aws, transfer: Any, declare: Declare, bucket: str
) -> None:
    server = provided(aws, declare(workflow={"check": True, "timeout": "2m", "function": "look"}))
    first = attached(transfer, server)
    assert first is not None
    [step] = first["Steps"]
    assert step["CustomStepDetails"]["Target"] == f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:look"
    assert step["CustomStepDetails"]["TimeoutSeconds"] == 120
    assert first["OnExceptionSteps"][0]["CustomStepDetails"]["Target"].endswith(":adplatform-upload-exception")
    partial = attached(transfer, server, "OnPartialUpload")
    assert partial is not None
    assert partial["Steps"][0]["CustomStepDetails"]["Target"].endswith(":adplatform-upload-partial")
    provided(aws, declare(workflow={"check": False, "tag": {"a": "b"}}))
    second = attached(transfer, server)
    assert second is not None
    assert [step["Type"] for step in second["Steps"]] == ["TAG"]
    provided(aws, declare(workflow={"check": True, "timeout": "2m", "function": "look"}))
    assert attached(transfer, server) == first
    provided(aws, declare())
    assert attached(transfer, server) is None
    assert attached(transfer, server, "OnPartialUpload") is None


def test_the_key_that_a_workflow_decrypts_with_is_put_where_it_looks_for_it(
    aws: Aws, transfer: Any, declare: Declare, bucket: str
) -> None:
    secrets, name = aws.client("secretsmanager"), f"pgp-{bucket}"
    secrets.create_secret(Name=name, SecretString="-----BEGIN PGP-----")
    declared = declare(workflow={"decrypt": {"secret": name}})
    server = provided(aws, declared)
    where = f"aws/transfer/{server}/acme"

    def kept() -> dict[str, str]:
        return dict(json.loads(secrets.get_secret_value(SecretId=where)["SecretString"]))

    assert kept() == {"PGPPrivateKey": "-----BEGIN PGP-----"}
    secrets.put_secret_value(SecretId=name, SecretString=json.dumps({"key": "new", "passphrase": "opens"}))
    provided(aws, declared)
    assert kept() == {"PGPPrivateKey": "new", "PGPPassphrase": "opens"}
    decrypt = attached(transfer, server)
    assert decrypt is not None
    [step, _] = decrypt["Steps"]
    target = step["DecryptStepDetails"]["DestinationFileLocation"]["S3FileLocation"]
    assert (target["Bucket"], target["Key"].split("$")[0]) == (bucket, "prepared/sftp-uploads/")


def test_a_secret_that_is_missing_or_binary_is_named(aws: Aws, transfer: Any, declare: Declare, bucket: str) -> None:
    declared = declare(workflow={"decrypt": {"secret": f"pgp-{bucket}"}})
    with pytest.raises(PermanentFailure, match=f"secret pgp-{bucket} does not exist"):
        provided(aws, declared)
    aws.client("secretsmanager").create_secret(Name=f"pgp-{bucket}", SecretBinary=b"private")
    with pytest.raises(PermanentFailure, match="is binary") as raised:
        provided(aws, declared)
    assert "private" not in str(raised.value)
    with pytest.raises(PermanentFailure, match="secret none-there does not exist"):
        provided(aws, declare(server="keyed", host_key_secret="none-there"))


def test_a_server_is_made_with_the_host_key_that_partners_know(
    aws: Aws, transfer: Any, declare: Declare, bucket: str, tmp_path: Path
) -> None:
    key = make_key(tmp_path)
    aws.client("secretsmanager").create_secret(Name=f"host-{bucket}", SecretString=key.file.read_text())
    server = provided(aws, declare(host_key_secret=f"host-{bucket}"))
    shown = subprocess.run(["ssh-keygen", "-lf", key.file], capture_output=True, text=True, check=True).stdout
    assert described(transfer, server)["HostKeyFingerprint"] in shown


def test_a_key_is_taken_away_only_when_the_others_are_there_whenever_it_is_killed(
    aws: Aws, transfer: Any, declare: Declare
) -> None:
    server = transfer.create_server()["ServerId"]  # known by its id, so that it is not looked for among all others
    old, new = declare(server=server), declare(server=server, users=[{"name": "acme", "keys": [OTHER]}])
    provided(aws, old)
    for calls in range(1, 30):
        left = calls

        def die() -> None:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt

        killed = WatchedAws(aws.region, aws.endpoint_url, die, frozenset({"transfer"}))
        try:
            provided(killed, new)
        except KeyboardInterrupt:
            assert keys_of(transfer, server)
        else:
            break
        provided(aws, new)
        assert keys_of(transfer, server) == [OTHER]
        provided(aws, old)
    else:
        pytest.fail("it never came to an end")
    assert keys_of(transfer, server) == [OTHER]


def test_a_user_that_is_declared_no_longer_has_no_keys_and_others_keep_theirs(
    aws: Aws, transfer: Any, declare: Declare
) -> None:
    both = [{"name": "acme", "keys": [KEY]}, {"name": "gone", "keys": [OTHER]}]
    server = provided(aws, declare(users=both))
    assert provided(aws, declare("globex", users=[{"name": "globex", "keys": [KEY]}])) == server
    provided(aws, declare())
    assert keys_of(transfer, server, "gone") == []
    assert keys_of(transfer, server) == keys_of(transfer, server, "globex") == [KEY]
    provided(aws, declare(users=both))
    assert keys_of(transfer, server, "gone") == [OTHER]


def test_a_user_of_another_source_is_left_alone(aws: Aws, transfer: Any, declare: Declare) -> None:
    server = provided(aws, declare())
    with pytest.raises(PermanentFailure, match=r"user acme of SFTP server .* is that of source acme"):
        provided(aws, declare("globex", users=[{"name": "acme", "keys": [OTHER]}]))
    assert keys_of(transfer, server) == [KEY]


def test_of_a_server_that_is_somebody_elses_only_users_and_workflow_change(
    aws: Aws, transfer: Any, declare: Declare
) -> None:
    server = transfer.create_server()["ServerId"]
    before = described(transfer, server)
    assert provided(aws, declare(server=server, set_stat=True)) == server
    known = described(transfer, server)
    assert known["ProtocolDetails"] == before["ProtocolDetails"]
    assert keys_of(transfer, server) == [KEY]
    provided(aws, declare(server=server, workflow={"check": True}))
    assert attached(transfer, server)
    provided(aws, declare(server=server))
    assert attached(transfer, server)
    with pytest.raises(PermanentFailure, match="does not exist in this account"):
        provided(aws, declare(server="s-0123456789abcdef0"))


def test_another_endpoint_takes_another_server(aws: Aws, declare: Declare) -> None:
    provided(aws, declare())
    vpc = {"endpoint": "vpc", "vpc": "vpc-01234567", "subnets": ["subnet-01234567"], "security_groups": ["sg-01234567"]}
    with pytest.raises(PermanentFailure, match="declare another name for `server`"):
        provided(aws, declare(**vpc))
    private = declare(server="private", **vpc)
    server = provided(aws, private)
    known = described(aws.client("transfer"), server)
    assert (known["EndpointType"], known["EndpointDetails"]) == (
        "VPC",
        {"VpcId": "vpc-01234567", "SubnetIds": ["subnet-01234567"], "SecurityGroupIds": ["sg-01234567"]},
    )


def test_platforms_of_one_account_have_servers_of_their_own(aws: Aws, transfer: Any, declare: Declare) -> None:
    here = declare()
    other = replace(here, bucket=f"{here.bucket}-b")
    assert find_server(transfer, other) is None
    servers = {provided(aws, here), provided(aws, other)}
    assert len(servers) == 2
    assert {find_server(transfer, here), find_server(transfer, other)} == servers


def server(users: list[str], **settings: Any) -> SftpServer:
    wanted = {"kind": "server", "users": [{"name": name, "keys": [KEY]} for name in users], **settings}
    return SftpServer.model_validate(wanted)


def test_sources_that_share_a_server_agree_on_it() -> None:
    one = ("acme", server(["acme"]))
    elsewhere = ("own", server(["acme"], server="own", set_stat=False))
    require_agreement([one, ("globex", server(["globex"], role="other")), elsewhere])
    with pytest.raises(PermanentFailure, match="acme and globex share the SFTP server adplatform, and `workflow`"):
        require_agreement([one, ("globex", server(["globex"], workflow={"check": True}))])
    with pytest.raises(PermanentFailure, match="both have a user acme"):
        require_agreement([one, ("globex", server(["globex", "acme"]))])


def test_a_feed_that_no_user_sees_is_refused() -> None:
    def made(folder: str, landing: str = "{feed}/dt={date}/{file}") -> UploadedFiles:
        users = [{"name": "acme", "keys": [KEY], "folder": folder}]
        feeds = [{**FEED, "landing": landing}]
        declared = {"source": "acme", "from": {"kind": "server", "users": users}, "feeds": feeds}
        return server_files(SftpSource.model_validate(declared), Settings("local", home=Path()))

    made("orders")
    made("eu", "{file}/{date}")
    with pytest.raises(PermanentFailure, match="no user of the SFTP server sees landing/acme/orders/"):
        made("eu")
