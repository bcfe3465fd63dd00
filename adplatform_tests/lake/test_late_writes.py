"""Calls of the catalog that are answered late, or land when their caller was taken for dead, over a real network."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import TransientFailure
from adplatform.lake.agreement import Compared, compare
from adplatform.lake.attempt import Result
from adplatform.lake.catalog import Catalog
from adplatform.lake.lake import Lake
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws, local_aws, longest_call
from adplatform_tests.lake import scenario
from adplatform_tests.lake.support import make_lake, read_root_with_duckdb, read_with_duckdb, source_name
from adplatform_tests.support.slow_proxy import Slow, slowed

QUICK = timedelta(seconds=4)
"""The budget of a client that is to give up soon."""
KINDS = pytest.mark.parametrize(
    "kind", [*(pytest.param(kind, marks=pytest.mark.slow) for kind in ("daily", "scoped", "compacted")), "keyed"]
)


@dataclass(frozen=True)
class Scene:
    """One table of :mod:`scenario`, of which version 1 is published."""

    aws: Aws
    lake: Lake
    kind: str
    source: str
    temp: Path

    @property
    def spec(self) -> TableSpec:
        return scenario.table(self.kind, self.source)

    passed: list[timedelta] = field(default_factory=lambda: [timedelta()])
    """How much time has passed for everybody beside that which the test takes."""

    def other_lake(self) -> Lake:
        """A second process."""
        lake = make_lake(self.aws, name=self.lake.ledger.table.removeprefix("ledger-"))
        ahead = replace(lake.ledger, now=lambda: datetime.now(UTC) + self.passed[0])
        return replace(lake, ledger=ahead, sleep=lambda _: threading.Event().wait(0.05) and None)

    def behind(self, proxy: str, budget: timedelta | None = None) -> Lake:
        """A process whose catalog is behind a slow network."""
        aws, lake = local_aws(proxy), self.other_lake()
        return replace(lake, catalog=Catalog(aws.client("glue", *([budget] if budget else []))))

    def put(self, lake: Lake, version: int, **where: Any) -> Result:
        delivery = scenario.stage_version(self.kind, self.source, self.temp, version)
        return scenario.put(lake, self.kind, self.source, self.temp, delivery, version, **where).result

    def shown(self, lake: Lake | None = None) -> list[tuple[str, int, int]]:
        return [(r["place"], r["id"], r["seen"]) for r in read_with_duckdb(lake or self.lake, self.spec, self.temp)]

    def copied(self) -> list[tuple[str, int, int]]:
        return [(r["place"], r["id"], r["seen"]) for r in read_root_with_duckdb(self.lake, self.spec, self.temp)]

    def compare(self) -> Compared:
        with self.lake.alone(self.spec.feed, "comparison") as lease:
            return compare(self.lake, lease, self.spec.feed, self.spec, run_id="comparison", temp=self.temp)

    def collect(self, days: float) -> Collected:
        now = datetime.now(UTC) + timedelta(days=days)
        return collect(self.lake, self.spec.feed, self.spec, keep=timedelta(days=3), now=now, run_id="sweep")


@pytest.fixture
def scene(aws: Aws, lake: Lake, temp: Path, kind: str) -> Scene:
    scene = Scene(aws, lake, kind, source_name(), temp)
    scene.put(lake, 1)
    return scene


@contextmanager
def stalled_write(scene: Scene, slow: Slow) -> Iterator[None]:
    """Version 2 was to be published and its call is on its way for ever; its process believes that it failed, and
    version 3 is published."""
    with slowed(str(scene.aws.endpoint_url), slow) as proxy:
        with pytest.raises(TransientFailure):
            scene.put(scene.behind(proxy, QUICK), 2)
        assert scene.put(scene.other_lake(), 3) is Result.PUBLISHED
        yield


@KINDS
def test_a_write_that_lands_after_a_newer_version_is_repaired_by_the_comparison(scene: Scene) -> None:
    slow = Slow("UpdatePartition", 3, request=True)
    with stalled_write(scene, slow):
        published = scene.shown()
        slow.let_go()
        assert scene.shown() != published
        assert len(scene.compare().repaired) == 1
    assert scene.shown() == scene.copied() == published
    assert scene.compare() == Compared()


@KINDS
def test_a_collection_keeps_what_is_published_although_readers_see_an_older_version(scene: Scene) -> None:
    slow = Slow("UpdatePartition", 3, request=True)
    with stalled_write(scene, slow):
        published = scene.shown()
        scene.collect(0)
        slow.let_go()
        assert scene.shown() != published
        assert scene.collect(9).compared.repaired
    assert scene.shown() == scene.copied() == published
    scene.collect(20)
    assert scene.shown() == scene.copied() == published


@pytest.mark.parametrize("kind", ["daily"])
def test_a_publisher_of_an_older_version_than_the_placed_one_leads_readers_back(scene: Scene) -> None:
    """It meets what a late write has left, so nothing tells it before its own write."""
    catalog, spec = scene.lake.catalog, scene.spec
    table, [late] = catalog.table(spec), list(catalog.partitions(spec))
    assert table is not None
    scene.put(scene.lake, 3)
    placed = list(catalog.partitions(spec))
    catalog.put_partition(spec, table, late)
    with pytest.raises(TransientFailure, match="a newer version than 2 was placed"):
        scene.put(scene.lake, 2)
    assert [shown.location for shown in catalog.partitions(spec)] == [shown.location for shown in placed]


@KINDS
def test_a_publisher_that_lost_its_lease_in_a_call_repairs_what_it_wrote(scene: Scene) -> None:
    slow = Slow("UpdatePartition", 1, request=True)
    with slowed(str(scene.aws.endpoint_url), slow) as proxy, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(scene.put, scene.behind(proxy), 2)
        assert slow.reached.wait(30)
        scene.passed[0] = timedelta(hours=1)
        scene.put(scene.other_lake(), 3)
        published = scene.shown()
        slow.let_go()
        with pytest.raises(TransientFailure, match="lost to another run"):
            writing.result()
    assert scene.shown() == scene.copied() == published


@pytest.mark.parametrize("kind", ["daily", "scoped", "compacted"])
def test_a_partition_whose_creation_comes_late_stays_what_others_made_it(
    aws: Aws, lake: Lake, temp: Path, kind: str
) -> None:
    scene = Scene(aws, lake, kind, source_name(), temp)
    slow = Slow("CreatePartition", 3, request=True)
    with slowed(str(aws.endpoint_url), slow) as proxy:
        with pytest.raises(TransientFailure):
            scene.put(scene.behind(proxy, QUICK), 1)
        scene.put(scene.other_lake(), 2)
        published = scene.shown()
        slow.let_go()
    assert scene.shown() == published
    assert scene.compare() == Compared()


@pytest.mark.parametrize("kind", ["keyed"])
def test_no_published_row_disappears_while_a_call_is_answered_late_twice(scene: Scene) -> None:
    """The lease lasts for as long as the call may take, so nobody publishes into the partition meanwhile."""
    slow = Slow("UpdatePartition", 2, request=False)
    with slowed(str(scene.aws.endpoint_url), slow) as proxy, ThreadPoolExecutor(3) as pool:
        first = scene.behind(proxy, QUICK)
        first = replace(first, lease_ttl=timedelta(seconds=0.4))
        assert longest_call(first.catalog.glue) > first.lease_ttl
        second, reader = scene.other_lake(), scene.other_lake()
        done = threading.Event()

        def watch() -> int:
            seen: set[tuple[str, int, int]] = set()
            looks = 0
            while not done.wait(0.02):
                shown = set(scene.shown(reader))
                gone = {row for row in seen if row[1] == 2} - shown
                assert not gone, f"{gone} had been published"
                seen, looks = shown, looks + 1
            return looks

        watching = pool.submit(watch)
        try:
            one = pool.submit(scene.put, first, 2)
            assert slow.reached.wait(30)
            other = scenario.stage(scene.kind, scene.source, scene.temp, scenario.OTHER)
            two = pool.submit(scenario.put, second, scene.kind, scene.source, scene.temp, other, 1, scenario.OTHER_DAY)
            assert one.result() is Result.PUBLISHED
            assert two.result().result is Result.PUBLISHED
        finally:
            done.set()
        assert watching.result() > 1
    assert set(scene.shown()) == {("de", 1, 3), ("de", 2, 2), ("it", 1, 3)}


def test_the_calls_of_every_client_end_before_the_lease_does(aws: Aws, lake: Lake) -> None:
    for service in ("s3", "glue", "dynamodb"):
        assert longest_call(aws.client(service)) < lake.lease_ttl
    assert lake.call < lake.lease_ttl
    quick = aws.client("glue", QUICK)
    assert abs(longest_call(quick) - QUICK) < timedelta(milliseconds=1)
