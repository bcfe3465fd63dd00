"""What the embedded AWS keeps when it ends, and when it is killed."""

import json
import pickletools
import shutil
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import PermanentFailure
from adplatform.local.aws.snapshot_file import read_snapshot, write_snapshot
from adplatform.local.endpoint import HEALTH_PATH, Endpoint, ensure
from adplatform.platform.aws import local_aws


def eventually(check: Any, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def saved(url: str) -> bool:
    with urllib.request.urlopen(url + HEALTH_PATH, timeout=30) as response:
        return json.load(response) == {"unsaved": []}


def kill(endpoint: Endpoint) -> None:
    assert endpoint.process is not None
    endpoint.process.kill()
    endpoint.process.wait()


WRITE = """
import sys
from pathlib import Path
from werkzeug.test import Client
from adplatform.local.aws import server
from adplatform.local.aws.admission import Admission
from adplatform.local.aws.bodies import Bodies
from adplatform.local.aws.persistence import Snapshots
from adplatform.local.signed import signed_request
from adplatform.platform.access_keys import AccessKey
from adplatform.local.aws.state import LOCK

class Watched(Snapshots):
    def changed(self, service):
        super().changed(service)
        print(service, LOCK._is_owned())

bodies = Bodies(Path(sys.argv[1]) / "s3")
snapshots = Watched(Path(sys.argv[1]) / "state", bodies)
server._install(bodies, snapshots)
key = AccessKey("LOCALKEY", "secret")
client = Client(server.Front(snapshots, Admission(key)))
create = b"Action=CreateQueue&QueueName=q"
for service, method, body in (("s3", "PUT", b""), ("sqs", "POST", create), ("s3", "GET", b"")):
    form = "application/x-www-form-urlencoded" if service == "sqs" else "text/plain"
    path = "/a-bucket" if service == "s3" else "/"
    signed = signed_request(method, f"http://127.0.0.1{path}", body, key, service)
    headers = {**dict(signed.header_items()), "Content-type": form}
    answer = client.open(path, method=method, data=body, headers=headers, base_url="http://127.0.0.1")
    assert answer.status_code == 200, answer.data
"""


@pytest.mark.slow
def test_a_write_is_noted_for_the_next_save_before_the_last_save_can_begin(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WRITE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["s3 True", "sqs True"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """What a child that served every service has saved when it is killed, and a text that only its KMS can read."""
    data = tmp_path_factory.mktemp("killed")
    endpoint = ensure(data)
    ciphertext = populate(endpoint.url)
    assert eventually(lambda: saved(endpoint.url))
    kill(endpoint)
    return data, ciphertext


def test_state_of_every_service_survives_the_killing_of_the_child(tmp_path: Path, killed: tuple[Path, bytes]) -> None:
    data, ciphertext = killed
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    (tmp_path / "state" / "glue.tmp").write_bytes(b"half a snapsh")
    with ensure(tmp_path) as endpoint:
        check(endpoint.url, ciphertext)


@pytest.mark.slow
def test_state_that_was_saved_before_the_modules_moved_is_read(tmp_path: Path, killed: tuple[Path, bytes]) -> None:
    data, ciphertext = killed
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    renamed = 0
    for path in (tmp_path / "state").glob("*.snapshot"):
        payload = read_snapshot(path)
        earlier = with_names_of_before(payload)
        renamed += earlier != payload
        write_snapshot(path, earlier)
    assert renamed >= 4
    with ensure(tmp_path) as endpoint:
        check(endpoint.url, ciphertext)


def with_names_of_before(payload: bytes) -> bytes:
    """The pickle with our modules named as they were, without its frames, whose lengths would not be right."""
    found = list(pickletools.genops(payload))
    ends = [*(at for _, _, at in found[1:]), len(payload)]
    parts = []
    for (op, value, at), end in zip(found, ends, strict=True):
        if isinstance(value, str) and value.startswith("adplatform.local.aws."):
            name = value.replace(".aws.", ".", 1).encode()
            parts.append(b"\x8c" + bytes([len(name)]) + name)  # SHORT_BINUNICODE
        elif op.name != "FRAME":
            parts.append(payload[at:end])
    return b"".join(parts)


def populate(url: str) -> bytes:
    aws = local_aws(url)
    s3, sns, sqs = aws.client("s3"), aws.client("sns"), aws.client("sqs")
    s3.create_bucket(Bucket="raw")
    s3.put_bucket_versioning(Bucket="raw", VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket="raw", Key="a", Body=body, Metadata={"k": "v"})
    upload = s3.create_multipart_upload(Bucket="raw", Key="open")["UploadId"]
    s3.upload_part(Bucket="raw", Key="open", UploadId=upload, PartNumber=1, Body=b"part")
    glue = aws.client("glue")
    glue.create_database(DatabaseInput={"Name": "clean"})
    glue.create_table(DatabaseName="clean", TableInput={"Name": "orders"})
    aws.client("secretsmanager").create_secret(Name="s", SecretString="x")
    queue = sqs.create_queue(QueueName="q", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    aws.client("events").put_rule(Name="r", EventPattern='{"source": ["x"]}')
    aws.client("ssm").put_parameter(Name="/a", Value="1", Type="String")
    settings = {"BucketName": "raw", "CdcInsertsOnly": False}
    aws.client("dms").create_endpoint(
        EndpointIdentifier="lake", EndpointType="target", EngineName="s3", S3Settings=settings
    )
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="ledger",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="ledger", Item={"k": {"S": "a"}})
    # The queue changes by a request to S3 only.
    assert eventually(lambda: saved(url))
    configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket="raw", NotificationConfiguration=configuration)
    kms = aws.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    return bytes(kms.encrypt(KeyId=key_id, Plaintext=b"z")["CiphertextBlob"])


def check(url: str, ciphertext: bytes) -> None:
    aws = local_aws(url)
    s3, sns, sqs = aws.client("s3"), aws.client("sns"), aws.client("sqs")
    got = s3.get_object(Bucket="raw", Key="a")
    assert (got["Body"].read(), got["Metadata"]) == (b"2", {"k": "v"})
    assert len(s3.list_object_versions(Bucket="raw")["Versions"]) == 2
    (upload,) = s3.list_multipart_uploads(Bucket="raw")["Uploads"]
    (part,) = s3.list_parts(Bucket="raw", Key="open", UploadId=upload["UploadId"])["Parts"]
    assert part["Size"] == 4
    assert aws.client("glue").get_table(DatabaseName="clean", Name="orders")["Table"]["VersionId"] == "1"
    assert aws.client("secretsmanager").get_secret_value(SecretId="s")["SecretString"] == "x"
    queue = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["Event"] == "s3:TestEvent"
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    sns.publish(TopicArn=sns.list_topics()["Topics"][0]["TopicArn"], Message="m")
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert json.loads(message["Body"])["Message"] == "m"
    assert aws.client("events").describe_rule(Name="r")["EventPattern"] == '{"source": ["x"]}'
    assert aws.client("ssm").get_parameter(Name="/a")["Parameter"]["Value"] == "1"
    [endpoint] = aws.client("dms").describe_endpoints()["Endpoints"]
    assert endpoint["S3Settings"]["BucketName"] == "raw"
    assert "Item" in aws.client("dynamodb").get_item(TableName="ledger", Key={"k": {"S": "a"}})
    assert aws.client("kms").decrypt(CiphertextBlob=ciphertext)["Plaintext"] == b"z"


def test_child_killed_while_it_works_leaves_a_whole_state(tmp_path: Path) -> None:
    endpoint = ensure(tmp_path)
    local_aws(endpoint.url).client("s3").create_bucket(Bucket="raw")
    assert eventually(lambda: saved(endpoint.url))
    for generation in range(2):
        s3 = local_aws(endpoint.url).client("s3")
        for key in range(20):
            s3.put_object(Bucket="raw", Key=f"stable/{generation}/{key}", Body=b"%d" % key * 100)
        for writer in range(2):  # or nothing of them may be saved by the time of the kill
            s3.put_object(Bucket="raw", Key=f"busy/{generation}/{writer}", Body=b"0 " + b"x" * 1000)
        assert eventually(lambda endpoint=endpoint: saved(endpoint.url))
        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write_until_refused, endpoint.url, f"busy/{generation}/{n}") for n in range(2)]
            while not writers_wrote(endpoint.url, f"busy/{generation}", 60):
                time.sleep(0.05)
            kill(endpoint)
            acknowledged = [writer.result() for writer in writers]
        endpoint = ensure(tmp_path)
        s3 = local_aws(endpoint.url).client("s3")
        for older in range(generation + 1):
            for key in range(20):
                body = s3.get_object(Bucket="raw", Key=f"stable/{older}/{key}")["Body"].read()
                assert body == b"%d" % key * 100
        for writer, last in enumerate(acknowledged):
            number, _, padding = (
                s3.get_object(Bucket="raw", Key=f"busy/{generation}/{writer}")["Body"].read().partition(b" ")
            )
            assert 0 <= int(number) <= last + 1
            assert padding == b"x" * 1000
    endpoint.stop()


