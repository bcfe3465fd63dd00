"""Publishers that are killed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adplatform.lake.attempt import Result
from adplatform.lake.lake import Lake
from adplatform.lake.retention import collect
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform_tests.lake import scenario
from adplatform_tests.lake.support import make_lake, read_root_with_duckdb, read_with_duckdb, source_name

_TWO = ("keyed", "scoped", "compacted")
"""Kinds of tables in which another delivery is seen beside the one that is restated."""
OTHER_PLACE: dict[str, dict[str, Any]] = {
    "keyed": {"day": scenario.OTHER_DAY},
    "scoped": {"scope": scenario.OTHER_SCOPE},
    "compacted": {"scope": scenario.OTHER_SCOPE},
}
_NEVER = "no write"
_BEFORE = {
    "daily": ["UpdatePartition"],
    "scoped": ["PutItem"],
    "compacted": ["PutItem"],
    "replaced": ["PutObject", "UpdateTable"],
    "keyed": ["PutObject", "UpdatePartition", "DeletePartition", "CreatePartition", "PutItem", "DeleteItem"],
    "iceberg daily": ["PutItem"],
    "iceberg scoped": ["UpdateTable"],
    "iceberg replaced": ["PutObject"],
    "iceberg keyed": ["UpdateTable", "DeleteItem"],
}
"""Before the first of which of its operations a publisher of each kind dies in the quick suite."""
_ALIKE = ("daily", "iceberg keyed", "iceberg scoped")
"""Of which another kind dies before the same writes."""
_COPIES = ("CopyObject", "DeleteObjects")
"""Operations of the path copy."""


@dataclass(frozen=True)
class Scene:
    """One table of :mod:`scenario`. ``die`` publishes in a process that dies before a write, and says how it
    ended and, unless it died, which writes it made."""

    lake: Lake
    survivor: Lake
    kind: str
    source: str
    temp: Path
    die: Callable[[str, int], tuple[str, list[str]]]

    @property
    def layout(self) -> str:
        return scenario.layout(self.kind)

    @property
    def spec(self) -> TableSpec:
        return scenario.table(self.kind, self.source)

    def publish_again(self, version: int) -> Result:
        """When the leases of the dead have run out."""
        delivery = scenario.stage_version(self.kind, self.source, self.temp, version)
        with self.survivor.alone(self.spec.feed, "survivor"):
            pass  # who finds the version published takes no lease, and the next to die would wait for the dead
        return scenario.put(self.survivor, self.kind, self.source, self.temp, delivery, version).result

    def publish_other(self, version: int) -> Result:
        """Another delivery, of the same rows in each version, meets what the dead left."""
        delivery = scenario.stage(self.kind, self.source, self.temp, scenario.OTHER)
        return scenario.put(
            self.survivor, self.kind, self.source, self.temp, delivery, version, **OTHER_PLACE[self.layout]
        ).result

    def shown(self) -> scenario.Places:
        return _by_place(read_with_duckdb(self.lake, self.spec, self.temp))

    def copied(self) -> scenario.Places:
        """What a reader of the table's root sees."""
        return _by_place(read_root_with_duckdb(self.lake, self.spec, self.temp))

    def content(self, version: int) -> scenario.Places:
        own = scenario.ODD if version % 2 else scenario.EVEN
        return {**own, "de": [*own["de"], *scenario.OTHER["de"]]} if self.layout in _TWO else own


def _by_place(rows: list[dict[str, Any]]) -> scenario.Places:
    found: dict[str, list[tuple[int, int]]] = {}
    for row in rows:
        found.setdefault(row["place"], []).append((row["id"], row["seen"]))
    return {place: sorted(rows) for place, rows in found.items()}


