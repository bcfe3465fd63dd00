"""An encrypting partner with keys of its own, from the landing zone to readers that are not ours."""

import gzip
import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import awswrangler as wr
import boto3
import dagster as dg
import duckdb
import pytest

from adplatform.flow.services import Services
from adplatform.ledger.delivery import DeliveryState
from adplatform_tests.files.openpgp import Partner, Workshop, flip
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform

KEY = bytes(range(100, 132))
ROWS = [(n, f"user{n}@Example.com", Decimal(n) / 4) for n in range(1, 201)]
BODY = ("id,email,amount\n" + "".join(f"{n},{e},{a:.2f}\n" for n, e, a in ROWS)).encode()


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop.open() as opened:
        yield opened


@pytest.fixture
def us(workshop: Workshop) -> Partner:
    return workshop.partner("us")


@pytest.fixture
def them(workshop: Workshop) -> Partner:
    return workshop.partner("them")


@pytest.fixture
def platform(services: Services, instance: dg.DagsterInstance, us: Partner, them: Partner) -> Platform:
    unique = services.settings.raw_bucket
    services.secrets.create_secret(Name=f"{unique}/us", SecretString=us.private)
    services.secrets.create_secret(Name=f"{unique}/them", SecretString=them.public)
    services.secrets.create_secret(Name=services.settings.hash_key_secret, SecretString=KEY.hex())
    feed: dict[str, Any] = {
        "name": "people",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "count", "expected_files": 1},
        "pgp": {"private_keys": [f"{unique}/us"], "signer_keys": [f"{unique}/them"], "signers": [them.fingerprint]},
        "columns": {
            "id": {"type": "bigint", "required": True},
            "email": {"pii": {"kind": "email", "treatment": ["lake", "meta"]}},
            "amount": "decimal(12,2)",
        },
        "key": "id",
        "limits": {"ratio": 100, "ratio_from": "1MB"},
    }
    return make_platform(services, {"source": "acme", "feeds": [feed]}, instance)


def send(platform: Platform, message: bytes, name: str = "people.csv.pgp") -> list[dg.ExecuteInProcessResult]:
    platform.put(f"people/dt={YESTERDAY}/{name}", message)
    return platform.process()


def expected() -> list[tuple[int, str, str, Decimal]]:
    """Computed here, with nothing of the platform."""
    return [
        (
            n,
            hmac.digest(KEY, email.lower().encode(), "sha256").hex(),
            hashlib.sha256(email.lower().encode()).hexdigest(),
            amount,
        )
        for n, email, amount in ROWS
    ]


