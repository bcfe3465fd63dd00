"""The behaviours of AWS that the platform relies on, checked against the embedded AWS over a real port.

What AWS documents is right, not what moto does: where they differ, the embedded AWS corrects moto.
"""

import base64
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.local.signed import signed_request
from adplatform.platform.aws import Aws

MIB = 1 << 20


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def error_code(call: Callable[[], object]) -> str:
    with pytest.raises(ClientError) as raised:
        call()
    return str(raised.value.response["Error"]["Code"])


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.fixture
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture
def sqs(aws: Aws) -> Any:
    return aws.client("sqs")


@pytest.fixture
def glue(aws: Aws) -> Any:
    return aws.client("glue")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = unique("bucket")
    s3.create_bucket(Bucket=name)
    return name


def new_queue(sqs: Any, **attributes: str) -> tuple[str, str]:
    url = sqs.create_queue(QueueName=unique("queue"), Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def received(sqs: Any, url: str) -> list[dict[str, Any]]:
    """Everything in a queue, parsed; the messages are deleted."""
    bodies: list[dict[str, Any]] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            bodies.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return bodies


# S3


def test_object_keeps_body_metadata_and_an_awkward_key(s3: Any, bucket: str) -> None:
    key = "in/a b+c%d/ü=1/é.csv"
    s3.put_object(Bucket=bucket, Key=key, Body=b"x,y\n", Metadata={"feed": "orders"}, ContentType="text/csv")
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == b"x,y\n"
    assert (got["Metadata"], got["ContentType"]) == ({"feed": "orders"}, "text/csv")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


@pytest.mark.parametrize(
    ("requested", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=3000000-3000004", 3_000_000, 3_000_005), ("bytes=-7", 3 * MIB - 7, 3 * MIB)],
)
def test_range_returns_exactly_the_bytes_asked_for(s3: Any, bucket: str, requested: str, start: int, end: int) -> None:
    body = bytes(range(256)) * (3 * MIB // 256)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    got = s3.get_object(Bucket=bucket, Key="k", Range=requested)
    assert got["Body"].read() == body[start:end]
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/{len(body)}"


def test_range_beyond_the_end_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
    assert error_code(lambda: s3.get_object(Bucket=bucket, Key="k", Range="bytes=3-")) == "InvalidRange"


def test_empty_object_is_an_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="_SUCCESS", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="_SUCCESS")["Body"].read() == b""


def test_missing_object_and_bucket_have_their_own_errors(s3: Any, bucket: str) -> None:
    assert error_code(lambda: s3.get_object(Bucket=bucket, Key="absent")) == "NoSuchKey"
    assert error_code(lambda: s3.head_object(Bucket=bucket, Key="absent")) == "404"
    assert error_code(lambda: s3.list_objects_v2(Bucket=unique("absent"))) == "NoSuchBucket"


def test_listing_pages_in_key_order_and_groups_by_delimiter(s3: Any, bucket: str) -> None:
    keys = [f"dt=2026-01-{day:02}/part-{part}.parquet" for day in range(1, 6) for part in range(3)]
    for key in reversed(keys):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 4})
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    grouped = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    days = [f"dt=2026-01-{day:02}/" for day in range(1, 6)]
    assert [prefix["Prefix"] for prefix in grouped["CommonPrefixes"]] == days
    for listing in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(listing).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        assert [prefix["Prefix"] for page in pages for prefix in page["CommonPrefixes"]] == days
    assert error_code(lambda: s3.list_objects_v2(Bucket=bucket, ContinuationToken="no token")) == "InvalidArgument"


