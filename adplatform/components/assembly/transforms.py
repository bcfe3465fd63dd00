"""Transforms by an engine in Dagster: looked at by the sensor of their source before its other work, so that a delivery
whose engine has ended is due in the same tick."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.crawls import with_crawls
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.engines.spark import spark_engine
from adplatform.engines.transforms import look_at_transforms
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.transforms import Given, Made, target_name
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
    """The automation of a source, with the transforms that an engine runs for it."""
    return Extended(automation, partial(_look, source))


def with_engines(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with what engines do for its tables: transforms, and crawls."""
    return with_crawls(with_transforms(automation, source), source)


def _look(
    source: Source, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    before = read_cursor(how.cursor, TransformsCursor)
    if before is None and not services.settings.spark:
        return automation.look(services, instance, how)
    before = before or TransformsCursor(of="transforms", own=how.cursor)
    found = look_at_transforms(services, source, before.newest, how.budget.share(_SHARE), spark_engine)
    tick = automation.look(services, instance, replace(how, cursor=before.own))
    cursor = before.model_copy(update={"own": tick.cursor, "newest": dict(found.look.newest)})
    flows = {target_name(flow): flow for flow in source.feeds}
    # Without a Spark, deliveries that one had were given back now, and there will be no others.
    left = cursor.model_dump_json() if services.settings.spark or found.waiting else tick.cursor
    return replace(
        tick,
        standing=tick.standing + (f"; an engine transforms {found.waiting} deliveries" if found.waiting else ""),
        waits=tick.waits or found.waiting > 0,
        cursor=left,
        events=(*(_observation(flows[run.target], run) for run in found.look.changed), *tick.events),
    )


def given_observation(key: dg.AssetKey, given: Given, partition: str, engine: str) -> dg.AssetObservation:
    """That an engine has the delivery, among the events of the table ``key``."""
    return dg.AssetObservation(
        key,
        description="its transform runs in an engine; a run of its own publishes what comes of it",
        partition=partition,
        metadata={
            "adplatform/engine": engine,
            "adplatform/plan": given.plan,
            "adplatform/files": given.files,
            "adplatform/bytes": given.bytes,
            "adplatform/ledger": dg.MetadataValue.md(f"`adplatform runs {given.intention.source}`"),
        },
    )


def made_metadata(made: Made | None, engine: str) -> Mapping[str, Any]:
    """What a materialization of the table shows of the engine that made it; nothing where this machine did."""
    if made is None:
        return {}
    run = made.run
    lasted = (run.ended_at - run.started_at).total_seconds() if run and run.ended_at and run.started_at else None
    shown = {
        "engine": engine,
        "engine_run": run.run_id if run else made.intention.run_id,
        "engine_seconds": lasted,
        **({f"engine_{name}": float(amount) for name, amount in run.usage.items()} if run else {}),
        "engine_link": dg.MetadataValue.url(run.link) if run and run.link else None,
    }
    return {f"adplatform/{name}": value for name, value in shown.items() if value is not None}


def _observation(flow: FeedFlow, run: EngineRun) -> dg.AssetObservation:
    """Where a transform stands, among the events of the table that it is for."""
    key = dg.AssetKey(["clean", flow.source, flow.feed.name])
    partition = run.intent.rsplit("/", 3)[-3] if run.intent and flow.scope is None else None
    return dg.AssetObservation(
        key,
        description=f"transform {run.run_id}: {run.state}",
        partition=partition,
        metadata=engine_run_metadata(run),
    )
