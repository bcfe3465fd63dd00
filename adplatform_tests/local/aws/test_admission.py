"""Nobody is served who has no key: not another user of the machine, and no web page."""

import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from adplatform.local.aws import signatures
from adplatform.local.aws.http_server import _environ
from adplatform.local.aws.signatures import Unsigned
from adplatform.local.endpoint import HEALTH_PATH, LOG_NAME, ensure
from adplatform.local.signed import ADMIN_PATH, signed_request
from adplatform.platform.access_keys import AccessKey, key_for
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.support.shared_aws import SHARED_AWS

KEY = AccessKey("LOCALKEY", "the-secret-of-the-key")
FORM = (
    b"--b\r\nContent-Disposition: form-data; name=key\r\n\r\nlanding/forged.csv\r\n"
    b"--b\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\nforged\r\n--b--\r\n"
)


def answered(method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, body or None, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        assert not [name for name in e.headers if name.lower().startswith("access-control")]
        return e.code, e.read().decode()


@pytest.fixture
def bucket(aws: Aws) -> str:
    name = f"admission-{uuid.uuid4().hex[:12]}"
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="original.csv", Body=b"1")
    return name


@cache
def session() -> boto3.Session:
    return boto3.Session(region_name="us-east-1")


def client_of(aws: Aws, service: str, key: str, secret: str, token: str | None = None, **more: Any) -> Any:
    """A client with this key. All of them are of one session, which reads the model of a service once."""
    return session().client(
        service,
        endpoint_url=aws.endpoint_url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        **more,
    )


def kept(aws: Aws, bucket: str) -> list[str]:
    return [each["Key"] for each in aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]


# Strangers

DELETION = b"<Delete><Object><Key>original.csv</Key></Object></Delete>"
STRANGE: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "read": ("GET", "/{bucket}/original.csv", b"", {}),
    "list": ("GET", "/", b"", {}),
    "write": ("PUT", "/{bucket}/forged.csv", b"x", {}),
    "form of a page": ("POST", "/{bucket}", FORM, {"Content-Type": "multipart/form-data; boundary=b"}),
    "plain text of a page": ("POST", "/{bucket}?delete", DELETION, {"Content-Type": "text/plain"}),
    "deletion": ("DELETE", "/{bucket}/original.csv", b"", {}),
    "preflight": ("OPTIONS", "/{bucket}", b"", {"Access-Control-Request-Method": "PUT"}),
    "secret": ("POST", "/", b"{}", {"X-Amz-Target": "secretsmanager.ListSecrets"}),
    "queue": ("POST", "/", b"Action=ListQueues", {"Content-Type": "application/x-www-form-urlencoded"}),
    "role": ("POST", "/", b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15", {}),
    "order": ("POST", ADMIN_PATH, b'{"advance": 86400}', {"Content-Type": "text/plain"}),
    "orders": ("GET", ADMIN_PATH, b"", {}),
    "moto": ("POST", "/moto-api/state-manager/set-transition", b"{}", {}),
    "basic": ("GET", "/{bucket}/original.csv", b"", {"Authorization": "Basic YTpi"}),
    "version 2": ("GET", "/{bucket}/original.csv", b"", {"Authorization": "AWS local:c2lnbmVk"}),
    "nonsense": ("GET", "/{bucket}/original.csv", b"", {"Authorization": "AWS4-HMAC-SHA256 Credential=é"}),
    "half a presigned URL": ("GET", "/{bucket}/original.csv?X-Amz-Signature=0", b"", {}),
    "half one of version 2": ("GET", "/{bucket}/original.csv?AWSAccessKeyId=local&Signature=0", b"", {}),
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_nobody_has_signed_is_refused(aws: Aws, bucket: str, name: str) -> None:
    method, path, body, headers = STRANGE[name]
    status, text = answered(method, f"{aws.endpoint_url}{path.format(bucket=bucket)}", body, headers)
    assert status == 403
    assert kept(aws, bucket) == ["original.csv"]
    assert re.search("signed|signature|presigned URL", text)


@pytest.mark.parametrize("service", ["s3", "sqs", "dynamodb", "glue"])
def test_a_wrong_key_is_refused_in_the_words_of_the_service(aws: Aws, service: str) -> None:
    once = Config(retries={"total_max_attempts": 1})
    true = key_for(str(aws.endpoint_url))
    calls = {"s3": "list_buckets", "sqs": "list_queues", "dynamodb": "list_tables", "glue": "get_databases"}
    for given, code in (
        (AccessKey("local", "local"), "InvalidAccessKeyId"),
        (AccessKey(true.id, "guessed"), "SignatureDoesNotMatch"),
    ):
        client = client_of(aws, service, given.id, given.secret, config=once)
        with pytest.raises(ClientError) as refused:
            getattr(client, calls[service])()
        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_whoever_only_wants_to_know_whether_it_lives_needs_no_key(aws_endpoint: str) -> None:
    assert answered("GET", aws_endpoint + HEALTH_PATH)[0] == 200


def test_a_body_is_not_awaited_from_a_stranger(aws_endpoint: str) -> None:
    """Else anybody could fill the memory."""
    to = urllib.parse.urlsplit(aws_endpoint)
    with socket.create_connection((str(to.hostname), int(to.port or 0)), timeout=10) as connection:
        head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\nX-Amz-Target: SQS.ListQueues\r\n"
        connection.sendall(f"{head}\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 403 ")
    assert answered("PUT", f"{aws_endpoint}/bucket/key", b"x" * 4_000_000)[0] == 403  # it is told while it still sends


# Web pages


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "attacker.example"},
        {"Host": "127.0.0.1.attacker.example"},
    ],
)
def test_a_page_of_another_site_is_refused_whatever_it_knows(aws: Aws, bucket: str, headers: dict[str, str]) -> None:
    url = f"{aws.endpoint_url}/{bucket}/original.csv"
    request = signed_request("DELETE", url, service="s3")
    status, text = answered("DELETE", url, headers={**dict(request.header_items()), **headers})
    assert (status, kept(aws, bucket)) == (403, ["original.csv"])
    assert re.search("(host names|of another origin|of another site) are not served|only loopback host names", text)
    assert answered("GET", str(aws.endpoint_url) + HEALTH_PATH, headers=headers)[0] == 403


