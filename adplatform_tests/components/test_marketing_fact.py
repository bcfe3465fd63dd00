"""A marketing fact in Dagster: what its sensor asks for, and what its runs say."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from adplatform.components import MarketingFact
from adplatform.contracts.feed import Feed
from adplatform.contracts.marketing import MarketingSource
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.marketing.world import BEFORE, World
from adplatform_tests.support.platforms import YESTERDAY, resources_with
from adplatform_tests.support.projects import ROOT

KEY = dg.AssetKey(["clean", "marketing", "marketing_daily"])


@pytest.fixture
def world(services: Services, tmp_path: Path) -> World:
    provision(services, [])
    return World(services, tmp_path)


def loaded(world: World) -> dg.Definitions:
    return dg.Definitions.merge(
        dg.component_defs(component=MarketingFact(world.declared)),
        dg.Definitions(resources=resources_with(world.services), executor=dg.in_process_executor),
    )


def run(defs: dg.Definitions, instance: dg.DagsterInstance, **more: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [defs.resolve_assets_def(KEY)],
        instance=instance,
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        **more,
    )


def test_one_run_builds_what_is_due_and_says_which_date_cannot_be(world: World, instance: dg.DagsterInstance) -> None:
    defs = loaded(world)

    def tick() -> Any:
        context = dg.build_sensor_context(instance=instance, definitions=defs, resources=resources_with(world.services))
        return defs.resolve_sensor_def("marketing_builds").evaluate_tick(context)

    world.campaigns(BEFORE, "c1,EUR,1,1,1.00,")
    world.campaigns(YESTERDAY, "c2,GBP,9,3,8.00,1")
    (request,) = tick().run_requests
    result = run(defs, instance, tags=dict(request.tags))
    assert not result.success
    assert instance.get_materialized_partitions(KEY) == {str(BEFORE)}
    logged = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    checks = [entry.dagster_event.asset_check_evaluation_data for entry in logged if entry.dagster_event]
    assert {(c.check_name, c.partition) for c in checks if not c.passed} == {("rates_known", str(YESTERDAY))}
    assert {c.check_name for c in checks} >= {"equals_inputs", "inputs_present", "row_conservation"}
    after = tick()
    assert not after.run_requests
    assert "acme/rates has no rate" in after.skip_message
    world.rates(YESTERDAY, GBP="0.5")
    assert run(defs, instance, partition_key=str(YESTERDAY)).success  # by hand, while the sensor waits after a failure
    assert instance.get_materialized_partitions(KEY) == {str(BEFORE), str(YESTERDAY)}


def test_the_asset_depends_on_its_tables_and_rates_with_columns_and_their_lineage(world: World) -> None:
    (spec,) = (each for each in loaded(world).resolve_all_asset_specs() if each.key == KEY)
    assert {dep.asset_key.to_user_string() for dep in spec.deps} == {"clean/acme/campaigns", "clean/acme/rates"}
    lineage = spec.metadata["dagster/column_lineage"].deps_by_column
    assert [dep.column_name for dep in lineage["cost_original"]] == ["spend"]
    assert [dep.column_name for dep in lineage["fx_rate"]] == ["price"]
    assert [dep.column_name for dep in lineage["cost_eur"]] == ["spend"]


def test_the_fact_of_the_readme_is_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## One daily fact over all ad sources") :]
    example, feed, rates = (yaml.safe_load(block.split("```")[0]) for block in section.split("```yaml")[1:4])
    assert Feed.model_validate(feed["attributes"]["feeds"][0]).contract.format.null_values == ("N/A",)
    assert MarketingSource.model_validate({**example["attributes"], **rates}).rates
    assert MarketingSource.model_validate(example["attributes"]).inputs[0].measures["sales"] == "sales"


def test_what_services_do_with_the_fact_is_wanted_by_its_publication_and_downstream_of_it(world: World) -> None:
    world.changes["consumers"] = {"quicksight": {"columns": ["channel", "clicks"]}}
    world.campaigns(YESTERDAY, "c1,EUR,9,3,8.00,1")
    assert world.build() == [YESTERDAY]
    [wanted] = world.services.ledger.engine_runs.pursued("marketing")
    assert wanted.target == "quicksight-marketing_daily"
    specs = {each.key.to_user_string(): each for each in loaded(world).resolve_all_asset_specs()}
    assert [dep.asset_key for dep in specs["consumers/marketing/marketing_daily/quicksight"].deps] == [KEY]
