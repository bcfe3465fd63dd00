"""What a Dagster engineer expects of a component: examples, scaffolding, a place on the Components page, a hook."""

import inspect
from datetime import UTC, date, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
import yaml
from dagster.components.component_scaffolding import scaffold_object

from adplatform import components
from adplatform.components import AmazonAdsReports, PartnerPush
from adplatform.components.amazon_ads_reports import AmazonAdsReportsScaffolder
from adplatform.components.assembly.origins import Origin, origin_asset
from adplatform.components.assembly.scaffold import source_name
from adplatform.components.assembly.specs import unchanged
from adplatform.components.database_changes import DatabaseChangesScaffolder
from adplatform.components.database_tables import DatabaseTablesScaffolder
from adplatform.components.marketing_fact import MarketingFactScaffolder
from adplatform.components.partner_push import PartnerPushScaffolder
from adplatform.components.replicated_files import ReplicatedFilesScaffolder
from adplatform.components.saas_flows import SaasFlowsScaffolder
from adplatform.components.selling_partner_reports import SellingPartnerReportsScaffolder
from adplatform.components.sftp_files import SftpFilesScaffolder
from adplatform.contracts.source import FileSource
from adplatform.flow.services import Services
from adplatform.patterns import KINDS, Models, faultless_defs, pattern_of, read_defs
from adplatform.platform.settings import read_settings
from adplatform_tests.support.platforms import YESTERDAY, make_platform