def test_a_request_that_is_not_of_a_page_may_come_from_a_browser(aws: Aws, bucket: str) -> None:
    url = f"{aws.endpoint_url}/{bucket}/original.csv"
    request = signed_request("GET", url, service="s3")
    headers = {**dict(request.header_items()), "Sec-Fetch-Site": "none", "Origin": str(aws.endpoint_url)}
    assert answered("GET", url, headers=headers) == (200, "1")


def test_a_refusal_is_in_the_log_without_what_was_asked(tmp_path: Path) -> None:
    with ensure(tmp_path, child=SHARED_AWS) as endpoint:
        url = f"{endpoint.url}/bucket/ann@example.com?X-Amz-Signature=S3CR3T"
        for _ in range(30):
            answered("GET", url, headers={"Origin": "https://attacker.example"})
        text = (tmp_path / LOG_NAME).read_text(encoding="utf-8")
    refused = [line for line in text.splitlines() if "refused" in line]
    assert "'GET' from 'https://attacker.example': AccessDenied, web pages of another origin" in refused[0]
    assert len(refused) < 30
    assert "ann@" not in text
    assert "S3CR3T" not in text


# Visiting a SubscribeURL


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("GET", "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:123456789012:{topic}&Token=guessed", b""),
        (
            "GET",
            "Action=ConfirmSubscription",
            b"Action=DeleteTopic&TopicArn=arn:aws:sns:us-east-1:123456789012:{topic}",
        ),
        ("GET", "Action=ConfirmSubscription&Action=ListTopics", b""),
        ("GET", "Action=ListTopics", b""),
        ("POST", "Action=ConfirmSubscription", b"Action=ListTopics"),
    ],
)
def test_nothing_but_a_confirmation_with_its_token_goes_without_a_signature(
    aws: Aws, method: str, query: str, body: bytes
) -> None:
    topic = f"topic-{uuid.uuid4().hex[:8]}"
    sns = aws.client("sns")
    arn = sns.create_topic(Name=topic)["TopicArn"]
    form = {"Content-Type": "application/x-www-form-urlencoded", "X-Amz-Target": "AmazonSNS.DeleteTopic"}
    sent = body.decode().format(topic=topic).encode()
    status, text = answered(method, f"{aws.endpoint_url}/?{query.format(topic=topic)}", sent, form)
    assert status >= 400
    assert "<ListTopicsResult" not in text
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["TopicArn"] == arn


# Other keys than that of the directory


