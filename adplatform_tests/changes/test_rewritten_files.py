"""Files that DMS writes again under the same names: each time they say something of their own, and nothing is lost."""

import random
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from adplatform.changes.generations import next_generation, sequence_at
from adplatform.contracts.changes import ChangesSource
from adplatform.failures import PermanentFailure
from adplatform.flow.decisions import leave_out
from adplatform.flow.services import Services
from adplatform.platform.clock import utc_now
from adplatform_tests.support import plainly
from adplatform_tests.support.changes import ORDERS, Changes, changes_of, followed_as, followed_source
from adplatform_tests.support.platforms import TODAY
from adplatform_tests.support.waiting import next_second

EXACT = {**ORDERS, "outputs": ["current", "history"]}
COLUMNS = "id, status, _seq, _closed_by"


@dataclass
class World:
    """A database, its changes and loads as they truly happened: of each row what it became, by sequence, None where it
    was deleted."""

    shop: Changes
    rows: dict[int, str] = field(default_factory=dict)
    happened: dict[int, list[tuple[str, str | None]]] = field(default_factory=dict)

    def change(self, id: int, status: str | None) -> dict[str, Any]:
        op = "D" if status is None else "U" if id in self.rows else "I"
        row = self.shop.change(op, id=id, status=status)
        row["ar_h_change_seq"] = f"{sequence_at(self.shop.services.now())[:16]}{self.shop.at:019}"
        self._became(id, status, row["ar_h_change_seq"])
        return row

    def load(self, files: int = 1) -> None:
        """A load that is known, of as many files, under the names that every load has."""
        next_second()
        folds, source = self.shop.services.ledger.folds, self.shop.pattern.source.name
        load = next_generation(folds.generations(source, "orders"), self.shop.services.now(), "a test")
        assert folds.open(source, "orders", load)
        rows = [{"id": id, "status": status} for id, status in sorted(self.rows.items())]
        for number in range(files):
            self.shop.load(*rows[number::files], number=number + 1)
        for id in self.happened:
            self._became(id, self.rows.get(id), load.sequence)
        folds.loaded(source, "orders", load, len(rows))
        next_second()

    def _became(self, id: int, status: str | None, sequence: str) -> None:
        self.happened.setdefault(id, []).append((sequence, status))
        if status is None:
            self.rows.pop(id, None)
        else:
            self.rows[id] = status

    def ended(self) -> list[tuple[Any, ...]]:
        """Every version that has ended, and by what."""
        return sorted(
            (id, status, begun, by)
            for id, states in self.happened.items()
            for (begun, status), (by, _) in pairwise(states)
            if status is not None
        )


def seen(shop: Changes) -> tuple[list[tuple[Any, ...]], ...]:
    return tuple(shop.seen(_="id, status", _history=COLUMNS))


@pytest.mark.slow
@pytest.mark.parametrize("merged_between", [False, True])
def test_what_only_a_file_said_that_a_load_has_overwritten_is_in_the_history(
    services: Services, merged_between: bool
) -> None:
    shop = followed_source(services, [EXACT])
    world = World(shop)
    for id in (1, 2, 3):
        world.change(id, "a")  # before DMS began: no file has it
    world.happened.clear()
    world.happened.update({id: [] for id in (1, 2, 3)})
    world.load()
    late = world.change(2, "late")
    shop.file(world.change(1, "b"), world.change(3, None))
    if merged_between:
        shop.merge()
    world.load()
    shop.merge()
    shop.file(late)
    shop.merge()
    wanted = sorted(world.rows.items()), world.ended()
    assert seen(shop) == wanted
    assert shop.fold() is None
    anew = followed_as(shop, [{**EXACT, "buckets": 7}])
    assert anew.fold()
    assert seen(anew) == wanted


@pytest.mark.slow
def test_a_file_of_changes_that_is_overwritten_before_anybody_saw_it_is_merged(services: Services) -> None:
    shop = followed_source(services, [EXACT])
    world = World(shop)
    shop.file(world.change(1, "a"), world.change(2, "a"), name="20261101-000000001.parquet")
    shop.file(world.change(1, "b"), name="20261101-000000001.parquet")
    shop.merge()
    shop.file(world.change(1, None), name="20261101-000000001.parquet")
    done = shop.merge()
    assert done and done.changes == 1
    assert seen(shop) == (sorted(world.rows.items()), world.ended())


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))])
def test_any_workload_of_files_that_are_overwritten_comes_to_what_has_happened(services: Services, seed: int) -> None:
    draw = random.Random(seed)
    shop = followed_source(services, [EXACT])
    world, held = World(shop), []
    for _ in range(3):
        for _ in range(draw.randint(1, 4)):
            ids = draw.sample(range(6), 3)
            changes = [world.change(id, draw.choice(["a", "b", None]) if id in world.rows else "new") for id in ids]
            held.append(changes)
            draw.shuffle(held)
            while held and draw.random() < 0.6:
                shop.file(*held.pop(), name=f"20261101-00000000{draw.randint(1, 2)}.parquet")
            if draw.random() < 0.4:
                shop.process()
            if draw.random() < 0.4:
                shop.merge()
        world.load(files=draw.randint(1, 2))
    for changes in held:
        shop.file(*changes, name="20261101-000000001.parquet")
    shop.merge()
    wanted = sorted(world.rows.items()), world.ended()
    assert seen(shop) == wanted
    anew = followed_as(shop, [{**EXACT, "buckets": 5}])
    assert anew.fold()
    assert seen(anew) == wanted


