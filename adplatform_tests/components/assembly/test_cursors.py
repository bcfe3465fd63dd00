"""A cursor may be anything: whatever nobody can read is as if there was none."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adplatform.components.assembly.arrivals import ArrivalsCursor, read_progress, write_progress
from adplatform.components.assembly.cursors import read_cursor
from adplatform.flow.listing import Position, Round
from adplatform.flow.looks import Progress
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.settling import Mark
from adplatform.platform.aws import Aws
from adplatform_tests.flow.world import TODAY, fake_world
from adplatform_tests.support.examples import examples
from adplatform_tests.support.platforms import forget_services, make_services, resources_with

NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)
SOURCE = fake_world().source
DEEP = "[" * 5000
GARBAGE = [
    "garbage",
    "",
    " ",
    "null",
    "[]",
    "{}",
    "0",
    '"text"',
    "{",
    "\ud800",
    DEEP,
    '{"version": 1, "listed": "2026-03-14T09:00:00+00:00"}',
    '{"version": 3, "lanes": "x", "listed": "2026-03-14T09:00:00+00:00"}',
    '{"version": 2, "lanes": "x", "listed": "2026-03-14T09:00:00"}',
    '{"version": 2, "lanes": "x", "listed": 5}',
    '{"version": 2, "lanes": "x", "listed": []}',
    '{"version": 2, "lanes": "x", "listed": "2999-01-01T00:00:00Z", "left": {"a": ["b"]}}',
    '{"version": 1, "newest": {"contacts": "2999-01-01T00:00:00Z"}}',
    '{"version": 1, "newest": {"contacts": 5}, "feed": "x", "days": {"x": "2026-03-14"}}',
    '{"listed": null}',
    '{"a": 1}',
    "[1, 2]",
    '["a", null]',
    "NaN",
    "1e999",
]
SENSORS = [
    "backfills",
    "clubcard_arrivals",
    "failed_runs",
    "failing_ticks",
    "measures",
    "northwind_ads_reports",
    "northwind_arrivals",
    "northwind_cloud_runs",
    "northwind_crm_runs",
    "northwind_live_arrivals",
    "northwind_marketing_builds",
    "northwind_parcels_runs",
    "northwind_seller_reports",
    "northwind_shop_runs",
    "stale_tables",
    "treasury_arrivals",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NEAR = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from([1, 2, "2", None]) | JSON,
        "lanes": st.just("x") | JSON,
        "listed": st.sampled_from(["2026-03-14T09:00:00Z", "2026-03-14", "2026-03-14T09:00:00", 0]) | JSON,
        "left": JSON,
        "days": JSON,
        "feed": JSON,
    },
)
ANYTHING = st.text() | JSON.map(json.dumps) | NEAR.map(json.dumps)


@given(ANYTHING)
def test_anything_is_read_or_counts_as_no_cursor(text: str) -> None:
    for kind in (ArrivalsCursor, dict[str, bool], list[str]):
        read_cursor(text, kind)
    read_progress(text, SOURCE)


@pytest.mark.parametrize("text", [None, *GARBAGE])
def test_garbage_is_no_progress(text: str | None) -> None:
    assert read_progress(text, SOURCE) == Progress()


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ('{"a": true}', dict[str, bool], {"a": True}),
        ('{"a": 1}', dict[str, bool], None),
        ('["a"]', list[str], ["a"]),
        ('["a", 1]', list[str], None),
        ('{"a": true}', list[str], None),
    ],
)
def test_a_cursor_of_another_kind_is_none(text: str, kind: type[object], expected: object) -> None:
    assert read_cursor(text, kind) == expected


def test_progress_is_read_as_it_was_written() -> None:
    lane = SOURCE.lanes[0]
    left = {lane: Position(f"{lane}é/a.csv", "v1"), SOURCE.lanes[-1]: Position()}
    progress = Progress(Round(NOW, left), Mark("acme/quiet", {"acme/quiet": TODAY, "acme/done": TODAY}))
    text = write_progress(progress, SOURCE, NOW)
    assert read_progress(text, SOURCE) == progress
    assert list(read_progress(text, SOURCE).listing.left) == list(left)  # type: ignore[union-attr]


def test_a_round_over_other_lanes_begins_anew() -> None:
    other = fake_world({"else": {}}).source
    text = write_progress(Progress(Round(NOW), Mark("acme/quiet", {"acme/quiet": TODAY})), SOURCE, NOW)
    assert read_progress(text, SOURCE).listing == Round(NOW)
    assert read_progress(text, other).listing is None


@pytest.fixture(scope="module")
def stored() -> Iterator[dg.DagsterInstance]:
    """An instance with all its storages."""
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture(scope="module")
def ground(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """What all sensors share is provisioned, and no source."""
    made = make_services(aws, tmp_path_factory.mktemp("home"))
    provision(made, [])
    yield made
    forget_services(made)


def test_the_sensors_below_are_all_there_are(code_location: dg.Definitions) -> None:
    assert sorted(sensor.name for sensor in code_location.sensors or ()) == SENSORS


@pytest.mark.hypothesis
@pytest.mark.parametrize("every", [len(SENSORS), pytest.param(1, marks=pytest.mark.slow)], ids=["few", "all"])
@pytest.mark.parametrize("name", SENSORS)
def test_no_sensor_of_the_code_location_stops_at_its_cursor(
    name: str, every: int, code_location: dg.Definitions, ground: Services, stored: dg.DagsterInstance
) -> None:
    """In the quick suite each of the texts is the cursor of one sensor at least."""
    sensor = code_location.resolve_sensor_def(name)
    repository = code_location.get_repository_def()

    def tick(cursor: str | None) -> object:
        context = dg.build_sensor_context(
            instance=stored, cursor=cursor, repository_def=repository, resources=resources_with(ground)
        )
        return sensor.evaluate_tick(context)

    for text in GARBAGE[SENSORS.index(name) % every :: every]:
        if name != "failed_runs" or text is not DEEP:  # Dagster itself reads the cursor of that one
            tick(text)

    @settings(max_examples=examples(2), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @example("garbage")
    @given(ANYTHING)
    def check(text: str) -> None:
        tick(text)

    check()