def test_keys_of_iam_users_and_of_assumed_roles_are_good_as_long_as_there_are_such(aws: Aws, bucket: str) -> None:
    iam, name = aws.client("iam"), f"partner-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    role = aws.client("sts").assume_role(RoleArn=f"arn:aws:iam::123456789012:role/{name}", RoleSessionName="session")
    lent = role["Credentials"]

    def read(*key: str) -> bytes:
        client = client_of(aws, "s3", *key)
        return bytes(client.get_object(Bucket=bucket, Key="original.csv")["Body"].read())

    assert read(made["AccessKeyId"], made["SecretAccessKey"]) == b"1"
    assert read(lent["AccessKeyId"], lent["SecretAccessKey"], lent["SessionToken"]) == b"1"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        read(made["AccessKeyId"], lent["SecretAccessKey"])
    iam.update_access_key(UserName=name, AccessKeyId=made["AccessKeyId"], Status="Inactive")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        read(made["AccessKeyId"], made["SecretAccessKey"])


def test_every_data_directory_has_a_key_of_its_own(aws: Aws, tmp_path: Path) -> None:
    with ensure(tmp_path, child=SHARED_AWS) as endpoint:
        another = client_of(local_aws(endpoint.url), "sqs", *vars(key_for(str(aws.endpoint_url))).values())
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            another.list_queues()
        local_aws(endpoint.url).client("sqs").create_queue(QueueName="q")
        kept = endpoint.key
    with ensure(tmp_path, child=SHARED_AWS) as endpoint:
        assert endpoint.key == kept


# The signature itself


def environment(request: AWSRequest, **changed: str) -> dict[str, Any]:
    """What the server makes of a request as it is on the wire."""
    url = urllib.parse.urlsplit(request.url)
    target = changed.get("target") or f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    headers = {"Host": url.netloc, **{name: str(value) for name, value in request.headers.items()}}
    headers |= {name: value for name, value in changed.items() if name[0].isupper()}
    return _environ(changed.get("method", request.method), target, "HTTP/1.1", [*headers.items()], None)  # type: ignore[arg-type]


def signed(url: str, service: str, body: bytes = b"", method: str = "PUT", **headers: str) -> AWSRequest:
    request = AWSRequest(method, url, headers, body)
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(Credentials(KEY.id, KEY.secret), service, "eu-central-1").add_auth(request)
    return request


def presigned(url: str, seconds: int = 60) -> AWSRequest:
    request = AWSRequest("GET", url)
    S3SigV4QueryAuth(Credentials(KEY.id, KEY.secret), "s3", "eu-central-1", expires=seconds).add_auth(request)
    return AWSRequest("GET", request.url)


def refusal(environ: dict[str, Any], body: bytes = b"", later: timedelta = timedelta()) -> str:
    """The code, "" of none."""
    secrets = {KEY.id: KEY.secret}
    try:
        signatures.verify(environ, signatures.claimed(environ), body, secrets.get, datetime.now(UTC) + later)
    except Unsigned as e:
        return e.code
    return ""


PATHS = ["/", "/b/a%20b%2Bc/dt%3D2026-01-01/~x", "/b/%C3%A4?list-type=2&prefix=a%2Fb%3D%20&delimiter=", "/b/x?uploads"]


@pytest.mark.parametrize("service", ["s3", "glue"])
@pytest.mark.parametrize("path", PATHS)
def test_what_botocore_signs_is_good(path: str, service: str) -> None:
    request = signed(f"http://127.0.0.1:8080{path}", service, b"body", **{"X-Amz-Meta-A": " a   b "})
    assert refusal(environment(request), b"body") == ""


def test_a_client_may_write_on_the_wire_what_it_escapes_for_the_signature() -> None:
    """As the AWS SDK for C++ does, which Arrow uses."""
    request = signed("http://127.0.0.1:8080/b/dt%3D2026/a%20b?prefix=dt%3D2026%2F", "s3")
    assert refusal(environment(request, target="/b/dt=2026/a%20b?prefix=dt=2026/")) == ""
    assert refusal(environment(request, target="/b/dt=2027/a%20b?prefix=dt=2026/")) == "SignatureDoesNotMatch"