def test_multipart_upload_joins_its_parts_and_frees_the_upload(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    parts = [b"a" * (5 * MIB), b"b" * (5 * MIB), b"c"]
    done = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, start=1)
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": done})
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == b"".join(parts)
    assert got["ETag"].strip('"').endswith("-3")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert error_code(lambda: s3.list_parts(Bucket=bucket, Key="big", UploadId=upload)) == "NoSuchUpload"


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA1", "CRC32"])
def test_an_upload_that_has_not_the_checksum_that_it_states_is_refused(s3: Any, bucket: str, algorithm: str) -> None:
    body = b"a" * MIB
    s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    named = f"Checksum{algorithm}"
    right = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[named]
    other = b"b" * MIB
    assert error_code(lambda: s3.put_object(Bucket=bucket, Key="k", Body=other, **{named: right})) == "BadDigest"
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm)["UploadId"]
    part = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1}
    assert error_code(lambda: s3.upload_part(**part, Body=other, **{named: right})) == "BadDigest"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_checksum_of_an_upload_in_parts_is_that_of_those_of_its_parts(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big", ChecksumAlgorithm="SHA256")["UploadId"]
    parts = [b"a" * (5 * MIB), b"b" * MIB]
    done = []
    for number, body in enumerate(parts, start=1):
        call = {"Bucket": bucket, "Key": "big", "UploadId": upload, "PartNumber": number}
        put = s3.upload_part(**call, Body=body, ChecksumAlgorithm="SHA256")
        done.append({"PartNumber": number, "ETag": put["ETag"], "ChecksumSHA256": put["ChecksumSHA256"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": done})
    joined = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    said = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")["ChecksumSHA256"]
    assert said.partition("-")[0] == base64.b64encode(joined).decode()


def test_multipart_upload_refuses_a_part_that_was_never_sent(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=1, Body=b"a")
    parts = {"Parts": [{"PartNumber": 1, "ETag": '"0123456789abcdef0123456789abcdef"'}]}
    call = {"Bucket": bucket, "Key": "big", "UploadId": upload, "MultipartUpload": parts}
    assert error_code(lambda: s3.complete_multipart_upload(**call)) == "InvalidPart"
    assert error_code(lambda: s3.get_object(Bucket=bucket, Key="big")) == "NoSuchKey"


def test_parts_of_unknown_or_aborted_uploads_are_refused(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    part = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1}
    assert error_code(lambda: s3.upload_part(**part, Body=b"a")) == "NoSuchUpload"


def test_part_can_be_copied_from_a_range_of_another_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    copied = s3.upload_part_copy(
        Bucket=bucket,
        Key="copy",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "source"},
        CopySourceRange="bytes=2-5",
    )["CopyPartResult"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": copied["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="copy", UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"2345"


@pytest.mark.parametrize("middle", [5 * MIB, 6 * MIB], ids=["all of it", "what is not all of it"])
def test_an_object_copied_in_parts_is_independent_of_its_source(s3: Any, bucket: str, middle: int) -> None:
    body = bytes(range(256)) * (20 * MIB // 512)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    done = []
    for number, (first, last) in enumerate([(0, 5 * MIB - 1), (middle, len(body) - 1)], start=1):
        copied = s3.upload_part_copy(
            Bucket=bucket,
            Key="copy",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={first}-{last}",
        )["CopyPartResult"]
        done.append({"PartNumber": number, "ETag": copied["ETag"]})
    s3.put_object(Bucket=bucket, Key="source", Body=b"another")
    s3.complete_multipart_upload(Bucket=bucket, Key="copy", UploadId=upload, MultipartUpload={"Parts": done})
    s3.delete_object(Bucket=bucket, Key="source")
    found = s3.get_object(Bucket=bucket, Key="copy")
    assert found["Body"].read() == body[: 5 * MIB] + body[middle:]
    assert found["ContentLength"] == len(body) - middle + 5 * MIB


def test_copy_is_independent_of_its_source(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"one", Metadata={"m": "1"})
    s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"two")
    s3.delete_object(Bucket=bucket, Key="a")
    got = s3.get_object(Bucket=bucket, Key="b")
    assert (got["Body"].read(), got["Metadata"]) == (b"one", {"m": "1"})


def test_reader_finishes_the_body_it_began_though_the_object_is_replaced(s3: Any, bucket: str) -> None:
    old, new = b"o" * (32 * MIB), b"n" * MIB
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    stream = s3.get_object(Bucket=bucket, Key="k")["Body"]
    first = stream.read(MIB)
    s3.put_object(Bucket=bucket, Key="k", Body=new)
    assert first + stream.read() == old
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == new


def test_put_if_absent_has_exactly_one_winner_of_16(s3: Any, bucket: str) -> None:
    def put(attempt: tuple[int, int]) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key=f"lock/{attempt[0]}", Body=b"%d" % attempt[1] * 50_000, IfNoneMatch="*")
        except ClientError as e:
            assert e.response["Error"]["Code"] == "PreconditionFailed"
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        for round_number in range(15):
            wins = list(pool.map(put, [(round_number, writer) for writer in range(16)]))
            assert sum(wins) == 1
            body = s3.get_object(Bucket=bucket, Key=f"lock/{round_number}")["Body"].read()
            assert body == b"%d" % wins.index(True) * 50_000


def test_put_if_match_swaps_only_the_expected_version(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]

    def swap(writer: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="k", Body=b"writer %d" % writer, IfMatch=etag)
        except ClientError as e:
            assert e.response["Error"]["Code"] == "PreconditionFailed"
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        wins = list(pool.map(swap, range(16)))
    assert sum(wins) == 1
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"writer %d" % wins.index(True)
    absent = {"Bucket": bucket, "Key": "absent", "Body": b"", "IfMatch": etag}
    assert error_code(lambda: s3.put_object(**absent)) == "NoSuchKey"


def test_multipart_upload_completes_only_if_absent(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    etag = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"late")["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"early")
    call = {"Bucket": bucket, "Key": "k", "UploadId": upload, "IfNoneMatch": "*"}
    call["MultipartUpload"] = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert error_code(lambda: s3.complete_multipart_upload(**call)) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"early"


def test_versions_are_kept_and_deleted_one_by_one(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    assert error_code(lambda: s3.get_object(Bucket=bucket, Key="k")) == "NoSuchKey"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=second)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"1"
    listed = s3.list_object_versions(Bucket=bucket)
    assert [version["VersionId"] for version in listed["Versions"]] == [first]
    assert "DeleteMarkers" not in listed


def test_a_listing_of_versions_goes_on_behind_its_marker_whether_that_is_there_or_not(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket=bucket, Key=key, Body=b"")["VersionId"] for key in ("a", "b", "b", "b", "c/1", "c/2")]

    def listed(**markers: str) -> list[str]:
        return [v["VersionId"] for v in s3.list_object_versions(Bucket=bucket, **markers).get("Versions", [])]

    newest_first = [ids[0], ids[3], ids[2], ids[1], ids[4], ids[5]]
    assert listed() == newest_first
    assert listed(KeyMarker="a") == listed(KeyMarker="a!") == newest_first[1:]
    assert listed(KeyMarker="b") == listed(KeyMarker="b\U0010ffff") == newest_first[4:]
    assert listed(KeyMarker="b", VersionIdMarker=ids[3]) == newest_first[2:]
    assert listed(KeyMarker="b", VersionIdMarker="gone") == newest_first[1:], "none is lost"
    paged, pages = (
        [],
        s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2}),
    )
    for page in pages:
        paged.append([v["VersionId"] for v in page["Versions"]])
    assert paged == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert [v["IsLatest"] for v in s3.list_object_versions(Bucket=bucket, Prefix="b")["Versions"]] == [
        True,
        False,
        False,
    ]
    folders = s3.list_object_versions(Bucket=bucket, Delimiter="/")
    assert [p["Prefix"] for p in folders["CommonPrefixes"]] == ["c/"]
    assert [v["Key"] for v in folders["Versions"]] == ["a", "b", "b", "b"]


def test_kms_encryption_is_recorded_with_the_object(s3: Any, aws: Aws, bucket: str) -> None:
    key_id = aws.client("kms").create_key()["KeyMetadata"]["KeyId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ServerSideEncryption="aws:kms", SSEKMSKeyId=key_id)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key_id)
    by_default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key_id}
    rules = [{"ApplyServerSideEncryptionByDefault": by_default, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket=bucket, Key="default", Body=b"")
    assert s3.head_object(Bucket=bucket, Key="default")["SSEKMSKeyId"] == key_id


def test_bucket_policy_and_lifecycle_are_kept(s3: Any, bucket: str) -> None:
    policy = {"Version": "2012-10-17", "Statement": []}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]) == policy
    rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "archive/"}, "Expiration": {"Days": 400}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [rule]


