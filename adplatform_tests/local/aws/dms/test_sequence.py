"""The sequence of changes never goes back, whatever the clock and the log of the source do."""

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from adplatform.engines.dms_settings.recommended import table_mappings
from adplatform.local.aws.dms.changes import collect
from adplatform.local.aws.dms.mappings import read
from adplatform.local.aws.dms.settings import options, source, target
from adplatform.local.aws.dms.source import Address
from adplatform.local.aws.dms.state import DmsBackend, Replication, Table
from adplatform.local.aws.dms.state import Sequence as Counter
from adplatform.local.aws.dms.work import Work

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RELATION = b"R" + struct.pack(">I", 1) + b"public\0t\0d" + struct.pack(">H", 1) + b"\1id\0" + struct.pack(">Ii", 23, -1)


def work() -> Work:
    asked = {"MigrationType": "cdc"}
    replication = Replication("arn:task", "task", False, asked, NOON, NOON, "running")
    replication.tables = {("public", "t"): Table("public", "t")}
    return Work(
        DmsBackend("us-east-1", "123456789012"),
        replication,
        1,
        lambda: Address("127.0.0.1", 1, "d", "u", "p"),
        source({}, None),
        target({"BucketName": "b"}, None),
        options("{}"),
        read(json.dumps(table_mappings([("public", "t")]))),
    )


def transaction(lsn: int, at: datetime, inserts: int) -> list[tuple[str, bytes]]:
    """As pgoutput sends it."""
    microseconds = (at - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    insert = b"I" + struct.pack(">I", 1) + b"N" + struct.pack(">H", 1) + b"t" + struct.pack(">i", 1) + b"7"
    sent = [b"B" + struct.pack(">QqI", lsn, microseconds, 9), RELATION, *[insert] * inserts]
    return [("0/1", each) for each in (*sent, b"C" + struct.pack(">BQQq", 0, lsn, lsn + 8, microseconds))]


def sequences(of: Work, *transactions: Sequence[tuple[str, bytes]]) -> list[str]:
    """Those of a batch, which is confirmed then."""
    batch = collect(of, None, [each for one in transactions for each in one])
    of.replication.sequence.last, of.replication.sequence.stamp = batch.last, batch.stamp
    return [str(row.values[-1]) for group in batch.groups.values() for row in group.rows]


def test_it_is_the_time_of_the_commit_and_a_counter() -> None:
    [first, second] = sequences(work(), transaction(5, NOON + timedelta(milliseconds=345), 2))
    assert (first, second) == ("20260301120000340000000000005000000", "20260301120000340000000000005000001")


def test_a_clock_that_goes_back_does_not_take_it_along() -> None:
    of = work()
    found = sequences(of, transaction(5, NOON, 1), transaction(50, NOON - timedelta(hours=1), 1))
    found += sequences(of, transaction(70, NOON - timedelta(hours=2), 1))
    found += sequences(of, transaction(90, NOON + timedelta(hours=1), 1))
    assert found == sorted(set(found))
    assert [each[:14] for each in found] == ["20260301120000"] * 3 + ["20260301130000"]


def test_what_is_read_again_has_the_sequence_that_it_had() -> None:
    of = work()
    sequences(of, transaction(5, NOON, 3))
    again = collect(of, None, transaction(50, NOON, 2)), collect(of, None, transaction(50, NOON, 2))
    assert again[0] == again[1]


def test_a_log_that_begins_lower_does_not_take_it_along() -> None:
    """As that of a source that was restored into another server."""
    counter = Counter()
    counter.begin(1_000)
    counter.last = counter.offset + 2_000 * 1_000_000
    counter.begin(10)
    assert counter.offset + 10 * 1_000_000 > counter.last
    kept = counter.offset
    counter.begin(5_000)
    assert counter.offset == kept