def write_until_refused(url: str, key: str) -> int:
    """Replaces one object again and again; returns the number of the last acknowledged write."""
    s3 = local_aws(url).client("s3")
    number = 0
    while True:
        try:
            s3.put_object(Bucket="raw", Key=key, Body=b"%d " % number + b"x" * 1000)
        except (BotoCoreError, ClientError):
            return number - 1
        number += 1


def writers_wrote(url: str, prefix: str, count: int) -> bool:
    s3 = local_aws(url).client("s3")
    try:
        numbers = [int(s3.get_object(Bucket="raw", Key=f"{prefix}/{w}")["Body"].read().split()[0]) for w in range(2)]
    except ClientError:
        return False
    return min(numbers) >= count


def test_bodies_cost_a_file_each_and_nothing_more(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        assert endpoint.process is not None
        s3 = local_aws(endpoint.url).client("s3")
        s3.create_bucket(Bucket="raw")
        open_before = len(list(Path(f"/proc/{endpoint.process.pid}/fd").iterdir()))
        for key in range(40):
            s3.put_object(Bucket="raw", Key=str(key), Body=b"x" * 200_000)
        for key in range(20):
            s3.put_object(Bucket="raw", Key=str(key), Body=b"y")
        s3.delete_object(Bucket="raw", Key="39")
        unknown = {"Bucket": "raw", "Key": "never begun", "UploadId": "x", "PartNumber": 1}
        with pytest.raises(ClientError, match="NoSuchUpload"):
            s3.upload_part(**unknown, Body=b"x" * 200_000)
        upload = s3.create_multipart_upload(Bucket="raw", Key="big")["UploadId"]
        etag = s3.upload_part(Bucket="raw", Key="big", UploadId=upload, PartNumber=1, Body=b"z")["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        s3.complete_multipart_upload(Bucket="raw", Key="big", UploadId=upload, MultipartUpload=parts)
        assert len(list(Path(f"/proc/{endpoint.process.pid}/fd").iterdir())) <= open_before + 3
        assert eventually(lambda: len(list((tmp_path / "s3").glob("??/*"))) == 40)


def test_body_without_an_entry_in_the_saved_index_is_removed_at_the_next_start(tmp_path: Path) -> None:
    orphan = tmp_path / "s3" / "ab" / "abcdef"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"written just before a kill")
    with ensure(tmp_path):
        assert not orphan.exists()


def test_damaged_snapshot_is_refused_by_name(tmp_path: Path) -> None:
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        aws.client("glue").create_database(DatabaseInput={"Name": "clean"})
        aws.client("sqs").create_queue(QueueName="q")
    path = tmp_path / "state" / "glue.snapshot"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PermanentFailure, match=rf"{path}.* is damaged. .*delete it to start glue empty"):
        ensure(tmp_path)
    path.unlink()
    with ensure(tmp_path) as endpoint:
        aws = local_aws(endpoint.url)
        assert aws.client("glue").get_databases()["DatabaseList"] == []
        assert aws.client("sqs").list_queues()["QueueUrls"]