def test_presigned_urls_get_and_put(s3: Any, bucket: str) -> None:
    target = {"Bucket": bucket, "Key": "a b.csv"}
    # Version 2 signs the type that urllib would add.
    headers = {"Content-Type": ""}
    url = s3.generate_presigned_url("put_object", Params=target)
    put = urllib.request.Request(url, data=b"x", headers=headers, method="PUT")
    with urllib.request.urlopen(put) as response:
        assert response.status == 200
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=target)) as response:
        assert response.read() == b"x"


# Events


def pattern_rule(aws: Aws, sqs: Any, pattern: dict[str, Any] | None, bus: str = "default") -> str:
    """A rule that sends what matches to a new queue; returns the queue's URL."""
    events = aws.client("events")
    url, arn = new_queue(sqs)
    name = unique("rule")
    when = {"EventPattern": json.dumps(pattern)} if pattern else {"ScheduleExpression": "rate(1 day)"}
    events.put_rule(Name=name, EventBusName=bus, **when)
    events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "q", "Arn": arn}])
    return url


def created_in(bucket: str, prefix: str | None = None) -> dict[str, Any]:
    detail: dict[str, Any] = {"bucket": {"name": [bucket]}}
    if prefix is not None:
        detail["object"] = {"key": [{"prefix": prefix}]}
    return {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}


@pytest.fixture
def announced(s3: Any, bucket: str) -> str:
    """A bucket that sends its events to EventBridge."""
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    return bucket


def test_event_bridge_event_has_the_documented_form(s3: Any, sqs: Any, aws: Aws, announced: str) -> None:
    url = pattern_rule(aws, sqs, created_in(announced))
    s3.put_bucket_versioning(Bucket=announced, VersioningConfiguration={"Status": "Enabled"})
    put = s3.put_object(Bucket=announced, Key="in/a b+ü.csv", Body=b"12345", Tagging="feed=orders")
    (event,) = received(sqs, url)
    assert (event["source"], event["detail-type"], event["version"]) == ("aws.s3", "Object Created", "0")
    assert event["resources"] == [f"arn:aws:s3:::{announced}"]
    assert time.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")
    detail = event["detail"]
    assert (detail["bucket"], detail["reason"]) == ({"name": announced}, "PutObject")
    sequencer = detail["object"].pop("sequencer")
    assert int(sequencer, 16) > 0
    assert detail["object"] == {
        "key": "in/a b+ü.csv",
        "size": 5,
        "etag": put["ETag"].strip('"'),
        "version-id": put["VersionId"],
    }


def test_put_copy_and_multipart_send_one_event_each(s3: Any, sqs: Any, aws: Aws, announced: str) -> None:
    url = pattern_rule(aws, sqs, {"source": ["aws.s3"], "detail": {"bucket": {"name": [announced]}}})
    s3.put_object(Bucket=announced, Key="a", Body=b"1")
    s3.copy_object(Bucket=announced, Key="b", CopySource={"Bucket": announced, "Key": "a"})
    upload = s3.create_multipart_upload(Bucket=announced, Key="c")["UploadId"]
    etag = s3.upload_part(Bucket=announced, Key="c", UploadId=upload, PartNumber=1, Body=b"1")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(Bucket=announced, Key="c", UploadId=upload, MultipartUpload=parts)
    events = [(event["detail"]["object"]["key"], event["detail"]["reason"]) for event in received(sqs, url)]
    assert events == [("a", "PutObject"), ("b", "CopyObject"), ("c", "CompleteMultipartUpload")]


