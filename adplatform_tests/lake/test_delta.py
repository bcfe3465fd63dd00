"""Changes beside a table instead of in it: whoever reads both sees the table as if all were merged."""

import random
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import sqlglot

from adplatform.failures import PermanentFailure
from adplatform.lake.delta import Delta, current_sql, delta
from adplatform.lake.keyed import Bucket, KeyedTable, merging
from adplatform.transform.rules import literal
from adplatform_tests.lake.test_keyed import SEEDS, Row, change, merged, rows_of, sequence, table_of, workload, written

Changes = Sequence[dict[str, Any]]


def beside(work: Path, table: KeyedTable, batch: Changes) -> Path:
    """The file of a batch."""
    file = written(batch, work / f"batch-{len(list(work.iterdir()))}.parquet")
    target = file.with_suffix(".delta")
    with merging(work, "256MB", 1) as con:
        found = delta(con, table, [file], target)
    assert found == Delta(len(batch), len({each["id"] for each in batch}))
    return target


def relation(files: Iterable[Path]) -> str:
    listed = ", ".join(literal(str(file)) for file in files)
    return f"read_parquet([{listed}])"


@cache
def reader() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def read(query: str) -> list[Row]:
    return sorted(reader().execute(f"select id, name, bio from ({query})").fetchall())


def current(work: Path, table: KeyedTable, base: Sequence[Bucket], changes: Iterable[Path]) -> list[Row]:
    """The rows that a reader sees. Where the table has no rows yet, its relation has none."""
    nothing = f"(select * from {relation([written([], work / 'nothing.parquet')])})"
    tombstones = [bucket.tombstones for bucket in base if bucket.tombstones]
    rows = [bucket.rows for bucket in base if bucket.rows]
    query = current_sql(
        table,
        relation(rows) if rows else nothing,
        relation(tombstones) if tombstones else None,
        relation(changes),
    )
    return read(query)


def source_rows(rows: dict[int, Row]) -> list[Row]:
    return sorted(rows.values())