def test_a_client_that_states_no_hash_of_what_it_sends_to_s3_sends_nothing() -> None:
    """As curl does."""
    request = AWSRequest("GET", "http://127.0.0.1:8080/b/key")
    SigV4Auth(Credentials(KEY.id, KEY.secret), "s3", "eu-central-1").add_auth(request)
    assert "X-Amz-Content-SHA256" not in request.headers
    assert refusal(environment(request)) == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "DELETE"},
        {"target": "/b/other?versionId=1"},
        {"target": "/b/key?versionId=2"},
        {"target": "/b/key"},
        {"Host": "127.0.0.1:9090"},
        {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"},
        {"X-Amz-Copy-Source": "b/secret"},
    ],
)
def test_what_is_changed_after_signing_is_refused(changed: dict[str, str]) -> None:
    request = signed("http://127.0.0.1:8080/b/key?versionId=1", "s3", b"body")
    assert refusal(environment(request), b"body") == ""
    assert refusal(environment(request, **changed), b"body") in {"SignatureDoesNotMatch", "AccessDenied"}


def test_the_body_of_a_call_is_what_was_signed() -> None:
    request = signed("http://127.0.0.1:8080/", "glue", b"{}", "POST", **{"X-Amz-Target": "AWSGlue.GetDatabases"})
    assert refusal(environment(request), b"{}") == ""
    assert refusal(environment(request), b'{"more": 1}') == "SignatureDoesNotMatch"
    assert refusal(environment(request, **{"X-Amz-Target": "AWSGlue.DeleteDatabase"}), b"{}") == "SignatureDoesNotMatch"


def test_a_signature_is_good_for_a_quarter_of_an_hour_and_a_url_as_long_as_it_says() -> None:
    request, url = signed("http://127.0.0.1:8080/b/key", "s3"), presigned("http://127.0.0.1:8080/b/key", 3600)
    for minutes, code in ((-14, ""), (-16, "RequestTimeTooSkewed"), (14, ""), (16, "RequestTimeTooSkewed")):
        assert refusal(environment(request), later=timedelta(minutes=minutes)) == code
    for minutes, code in ((16, ""), (59, ""), (61, "AccessDenied")):
        assert refusal(environment(url), later=timedelta(minutes=minutes)) == code


def test_a_presigned_url_is_leave_for_nothing_else() -> None:
    request = presigned("http://127.0.0.1:8080/b/key")
    target = request.url.removeprefix("http://127.0.0.1:8080")
    assert refusal(environment(request)) == ""
    assert refusal(environment(request, method="PUT")) == "SignatureDoesNotMatch"
    assert refusal(environment(request, target=target.replace("key", "kex"))) == "SignatureDoesNotMatch"
    assert refusal(environment(request, target=target.replace("Expires=60", "Expires=61"))) == "SignatureDoesNotMatch"
    assert refusal(environment(request, **{"X-Amz-Target": "DynamoDB_20120810.DeleteTable"})) == "AccessDenied"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_of_both_versions_are_checked(aws: Aws, bucket: str, version: str) -> None:
    key = key_for(str(aws.endpoint_url))
    s3 = client_of(aws, "s3", key.id, key.secret, config=Config(signature_version=version))
    target = {"Bucket": bucket, "Key": "original.csv"}
    url = s3.generate_presigned_url("get_object", Params=target)
    assert ("AWSAccessKeyId" in url) is (version == "s3")
    assert answered("GET", url) == (200, "1")
    assert answered("DELETE", url)[0] == 403
    assert answered("GET", url.replace("original", "other"))[0] == 403
    table = json.dumps({"TableName": "t"}).encode()
    other = answered("GET", url, table, {"X-Amz-Target": "DynamoDB_20120810.DescribeTable"})
    assert (other[0] == 403) or other == (200, "1")
    assert answered("GET", s3.generate_presigned_url("get_object", Params=target, ExpiresIn=-10))[0] == 403
    assert kept(aws, bucket) == ["original.csv"]


def test_a_body_in_chunks_with_signatures_of_their_own_is_stored_without_them(aws: Aws, bucket: str) -> None:
    """As the AWS SDK for Java sends it, which Spark's S3A uses."""
    url, key = f"{aws.endpoint_url}/{bucket}/chunked", key_for(str(aws.endpoint_url))
    body = b"5;chunk-signature=" + b"0" * 64 + b"\r\nhello\r\n0;chunk-signature=" + b"0" * 64 + b"\r\n\r\n"
    request = AWSRequest("PUT", url, {"content-encoding": "aws-chunked", "x-amz-decoded-content-length": "5"})

    class Chunks(S3SigV4Auth):
        def payload(self, request: Any) -> str:
            return "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"

    Chunks(Credentials(key.id, key.secret), "s3", "us-east-1").add_auth(request)
    assert answered("PUT", url, body, dict(request.headers.items()))[0] == 200
    assert aws.client("s3").get_object(Bucket=bucket, Key="chunked")["Body"].read() == b"hello"
