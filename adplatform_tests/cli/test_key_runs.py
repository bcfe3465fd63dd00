"""A rotation makes its deliveries with Dagster's runs, and without one those that are no partition any more."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.cli.key_runs import work_of
from adplatform.components.assembly.arrivals import arrivals_automation
from adplatform.flow.key_rotation import RUN_PREFIX, RotationResult, Wish, rotate
from adplatform.flow.private_directory import private_directory
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform_tests.flow.rotations import PURCHASES, day, purchases
from adplatform_tests.support import plainly
from adplatform_tests.support.platforms import Platform, make_platform

VERSION = "5f0c1f6e-7f3a-4b9e-9f3e-0c7a55f1d2aa"


@pytest.fixture
def begun(services: Services, instance: dg.DagsterInstance) -> Platform:
    """Purchases of two dates, the earlier of which is before the feed's start by now."""
    before = make_platform(services, club(), instance)
    for ago in (3, 2):
        before.put(f"purchases/dt={day(ago)}/part.csv", purchases(("ann", f"{ago}.00")))
    plainly.process(services, before.source, "plain")
    return make_platform(services, club(start_date=day(2).isoformat()), instance)


def club(**changes: Any) -> dict[str, Any]:
    return {"source": "club", "feeds": [{**PURCHASES, **changes}]}


def rotated(platform: Platform, temp: Path, run_id: str) -> RotationResult:
    services, flows = platform.services, platform.source.feeds
    patterns, automations = [PushedFiles(platform.source)], [arrivals_automation(platform.source)]
    work = work_of(services, platform.instance, platform.definitions, patterns, automations, temp, run_id)
    return rotate(services, flows, Wish(), work, version=VERSION, random_bytes=lambda count: bytes(range(count)))


def test_dates_before_a_start_that_was_raised_are_made_without_a_run(begun: Platform) -> None:
    home, run_id = begun.services.settings.temp, f"{RUN_PREFIX}one"
    with private_directory(home, "keys-stalled") as held, private_directory(home, run_id) as temp:
        result = rotated(begun, temp, run_id)
        assert held.exists()
    assert (result.problems, result.made) == ((), 2)
    assert begun.query("select amount::int, _pii_key_id from {purchases} order by 1") == [
        (2, VERSION[:8]),
        (3, VERSION[:8]),
    ]
    key = dg.AssetKey(["clean", "club", "purchases"])
    events = begun.instance.fetch_materializations(key, limit=10).records
    assert {(e.partition_key, bool(e.run_id)) for e in events} == {(str(day(3)), False), (str(day(2)), True)}
