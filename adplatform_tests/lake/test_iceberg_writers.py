"""Iceberg tables with several writers, some of them other engines, and calls that land late."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.agreement import Compared, compare
from adplatform.lake.attempt import Result
from adplatform.lake.catalog import Catalog
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.lake import scenario
from adplatform_tests.lake.iceberg_reader import open_with_pyiceberg
from adplatform_tests.lake.support import contract, make_lake, read_with_duckdb, source_name, spec_of, staged
from adplatform_tests.support.slow_proxy import Slow, slowed

DAY, OTHER_DAY = date(2026, 3, 1), date(2026, 3, 2)
QUICK = timedelta(seconds=4)


def daily() -> TableSpec:
    return spec_of(contract({"id": "bigint"}, table_format="iceberg"), source=source_name())


def put(lake: Lake, spec: TableSpec, temp: Path, version: int, *, day: date = DAY) -> Result:
    """As many rows as the version's number."""
    delivery = staged(spec, temp, {"": [{"id": number} for number in range(version)]})
    return publish(lake, spec, day, version, delivery, run_id="same", temp=temp).result


def seen(lake: Lake, spec: TableSpec, temp: Path) -> list[tuple[str, int]]:
    return sorted((row["dt"], row["id"]) for row in read_with_duckdb(lake, spec, temp))


def append(aws: Aws, spec: TableSpec, day: date, number: int) -> None:
    """Another engine adds a row."""
    rows = pa.table({"id": pa.array([number], pa.int64()), "dt": pa.array([day], pa.date32())})
    open_with_pyiceberg(str(aws.endpoint_url), spec).append(rows)


def before_first_commit(lake: Lake, act: Callable[[], None]) -> None:
    glue = lake.catalog.glue

    def once(**_: Any) -> None:
        glue.meta.events.unregister("before-call.glue.UpdateTable", once)
        act()

    glue.meta.events.register("before-call.glue.UpdateTable", once)


def test_a_publisher_that_loses_the_race_with_another_engine_commits_again_over_it(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    before_first_commit(lake, lambda: append(aws, spec, OTHER_DAY, 7))
    assert put(lake, spec, temp, 2) is Result.PUBLISHED
    assert seen(lake, spec, temp) == [("2026-03-01", 0), ("2026-03-01", 1), ("2026-03-02", 7)]


def test_rows_that_another_engine_adds_to_a_date_meanwhile_are_not_taken_for_replaced(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec = daily()
    put(lake, spec, temp, 1)
    before_first_commit(lake, lambda: append(aws, spec, DAY, 7))
    with pytest.raises(TransientFailure, match="changed by others"):
        put(lake, spec, temp, 2)
    assert put(lake, spec, temp, 2) is Result.PUBLISHED
    assert seen(lake, spec, temp) == [("2026-03-01", 0), ("2026-03-01", 1)]


def test_a_publisher_overtaken_by_one_that_no_lease_stopped_looks_again(lake: Lake, aws: Aws, temp: Path) -> None:
    """The other one has a ledger of its own, as if this one's had been restored from an older backup."""
    spec = daily()
    put(lake, spec, temp, 1)
    rival = replace(make_lake(aws), store=lake.store, catalog=Catalog(aws.client("glue")))
    before_first_commit(lake, lambda: put(rival, spec, temp, 3, day=OTHER_DAY) and None)
    assert put(lake, spec, temp, 2) is Result.PUBLISHED
    both = [*(("2026-03-01", number) for number in range(2)), *(("2026-03-02", number) for number in range(3))]
    assert seen(lake, spec, temp) == both
    with pytest.raises(
        PermanentFailure, match="see version 3 of the delivery of 2026-03-02, which the ledger does not"
    ):
        put(lake, spec, temp, 4, day=OTHER_DAY)
    assert seen(lake, spec, temp) == both


@pytest.mark.parametrize(
    "kind", [pytest.param("iceberg daily", marks=pytest.mark.slow), "iceberg replaced", "iceberg keyed"]
)
def test_a_commit_that_lands_after_a_newer_version_changes_nothing(lake: Lake, aws: Aws, temp: Path, kind: str) -> None:
    source, passed = source_name(), [timedelta()]
    spec, slow = scenario.table(kind, source), Slow("UpdateTable", 3, request=True)

    def other() -> Lake:
        made = make_lake(aws, name=lake.ledger.table.removeprefix("ledger-"))
        ahead = replace(made.ledger, now=lambda: datetime.now(UTC) + passed[0])
        return replace(made, ledger=ahead, sleep=lambda _: threading.Event().wait(0.05) and None)

    def publish_version(lake: Lake, version: int) -> Result:
        delivery = scenario.stage_version(kind, source, temp, version)
        return scenario.put(lake, kind, source, temp, delivery, version).result

    publish_version(lake, 1)
    with slowed(str(aws.endpoint_url), slow) as proxy:
        stalled = replace(other(), catalog=Catalog(local_aws(proxy).client("glue", QUICK)))
        with pytest.raises(TransientFailure):
            publish_version(stalled, 2)
        assert publish_version(other(), 3) is Result.PUBLISHED
        published = read_with_duckdb(lake, spec, temp)
        slow.let_go()
    assert read_with_duckdb(lake, spec, temp) == published
    with lake.alone(spec.feed, "comparison") as lease:
        assert compare(lake, lease, spec.feed, spec, run_id="c", temp=temp) == Compared()


def test_publishers_at_once_end_with_the_highest_version_and_readers_see_whole_versions_only(
    lake: Lake, aws: Aws, temp: Path
) -> None:
    spec, name = daily(), lake.ledger.table.removeprefix("ledger-")
    put(lake, spec, temp, 1)
    done = threading.Event()
    writers = [make_lake(aws, name=name) for _ in range(4)]

    def read() -> list[int]:
        sizes = []
        while not done.is_set():
            sizes.append(len(seen(lake, spec, temp)))
        return sizes

    with ThreadPoolExecutor(5) as pool:
        reading = pool.submit(read)
        others = [
            pool.submit(put, writer, spec, temp, version) for writer, version in zip(writers, (4, 2, 5, 3), strict=True)
        ]
        try:
            results = [other.result() for other in others]
        finally:
            done.set()
        sizes = reading.result()
    assert results[2] is Result.PUBLISHED
    assert sizes == sorted(sizes)
    assert len(seen(lake, spec, temp)) == 5