def test_readers_that_are_not_ours_see_the_rows_that_were_sent(
    platform: Platform, workshop: Workshop, us: Partner, them: Partner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [result] = send(platform, workshop.encrypt(gzip.compress(BODY), us, signers=[them]))
    assert result.success
    services = platform.services
    database, table = platform.table("people").split(".")

    for name, value in (("AWS_ENDPOINT_URL", str(services.aws.endpoint_url)), ("AWS_DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    session = boto3.Session(region_name="us-east-1")
    frame = wr.s3.read_parquet_table(table, database, boto3_session=session).sort_values("id")
    columns = [frame[name].tolist() for name in ("id", "email_lake", "email_meta", "amount")]
    assert list(zip(*columns, strict=True)) == expected()

    [partition] = services.glue.get_partitions(DatabaseName=database, TableName=table)["Partitions"]
    at = urlsplit(partition["StorageDescriptor"]["Location"])
    listed = services.s3.list_objects_v2(Bucket=at.netloc, Prefix=at.path.lstrip("/"))["Contents"]
    for place, entry in enumerate(listed):
        services.s3.download_file(at.netloc, entry["Key"], str(tmp_path / f"{place}.parquet"))
    read = duckdb.execute(
        f"select id, email_lake, email_meta, amount from '{tmp_path}/*.parquet' order by id"
    ).fetchall()
    assert read == expected()


def test_the_plaintext_is_nowhere_but_in_the_prepared_prefix(
    platform: Platform, workshop: Workshop, us: Partner, them: Partner
) -> None:
    inbox = platform.messages
    send(platform, workshop.encrypt(BODY, us, signers=[them]))
    services = platform.services
    personal = (b"user7@", b"User7@")
    for bucket in (services.zones.raw_bucket, services.zones.clean_bucket):
        for version in services.s3.list_object_versions(Bucket=bucket)["Versions"]:
            body = services.s3.get_object(Bucket=bucket, Key=version["Key"])["Body"].read()
            assert any(p in body for p in personal) == version["Key"].startswith("prepared/"), version["Key"]
    assert "user7" not in json.dumps(inbox.read()).lower()
    assert not any(services.settings.temp.iterdir())


@pytest.mark.parametrize(
    "fault",
    [
        "flipped",
        pytest.param("bomb", marks=pytest.mark.slow),
        pytest.param("unsigned_bomb", marks=pytest.mark.slow),
        pytest.param("unknown_signer", marks=pytest.mark.slow),
        *(pytest.param(f, marks=pytest.mark.slow) for f in ("truncated", "wrong_key", "unsigned", "not_encrypted")),
    ],
)
def test_a_bad_message_publishes_nothing_until_a_good_one_replaces_it(
    platform: Platform, workshop: Workshop, us: Partner, them: Partner, fault: str
) -> None:
    other = workshop.partner("other")
    good = workshop.encrypt(BODY, us, signers=[them])
    bad = {
        "truncated": lambda: good[:-20],
        "flipped": lambda: flip(good, len(good) // 2),
        "wrong_key": lambda: workshop.encrypt(BODY, other, signers=[them]),
        "unsigned": lambda: workshop.encrypt(BODY, us),
        "unknown_signer": lambda: workshop.encrypt(BODY, us, signers=[other]),
        "not_encrypted": lambda: BODY,
        "bomb": lambda: workshop.encrypt(gzip.compress(b"1\n" * (2 << 20)), us, signers=[them]),
        "unsigned_bomb": lambda: workshop.encrypt(b"1\n" * (2 << 20), us),
    }[fault]()
    [failed] = send(platform, bad)
    assert not failed.success
    delivery = platform.delivery("people")
    assert (delivery.state, delivery.permanent, delivery.published) == (DeliveryState.FAILED, True, 0)
    [sent] = platform.services.ledger.objects.of_day("acme/people", YESTERDAY)
    assert sent.file_id in delivery.error
    if "bomb" in fault:
        assert f"over 100 times the {len(bad):,} that were delivered" in delivery.error
        assert "raise ratio in the feed's limits" in delivery.error
    assert "Contents" not in platform.services.s3.list_objects_v2(Bucket=platform.services.zones.clean_bucket)
    [repaired] = send(platform, good)
    assert repaired.success
    assert platform.query("select count(*) from {people}") == [(len(ROWS),)]


@pytest.mark.slow
def test_without_the_hashing_key_nothing_is_published_and_nothing_is_lost(
    platform: Platform, workshop: Workshop, us: Partner, them: Partner
) -> None:
    services = platform.services
    services.secrets.delete_secret(SecretId=services.settings.hash_key_secret)
    [failed] = send(platform, workshop.encrypt(BODY, us, signers=[them]))
    assert not failed.success
    assert services.settings.hash_key_secret in platform.delivery("people").error
    assert "Contents" not in services.s3.list_objects_v2(Bucket=services.zones.clean_bucket)
    services.secrets.restore_secret(SecretId=services.settings.hash_key_secret)
    services.ledger.deliveries.reopen("acme/people", YESTERDAY)
    [result] = platform.process()
    assert result.success
    assert platform.query("select count(*) from {people}") == [(len(ROWS),)]