def test_sequencers_order_the_events_of_one_key(s3: Any, sqs: Any, aws: Aws, announced: str) -> None:
    url = pattern_rule(aws, sqs, created_in(announced))
    etags = [s3.put_object(Bucket=announced, Key="k", Body=b"%d" % n)["ETag"].strip('"') for n in range(5)]
    objects = [event["detail"]["object"] for event in received(sqs, url)]
    assert [o["etag"] for o in sorted(objects, key=lambda o: o["sequencer"])] == etags


def test_deletion_is_announced_as_what_it_was(s3: Any, sqs: Any, aws: Aws, announced: str) -> None:
    url = pattern_rule(aws, sqs, {"detail-type": ["Object Deleted"], "detail": {"bucket": {"name": [announced]}}})
    s3.put_object(Bucket=announced, Key="plain", Body=b"")
    s3.delete_object(Bucket=announced, Key="plain")
    s3.put_bucket_versioning(Bucket=announced, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=announced, Key="kept", Body=b"")["VersionId"]
    s3.delete_object(Bucket=announced, Key="kept")
    s3.delete_object(Bucket=announced, Key="kept", VersionId=version)
    assert [(e["detail"]["object"]["key"], e["detail"]["deletion-type"]) for e in received(sqs, url)] == [
        ("plain", "Permanently Deleted"),
        ("kept", "Delete Marker Created"),
        ("kept", "Permanently Deleted"),
    ]


def test_rules_match_by_pattern_on_the_default_bus_only(s3: Any, sqs: Any, aws: Aws, announced: str) -> None:
    bus = unique("bus")
    aws.client("events").create_event_bus(Name=bus)
    landing = pattern_rule(aws, sqs, created_in(announced, prefix="landing/"))
    elsewhere = pattern_rule(aws, sqs, created_in(unique("other")))
    other_bus = pattern_rule(aws, sqs, created_in(announced), bus=bus)
    scheduled = pattern_rule(aws, sqs, None)
    s3.put_object(Bucket=announced, Key="landing/a", Body=b"")
    s3.put_object(Bucket=announced, Key="archive/landing/b", Body=b"")
    assert [event["detail"]["object"]["key"] for event in received(sqs, landing)] == ["landing/a"]
    assert [received(sqs, url) for url in (elsewhere, other_bus, scheduled)] == [[], [], []]


def test_disabled_rule_and_silent_bucket_send_nothing(s3: Any, sqs: Any, aws: Aws, announced: str) -> None:
    events = aws.client("events")
    url, arn = new_queue(sqs)
    rule = unique("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps({"source": ["aws.s3"]}), State="DISABLED")
    events.put_targets(Rule=rule, Targets=[{"Id": "q", "Arn": arn}])
    s3.put_object(Bucket=announced, Key="k", Body=b"")
    silent = unique("silent")
    s3.create_bucket(Bucket=silent)
    url_of_silent = pattern_rule(aws, sqs, created_in(silent))
    s3.put_object(Bucket=silent, Key="k", Body=b"")
    assert (received(sqs, url), received(sqs, url_of_silent)) == ([], [])


def test_event_bridge_configuration_can_be_read_back(s3: Any, announced: str) -> None:
    assert s3.get_bucket_notification_configuration(Bucket=announced)["EventBridgeConfiguration"] == {}


def test_own_events_reach_a_rule_by_pattern(sqs: Any, aws: Aws) -> None:
    source = unique("adplatform")
    url = pattern_rule(aws, sqs, {"source": [source], "detail": {"state": ["published"]}})
    entry = {"Source": source, "DetailType": "Publication"}
    entries = [{**entry, "Detail": json.dumps({"state": state})} for state in ("staged", "published")]
    assert aws.client("events").put_events(Entries=entries)["FailedEntryCount"] == 0
    assert [event["detail"] for event in received(sqs, url)] == [{"state": "published"}]


def test_direct_notification_has_the_documented_form(s3: Any, sqs: Any, bucket: str) -> None:
    url, arn = new_queue(sqs)
    filtered = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}]}}
    configuration = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": filtered}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [configuration]}
    )
    (test_event,) = received(sqs, url)
    assert (test_event["Event"], test_event["Bucket"]) == ("s3:TestEvent", bucket)
    put = s3.put_object(Bucket=bucket, Key="in/a b.csv", Body=b"12345")
    s3.put_object(Bucket=bucket, Key="out/a", Body=b"")
    (message,) = received(sqs, url)
    (record,) = message["Records"]
    assert (record["eventSource"], record["eventName"]) == ("aws:s3", "ObjectCreated:Put")
    assert record["s3"]["bucket"]["name"] == bucket
    described = record["s3"]["object"]
    assert (described["key"], described["size"], described["eTag"]) == ("in/a+b.csv", 5, put["ETag"].strip('"'))
    assert int(described["sequencer"], 16) > 0
    assert "versionId" not in described