def send_and_delete(sqs: Any, queue: str, batches: int) -> str:
    """Messages that come and go by tens; the receipt handle of the last."""
    handle = ""
    for _ in range(batches):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": "x" * 100} for n in range(10)])
        received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
        handle = received[-1]["ReceiptHandle"]
        entries = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(received)]
        sqs.delete_message_batch(QueueUrl=queue, Entries=entries)
    return handle


@pytest.mark.slow
def test_messages_that_were_deleted_leave_nothing_in_the_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "state" / "sqs.snapshot"
    with ensure(tmp_path) as endpoint:
        sqs = local_aws(endpoint.url).client("sqs")
        queue = sqs.create_queue(QueueName="q")["QueueUrl"]
        send_and_delete(sqs, queue, 1)
        assert eventually(lambda: saved(endpoint.url))
        small = path.stat().st_size
        handle = send_and_delete(sqs, queue, 30)
        assert eventually(lambda: saved(endpoint.url))
        assert path.stat().st_size < small + 100
    with ensure(tmp_path) as endpoint:
        sqs = local_aws(endpoint.url).client("sqs")
        queue = sqs.get_queue_url(QueueName="q")["QueueUrl"]
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)  # once more is no error
        with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle="nothing that SQS ever gave")
    assert path.stat().st_size < small + 100
