import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.utils import parse_timestamp

from adplatform.failures import PermanentFailure
from adplatform.platform import aws as clients
from adplatform.platform.aws import Aws, local_aws


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000"])
def test_a_local_endpoint_is_on_this_machine(host: str) -> None:
    assert local_aws(f"http://{host}").endpoint_url == f"http://{host}"


@pytest.mark.parametrize(
    "url",
    [
        "https://s3.amazonaws.com",
        "http://10.0.0.1:5000",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@example.com",
        "http://999.1.1.1",
        "http://0.0.0.0:5000",
        "localhost:5000",
        "",
    ],
)
def test_an_endpoint_elsewhere_is_refused_in_local_mode(url: str) -> None:
    with pytest.raises(PermanentFailure, match="is not a loopback address"):
        local_aws(url)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-02T01:02:03.000Z",
        "2026-03-02T01:02:03Z",
        "2026-03-02T01:02:03.123456Z",
        "2026-03-02T01:02:03+02:00",
        "Mon, 02 Mar 2026 01:02:03 GMT",
        "Sat, 29 Feb 2020 23:59:59 GMT",
        "Mon, 02 Mar 2026 01:02:03 +0100",
        "20260302T010203Z",
        "1772413323",
        1772413323.25,
    ],
)
def test_a_time_in_an_answer_is_what_botocore_reads(written: Any) -> None:
    assert clients._time(written) == parse_timestamp(written)
    assert clients._time(written).utcoffset() == parse_timestamp(written).utcoffset()


def test_what_is_no_time_is_refused_as_by_botocore() -> None:
    for written in ("Mon, 02 Abc 2026 01:02:03 GMT", "x"):
        with pytest.raises(ValueError, match="Invalid timestamp"):
            clients._time(written)


def test_clients_read_times_so(aws: Aws) -> None:
    s3, bucket = aws.client("s3"), f"times-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for modified in (
        s3.head_object(Bucket=bucket, Key="k")["LastModified"],
        s3.list_objects_v2(Bucket=bucket)["Contents"][0]["LastModified"],
    ):
        assert modified.tzinfo is UTC
        assert abs(modified - datetime.now(UTC)) < timedelta(minutes=5)