def shuffled(changes: Changes, draw: random.Random) -> list[dict[str, Any]]:
    """All of them in any order, half of them twice."""
    sent = [*changes, *draw.choices(changes, k=len(changes) // 2)]
    draw.shuffle(sent)
    return sent


@pytest.mark.parametrize("unchanged", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_and_the_batches_since_come_to_the_source(tmp_path: Path, seed: int, unchanged: bool) -> None:
    source, draw = workload(seed, unchanged=unchanged), random.Random(seed)
    table = table_of(unchanged=unchanged)
    cuts = [0, *sorted(draw.sample(range(1, len(source.changes)), 3)), len(source.changes)]
    first, *batches = (source.changes[begin:end] for begin, end in pairwise(cuts))
    base = merged(tmp_path, table, (), first).buckets
    files = [beside(tmp_path, table, shuffled(batch, draw)) for batch in batches]
    draw.shuffle(files)
    assert current(tmp_path, table, base, files) == source_rows(source.rows)
    # Nor does it matter whether the changes come as they are, or some are merged meanwhile.
    plain = [written(batch, tmp_path / f"plain-{n}.parquet") for n, batch in enumerate(batches)]
    assert current(tmp_path, table, base, plain) == source_rows(source.rows)
    later = merged(tmp_path, table, base, batches[0]).buckets
    assert current(tmp_path, table, later, files) == source_rows(source.rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_without_values_that_stayed_no_order_of_changes_matters(tmp_path: Path, seed: int) -> None:
    source, draw, table = workload(seed), random.Random(seed), table_of()
    sent = shuffled(source.changes, draw)
    first, *batches = (sent[n::4] for n in range(4))
    base = merged(tmp_path, table, (), first).buckets
    files = [beside(tmp_path, table, batch) for batch in batches]
    assert current(tmp_path, table, base, files) == source_rows(source.rows)


@pytest.mark.parametrize("seed", SEEDS)
def test_with_values_that_stayed_only_keys_with_late_changes_may_differ(tmp_path: Path, seed: int) -> None:
    source, draw, table = workload(seed, unchanged=True), random.Random(seed), table_of(unchanged=True)
    early = draw.sample(range(len(source.changes)), len(source.changes) // 2)
    ended = sorted({each["id"]: n for n, each in enumerate(source.changes)}.items())
    # One of the rows is merged in order, so that there is always a key without late changes.
    orderly = draw.choice(ended)[0]
    first, rest = [], []
    for n, each in enumerate(source.changes):
        begun = n < len(source.changes) // 2 if each["id"] == orderly else n in early
        (first if begun else rest).append(each)
    base = merged(tmp_path, table, (), first).buckets
    late = merged(tmp_path, table, base, rest).late
    keys = {row["id"] for row in pq.read_table(late).to_pylist()} if late else set()
    assert orderly not in keys
    expected = [row for row in source_rows(source.rows) if row[0] not in keys]
    found = current(tmp_path, table, base, [beside(tmp_path, table, shuffled(rest, draw))])
    assert [row for row in found if row[0] not in keys] == expected
    # The row itself is there or not as it should be, and what is told with every change is right.
    assert [row[:2] for row in found] == [row[:2] for row in source_rows(source.rows)]


@pytest.mark.parametrize("unchanged", [False, True])
def test_a_key_that_is_among_rows_and_tombstones_counts_once_by_its_sequence(tmp_path: Path, unchanged: bool) -> None:
    table = table_of(unchanged=unchanged)
    deleted = [change(n, op, "a", sequence(n if op == "I" else n + 4)) for n in (1, 2, 3, 4) for op in ("I", "D")]
    gone = merged(tmp_path, table, (), deleted).buckets
    (tmp_path / "rows").mkdir()
    there = [change(n, "I", "a", sequence(n)) for n in (1, 2)] + [change(n, "I", "b", sequence(n + 8)) for n in (3, 4)]
    rows = merged(tmp_path / "rows", table, (), there).buckets
    base = [*rows, *gone]
    changes = [written([change(9, "I", "c", sequence(20))], tmp_path / "other.parquet")]
    assert [row[:2] for row in current(tmp_path, table, base, changes)] == [(3, "b"), (4, "b"), (9, "c")]
    # A change of such a key is one more; those that are merged change nothing.
    since = [change(2, "I", "d", sequence(21)), change(4, "U", "d", sequence(22)), *deleted, *there]
    changes = [written(since, tmp_path / "since.parquet")]
    assert [row[:2] for row in current(tmp_path, table, base, changes)] == [(2, "d"), (3, "b"), (4, "d")]


def test_a_value_that_stayed_is_that_of_the_row_or_of_an_earlier_batch(tmp_path: Path) -> None:
    table = table_of(unchanged=True)
    rows = [change(n, "I", "a", sequence(n), "merged") for n in (1, 2, 3, 4)]
    base = merged(tmp_path, table, (), rows).buckets
    batches = [
        [change(2, "U", "b", sequence(5), "earlier"), change(3, "D", None, sequence(6))],
        [change(1, "U", "c", sequence(7)), change(2, "U", "c", sequence(8)), change(3, "I", "c", sequence(9))],
    ]
    files = [beside(tmp_path, table, batch) for batch in batches]
    expected = [(1, "c", "merged"), (2, "c", "earlier"), (3, "c", None), (4, "a", "merged")]
    assert current(tmp_path, table, base, files) == expected


def test_what_came_between_the_changes_of_another_batch_is_seen_only_in_the_changes(tmp_path: Path) -> None:
    table = table_of(unchanged=True)
    outer = [change(1, "U", "a", sequence(2), "before"), change(1, "U", "b", sequence(4))]
    inner = [change(1, "U", "a", sequence(3), "between")]
    base = merged(tmp_path, table, (), [change(1, "I", "a", sequence(1), "old")]).buckets
    plain = [written(batch, tmp_path / f"plain-{n}.parquet") for n, batch in enumerate((outer, inner))]
    assert current(tmp_path, table, base, plain) == [(1, "b", "between")]
    files = [beside(tmp_path, table, batch) for batch in (outer, inner)]
    assert current(tmp_path, table, base, files) == [(1, "b", "before")]


@pytest.mark.parametrize("unchanged", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_merging_the_files_of_batches_comes_to_the_source(tmp_path: Path, seed: int, unchanged: bool) -> None:
    source, table = workload(seed, unchanged=unchanged), table_of(unchanged=unchanged)
    middle = len(source.changes) // 2
    base = merged(tmp_path, table, (), source.changes[:middle]).buckets
    left = pq.read_table(beside(tmp_path, table, source.changes[middle:])).to_pylist()
    assert rows_of(merged(tmp_path, table, base, left).buckets) == source_rows(source.rows)


@pytest.mark.parametrize("unchanged", [False, True])
def test_the_view_is_in_the_sql_of_athena(tmp_path: Path, unchanged: bool) -> None:
    """As far as a translation tells: read as Athena's and written as DuckDB's it comes to the same."""
    source, table = workload(7, unchanged=unchanged), table_of(unchanged=unchanged)
    middle = len(source.changes) // 2
    base = merged(tmp_path, table, (), source.changes[:middle]).buckets
    file = beside(tmp_path, table, source.changes[middle:])
    query = current_sql(table, '"rows"', '"tombstones"', '"changes"')
    for dialect in ("athena", "trino"):
        (translated,) = sqlglot.transpile(
            query, read=dialect, write="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE
        )
        views = {
            "rows": relation(b.rows for b in base if b.rows),
            "tombstones": relation(b.tombstones for b in base if b.tombstones),
            "changes": relation([file]),
        }
        for name, files in views.items():
            reader().execute(f"create or replace temp view {name} as from {files}")
        assert read(translated) == source_rows(source.rows)


def test_a_file_has_the_latest_change_of_each_key(tmp_path: Path) -> None:
    batch = [
        change(1, "I", "a", sequence(1), "x"),
        change(1, "U", "b", sequence(2)),
        change(2, "U", "c", sequence(3), "y"),
        change(2, "U", "d", sequence(4)),
        change(3, "U", "e", sequence(5)),
        change(4, "U", "f", sequence(6), "z"),
        change(4, "D", None, sequence(7)),
    ]

    def latest(*, unchanged: bool) -> list[tuple[Any, ...]]:
        found = pq.read_table(beside(tmp_path, table_of(unchanged=unchanged), batch)).to_pylist()
        return sorted(
            (row["id"], row["_op"], row["_seq"], row["name"], row["bio"]) for row in found if row["_op"] != "D"
        )

    assert latest(unchanged=False) == [
        (1, "U", sequence(2), "b", None),
        (2, "U", sequence(4), "d", None),
        (3, "U", sequence(5), "e", None),
    ]
    # What stayed is known where the batch has it, and stays unknown where it has not.
    assert latest(unchanged=True) == [
        (1, "I", sequence(2), "b", "x"),
        (2, "U", sequence(4), "d", "y"),
        (3, "U", sequence(5), "e", None),
    ]


def test_a_batch_whose_order_cannot_be_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="two different changes of one sequence"):
        beside(tmp_path, table_of(), [change(1, "U", "a", sequence(5)), change(1, "U", "b", sequence(5))])
