"""What is remembered of a folder is written by one of those who judge at the same time."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adplatform.engines.sftp.memories import Memories, Remembered
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.sftp.choice import Known
from adplatform.sftp.memory import Memory

NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)


@pytest.fixture
def memories(services: Services) -> Memories:
    provision(services, [])
    return Memories(services, "acme")


def test_a_memory_is_read_as_it_was_written(memories: Memories) -> None:
    first = memories.read("/out")
    assert first == Remembered()
    new = Remembered(
        Memory({"/out/ä": Known(1, NOW, NOW, cleared_at=NOW, clearings=2)}, {"/b": "why"}), "run", NOW, "p"
    )
    assert memories.write("/out", new, first)
    read = memories.read("/out")
    assert replace(read, etag="") == new
    assert memories.read("/out") is read
    assert Memories(memories.services, "acme").read("/out") == read
    assert memories.read("/other") == Remembered()


def test_who_has_not_seen_the_last_write_writes_nothing(memories: Memories) -> None:
    other = Memories(memories.services, "acme")
    nothing = memories.read("/out"), other.read("/out")
    assert memories.write("/out", Remembered(run="one", at=NOW), nothing[0])
    assert not other.write("/out", Remembered(run="two", at=NOW), nothing[1])
    seen = memories.read("/out"), other.read("/out")
    assert [each.run for each in seen] == ["one", "one"]
    assert other.write("/out", Remembered(run="three", at=NOW), seen[1])
    assert not memories.write("/out", Remembered(run="four", at=NOW), seen[0])
    assert memories.read("/out").run == "three"


def test_a_damaged_memory_says_where_it_is(memories: Memories) -> None:
    assert memories.write("/out", Remembered(run="one", at=NOW), memories.read("/out"))
    s3, bucket = memories.services.s3, memories.services.zones.raw_bucket
    [key] = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    s3.put_object(Bucket=bucket, Key=key, Body=b"x", Metadata={"run": "one", "at": NOW.isoformat()})
    with pytest.raises(PermanentFailure, match=rf"s3://{bucket}/{key} is damaged"):
        memories.read("/out")


def test_a_memory_never_expires_and_notes_do(memories: Memories) -> None:
    services = memories.services
    said = services.s3.get_bucket_lifecycle_configuration(Bucket=services.zones.raw_bucket)["Rules"]
    days = {rule["Filter"]["Prefix"]: rule.get("Expiration", {}).get("Days") for rule in said}
    assert days[services.zones.fetched("")[:-1]] is None
    kept = [services.zones.sftp_listings(""), services.zones.sftp_transfers(""), services.zones.fetch_plans("")]
    # A transfer may take a day, and its results are kept for seven; a plan is asked for until its last file is there.
    assert all(days[prefix[:-1]] >= 7 for prefix in kept)
