"""What Spark does for tables, in Dagster: transforms and merges, looked at by the sensor of their source before its
other work, so that what its engine is done with is due in the same tick."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.changes.targets import TARGET as MERGES
from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.crawls import with_crawls
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.exports import with_exports
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.components.assembly.workloads import with_workloads
from adplatform.engines.spark import spark_engine
from adplatform.engines.spark_work import look_at_spark
from adplatform.flow.engine_work import Given
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.flow.transforms import target_name
from adplatform.ledger.engine_run import EngineRun

_SHARE = 0.4
"""Of the time of a look."""


class TransformsCursor(BaseModel):
    """Where the last tick stopped. ``own`` is the cursor of the source's other work, ``newest`` when the newest known
    run of each target began."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    of: Literal["transforms"]
    version: Literal[1] = 1
    own: str | None = None
    newest: dict[str, AwareDatetime] = {}


def with_transforms(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with what Spark does for it."""
    return Extended(automation, partial(_look, source))


def with_engines(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with what engines do for its tables: transforms, merges, crawls, and what services do
    with them; and with the files that are made of them for ad platforms."""
    whole = with_workloads(with_crawls(with_transforms(automation, source), source), source)
    return with_exports(whole, source)


def _look(
    source: Source, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    before = read_cursor(how.cursor, TransformsCursor)
    if before is None and not services.settings.spark:
        return automation.look(services, instance, how)
    before = before or TransformsCursor(of="transforms", own=how.cursor)
    found = look_at_spark(services, source, before.newest, how.budget.share(_SHARE), spark_engine)
    tick = automation.look(services, instance, replace(how, cursor=before.own))
    cursor = before.model_copy(update={"own": tick.cursor, "newest": dict(found.look.newest)})
    # Without a Spark, what one had was given back now, and there will be no more.
    left = cursor.model_dump_json() if services.settings.spark or found.waiting else tick.cursor
    return replace(
        tick,
        standing=tick.standing + (f"; {found.standing}" if found.standing else ""),
        waits=tick.waits or found.waiting > 0,
        cursor=left,
        events=(*(_observation(source, run) for run in found.look.changed), *tick.events),
    )


def given_observation(key: dg.AssetKey, given: Given, partition: str | None, engine: str) -> dg.AssetObservation:
    """That an engine has what the table ``key`` is to be made of, among its events."""
    return dg.AssetObservation(
        key,
        description="an engine makes it; a run of its own publishes what comes of that",
        partition=partition,
        metadata={
            "adplatform/engine": engine,
            "adplatform/plan": given.plan,
            "adplatform/files": given.files,
            "adplatform/bytes": given.bytes,
            "adplatform/ledger": dg.MetadataValue.md(f"`adplatform runs {given.intention.source}`"),
        },
    )


def made_metadata(run: EngineRun | None, engine: str) -> Mapping[str, Any]:
    """What a materialization of the table shows of the engine's run that made it; nothing where this machine did."""
    if run is None:
        return {}
    lasted = (run.ended_at - run.started_at).total_seconds() if run.ended_at and run.started_at else None
    shown = {
        "engine": engine,
        "engine_run": run.run_id,
        "engine_seconds": lasted,
        **{f"engine_{name}": float(amount) for name, amount in run.usage.items()},
        "engine_link": dg.MetadataValue.url(run.link) if run.link else None,
    }
    return {f"adplatform/{name}": value for name, value in shown.items() if value is not None}


def _observation(source: Source, run: EngineRun) -> dg.AssetObservation:
    """Where a run stands, among the events of the table that it is for."""
    flow = next((each for each in source.feeds if target_name(each) == run.target), None)
    table = flow.feed.name if flow is not None else run.target.removeprefix(MERGES)
    of_a_date = flow is not None and flow.scope is None and bool(run.intent)
    return dg.AssetObservation(
        dg.AssetKey(["clean", source.name, table]),
        description=f"{'transform' if flow is not None else 'merge'} {run.run_id}: {run.state}",
        partition=run.intent.rsplit("/", 3)[-3] if of_a_date else None,
        metadata=engine_run_metadata(run),
    )