# SQS and SNS


def test_message_is_invisible_until_its_timeout_then_delivered_again(sqs: Any) -> None:
    url, _ = new_queue(sqs, VisibilityTimeout="30")
    sqs.send_message(QueueUrl=url, MessageBody="m")
    (first,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    (again,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, AttributeNames=["All"])["Messages"]
    assert (again["MessageId"], again["Attributes"]["ApproximateReceiveCount"]) == (first["MessageId"], "2")
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_long_poll_lets_others_work_and_ends_when_a_message_comes(sqs: Any) -> None:
    url, _ = new_queue(sqs)
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
        eventually(poll.running)
        sqs.send_message(QueueUrl=url, MessageBody="m")
        assert [message["Body"] for message in poll.result(timeout=15)["Messages"]] == ["m"]


def test_failing_message_moves_to_the_dead_letter_queue(sqs: Any) -> None:
    dead_url, dead_arn = new_queue(sqs)
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 2})
    url, _ = new_queue(sqs, VisibilityTimeout="0", RedrivePolicy=redrive)
    sqs.send_message(QueueUrl=url, MessageBody="poison")
    for _ in range(3):
        sqs.receive_message(QueueUrl=url)
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=dead_url)["Messages"]] == ["poison"]


def test_concurrent_senders_and_receivers_lose_and_double_nothing(sqs: Any) -> None:
    url, _ = new_queue(sqs)
    count = 120
    taken: list[str] = []
    sent_all = threading.Event()

    def take() -> None:
        while True:
            finished = sent_all.is_set()
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages", [])
            for message in messages:
                taken.append(message["Body"])
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            if finished and not messages:
                return

    with ThreadPoolExecutor(8) as pool:
        takers = [pool.submit(take) for _ in range(4)]
        senders = [pool.submit(sqs.send_message, QueueUrl=url, MessageBody=str(n)) for n in range(count)]
        for sender in senders:
            sender.result()
        sent_all.set()
        for taker in takers:
            taker.result()
    assert sorted(taken, key=int) == [str(n) for n in range(count)]


def test_topic_delivers_to_queues_in_an_envelope_or_raw(sqs: Any, aws: Aws) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    (wrapped_url, wrapped_arn), (raw_url, raw_arn) = new_queue(sqs), new_queue(sqs)
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=wrapped_arn)
    raw = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"level": ["error"]})}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=raw_arn, Attributes=raw)
    sns.publish(TopicArn=topic, Subject="s", Message='{"n": 1}')
    level = {"level": {"DataType": "String", "StringValue": "error"}}
    sns.publish(TopicArn=topic, Message='{"n": 2}', MessageAttributes=level)
    assert [json.loads(message["Message"]) for message in received(sqs, wrapped_url)] == [{"n": 1}, {"n": 2}]
    assert received(sqs, raw_url) == [{"n": 2}]


