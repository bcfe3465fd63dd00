"""The code location as a whole: it loads, names what it should, and brings nothing it must not."""

import subprocess
import sys
import zipfile
from pathlib import Path

import dagster as dg
import pytest

from adplatform.definitions import defs

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def loaded() -> dg.Definitions:
    return defs()


def test_definitions_are_loadable(loaded: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(loaded)


def test_every_feed_is_a_raw_and_a_clean_asset_with_an_owner(loaded: dg.Definitions) -> None:
    graph = {
        spec.key.to_user_string(): (
            [d.asset_key.to_user_string() for d in spec.deps],
            spec.group_name,
            list(spec.owners),
            sorted(spec.kinds),
        )
        for spec in loaded.resolve_all_asset_specs()
    }
    assert graph == {
        "raw/northwind/campaign_daily": ([], "northwind", ["team:paid-media"], ["pgp", "s3"]),
        "clean/northwind/campaign_daily": (
            ["raw/northwind/campaign_daily"],
            "northwind",
            ["team:paid-media"],
            ["glue", "parquet"],
        ),
        "raw/clubcard/members": ([], "clubcard", ["team:crm"], ["pgp", "s3"]),
        "clean/clubcard/members": (["raw/clubcard/members"], "clubcard", ["team:crm"], ["glue", "parquet"]),
        "raw/clubcard/purchases": ([], "clubcard", ["team:crm"], ["s3"]),
        "clean/clubcard/purchases": (["raw/clubcard/purchases"], "clubcard", ["team:crm"], ["glue", "parquet"]),
    }


def test_every_clean_asset_has_a_freshness_policy(loaded: dg.Definitions) -> None:
    clean = [s for s in loaded.resolve_all_asset_specs() if s.key.path[0] == "clean"]
    assert all(spec.freshness_policy for spec in clean)


def test_sensors_and_schedules_are_on_by_themselves(loaded: dg.Definitions) -> None:
    assert {s.name for s in loaded.sensors or ()} == {
        "northwind_arrivals",
        "clubcard_arrivals",
        "failed_runs",
        "failing_ticks",
        "stale_tables",
    }
    assert all(s.default_status is dg.DefaultSensorStatus.RUNNING for s in loaded.sensors or ())
    schedules = [s for s in loaded.schedules or () if isinstance(s, dg.ScheduleDefinition)]
    assert {s.name for s in schedules} == {
        "northwind_campaign_daily_deadline",
        "northwind_collect_daily",
        "clubcard_collect_daily",
    }
    assert all(s.default_status is dg.DefaultScheduleStatus.RUNNING for s in schedules)


@pytest.mark.parametrize("module", ["pyspark", "pysail", "moto", "pandas"])
def test_the_code_location_does_not_import(module: str) -> None:
    code = f"import sys; from adplatform.definitions import defs; defs(); sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=False).returncode == 0


def test_definitions_load_from_a_built_wheel_elsewhere(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = "import adplatform; from adplatform.definitions import defs; print(adplatform.__file__, len(defs().assets))"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
        text=True,
    )
    file, assets = found.stdout.split()
    assert Path(file).is_relative_to(site)
    assert int(assets) == 6
