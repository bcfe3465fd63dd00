"""The code location as a whole: it loads, names what it should, and brings nothing it must not."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import dagster as dg
import pytest

from adplatform.definitions import defs
from adplatform.local.dagster_home import prepare_dagster_home
from adplatform.operations.ledger_tables import TABLES
from adplatform.platform import names

ROOT = Path(__file__).parents[1]
CRM_FEEDS = ["campaigns", "campaign_members", "contacts"]
ADS_REPORTS = ["sp_ad_groups", "sb_campaigns", "sp_keywords"]
SALES_AND_TRAFFIC = ["sales_and_traffic_by_date", "sales_and_traffic_by_asin"]


@pytest.fixture(scope="module")
def loaded(code_location: dg.Definitions) -> dg.Definitions:
    return code_location


def test_definitions_are_loadable(loaded: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(loaded)


LOAD = """
import sys
import dagster as dg
import adplatform
from adplatform.definitions import defs
loaded = defs()
print(adplatform.__file__, len(loaded.assets), {'pyspark', 'pysail', 'moto', 'pandas'} & sys.modules.keys())
loaded.get_repository_def()
with dg.build_resources({'secrets': loaded.resources['secrets']}):
    pass
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with nothing but what a built wheel has, and the code location loaded from there."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    site = folder / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", LOAD]
    return site, subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)


