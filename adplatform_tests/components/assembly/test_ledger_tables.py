"""The ledger as tables, in Dagster."""

from dataclasses import replace
from datetime import timedelta

import dagster as dg

from adplatform.components.assembly.ledger_tables import SPECS, ledger_definitions
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.platform import names
from adplatform_tests.operations.history import NOON, acme, days_before, publish
from adplatform_tests.support.platforms import resources_with


def test_a_run_writes_all_tables_and_takes_away_what_nobody_reads(
    services: Services, instance: dg.DagsterInstance
) -> None:
    provision(services, [])
    publish(services, "acme/orders", days_before(1), NOON)
    for days in (0, 30, 60):
        timed = replace(services, now=lambda days=days: NOON + timedelta(days=days))
        resources = dg.Definitions(resources=resources_with(timed), executor=dg.in_process_executor)
        made = ledger_definitions(lambda: [acme(services)], dg.DefaultScheduleStatus.STOPPED)
        assets = dg.Definitions.merge(made, resources).resolve_assets_def(SPECS[0].key)
        result = dg.materialize([assets], instance=instance)
    [first, *others] = result.get_asset_materialization_events()
    assert first.materialization.metadata["dagster/row_count"].value == 1
    database = f"{services.settings.database_prefix}{names.META}"
    assert first.materialization.metadata["dagster/table_name"].value == f"{database}.deliveries"
    assert len(others) + 1 == len(SPECS)
    kept = services.store.listing(services.settings.clean_bucket, f"table-versions/{names.META}/deliveries/")
    assert [each.key.split("/")[3][:8] for each in kept] == ["20260710", "20260809"]
