"""dbt over what was exported and published: its tests pass and find what is wrong, sums are those of the daily fact,
and Dagster draws models behind clean tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from adplatform.amazon.sources import AdsSource
from adplatform.cli import dbt
from adplatform.cli.app import app
from adplatform.components import AmazonAdsReports
from adplatform.dbt.amazon_ads import PRODUCT
from adplatform.dbt.sources import CLEAN_ZONE
from adplatform.flow.services import Services
from adplatform.patterns import faultless_defs
from adplatform.platform.aws import Aws
from adplatform_tests.dbt.projects import Project, found_python, make_project, packages_of
from adplatform_tests.e2e.test_metadata import FIRST, Simulation, simulated
from adplatform_tests.support.downloads import downloaded
from adplatform_tests.support.platforms import YESTERDAY, forget_services, make_platform, make_services, resources_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
ADS = {
    "source": "ads",
    "credentials": "any",
    "start_date": str(FIRST),
    "reports": [
        *("sp_campaigns", "sp_ad_groups", "sp_targeting", "sp_search_terms", "sp_advertised_products", "sb_campaigns"),
        *("campaigns_metadata", "ad_groups_metadata", "ads_metadata", "targets_metadata"),
    ],
}
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {
        "order": {"type": "bigint", "required": True, "comment": "As {% somebody %} calls it."},
        "email": {"pii": "email", "required": True},
        "status": {"required": True, "allowed": ["NO", "placed"]},
        "stars": {"type": "int", "allowed": ["1", "2"]},
    },
    "key": ["order", "email"],
}
BODY = b"order,email,status,stars\n1,ann@example.com,NO,1\n1,bob@example.com,placed,\n2,nobody,placed,2\n2,-,NO,2\n"
SUMS = "sum(impressions), sum(clicks), sum(cost)"
ASSETS = """
import json, sys
from pathlib import Path
from dagster_dbt import dbt_assets

@dbt_assets(manifest=Path(sys.argv[1]))
def models(context): ...

