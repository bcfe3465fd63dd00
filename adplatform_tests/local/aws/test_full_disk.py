"""A disk that takes nothing more: what was acknowledged is saved, or the embedded AWS says that it is not."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure
from adplatform.local.endpoint import Endpoint, ensure

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits another process's files (Linux)")
LIMIT = 128 * 1024
BODY = {"S": "x" * 4000}


def client(endpoint: Endpoint, service: str) -> Any:
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(service, "us-east-1", endpoint_url=endpoint.url, aws_access_key_id=endpoint.key.id,
                        aws_secret_access_key=endpoint.key.secret, config=config)  # fmt: skip


@contextmanager
def no_room(endpoint: Endpoint) -> Iterator[None]:
    """Files of the child may not grow beyond ``LIMIT``, as on a full disk."""
    assert endpoint.process is not None
    pid = endpoint.process.pid
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        if endpoint.process.poll() is None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


def make_table(endpoint: Endpoint) -> Any:
    ledger = client(endpoint, "dynamodb")
    ledger.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
    )
    return ledger


def write_until_refused(ledger: Any) -> tuple[list[str], str]:
    """What was acknowledged, and how the next write was refused."""
    acknowledged: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        key = f"{len(acknowledged):04d}"
        try:
            ledger.put_item(TableName="t", Item={"k": {"S": key}, "v": BODY})
        except ClientError as e:
            return acknowledged, str(e)
        acknowledged.append(key)
        time.sleep(0.01)
    raise AssertionError(f"{len(acknowledged)} writes were acknowledged and none refused")


def stored(ledger: Any) -> list[str]:
    pages = ledger.get_paginator("scan").paginate(TableName="t")
    return sorted(item["k"]["S"] for page in pages for item in page["Items"])


def test_writes_are_refused_once_a_save_has_failed_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    data = tmp_path / "aws"
    with ensure(data) as endpoint:
        ledger, s3 = make_table(endpoint), client(endpoint, "s3")
        s3.create_bucket(Bucket="bodies")
        with no_room(endpoint):
            acknowledged, refusal = write_until_refused(ledger)
            assert "cannot be saved" in refusal
            assert str(data) in refusal
            assert stored(ledger) == acknowledged
            with pytest.raises(ClientError, match=r"503|cannot be saved"):
                s3.put_object(Bucket="bodies", Key="k", Body=b"small")
        deadline = time.monotonic() + 30
        while True:
            try:
                ledger.put_item(TableName="t", Item={"k": {"S": "after"}, "v": BODY})
                break
            except ClientError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    with ensure(data) as endpoint:
        assert stored(client(endpoint, "dynamodb")) == sorted([*acknowledged, "after"])


def test_a_stop_that_could_not_save_says_so(tmp_path: Path) -> None:
    endpoint = ensure(tmp_path / "aws")
    ledger = make_table(endpoint)
    with no_room(endpoint):
        acknowledged, _ = write_until_refused(ledger)
        assert acknowledged
        with pytest.raises(PermanentFailure, match=r"cannot be saved.*is lost"):
            endpoint.stop()


def test_a_body_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "aws"
    with ensure(data) as endpoint:
        s3 = client(endpoint, "s3")
        s3.create_bucket(Bucket="bodies")
        s3.put_object(Bucket="bodies", Key="k", Body=b"before")
        with no_room(endpoint), pytest.raises(ClientError, match="cannot be written"):
            s3.put_object(Bucket="bodies", Key="k", Body=b"x" * (2 * LIMIT))
        assert s3.get_object(Bucket="bodies", Key="k")["Body"].read() == b"before"
        assert [p.stat().st_size for p in (data / "s3").glob("??/*")] == [len(b"before")]