FEED = {"name": "orders", "start_date": "2026-01-01", "columns": {"order_id": "bigint", "email": {"pii": "email"}}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_in_the_docstring_of_a_component_is_one(kind: str) -> None:
    cls: Any = getattr(components, kind)
    example = yaml.safe_load((inspect.getdoc(cls) or "").split("```yaml")[1].split("```")[0])
    assert example["type"] == f"adplatform.components.{kind}"
    component = cls(Models()[kind].model_validate(example["attributes"]))
    assert list(dg.component_defs(component=component).assets or ())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_scaffolded_is_valid_as_it_is(tmp_path: Path, kind: str) -> None:
    for folder in ("acme", "Acme 2"):
        scaffold_object(tmp_path / folder, f"adplatform.components.{kind}", None, "yaml", tmp_path)
    declared, mistakes = read_defs(tmp_path)
    assert [str(mistake) for mistake in mistakes] == []
    assert {entry.model.source for entry in declared} == {"acme", "acme_2"}  # type: ignore[attr-defined]
    for entry in declared:
        assert pattern_of(entry, read_settings()).source.feeds
        assert list(dg.component_defs(component=getattr(components, kind)(entry.model)).assets or ())


@pytest.mark.parametrize(("folder", "source"), [("acme", "acme"), ("Acme-EU", "acme_eu"), ("2nd", "source_2nd")])
def test_a_folder_gives_its_source_a_name_that_is_one(folder: str, source: str) -> None:
    assert source_name(folder) == source


def test_the_feed_or_region_of_what_is_scaffolded_is_an_option_and_its_start_is_by_the_clock(tmp_path: Path) -> None:
    clock = datetime(2031, 5, 8, tzinfo=UTC)
    for kind, scaffolder, given in (
        ("PartnerPush", PartnerPushScaffolder, {"feed": "members"}),
        ("SaasFlows", SaasFlowsScaffolder, {"feed": "members"}),
        ("ReplicatedFiles", ReplicatedFilesScaffolder, {"feed": "members"}),
        ("SftpFiles", SftpFilesScaffolder, {"feed": "members"}),
        ("DatabaseTables", DatabaseTablesScaffolder, {"feed": "members"}),
        ("DatabaseChanges", DatabaseChangesScaffolder, {"feed": "members"}),
        ("AmazonAdsReports", AmazonAdsReportsScaffolder, {"region": "eu"}),
        ("SellingPartnerReports", SellingPartnerReportsScaffolder, {"region": "fe"}),
        ("MarketingFact", MarketingFactScaffolder, {"currency": "USD"}),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        options = scaffolder.get_scaffold_params().model_validate(given)
        scaffolder(lambda: clock).scaffold(
            dg.ScaffoldRequest(f"adplatform.components.{kind}", folder, "yaml", tmp_path, options)
        )
    partner, crm, cloud, database, followed, server, *accounts, fact = (
        yaml.safe_load((tmp_path / kind / "defs.yaml").read_text())["attributes"] for kind in KINDS
    )
    for files in (partner, crm, cloud, database, followed, server):
        [feed] = files["feeds"]
        assert (feed["name"], feed["start_date"]) == ("members", date(2031, 5, 1))
    assert (fact["currency"], fact["start_date"]) == ("USD", date(2031, 4, 8))
    assert [(a["region"], a["start_date"]) for a in accounts] == [("eu", date(2031, 4, 8)), ("fe", date(2031, 4, 8))]


def test_a_source_is_not_scaffolded_in_python_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match=r"read sources from defs\.yaml only"):
        scaffold_object(tmp_path / "acme", "adplatform.components.PartnerPush", None, "python", tmp_path)
    assert not (tmp_path / "acme").exists()


def test_a_source_is_appended_to_a_file_as_a_document_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "acme" / "defs.yaml"
    file.parent.mkdir()
    file.write_text("type: elsewhere.Component\n", encoding="utf-8")
    scaffold_object(file, "adplatform.components.PartnerPush", None, "yaml", tmp_path, append=True)
    [entry] = faultless_defs(tmp_path)
    assert (entry.line, getattr(entry.model, "source", "")) == (3, "acme")


def test_components_are_registered_where_dagster_looks_for_them() -> None:
    [ours] = [e for e in entry_points(group="dagster_dg_cli.registry_modules") if e.value == "adplatform.components"]
    module = ours.load()
    assert set(KINDS) <= set(dir(module))


class Ours(PartnerPush):
    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(owners=["team:ours"], group_name="elsewhere").merge_attributes(
            metadata={"cost_center": 7}
        )


class Weekly(PartnerPush):
    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(partitions_def=dg.WeeklyPartitionsDefinition(start_date="2026-01-01"))


class Renamed(PartnerPush):
    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(key=["other", *spec.key.path])


def test_a_subclass_changes_what_its_assets_are_in_dagster_and_they_work_as_before(
    services: Services, instance: dg.DagsterInstance
) -> None:
    arrival = {"complete_when": "count", "expected_files": 1}
    platform = make_platform(services, {"source": "acme", "feeds": [{**FEED, "arrival": arrival}]}, instance, Ours)
    for spec in platform.definitions.resolve_all_asset_specs():
        assert (spec.owners, spec.group_name, spec.metadata["cost_center"]) == (["team:ours"], "elsewhere", 7)
    platform.put(f"orders/dt={YESTERDAY}/a.csv", b"order_id,email\n1,a@example.com\n")
    assert [result.success for result in platform.process()] == [True]
    assert platform.query("select order_id from {orders}") == [(1,)]


def test_commands_know_a_source_of_a_subclass_by_the_component_that_it_extends(tmp_path: Path) -> None:
    declared = {"type": f"{__name__}.Ours", "attributes": {"source": "acme", "feeds": [FEED]}}
    (tmp_path / "defs.yaml").write_text(yaml.safe_dump(declared), encoding="utf-8")
    [entry] = faultless_defs(tmp_path)
    assert pattern_of(entry, read_settings()).source.name == "acme"


def test_a_component_that_is_not_there_is_a_mistake_of_its_line_and_others_are_left_alone(tmp_path: Path) -> None:
    types = ("adplatform.components.PartnerPsh", "adplatform.nowhere.Ours", "elsewhere.Ours", "dagster.DefsFolder")
    (tmp_path / "defs.yaml").write_text("\n---\n".join(f"type: {each}" for each in types), encoding="utf-8")
    _, mistakes = read_defs(tmp_path)
    assert [(mistake.line, mistake.where) for mistake in mistakes] == [(1, "type"), (3, "type")]


def test_a_subclass_that_changes_partitions_is_refused_because_they_are_fixed() -> None:
    component = Weekly(FileSource.model_validate({"source": "acme", "feeds": [FEED]}))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="partitions of raw/acme/orders, which are fixed"):
        dg.component_defs(component=component)


def test_a_subclass_that_renames_an_asset_is_refused_with_what_it_may_change() -> None:
    component = Renamed(FileSource.model_validate({"source": "acme", "feeds": [FEED]}))
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="keys are fixed; change group"):
        dg.component_defs(component=component)


def test_a_hook_reaches_reports_their_fact_and_their_audits() -> None:
    class Owned(AmazonAdsReports):
        def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
            return spec.replace_attributes(owners=["team:ours"])

    attributes = {"source": "ads", "credentials": "ads", "start_date": "2026-01-01", "reports": ["sp_campaigns"]}
    component = Owned(Models()["AmazonAdsReports"].model_validate(attributes))  # type: ignore[arg-type]
    assets = dg.component_defs(component=component).assets or ()
    specs = [s for each in assets for s in ([each] if isinstance(each, dg.AssetSpec) else each.specs)]  # type: ignore[union-attr]
    assert {spec.key.path[0] for spec in specs} == {"origin", "raw", "clean", "restatement"}
    assert all(spec.owners == ["team:ours"] for spec in specs)


def test_an_application_of_any_name_has_an_origin_of_a_kind_that_dagster_takes() -> None:
    kinds = [
        origin_asset("crm", Origin("It", name), [], {}, unchanged).kinds for name in ("Google Ads", "顧客", "x" * 99)
    ]
    assert kinds == [{"google_ads"}, {"application"}, {"x" * 60}]