print(json.dumps({s.key.to_user_string(): [d.asset_key.to_user_string() for d in s.deps] for s in models.specs}))
"""


@contextmanager
def exporting(services: Services, directory: Path, kind: str, attributes: dict[str, Any]) -> Iterator[Any]:
    """A function that exports the source so declared, and returns what is printed."""
    defs = directory / "defs" / "defs.yaml"
    defs.parent.mkdir(parents=True)
    defs.write_text(yaml.safe_dump({"type": f"adplatform.components.{kind}", "attributes": attributes}))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dbt, "faultless_defs", partial(faultless_defs, directory / "defs"))
        patched.setattr(dbt, "connect", lambda: services)
        for name in ("CLEAN_BUCKET", "DATABASE_PREFIX"):
            patched.setenv(f"ADPLATFORM_{name}", getattr(services.settings, name.lower()))

        def export(*arguments: str) -> str:
            result = CliRunner().invoke(app, ["dbt", "export", str(attributes["source"]), *arguments])
            assert result.exit_code == 0, result.output
            return result.output

        yield export


@dataclass(frozen=True)
class Exported:
    """An account, and the project into which it was exported with what became of each node when it was built. Tests
    leave both as they are."""

    simulation: Simulation
    project: Project
    built: dict[str, str]


@pytest.fixture(scope="module")
def exported(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """Two days of an account, exported into a project of dbt, whose models are made."""
    python, directory = found_python(), tmp_path_factory.mktemp("ads")
    services = make_services(aws, directory / "home")
    with (
        simulated(services, directory, *ADS["reports"], path_copies=True) as simulation,
        exporting(services, directory, "AmazonAdsReports", ADS) as export,
    ):
        simulation.day()
        simulation.day()
        variables = {
            CLEAN_ZONE: str(downloaded(services, directory / "clean", "ads/")),
            "amazon_ads_schema": "main",
            "amazon_ads__portfolio_history_enabled": False,
        }
        project = make_project(python, directory / "project", variables)
        export("--fivetran", "--to", str(project.models / "ads"))
        project.run("build")
        yield Exported(simulation, project, project.results())
    forget_services(services)


def test_sources_and_models_are_made_and_tested(exported: Exported) -> None:
    project, manifest = exported.project, exported.project.manifest()
    assert set(exported.built.values()) == {"success", "pass"}
    assert sum(name.startswith("model.") for name in exported.built) == 10
    assert sum(name.startswith("test.") for name in exported.built) > 50
    tables = {each["name"]: each for each in manifest["sources"].values()}
    assert tables["sp_campaigns"]["schema"] == f"{exported.simulation.services.settings.database_prefix}ads"
    assert "deprecat" not in project.run("parse", "--no-partial-parse", "--show-all-deprecations").replace(
        "This version of dbt is deprecated", ""
    )


def test_a_source_that_is_stale_is_told(exported: Exported) -> None:
    project = exported.project
    said = project.run("source", "freshness", passes=False)
    assert "ERROR STALE freshness of ads.sp_campaigns" in said, "its reports are of months ago"
    assert "Database Error" not in said


def test_a_value_that_breaks_its_promise_is_found(exported: Exported) -> None:
    project, zone = exported.project, exported.project.directory.parent / "clean" / "ads"
    folder = next((zone / "campaigns_changes").glob("dt=*/profile_id=*"))
    with duckdb.connect() as connection:
        rows = f"select * replace (null as campaign_id, 'gone' as change) from '{folder}/*.parquet' limit 1"
        broken = connection.sql(rows)
        broken.write_parquet(str(folder / "broken.parquet"))
    try:
        project.run("test", "--select", "source:ads.campaigns_changes", passes=False)
    finally:
        (folder / "broken.parquet").unlink()
    failed = sorted(name.split(".")[2] for name, status in project.results().items() if status == "fail")
    assert [name.partition("_ads_")[0] for name in failed] == ["source_accepted_values", "source_not_null"]


def test_the_package_of_fivetran_comes_to_the_sums_of_the_fact(exported: Exported, tmp_path: Path) -> None:
    project = exported.project.with_packages(packages_of(exported.project.python), tmp_path / "project")
    said = project.run("build", "--select", "package:amazon_ads")
    assert set(project.results().values()) == {"success", "pass"}
    assert "Please be aware" not in said, "the package found all tables"

    def sums(report: str, sums: str) -> tuple[Any, ...]:
        [found] = project.query(f"select {sums} from main_amazon_ads.amazon_ads__{report}")
        return found

    query = exported.simulation.query
    [expected] = query(f"select {SUMS} from {{}}.ads_daily where ad_product = '{PRODUCT}'")
    assert expected[0] > 0
    [conversions] = query("select sum(purchases_30d), sum(sales_30d) from {}.sp_ad_groups")
    for report in ("account_report", "campaign_report", "ad_group_report", "ad_report", "keyword_report"):
        assert sums(report, SUMS) == expected, report
        assert sums(report, "sum(purchases_30_d), sum(sales_30_d)") == conversions, report
        assert sums(report, "count(*) - count(account_name), count(*) - count(profile_id)") == (0, 0), report
    assert sums("search_report", "sum(clicks), sum(cost)") == expected[1:], "terms without a click are not reported"
    texts, names = sums("keyword_report", "count(keyword_text), count(campaign_name)")
    assert 0 < texts < names, "targets that are no keywords have no text"


def test_dagster_draws_models_behind_the_clean_tables(exported: Exported) -> None:
    found = exported.project.script(ASSETS, str(exported.project.directory / "target" / "manifest.json"))
    models = [dg.AssetSpec(dg.AssetKey.from_user_string(key), deps=map(_key, deps)) for key, deps in found.items()]
    component = AmazonAdsReports(AdsSource.model_validate(ADS))
    resources = resources_with(exported.simulation.services)
    graph = dg.Definitions.merge(
        dg.component_defs(component=component), dg.Definitions(assets=models, resources=resources)
    ).resolve_asset_graph()
    assert graph.get(_key("clean/ads/sp_campaigns")).child_keys >= {_key("ads__campaign_level_report")}
    parents = {parent for model in models for parent in graph.get(model.key).parent_keys}
    assert {parent.path[0] for parent in parents} == {"clean"}
    assert all(graph.get(parent).is_materializable for parent in parents), "each is an asset of ours"


def _key(text: str) -> dg.AssetKey:
    return dg.AssetKey.from_user_string(text)


def test_a_row_that_comes_twice_is_found(services: Services, instance: dg.DagsterInstance, tmp_path: Path) -> None:
    attributes = {"source": "acme", "feeds": [ORDERS]}
    platform = make_platform(services, attributes, instance)
    platform.put(f"orders/dt={YESTERDAY}/orders.csv", BODY)
    [result] = platform.process()
    assert result.success
    zone = downloaded(services, tmp_path / "clean", "acme/")
    project = make_project(found_python(), tmp_path / "project", {CLEAN_ZONE: str(zone)})
    with exporting(services, tmp_path, "PartnerPush", attributes) as export:
        export("--to", str(project.models))
    project.run("build")
    tests = project.results()
    assert set(tests.values()) == {"pass"}
    assert len(tests) == 6
    project.run("source", "freshness")
    columns = next(iter(project.manifest()["sources"].values()))["columns"]
    assert columns["order"]["description"] == "As {% somebody %} calls it."
    assert {name: column["tags"] for name, column in columns.items() if column["tags"]} == {"email_lake": ["pii"]}
    assert columns["email_lake"]["meta"] == {"pii": "email", "profile": "lake", "form": "digest"}
    [file] = zone.glob("acme/orders/*/*.parquet")
    file.with_name("again.parquet").write_bytes(file.read_bytes())
    project.run("test", passes=False)
    [failed] = [name for name, status in project.results().items() if status == "fail"]
    assert "unique" in failed
