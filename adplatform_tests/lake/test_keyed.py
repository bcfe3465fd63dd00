"""Changes merged into a keyed table: whatever their order, files and repetitions, the table is what the source is."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.failures import PermanentFailure
from adplatform.lake.keyed import Bucket, KeyedTable, Merged, beyond, merge, merging

COLUMNS = ("id", "name", "bio")
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("bio", pa.string()),
        ("_op", pa.string()),
        ("_seq", pa.string()),
        ("_changed_at", pa.timestamp("us", "UTC")),
    ]
)
START = datetime(2026, 11, 1, tzinfo=UTC)
Row = tuple[int, str | None, str | None]


def sequence(n: int) -> str:
    return f"20261101000000{0:02}{n:019}"


@dataclass
class Source:
    """A table, and every change of it as a change stream tells them: updates leave out a ``bio`` that stayed."""

    rows: dict[int, Row] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    versions: list[tuple[Any, ...]] = field(default_factory=list)
    opened: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    unchanged: bool = False

    def _changed(self, op: str, row: Row) -> None:
        n = len(self.changes) + 1
        # Several changes of one commit have one time.
        at = START + timedelta(seconds=n // 3)
        id, name, bio = row
        self.changes.append({"id": id, "name": name, "bio": bio, "_op": op, "_seq": sequence(n), "_changed_at": at})
        if id in self.rows and id in self.opened:
            self.versions.append((*self.rows[id], self.opened[id][0], at, sequence(n)))

    def insert(self, id: int, name: str | None, bio: str | None) -> None:
        if id in self.rows:
            return self.update(id, name, bio)
        self._changed("I", (id, name, bio))
        self.rows[id], self.opened[id] = (id, name, bio), (sequence(len(self.changes)), START)
        return None

    def update(self, id: int, name: str | None, bio: str | None) -> None:
        if id not in self.rows:
            return
        same = self.unchanged and bio is None
        self._changed("U", (id, name, None if same else bio))
        self.rows[id] = (id, name, self.rows[id][2] if same else bio)
        self.opened[id] = (sequence(len(self.changes)), START)

    def delete(self, id: int) -> None:
        if id in self.rows:
            self._changed("D", (id, None, None))
            del self.rows[id], self.opened[id]


def workload(seed: int, *, unchanged: bool = False) -> Source:
    """Some 60 changes of few rows, so that each is deleted and comes back several times."""
    draw, source = random.Random(seed), Source(unchanged=unchanged)
    for _ in range(draw.randint(40, 80)):
        id, name, bio = draw.randint(1, 4), draw.choice([None, "a", "b", ""]), draw.choice([None, None, "x", "y"])
        what = draw.choice(["insert", "update", "update", "update", "delete"])
        if what == "delete":
            source.delete(id)
        else:
            getattr(source, what)(id, name, bio)
    return source


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 60))]


def change(id: int, op: str, name: str | None, seq: str | None, bio: str | None = None) -> dict[str, Any]:
    return {"id": id, "name": name, "bio": bio, "_op": op, "_seq": seq, "_changed_at": START}


def state(changes: Iterable[dict[str, Any]], *, unchanged: bool) -> dict[int, Row]:
    """The rows that changes in their order come to."""
    rows: dict[int, Row] = {}
    for each in changes:
        id, name, bio = each["id"], each["name"], each["bio"]
        if each["_op"] == "D":
            del rows[id]
        else:
            stays = unchanged and each["_op"] == "U" and bio is None
            rows[id] = (id, name, rows[id][2] if stays else bio)
    return rows


def written(changes: Sequence[dict[str, Any]], path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(list(changes), SCHEMA), path)
    return path


def table_of(*, buckets: int = 3, unchanged: bool = False) -> KeyedTable:
    return KeyedTable(("id",), COLUMNS, buckets, frozenset({"bio"} if unchanged else ()))


def rows_of(buckets: Iterable[Bucket], what: str = "rows") -> list[tuple[Any, ...]]:
    found = [pq.read_table(path).to_pylist() for b in buckets if (path := getattr(b, what)) is not None]
    return sorted((tuple(row[name] for name in COLUMNS) for rows in found for row in rows), key=lambda row: row[0])


def merged(
    work: Path, table: KeyedTable, base: Sequence[Bucket], changes: Sequence[dict[str, Any]], **options: Any
) -> Merged:
    folder = work / f"{len(list(work.iterdir()))}"
    folder.mkdir()
    target = folder / "out"
    target.mkdir()
    file = written(changes, folder / "changes.parquet")
    with merging(folder, "256MB", 1) as con:
        found = merge(con, table, base, [file], target, **options)
    assert found.changes == len(changes) == found.applied + found.superseded
    return found


def caught_up(
    work: Path, table: KeyedTable, batches: Sequence[Sequence[dict[str, Any]]], *, history: bool = False
) -> tuple[tuple[Bucket, ...], list[Path]]:
    """The table after every batch; what came late is made anew of all that has come."""
    base: tuple[Bucket, ...] = ()
    closed: list[Path] = []
    seen: list[dict[str, Any]] = []
    for batch in batches:
        seen += [change for change in batch if change not in seen]
        found = merged(work, table, base, batch, history=history)
        base = found.buckets
        closed += [found.closed] if found.closed else []
        if found.late is not None:
            keys = {row["id"] for row in pq.read_table(found.late).to_pylist()}
            own = [change for change in seen if change["id"] in keys]
            base = merged(work, table, base, own, anew=found.late).buckets
    return base, closed


@pytest.mark.parametrize("unchanged", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_table_is_the_source_after_every_batch(tmp_path: Path, seed: int, unchanged: bool) -> None:
    whole = workload(seed, unchanged=unchanged)
    table, base = table_of(unchanged=unchanged), ()
    cuts = [0, *sorted(random.Random(seed).sample(range(1, len(whole.changes)), 3)), len(whole.changes)]
    for begin, end in pairwise(cuts):
        base = merged(tmp_path, table, base, whole.changes[begin:end]).buckets
        there = state(whole.changes[:end], unchanged=unchanged)
        assert rows_of(base) == sorted(there.values(), key=lambda row: row[0])
        deleted = {change["id"] for change in whole.changes[:end]} - there.keys()
        assert {id for id, *_ in rows_of(base, "tombstones")} == deleted
    assert state(whole.changes, unchanged=unchanged) == whole.rows


@pytest.mark.parametrize("unchanged", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_batches_that_are_shuffled_repeated_and_late_come_to_the_same_table(
    tmp_path: Path, seed: int, unchanged: bool
) -> None:
    source, draw = workload(seed, unchanged=unchanged), random.Random(seed)
    sent = [*source.changes, *draw.choices(source.changes, k=len(source.changes) // 2)]
    draw.shuffle(sent)
    base, _ = caught_up(tmp_path, table_of(unchanged=unchanged), [sent[n::3] for n in range(3)])
    assert rows_of(base) == sorted(source.rows.values(), key=lambda row: row[0])


@pytest.mark.parametrize("unchanged", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_history_has_every_version_that_was_closed(tmp_path: Path, seed: int, unchanged: bool) -> None:
    source = workload(seed, unchanged=unchanged)
    middle = len(source.changes) // 2
    batches = [source.changes[:middle], source.changes[middle:]]
    _, closed = caught_up(tmp_path, table_of(unchanged=unchanged), batches, history=True)
    found = [row for path in closed for row in pq.read_table(path).to_pylist()]
    assert sorted((r["_seq"], r["id"], r["name"], r["bio"], r["_valid_to"], r["_closed_by"]) for r in found) == sorted(
        (began, *row, ended, by) for *row, began, ended, by in source.versions
    )


def test_a_new_load_ends_the_rows_that_are_not_in_it(tmp_path: Path) -> None:
    table = table_of()
    load = [change(n, "L", "old", sequence(10)) for n in range(1, 6)]
    base = merged(tmp_path, table, (), load).buckets
    base = merged(
        tmp_path, table, base, [change(1, "U", "changed", sequence(20)), change(2, "D", None, sequence(21))]
    ).buckets
    # The second load began after 30; 4 and 5 are not in it, and 5 was changed after it began.
    again = [change(n, "L", "new", sequence(30)) for n in (1, 2, 3)]
    base = merged(tmp_path, table, base, [*again, change(5, "U", "later", sequence(31))], floors=[sequence(30)]).buckets
    assert [(id, name) for id, name, _ in rows_of(base)] == [(1, "new"), (2, "new"), (3, "new"), (5, "later")]
    assert [id for id, *_ in rows_of(base, "tombstones")] == [4]
    # What the first load and its changes bring once more comes to nothing.
    late = [*load, change(4, "U", "late", sequence(25))]
    found = merged(tmp_path, table, base, late)
    assert (found.applied, rows_of(found.buckets)) == (0, rows_of(base))


@dataclass
class Loaded:
    """A database whose changes are lost now and then, and which is loaded again: what is known of it."""

    rows: dict[int, str] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    floors: list[str] = field(default_factory=list)
    versions: list[tuple[Any, ...]] = field(default_factory=list)
    known: dict[int, tuple[str, str]] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)

    def tell(self, id: int, op: str, name: str | None, seq: str) -> None:
        self.changes.append(change(id, op, name, seq))
        self.end(id, seq)
        if name is not None:
            self.known[id] = (name, seq)
            self.deleted.discard(id)
        else:
            self.deleted.add(id)

    def end(self, id: int, seq: str) -> None:
        if id in self.known:
            self.versions.append((id, *self.known.pop(id), seq))
            self.deleted.add(id)

    def load(self, seq: str) -> None:
        self.floors.append(seq)
        for id in [id for id in self.known if id not in self.rows]:
            self.end(id, seq)
        for id, name in self.rows.items():
            self.tell(id, "L", name, seq)


def loaded_again(draw: random.Random) -> Loaded:
    made = Loaded()
    for n in range(1, 80):
        id, name = draw.randint(1, 6), draw.choice("abc")
        at = sequence(2 * n)  # no change has the sequence before that of a load
        if n in (20, 40, 45):
            made.load(at)
        elif draw.random() < 0.35 and id in made.rows:
            del made.rows[id]
            if draw.random() < 0.5:
                made.tell(id, "D", None, at)
        else:
            op = "U" if id in made.rows else "I"
            made.rows[id] = name
            if draw.random() < 0.7:
                made.tell(id, op, name, at)
    return made


@pytest.mark.parametrize("come", ["in order", "in any order", "at once"])
@pytest.mark.parametrize("seed", SEEDS)
def test_each_complete_load_ends_the_rows_that_are_not_in_it_also_in_the_history(
    tmp_path: Path, seed: int, come: str
) -> None:
    """Whether a load is known to be complete with its rows or later, and what is made anew comes to the same."""
    draw = random.Random(seed)
    made, table = loaded_again(draw), table_of()
    sent = list(made.changes)
    if come == "in any order":
        draw.shuffle(sent)
    cuts = [0, len(sent)] if come == "at once" else [0, *sorted(draw.sample(range(1, len(sent)), 4)), len(sent)]
    base: tuple[Bucket, ...] = ()
    history: list[dict[str, Any]] = []
    floors: list[str] = []
    # The last batch brings nothing, but all loads are known to be complete.
    for begin, end in [*pairwise(cuts), (len(sent), len(sent))]:
        before, last = floors, begin == end
        floors = [f for f in made.floors if last or all(c in sent[:end] for c in made.changes if c["_seq"] == f)]
        floors = floors if last or draw.random() < 0.5 else before
        swept = floors != before
        found = merged(tmp_path, table, base, sent[begin:end], history=True, floors=floors, swept=swept)
        late = found.late
        if swept and history:
            closed = tmp_path / f"closed-{end}-{last}.parquet"
            pq.write_table(pa.Table.from_pylist(history), closed)
            with merging(tmp_path, "256MB", 1) as con:
                late = beyond(con, table, [closed], floors, late, tmp_path / f"late-{end}-{last}.parquet")
        history += pq.read_table(found.closed).to_pylist() if found.closed else []
        base = found.buckets
        if late is not None:
            keys = {row["id"] for row in pq.read_table(late).to_pylist()}
            own = [each for each in sent[:end] if each["id"] in keys]
            again = merged(tmp_path, table, base, own, anew=late, history=True, floors=floors, swept=False)
            history = [row for row in history if row["id"] not in keys]
            history += pq.read_table(again.closed).to_pylist() if again.closed else []
            base = again.buckets
    assert [row[:2] for row in rows_of(base)] == sorted((id, name) for id, (name, _) in made.known.items())
    assert {id for id, *_ in rows_of(base, "tombstones")} == made.deleted
    found_versions = [(row["id"], row["name"], row["_seq"], row["_closed_by"]) for row in history]
    assert sorted(found_versions) == sorted(made.versions)


def test_a_deleted_row_keeps_its_last_values_and_a_delete_needs_no_more_than_the_key(tmp_path: Path) -> None:
    found = merged(
        tmp_path,
        table_of(buckets=1),
        (),
        [change(1, "I", "a", sequence(1), "bio"), change(1, "D", None, sequence(2)), change(7, "D", None, sequence(3))],
    )
    assert found.rows == 0
    assert rows_of(found.buckets, "tombstones") == [(1, "a", "bio"), (7, None, None)]


def test_an_error_of_a_merge_shows_no_value(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure) as raised, merging(tmp_path, "256MB", 1) as con:
        con.execute("select cast('ann@example.com' as integer)")
    assert "ann" not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)


def test_two_different_changes_of_one_sequence_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match=f"two different changes of one sequence, the first {sequence(5)}"):
        merged(tmp_path, table_of(), (), [change(1, "U", "a", sequence(5)), change(1, "U", "b", sequence(5))])


def test_a_change_without_sequence_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="1 changes have no key, operation or sequence"):
        merged(tmp_path, table_of(), (), [change(1, "U", "a", None)])


def test_buckets_without_changes_stay_as_they_are(tmp_path: Path) -> None:
    table = table_of(buckets=16)
    base = merged(tmp_path, table, (), [change(n, "L", "x", sequence(1)) for n in range(200)]).buckets
    found = merged(tmp_path, table, base, [change(3, "U", "y", sequence(2))]).buckets
    assert sum(one == other for one, other in zip(base, found, strict=True)) == 15


def test_changes_that_come_again_write_no_bucket(tmp_path: Path) -> None:
    changes = [change(1, "I", "a", sequence(1)), change(2, "I", "b", sequence(2)), change(2, "D", None, sequence(3))]
    base = merged(tmp_path, table_of(), (), changes).buckets
    found = merged(tmp_path, table_of(), base, changes)
    assert (found.applied, found.buckets) == (0, base)


def test_a_row_that_is_made_anew_of_no_changes_is_gone(tmp_path: Path) -> None:
    base = merged(tmp_path, table_of(), (), [change(n, "I", "a", sequence(n)) for n in (1, 2)]).buckets
    anew = tmp_path / "anew.parquet"
    pq.write_table(pa.table({"id": pa.array([1], pa.int64())}), anew)
    assert rows_of(merged(tmp_path, table_of(), base, [], anew=anew).buckets) == [(2, "a", None)]


@pytest.mark.parametrize("name", ["run", "ended", "begins", "states", "changes", "known", "v", "c", "t"])
def test_columns_may_be_called_as_what_a_merge_works_with(tmp_path: Path, name: str) -> None:
    table = KeyedTable(("id",), ("id", name), 2, repeats=True)
    rows = [
        {"id": 1, name: value, "_op": "L", "_seq": sequence(n), "_changed_at": datetime(2026, 11, n, tzinfo=UTC)}
        for n, value in ((1, "a"), (2, "b"))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "changes")
    (tmp_path / "target").mkdir()
    with merging(tmp_path, "256MB", 1) as con:
        found = merge(con, table, [], [tmp_path / "changes"], tmp_path / "target", history=True)
    assert (found.rows, found.changes, found.closed and pq.read_metadata(found.closed).num_rows) == (1, 2, 1)
