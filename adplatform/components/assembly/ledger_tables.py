"""The ledger as tables of the catalog: an asset for each, and the schedule that writes all of them."""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg

from adplatform.components.assembly.ownership import automated
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.pattern import Pattern
from adplatform.operations.ledger_tables import TABLES
from adplatform.operations.ledger_written import write_ledger
from adplatform.platform import names
from adplatform.platform.calls import PLATFORM_RUN, acting
from adplatform.resources.named import CatalogResource, LedgerResource, MachineResource, ZonesResource, services_of

GROUP = "operations"
SPECS = [
    dg.AssetSpec(
        [names.META, table.name],
        group_name=GROUP,
        kinds={"dynamodb", "glue", "parquet"},
        tags={"category": "operations", "zone": "operations"},
        description=table.description,
    )
    for table in TABLES
]


def ledger_definitions(patterns: Callable[[], Sequence[Pattern]], status: dg.DefaultScheduleStatus) -> dg.Definitions:
    """``patterns`` are the declared sources."""
    assets = ledger_assets(patterns)
    return dg.Definitions(assets=[assets], schedules=[ledger_schedule(assets, status)])


def ledger_assets(patterns: Callable[[], Sequence[Pattern]]) -> dg.AssetsDefinition:
    @dg.multi_asset(name=names.META, specs=SPECS)
    def adplatform_meta(
        s3: ZonesResource, catalog: CatalogResource, ledger: LedgerResource, machine: MachineResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        services = services_of(s3, catalog, ledger, machine)
        try:
            with acting(PLATFORM_RUN):
                written = write_ledger(services, patterns())
        except (PermanentFailure, TransientFailure) as e:
            raise dg.Failure(str(e)) from e
        for spec, table in zip(SPECS, written, strict=True):
            yield dg.MaterializeResult(
                asset_key=spec.key,
                metadata={"dagster/table_name": table.table, "dagster/row_count": table.rows, "bytes": table.bytes},
            )

    return adplatform_meta


def ledger_schedule(assets: dg.AssetsDefinition, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """Once a day, because all of the ledger is read: of 10,000 feeds with 400 dates 4.6 GB."""
    description = "Writes the ledger as tables."

    @dg.schedule(
        name=f"{names.META}_daily",
        job=dg.define_asset_job(f"{names.META}_write", selection=[assets], description=description),
        cron_schedule="47 4 * * *",
        execution_timezone="UTC",
        default_status=status,
        description=description,
    )
    @automated
    def write(context: dg.ScheduleEvaluationContext, ledger: LedgerResource) -> dg.RunRequest:
        return dg.RunRequest()

    return write
