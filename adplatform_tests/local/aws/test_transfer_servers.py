"""SFTP servers of the embedded AWS, with OpenSSH's own client."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from adplatform.platform.aws import Aws
from adplatform_tests.support.sftp_uploads import Partner, make_partner, make_server, needs_sftp


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


def test_what_is_put_is_an_object_below_the_home(s3: Any, bucket: str, partner: Partner) -> None:
    partner.put({"orders/dt=2026-01-01/a b.csv": b"id\n1\n", "empty.csv": b""})
    assert keys(s3, bucket) == ["landing/acme/empty.csv", "landing/acme/orders/dt=2026-01-01/a b.csv"]
    assert s3.get_object(Bucket=bucket, Key="landing/acme/orders/dt=2026-01-01/a b.csv")["Body"].read() == b"id\n1\n"