@pytest.fixture(scope="module")
def mortal_publishers(aws: Aws) -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """Sends one line to :mod:`scenario` and returns its answer."""
    command = [sys.executable, "-m", "adplatform_tests.lake.scenario", str(aws.endpoint_url)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines, answers = process.stdin, process.stdout

        def send(*line: str | int) -> tuple[str, list[str]]:
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            end, writes = json.loads(answers.readline())
            return end, writes

        yield send
        lines.close()


@pytest.fixture
def scene(
    aws: Aws, lake: Lake, temp: Path, kind: str, mortal_publishers: Callable[..., tuple[str, list[str]]]
) -> Scene:
    """Version 1 is published; a keyed table has another day's delivery, too, and one with scopes another scope's."""
    source, name = source_name(), lake.ledger.table.removeprefix("ledger-")
    survivor = make_lake(aws, name=name)
    hour_later = replace(survivor.ledger, now=lambda: datetime.now(UTC) + timedelta(hours=1))
    scenario.put(lake, kind, source, temp, scenario.stage_version(kind, source, temp, 1), 1)
    if scenario.layout(kind) in _TWO:
        other = scenario.stage(kind, source, temp, scenario.OTHER)
        scenario.put(lake, kind, source, temp, other, 1, **OTHER_PLACE[scenario.layout(kind)])
    die = partial(mortal_publishers, name, kind, source, str(temp))
    return Scene(lake, replace(survivor, ledger=hour_later), kind, source, temp, die)


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["few", "every"])
@pytest.mark.parametrize("kind", [pytest.param(k, marks=pytest.mark.slow if k in _ALIKE else ()) for k in _BEFORE])
def test_a_publisher_killed_before_any_write_leaves_old_or_new_and_a_rerun_completes(scene: Scene, every: bool) -> None:
    """Also where another delivery publishes right after the crash: it shows nothing of a version that is not placed."""
    moments: Iterable[str] = map(str, count(1)) if every else [*_BEFORE[scene.kind], _NEVER]
    for version, number in enumerate(moments, start=2):
        end, writes = scene.die(number, version)
        old, new = scene.content(version - 1), scene.content(version)
        seen = scene.shown()
        if end != "died":
            break
        assert scene.kind == "keyed" or seen in (old, new), number
        for place in ("de", "fr", "it"):
            assert seen.get(place) in (old.get(place), new.get(place)), (number, place)
        if scene.layout in _TWO:
            assert scene.publish_other(version) is Result.PUBLISHED
            beside, placement = scene.shown(), scene.lake.ledger.placements.get(scene.spec.feed, scenario.DAY)
            for place in ("de", "fr", "it"):
                assert beside.get(place) in (old.get(place), new.get(place)), (number, place)
            if scene.layout == "keyed":
                assert placement is not None
                assert beside["de"] == scene.content(placement.version)["de"], number
        assert scene.publish_again(version) in (Result.PUBLISHED, Result.ALREADY)
        assert scene.shown() == new, number
        assert scene.copied() == (new if scene.kind in ("daily", "scoped", "compacted", "keyed") else {}), number
    assert end == "0"
    assert seen == new
    if every:
        assert int(number) > {"daily": 5, "scoped": 5, "compacted": 7, "replaced": 2, "keyed": 15}[scene.layout]
        return
    assert number == _NEVER
    written_as = scenario.format_of(scene.kind)
    tried = {write for kind, named in _BEFORE.items() if scenario.format_of(kind) == written_as for write in named}
    assert {*writes} <= {*tried, *_COPIES}


@pytest.mark.parametrize(
    "kind", ["keyed", *(pytest.param(k, marks=pytest.mark.slow) for k in ("daily", "scoped", "compacted"))]
)
@pytest.mark.parametrize("write", [pytest.param("CopyObject", marks=pytest.mark.slow), "DeleteObjects"])
def test_a_path_copy_left_behind_by_a_killed_publisher_is_completed_by_a_rerun_and_by_a_collection(
    scene: Scene, write: str
) -> None:
    assert scene.die(write, 2)[0] == "died"
    assert scene.copied() != scene.shown()
    scene.publish_again(2)
    assert scene.copied() == scene.content(2)
    assert scene.die(write, 3)[0] == "died"
    shown = scene.shown()
    assert scene.copied() != shown
    lake, spec = scene.survivor, scene.spec
    collected = collect(lake, spec.feed, spec, keep=timedelta(days=9), now=lake.ledger.now(), run_id="sweep")
    assert collected.repaired
    assert scene.copied() == scene.shown() == shown