def test_loading_prints_no_warning_of_what_is_beta_in_dagster_and_nobody_can_change(
    elsewhere: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, done = elsewhere
    assert done.returncode == 0, done.stderr
    assert "BetaWarning" not in done.stderr


def test_every_asset_says_what_it_is_and_where_it_belongs(loaded: dg.Definitions) -> None:
    lacking = {
        spec.key.to_user_string(): missing
        for spec in loaded.resolve_all_asset_specs()
        if (
            missing := [
                *({"category", "zone"} - spec.tags.keys()),
                *(name for name in ("description", "kinds", "group_name") if not getattr(spec, name)),
                *(["owners"] if not spec.owners and spec.group_name != "operations" else []),
            ]
        )
    }
    assert lacking == {}


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
    partners = {
        "raw/northwind/campaign_daily": (["origin/northwind"], "northwind", ["team:paid-media"], ["pgp", "s3"]),
        "clean/northwind/campaign_daily": (
            ["raw/northwind/campaign_daily"],
            "northwind",
            ["team:paid-media"],
            ["glue", "parquet"],
        ),
        "raw/clubcard/members": (["origin/clubcard"], "clubcard", ["team:crm"], ["pgp", "s3"]),
        "clean/clubcard/members": (["raw/clubcard/members"], "clubcard", ["team:crm"], ["glue", "parquet"]),
        "raw/clubcard/purchases": (["origin/clubcard"], "clubcard", ["team:crm"], ["s3"]),
        "clean/clubcard/purchases": (["raw/clubcard/purchases"], "clubcard", ["team:crm"], ["glue", "parquet"]),
        "raw/clubcard/member_matches": (
            ["consumers/clubcard/members/entity_resolution"],
            "clubcard",
            ["team:crm"],
            ["s3"],
        ),
        "clean/clubcard/member_matches": (
            ["raw/clubcard/member_matches"],
            "clubcard",
            ["team:crm"],
            ["glue", "parquet"],
        ),
        "raw/treasury/exchange_rates": (["origin/treasury"], "treasury", ["team:finance"], ["s3"]),
        "clean/treasury/exchange_rates": (
            ["raw/treasury/exchange_rates"],
            "treasury",
            ["team:finance"],
            ["glue", "parquet"],
        ),
    }
    exports: dict[str, Node] = {
        f"exports/{destination}/clubcard/members": (
            ["clean/clubcard/members"],
            "clubcard",
            ["team:crm"],
            ["csv", "duckdb", "s3"],
        )
        for destination in ("amc", "google", "meta")
    }
    crm = _report("northwind_crm", "team:crm", "appflow", {name: [name] for name in CRM_FEEDS})
    cloud = _report("northwind_cloud", "team:paid-media", "datasync", {"conversions": ["conversions"]})
    parcels = _report("northwind_parcels", "team:commerce", "sftp", {"shipments": ["shipments"]})
    shop = _report("northwind_shop", "team:commerce", "sql", {name: [name] for name in ("customers", "orders")})
    reports = {
        **_report("northwind_ads", "team:paid-media", "json", {name: [name] for name in ADS_REPORTS}),
        **_report("northwind_seller", "team:marketplaces", "json", {"sales_and_traffic": SALES_AND_TRAFFIC}),
        **_report(
            "northwind_seller", "team:marketplaces", "csv", {name: [name] for name in ("all_orders", "settlements")}
        ),
    }
    fact = {
        "clean/northwind_ads/ads_daily": (
            ["clean/northwind_ads/sp_ad_groups", "clean/northwind_ads/sb_campaigns"],
            "northwind_ads",
            ["team:paid-media"],
            ["duckdb", "glue", "parquet"],
        ),
        "clean/northwind_marketing/marketing_daily": (
            ["clean/northwind_ads/ads_daily", "clean/northwind/campaign_daily", "clean/treasury/exchange_rates"],
            "northwind_marketing",
            ["team:paid-media"],
            ["duckdb", "glue", "parquet"],
        ),
    }
    stream: dict[str, Node] = {
        "raw/northwind_ads/stream_sp_traffic": (
            ["origin/northwind_ads"],
            "northwind_ads",
            ["team:paid-media"],
            ["json", "s3", "sqs"],
        ),
        "clean/northwind_ads/stream_sp_traffic": (
            ["raw/northwind_ads/stream_sp_traffic"],
            "northwind_ads",
            ["team:paid-media"],
            ["glue", "parquet"],
        ),
    } | {
        f"clean/northwind_ads/{table}": (
            ["clean/northwind_ads/stream_sp_traffic"],
            "northwind_ads",
            ["team:paid-media"],
            ["duckdb", "glue", "parquet"],
        )
        for table in ("stream_hourly", "stream_daily")
    }
    audits = {
        **_audits("northwind_ads", "team:paid-media", ADS_REPORTS),
        **_audits("northwind_seller", "team:marketplaces", [*SALES_AND_TRAFFIC, "all_orders"]),
    }
    changes = {f"{name}_changes": [f"{name}_changes"] for name in ("customers", "orders")}
    live = _report("northwind_live", "team:commerce", "dms", changes) | {
        f"clean/northwind_live/{table}": (
            [f"clean/northwind_live/{table.partition('_')[0]}_changes"],
            "northwind_live",
            ["team:commerce"],
            ["duckdb", "glue", "parquet"],
        )
        for table in ("customers", "customers_deleted", "orders", "orders_deleted", "orders_history")
    }
    board: dict[str, Node] = {
        "operations_board": ([], "operations", [], ["dashboard", "dynamodb"]),
        **{f"{names.META}/{table.name}": ([], "operations", [], ["dynamodb", "glue", "parquet"]) for table in TABLES},
    }
    services: dict[str, Node] = {
        "consumers/clubcard/members/entity_resolution": (
            ["clean/clubcard/members"],
            "clubcard",
            ["team:crm"],
            ["entityresolution"],
        ),
        "consumers/northwind/campaign_daily/quicksight": (
            ["clean/northwind/campaign_daily"],
            "northwind",
            ["team:paid-media"],
            ["quicksight"],
        ),
    }
    origins: dict[str, Node] = {
        f"origin/{source}": ([], source, [owner], [kind])
        for source, owner, kind in (
            ("northwind", "team:paid-media", "s3"),
            ("clubcard", "team:crm", "s3"),
            ("treasury", "team:finance", "s3"),
            ("northwind_ads", "team:paid-media", "amazon"),
            ("northwind_seller", "team:marketplaces", "amazon"),
            ("northwind_crm", "team:crm", "salesforce"),
            ("northwind_cloud", "team:paid-media", "gcs"),
            ("northwind_parcels", "team:commerce", "sftp"),
            ("northwind_shop", "team:commerce", "sql"),
            ("northwind_live", "team:commerce", "sql"),
        )
    }
    derived = fact | stream | audits | exports | board | services
    assert graph == origins | partners | crm | cloud | parcels | shop | live | reports | derived


Node = tuple[list[str], str, list[str], list[str]]


def _report(source: str, owner: str, layout: str, tables: dict[str, list[str]]) -> dict[str, Node]:
    raw: dict[str, Node] = {
        f"raw/{source}/{name}": ([f"origin/{source}"], source, [owner], sorted([layout, "s3"])) for name in tables
    }
    clean: dict[str, Node] = {
        f"clean/{source}/{table}": ([f"raw/{source}/{name}"], source, [owner], ["glue", "parquet"])
        for name, brought in tables.items()
        for table in brought
    }
    return raw | clean


def _audits(source: str, owner: str, tables: list[str]) -> dict[str, Node]:
    return {
        f"restatement/{source}/{table}": ([f"clean/{source}/{table}"], source, [owner], ["audit", "python"])
        for table in tables
    }


def test_every_clean_asset_that_is_expected_daily_has_a_freshness_policy(loaded: dg.Definitions) -> None:
    clean = [s for s in loaded.resolve_all_asset_specs() if s.key.path[0] == "clean"]
    without = [spec.key.to_user_string() for spec in clean if not spec.freshness_policy]
    assert without == ["clean/northwind_seller/settlements"], "nobody can say when Amazon makes one"


def test_sensors_and_schedules_are_on_by_themselves(loaded: dg.Definitions) -> None:
    assert {s.name for s in loaded.sensors or ()} == {
        "northwind_arrivals",
        "clubcard_arrivals",
        "northwind_ads_reports",
        "northwind_cloud_runs",
        "northwind_crm_runs",
        "northwind_seller_reports",
        "northwind_live_arrivals",
        "northwind_parcels_runs",
        "northwind_shop_runs",
        "northwind_marketing_builds",
        "treasury_arrivals",
        "backfills",
        "failed_runs",
        "failing_ticks",
        "measures",
        "stale_tables",
    }
    assert all(s.default_status is dg.DefaultSensorStatus.RUNNING for s in loaded.sensors or ())
    schedules = [s for s in loaded.schedules or () if isinstance(s, dg.ScheduleDefinition)]
    assert {s.name for s in schedules} == {
        "northwind_campaign_daily_deadline",
        "northwind_collect_daily",
        "northwind_compare_hourly",
        "clubcard_collect_daily",
        "clubcard_compare_hourly",
        "northwind_cloud_collect_daily",
        "northwind_cloud_compare_hourly",
        "northwind_live_collect_daily",
        "northwind_marketing_collect_daily",
        "northwind_marketing_compare_hourly",
        "treasury_collect_daily",
        "treasury_compare_hourly",
        "northwind_live_compare_hourly",
        "northwind_parcels_collect_daily",
        "northwind_parcels_compare_hourly",
        "northwind_shop_collect_daily",
        "northwind_shop_compare_hourly",
        "northwind_crm_collect_daily",
        "northwind_crm_compare_hourly",
        "northwind_ads_collect_daily",
        "northwind_ads_compare_hourly",
        "northwind_ads_restatement_audit",
        "northwind_seller_collect_daily",
        "northwind_seller_compare_hourly",
        "northwind_seller_restatement_audit",
        "operations_board_hourly",
        "adplatform_meta_daily",
    }
    assert all(s.default_status is dg.DefaultScheduleStatus.RUNNING for s in schedules)


def test_everything_that_starts_or_does_something_says_what(loaded: dg.Definitions) -> None:
    repository = loaded.get_repository_def()
    jobs = [j for j in repository.get_all_jobs() if j.name not in repository.get_implicit_asset_job_names()]
    checks = [repository.asset_graph.get_check_spec(key) for key in repository.asset_graph.asset_check_keys]
    named = {each.name: each.description for each in (*repository.sensor_defs, *repository.schedule_defs, *jobs)}
    named |= {each.key.to_user_string(): each.description for each in loaded.resolve_all_asset_specs()}
    named |= {f"{each.asset_key.to_user_string()} {each.name}": each.description for each in checks}
    assert [name for name, description in named.items() if not description] == []
    assert [each.name for each in jobs if each.name.startswith("__")] == [], "nobody can tell their runs apart"


def test_the_code_location_imports_neither_spark_nor_what_only_the_laptop_needs(
    elsewhere: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    assert elsewhere[1].stdout.split(maxsplit=2)[2] == "set()\n"


def test_definitions_load_from_a_built_wheel_elsewhere(
    elsewhere: tuple[Path, subprocess.CompletedProcess[str]], loaded: dg.Definitions
) -> None:
    site, done = elsewhere
    file, assets, _ = done.stdout.split()
    assert Path(file).is_relative_to(site)
    assert int(assets) == len(loaded.assets or ())


def test_plain_dagster_commands_in_the_project_have_the_state_of_the_platforms_home(tmp_path: Path) -> None:
    shutil.copy(ROOT / ".env", tmp_path)
    home = prepare_dagster_home(tmp_path / ".adplatform")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(empty)
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"PWD": str(tmp_path)}
    listed = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", "run", "list"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.run_id in listed.stdout


@dg.job
def empty() -> None:
    """Does nothing."""


def test_in_aws_the_code_location_logs_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger, root = logging.getLogger("adplatform"), logging.getLogger()
    before, others = (list(logger.handlers), logger.level, logger.propagate), list(root.handlers)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setenv("ADPLATFORM_ENV", "aws")
    try:
        defs()
        logging.getLogger("adplatform.flow").info("looked")
    finally:
        logger.handlers[:], level, logger.propagate = before
        logger.setLevel(level)
        root.handlers[:] = others
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]  # with what Dagster may warn of
    assert said[-1]["message"] == "looked"
