from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import IO, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from adplatform.failures import TransientFailure
from adplatform.lake.lake import Lake
from adplatform.lake.store import Store
from adplatform.lake.zones import Zones, file_key, partition_path
from adplatform.transform.partition_values import MAX_ESCAPED

DAY = date(2026, 3, 1)
ZONES = Zones("raw", "clean")


def test_keys_name_zone_feed_and_day_and_end_with_a_slash() -> None:
    assert ZONES.landing("partner") == "landing/partner/"
    assert ZONES.prepared("partner/orders", DAY) == "prepared/partner/orders/dt=2026-03-01/"
    assert ZONES.archive("partner/orders", DAY) == "archive/partner/orders/dt=2026-03-01/"
    assert ZONES.quarantine("partner/orders", DAY) == "quarantine/partner/orders/dt=2026-03-01/"
    assert ZONES.manifests("partner/orders", DAY) == "manifests/partner/orders/dt=2026-03-01/"
    assert ZONES.version("partner/orders", "token") == "table-versions/partner/orders/token/"
    assert ZONES.clean("partner/orders") == "partner/orders/"
    assert ZONES.clean_key(ZONES.clean_uri("partner/orders/x")) == "partner/orders/x"


def test_writes_ask_for_the_managed_key_or_for_the_given_one() -> None:
    assert ZONES.put_arguments == {"ServerSideEncryption": "aws:kms"}
    assert replace(ZONES, kms_key_id="k").put_arguments == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("2026-03-01", "2026-03-01"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("x=y:z", "x%3Dy%3Az"),
        ("new york", "new york"),
        ("köln", "köln"),
        ("tab\there", "tab%09here"),
    ],
)
def test_partition_values_are_escaped_as_hive_does(value: str, path: str) -> None:
    assert partition_path("p", value) == f"p={path}/"


def test_a_file_in_many_parts_arrives_whole(lake: Lake, temp: Path) -> None:
    path = temp / "big"
    path.write_bytes(bytes(range(256)) * 4 * 1024 * 33)
    bucket = lake.store.zones.clean_bucket
    lake.store.upload(path, bucket, "big")
    lake.store.copy(bucket, "big", "copy")
    lake.store.download(bucket, "copy", temp / "back")
    assert (temp / "back").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("size", [4, 32 * 2**20], ids=["at once", "in parts"])
def test_an_upload_that_arrives_differently_is_noticed(lake: Lake, temp: Path, size: int) -> None:
    class OtherContent:
        """An S3 in which somebody else's object of the same size stands where ours should."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake.store.s3, name)

        def upload_part(self, Body: IO[bytes], ChecksumSHA256: str, **options: Any) -> Any:
            return lake.store.s3.upload_part(Body=b"x" * len(Body.read()), **options)

        def put_object(self, Body: IO[bytes], ChecksumSHA256: str, **options: Any) -> Any:
            return lake.store.s3.put_object(Body=b"x" * len(Body.read()), **options)

    path = temp / "mine"
    path.write_bytes(b"m" * size)
    with pytest.raises(TransientFailure, match="does not hold"):
        Store(OtherContent(), lake.store.zones).upload(path, lake.store.zones.clean_bucket, "k")


def test_an_upload_whose_parts_do_not_all_arrive_leaves_nothing(lake: Lake, temp: Path) -> None:
    class LosesOne:
        """An S3 to which the second part does not get through."""

        def __getattr__(self, name: str) -> Any:
            return getattr(lake.store.s3, name)

        def upload_part(self, PartNumber: int, **options: Any) -> Any:
            if PartNumber == 2:
                raise EndpointConnectionError(endpoint_url="nowhere")
            return lake.store.s3.upload_part(PartNumber=PartNumber, **options)

    path, bucket = temp / "big", lake.store.zones.clean_bucket
    path.write_bytes(bytes(33 * 2**20))
    with pytest.raises(EndpointConnectionError):
        Store(LosesOne(), lake.store.zones).upload(path, bucket, "lost/k")
    assert not list(lake.store.listing(bucket, "lost/"))
    assert "Uploads" not in lake.store.s3.list_multipart_uploads(Bucket=bucket)


def test_a_file_keeps_its_name_and_of_one_that_is_too_long_the_ending() -> None:
    folder = "archive/partner/orders/dt=2026-03-01/0123/"
    assert file_key(folder, "a.csv") == f"{folder}a.csv"
    key = file_key(folder, "é" * 600 + ".csv")
    assert 1022 <= len(key.encode()) <= 1024
    assert key.startswith(f"{folder}é")
    assert key.endswith("é.csv")


def test_the_longest_partition_fits_into_keys_of_s3_and_names_of_hive() -> None:
    source, feed, column = "s" * 63, "f" * 63, "c" * 127
    folder = partition_path(column, "é" * (MAX_ESCAPED // 2))
    token, file = f"{DAY}-0001-0123abcd-merged", f"{DAY}-part-00000.parquet"
    name = f"{source}/{feed}"
    for key in (f"{ZONES.version(name, token)}{folder}{file}", f"{ZONES.clean(name)}{folder}{token}-{file}"):
        assert len(key.encode()) < 1024
    assert len(folder.encode()) <= 767