class Listener:
    """A local HTTP endpoint that remembers what was posted to it: pairs of message type and body."""

    def __init__(self) -> None:
        posts: list[tuple[str, dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                posts.append((str(self.headers["x-amz-sns-message-type"]), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.posts = posts
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.server.shutdown()
    listener.server.server_close()


def test_http_endpoint_gets_nothing_before_it_confirmed(aws: Aws, listener: Listener) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    arn = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=listener.url)["SubscriptionArn"]
    assert arn == "pending confirmation"
    eventually(lambda: listener.posts)
    (kind, confirmation), *_ = listener.posts
    assert (kind, confirmation["Type"]) == ("SubscriptionConfirmation", "SubscriptionConfirmation")
    sns.publish(TopicArn=topic, Message="too early")
    assert error_code(lambda: sns.confirm_subscription(TopicArn=topic, Token="guessed")) == "InvalidParameter"
    with urllib.request.urlopen(confirmation["SubscribeURL"]) as response:
        assert b"ConfirmSubscriptionResult" in response.read()
    sns.publish(TopicArn=topic, Message="published", Subject="orders")
    eventually(lambda: len(listener.posts) > 1)
    (kind, notification) = listener.posts[1]
    assert (kind, notification["Type"], notification["Message"]) == ("Notification", "Notification", "published")
    assert (notification["Subject"], notification["TopicArn"], len(listener.posts)) == ("orders", topic, 2)


def test_subscription_is_confirmed_by_its_token(aws: Aws, listener: Listener) -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name=unique("topic"))["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=listener.url)
    eventually(lambda: listener.posts)
    arn = sns.confirm_subscription(TopicArn=topic, Token=listener.posts[0][1]["Token"])["SubscriptionArn"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (attributes["Endpoint"], attributes["PendingConfirmation"]) == (listener.url, "false")


# Glue


@pytest.fixture
def database(glue: Any) -> str:
    name = unique("db").replace("-", "_")
    glue.create_database(DatabaseInput={"Name": name})
    return name


def table_input(name: str, **parameters: str) -> dict[str, Any]:
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": [{"Name": "dt", "Type": "date"}, {"Name": "region", "Type": "string"}],
        "StorageDescriptor": {"Columns": [{"Name": "id", "Type": "bigint"}], "Location": "s3://bucket/t/"},
    }


def partition(day: int, location: str = "v1", region: str = "eu") -> dict[str, Any]:
    values = [f"2026-01-{day:02}", region]
    return {"Values": values, "StorageDescriptor": {"Location": f"s3://bucket/t/{'/'.join(values)}/{location}/"}}


def test_update_with_a_stale_version_is_refused(glue: Any, database: str) -> None:
    glue.create_table(DatabaseName=database, TableInput=table_input("t", step="0"))
    version = glue.get_table(DatabaseName=database, Name="t")["Table"]["VersionId"]
    glue.update_table(DatabaseName=database, TableInput=table_input("t", step="1"), VersionId=version)
    stale = {"DatabaseName": database, "TableInput": table_input("t", step="2"), "VersionId": version}
    assert error_code(lambda: glue.update_table(**stale)) == "ConcurrentModificationException"
    assert glue.get_table(DatabaseName=database, Name="t")["Table"]["Parameters"] == {"step": "1"}


def test_concurrent_commits_by_version_are_all_kept(glue: Any, database: str) -> None:
    glue.create_table(DatabaseName=database, TableInput=table_input("t"))

    def commit(writer: int) -> int:
        refused = 0
        while True:
            table = glue.get_table(DatabaseName=database, Name="t")["Table"]
            parameters = {**table["Parameters"], f"writer{writer}": "done"}
            try:
                glue.update_table(
                    DatabaseName=database,
                    TableInput=table_input("t", **parameters),
                    VersionId=table["VersionId"],
                    SkipArchive=True,
                )
            except ClientError as e:
                assert e.response["Error"]["Code"] == "ConcurrentModificationException"
                refused += 1
            else:
                return refused

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(commit, range(24)))
    parameters = glue.get_table(DatabaseName=database, Name="t")["Table"]["Parameters"]
    assert parameters == {f"writer{writer}": "done" for writer in range(24)}
    assert len(glue.get_table_versions(DatabaseName=database, TableName="t")["TableVersions"]) == 1


def test_table_is_created_by_exactly_one_of_many(glue: Any, database: str) -> None:
    def create(_: int) -> bool:
        try:
            glue.create_table(DatabaseName=database, TableInput=table_input("t"))
        except ClientError as e:
            assert e.response["Error"]["Code"] == "AlreadyExistsException"
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_partitions_are_created_moved_and_deleted_in_batches(glue: Any, database: str) -> None:
    table = {"DatabaseName": database, "TableName": "t"}
    glue.create_table(DatabaseName=database, TableInput=table_input("t"))
    made = glue.batch_create_partition(**table, PartitionInputList=[partition(day) for day in range(1, 6)])
    assert not made.get("Errors")
    again = glue.batch_create_partition(**table, PartitionInputList=[partition(5), partition(6)])
    assert [error["PartitionValues"] for error in again["Errors"]] == [["2026-01-05", "eu"]]
    moved = glue.batch_update_partition(
        **table,
        Entries=[{"PartitionValueList": partition(d)["Values"], "PartitionInput": partition(d, "v2")} for d in (1, 9)],
    )
    assert [error["ErrorDetail"]["ErrorCode"] for error in moved["Errors"]] == ["EntityNotFoundException"]
    glue.update_partition(**table, PartitionValueList=["2026-01-02", "eu"], PartitionInput=partition(2, "v3"))
    gone = glue.batch_delete_partition(**table, PartitionsToDelete=[{"Values": ["2026-01-04", "eu"]}])
    assert not gone.get("Errors")
    kept = {
        p["Values"][0]: p["StorageDescriptor"]["Location"][-3:-1] for p in glue.get_partitions(**table)["Partitions"]
    }
    assert kept == {
        "2026-01-01": "v2",
        "2026-01-02": "v3",
        "2026-01-03": "v1",
        "2026-01-05": "v1",
        "2026-01-06": "v1",
    }
    some = glue.get_partitions(**table, Expression="dt >= '2026-01-03' AND region = 'eu'")["Partitions"]
    assert [p["Values"][0] for p in some] == ["2026-01-03", "2026-01-05", "2026-01-06"]
    assert (
        error_code(lambda: glue.get_partition(**table, PartitionValues=["2026-01-04", "eu"]))
        == "EntityNotFoundException"
    )


def test_partitions_come_in_pages(glue: Any, database: str) -> None:
    table = {"DatabaseName": database, "TableName": "t"}
    glue.create_table(DatabaseName=database, TableInput={"Name": "t"})
    glue.batch_create_partition(**table, PartitionInputList=[partition(day) for day in range(1, 6)])
    pages = [*glue.get_paginator("get_partitions").paginate(**table, PaginationConfig={"PageSize": 2})]
    assert [len(page["Partitions"]) for page in pages] == [2, 2, 1]
    assert len({each["Values"][0] for page in pages for each in page["Partitions"]}) == 5
    assert len(glue.get_partitions(**table)["Partitions"]) == 5


def test_missing_table_and_database_are_not_found(glue: Any, database: str) -> None:
    assert error_code(lambda: glue.get_table(DatabaseName=database, Name="t")) == "EntityNotFoundException"
    assert error_code(lambda: glue.get_table(DatabaseName="absent", Name="t")) == "EntityNotFoundException"


# DynamoDB


@pytest.fixture
def table(aws: Aws) -> str:
    name = unique("table")
    aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def test_conditional_put_has_exactly_one_winner_of_16(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")

    def put(attempt: tuple[int, int]) -> bool:
        item = {"pk": {"S": f"lock{attempt[0]}"}, "sk": {"S": "-"}, "owner": {"N": str(attempt[1])}}
        try:
            dynamodb.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        except ClientError as e:
            assert e.response["Error"]["Code"] == "ConditionalCheckFailedException"
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        for round_number in range(10):
            assert sum(pool.map(put, [(round_number, owner) for owner in range(16)])) == 1


def test_counter_updates_are_not_lost(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")
    key = {"pk": {"S": "counter"}, "sk": {"S": "-"}}

    def add(_: int) -> None:
        values = {":one": {"N": "1"}}
        dynamodb.update_item(
            TableName=table, Key=key, UpdateExpression="ADD hits :one", ExpressionAttributeValues=values
        )

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(add, range(100)))
    assert dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]["hits"] == {"N": "100"}


def test_transaction_writes_all_or_nothing_under_contention(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")

    def put(pk: str, condition: str | None = None) -> dict[str, Any]:
        extra = {"ConditionExpression": condition} if condition else {}
        return {"Put": {"TableName": table, "Item": {"pk": {"S": pk}, "sk": {"S": "-"}}, **extra}}

    def claim(writer: int) -> bool:
        items = [put(f"mark{writer}"), put("claim", "attribute_not_exists(pk)")]
        try:
            dynamodb.transact_write_items(TransactItems=items)
        except ClientError as e:
            assert e.response["Error"]["Code"] == "TransactionCanceledException"
            reasons = [reason["Code"] for reason in e.response["CancellationReasons"]]
            assert reasons == ["None", "ConditionalCheckFailed"]
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        wins = list(pool.map(claim, range(16)))
    kept = {item["pk"]["S"] for item in dynamodb.scan(TableName=table)["Items"]}
    assert sum(wins) == 1
    assert kept == {"claim", f"mark{wins.index(True)}"}


def test_values_of_every_type_come_back_by_every_operation(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")
    simple = {"S": "\u00e4"}, {"N": "1.50"}, {"B": b"\x00\xff"}, {"BOOL": False}, {"NULL": True}
    sets = {"SS": ["a", "b"]}, {"NS": ["1", "2.5"]}, {"BS": [b"a", b"\xff"]}
    nested = {"L": [*simple, {"M": {}}]}, {"M": {"b": {"B": b"in"}, "l": {"L": [{"B": b"deep"}]}}}
    key = {"pk": {"S": "p"}, "sk": {"S": "s"}}
    item = key | {f"a{n}": value for n, value in enumerate([*simple, *sets, *nested])}
    assert "Attributes" not in dynamodb.put_item(TableName=table, Item=item)
    found = [
        dynamodb.get_item(TableName=table, Key=key)["Item"],
        *dynamodb.scan(TableName=table)["Items"],
        *dynamodb.query(
            TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p"}}
        )["Items"],
        *dynamodb.batch_get_item(RequestItems={table: {"Keys": [key]}})["Responses"][table],
        dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": key}}])["Responses"][0]["Item"],
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET a0 = :s",
            ExpressionAttributeValues={":s": {"S": "\u00e4"}},
            ReturnValues="ALL_NEW",
        )["Attributes"],
        dynamodb.put_item(TableName=table, Item=item, ReturnValues="ALL_OLD")["Attributes"],
        dynamodb.delete_item(TableName=table, Key=key, ReturnValues="ALL_OLD")["Attributes"],
    ]
    assert found == [item] * 8


def test_a_cancelled_transaction_leaves_every_item_as_it_was(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")
    rows = {name: {"pk": {"S": "p"}, "sk": {"S": name}, "n": {"N": "1"}} for name in ("changed", "deleted")}
    for row in rows.values():
        dynamodb.put_item(TableName=table, Item=row)

    def key(name: str) -> dict[str, Any]:
        return {"TableName": table, "Key": {"pk": {"S": "p"}, "sk": {"S": name}}}

    bump = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    operations = [
        {"Update": key("changed") | bump},
        {"Delete": key("deleted")},
        {"Update": key("made") | bump},
        {"ConditionCheck": key("missing") | {"ConditionExpression": "attribute_exists(pk)"}},
    ]
    with pytest.raises(ClientError, match="TransactionCanceled"):
        dynamodb.transact_write_items(TransactItems=operations)
    assert dynamodb.scan(TableName=table)["Items"] == list(rows.values())
    dynamodb.transact_write_items(TransactItems=operations[:3])
    left = {item["sk"]["S"]: item["n"]["N"] for item in dynamodb.scan(TableName=table)["Items"]}
    assert left == {"changed": "2", "made": "1"}


def test_a_query_finds_the_items_of_its_key_in_order_page_by_page(aws: Aws, table: str) -> None:
    dynamodb = aws.client("dynamodb")
    for n in range(12):
        dynamodb.put_item(TableName=table, Item={"pk": {"S": f"p{n % 2}"}, "sk": {"S": f"{n:02d}"}})
    wanted: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "pk = :p AND sk >= :from",
        "ExpressionAttributeValues": {":p": {"S": "p1"}, ":from": {"S": "03"}},
    }
    first = dynamodb.query(**wanted, Limit=2)
    assert [item["sk"]["S"] for item in first["Items"]] == ["03", "05"]
    rest = dynamodb.query(**wanted, ExclusiveStartKey=first["LastEvaluatedKey"], ConsistentRead=True)
    assert [item["sk"]["S"] for item in rest["Items"]] == ["07", "09", "11"]
    backwards = dynamodb.query(**wanted, ScanIndexForward=False)["Items"]
    assert [item["sk"]["S"] for item in backwards] == ["11", "09", "07", "05", "03"]


# Secrets Manager and KMS


def test_default_secret_value_follows_the_current_label(aws: Aws) -> None:
    secrets = aws.client("secretsmanager")
    name = unique("secret")
    old = secrets.create_secret(Name=name, SecretString="old")["VersionId"]
    pending = secrets.put_secret_value(SecretId=name, SecretString="new", VersionStages=["AWSPENDING"])["VersionId"]
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "old"
    assert secrets.get_secret_value(SecretId=name, VersionStage="AWSPENDING")["SecretString"] == "new"
    secrets.update_secret_version_stage(
        SecretId=name, VersionStage="AWSCURRENT", RemoveFromVersionId=old, MoveToVersionId=pending
    )
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "new"
    assert secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "old"
    secrets.put_secret_value(SecretId=name, SecretString="newest")
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "newest"
    assert secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"] == "new"


def test_a_version_that_is_not_current_any_more_keeps_labels_of_its_own(aws: Aws) -> None:
    secrets = aws.client("secretsmanager")
    name = unique("secret")
    old = secrets.create_secret(Name=name, SecretString="old")["VersionId"]
    secrets.update_secret_version_stage(SecretId=name, VersionStage="kept", MoveToVersionId=old)
    for value in ("new", "newest"):
        secrets.put_secret_value(SecretId=name, SecretString=value)
    assert secrets.get_secret_value(SecretId=name, VersionStage="kept")["SecretString"] == "old"
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "newest"


def test_missing_secret_has_its_own_error(aws: Aws) -> None:
    secrets = aws.client("secretsmanager")
    assert error_code(lambda: secrets.get_secret_value(SecretId=unique("absent"))) == "ResourceNotFoundException"


def test_kms_decrypts_only_in_the_same_context(aws: Aws) -> None:
    kms = aws.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = kms.encrypt(KeyId=key_id, Plaintext=b"z", EncryptionContext={"feed": "orders"})["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"feed": "orders"})["Plaintext"] == b"z"
    wrong = {"CiphertextBlob": sealed, "EncryptionContext": {"feed": "other"}}
    assert error_code(lambda: kms.decrypt(**wrong)) == "InvalidCiphertextException"
    data_key = kms.generate_data_key(KeyId=key_id, KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]


# What is not emulated


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("frauddetector", "get_labels", {}),
        ("entityresolution", "list_id_mapping_workflows", {}),
        ("glue", "get_column_statistics_for_table", {"DatabaseName": "d", "TableName": "t", "ColumnNames": ["c"]}),
        ("bedrock", "list_guardrails", {}),
        ("cloudwatch", "describe_anomaly_detectors", {}),
        ("sns", "get_data_protection_policy", {"ResourceArn": "arn:aws:sns:us-east-1:123456789012:t"}),
        ("s3", "get_bucket_metrics_configuration", {"Bucket": "any", "Id": "m"}),
        ("s3", "get_object_torrent", {"Bucket": "any", "Key": "k"}),
    ],
)
def test_unknown_operation_fails_at_once_with_an_aws_error(
    aws: Aws, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as raised:
        getattr(aws.client(service), operation)(**arguments)
    assert raised.value.response["Error"]["Code"] == "NotImplemented"
    assert "does not implement" in raised.value.response["Error"]["Message"]
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert raised.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_unsupported_bucket_setting_does_not_create_the_bucket(s3: Any) -> None:
    name = unique("never")
    analytics = {"Id": "a", "StorageClassAnalysis": {}}
    call = {"Bucket": name, "Id": "a", "AnalyticsConfiguration": analytics}
    assert error_code(lambda: s3.put_bucket_analytics_configuration(**call)) == "NotImplemented"
    assert error_code(lambda: s3.head_bucket(Bucket=name)) == "404"


def test_only_loopback_host_names_are_answered(aws_endpoint: str) -> None:
    request = urllib.request.Request(aws_endpoint, headers={"Host": "attacker.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403


def test_nobody_can_reset_the_endpoint(s3: Any, bucket: str, aws_endpoint: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(signed_request("POST", f"{aws_endpoint}/moto-api/reset"))
    assert refused.value.code == 501
    assert s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