def versions(shop: Changes) -> list[dict[str, Any]]:
    """What is in the landing zone, newest of a key first."""
    bucket, prefix = shop.services.zones.raw_bucket, shop.pattern.source.prefix
    return shop.services.s3.list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", [])


NAME = "20261101-000000001.parquet"


@pytest.mark.slow
def test_versions_count_in_the_order_in_which_they_were_written_whatever_order_they_are_heard_of(
    services: Services,
) -> None:
    shop = followed_source(services, [EXACT])
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.load({"id": 1, "status": "b"}, {"id": 2, "status": "b"})
    newest, _ = versions(shop)
    services.settler(shop.pattern.source).arrivals.record([newest])
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b"), (2, "b")]
    assert shop.rows("_history", "id, status") == [(1, "a"), (2, "a")]


@pytest.mark.slow
def test_rows_of_a_load_that_is_written_again_without_anybody_saying_so_get_their_last_values(
    services: Services,
) -> None:
    shop = followed_source(services, [EXACT])
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"}, {"id": 3, "status": "same"})
    shop.file(shop.change("U", id=2, status="changed"))
    shop.merge()
    next_second()
    shop.load({"id": 1, "status": "b"}, {"id": 2, "status": "b"}, {"id": 4, "status": "b"})
    # What was in a file of that name before is in one of another name now.
    shop.load({"id": 3, "status": "c"}, number=2)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b"), (2, "changed"), (3, "c"), (4, "b")]
    assert shop.rows("_history", "id, status") == [(1, "a"), (2, "a"), (2, "b"), (3, "same")]
    assert shop.fold() is None


def test_a_file_that_is_deleted_after_it_was_written_is_merged(services: Services) -> None:
    shop = followed_source(services)
    key = shop.file(shop.change("I", id=1, status="a"))
    services.s3.delete_object(Bucket=services.zones.raw_bucket, Key=key)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a")]
    assert versions(shop) == []


def test_a_damaged_file_that_is_written_again_is_put_aside_and_one_that_is_not_is_refused(services: Services) -> None:
    shop = followed_source(services, [EXACT])
    shop.put_bytes(NAME, b"no Parquet")
    shop.file(shop.change("I", id=1, status="a"), name=NAME)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a")]
    shop.put_bytes(NAME, b"PAR1 and no more")
    with pytest.raises(PermanentFailure, match=r"file:[0-9a-f]{32}: is truncated") as refused:
        shop.process()
    shop.file(shop.change("U", id=1, status="b"), name=NAME)
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "b")]
    assert shop.rows("_history", "id, status") == [(1, "a")]
    assert "3 file(s)" not in str(refused.value)


@pytest.mark.slow
def test_a_file_that_was_refused_is_left_out_without_those_of_its_name(services: Services) -> None:
    shop = followed_source(services)
    shop.file(shop.change("I", id=1, status="a"), name=NAME)
    shop.merge()
    shop.put_bytes(NAME, b"no Parquet")
    with pytest.raises(PermanentFailure) as refused:
        shop.process()
    assert NAME not in str(refused.value)
    called = re.search("file:[0-9a-f]{32}", str(refused.value))
    assert called
    flow = shop.followed.changes
    with pytest.raises(PermanentFailure, match=r"name one object; .*versionId=.*versionId="):
        leave_out(services.ledger, flow, TODAY, NAME)
    feed, obj = services.ledger.objects.named_by(flow.source, called[0]) or pytest.fail("unknown file")
    assert feed == flow.name
    assert leave_out(services.ledger, flow, TODAY, called[0]) == f"{obj.key}?versionId={obj.version}"
    shop.file(shop.change("I", id=2, status="a"))
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a"), (2, "a")]


def merge_at(services: Services, declared: ChangesSource, later: timedelta) -> None:
    """As of some time from now: what has died before rests for a while."""
    changes_of(replace(services, now=lambda: utc_now() + later), declared).merge()


BEHIND = 69
"""Of the moments the one that no write of a merge comes to."""


@pytest.mark.parametrize(
    "moments", [range(3, 40, 9), *(pytest.param([n], marks=pytest.mark.slow) for n in range(1, BEHIND + 1))]
)
def test_a_process_that_is_killed_between_versions_of_a_file_loses_none_and_merges_none_twice(
    services: Services, moments: range | list[int]
) -> None:
    shop = followed_source(services, [EXACT])
    world = World(shop)
    shop.file(world.change(1, "a"), world.change(2, "a"), name=NAME)
    shop.merge()
    shop.file(world.change(1, "b"), name=NAME)
    shop.file(world.change(2, None), world.change(3, "a"), name=NAME)
    for hours, moment in enumerate(moments):
        work = partial(merge_at, declared=shop.declared, later=timedelta(hours=3 * hours))
        code, _ = plainly.killed_at(services, work, moment)
        assert code == 0 or (code == -9 and moment < BEHIND)
    merge_at(services, shop.declared, timedelta(days=5))
    assert seen(shop) == (sorted(world.rows.items()), world.ended())
    assert len(shop.rows("_changes", "_seq")) == 5
    assert versions(shop) == []
