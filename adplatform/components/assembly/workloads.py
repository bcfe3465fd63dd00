"""What services do with tables when they were published, in Dagster: an asset downstream of the table for each, whose
runs the sensor of the source follows after its other work. No step waits for one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import dagster as dg

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.components.assembly.specs import AssetSpecHook, unchanged, with_hook
from adplatform.engines.workloads.runs import look_at_workloads
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.workloads import Workload, published_date
from adplatform.ledger.engine_run import EngineRun, RunState

_DOES: Mapping[str, str] = {
    "athena": "The result of the query {name} of the table, stored as Parquet after each publication.",
    "quicksight": "The table as SPICE has it, imported after each publication.",
    "sagemaker": "What the pipeline of SageMaker makes of the table after each publication.",
    "redshift": "Materialized views of Redshift over the table, refreshed after each publication.",
    "entity_resolution": "The rows of the table that are of one entity, by a matching job.",
}


def workload_key(workload: Workload) -> dg.AssetKey:
    return dg.AssetKey(["consumers", *filter(None, (workload.source, workload.feed, workload.service, workload.name))])


def workload_assets(
    source: Source, owners: Sequence[str], tags: Mapping[str, str], hook: AssetSpecHook = unchanged
) -> list[dg.AssetsDefinition]:
    """An asset for each workload of the source, downstream of its tables. Nothing in Dagster makes it."""
    return with_hook([dg.AssetsDefinition(specs=[_spec(each, owners, tags)]) for each in source.workloads], hook)


def _spec(workload: Workload, owners: Sequence[str], tags: Mapping[str, str]) -> dg.AssetSpec:
    text = _DOES[workload.service].format(name=workload.name)
    target = f"{workload.source}/{workload.target}"
    return dg.AssetSpec(
        workload_key(workload),
        deps=[_clean_key(table) for table in (workload.table, *workload.after)],
        description=f"{text} `adplatform engines start {target}` wants a run.",
        group_name=workload.source,
        owners=list(owners),
        kinds={workload.service.replace("_", "")},
        tags={**tags, "zone": "consumers"},
        metadata={"adplatform/ledger": dg.MetadataValue.md(f"`adplatform runs {target}`")},
    )


def brought_by(flow: FeedFlow, source: Source) -> list[dg.AssetKey]:
    """The workloads whose results become the feed."""
    return [workload_key(each) for each in source.workloads if each.results == flow.feed.name]


def with_workloads(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with what services do with its tables where there is something."""
    return Extended(automation, partial(_look, source)) if source.workloads else automation


def _look(
    source: Source, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    tick = automation.look(services, instance, how)
    found = look_at_workloads(services, source, how.budget)
    active = f"; {found.active} runs of services have not ended" if found.active else ""
    events = (_event(workload, run) for workload, run in found.changed)
    return replace(
        tick,
        standing=tick.standing + active,
        waits=tick.waits or found.active > 0,
        events=(*tick.events, *events),
    )


def _event(workload: Workload, run: EngineRun) -> dg.AssetMaterialization | dg.AssetObservation:
    """What a run came to, or where it stands."""
    key, date = workload_key(workload), published_date(run.intent)
    shown = {**engine_run_metadata(run), **({"adplatform/date": date} if date else {})}
    if run.ended and run.state is RunState.SUCCEEDED:
        rows = {} if run.records is None else {"dagster/row_count": run.records}
        return dg.AssetMaterialization(key, description=run.error, metadata={**shown, **rows})
    return dg.AssetObservation(key, description=f"run {run.run_id}: {run.state}", metadata=shown)


def _clean_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(["clean", *table.split("/")])
