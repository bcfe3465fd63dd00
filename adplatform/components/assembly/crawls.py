"""Crawls in Dagster: looked at by the sensor of their source after everything else, each verdict an asset check."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.engines.crawls import Since, Verdict, crawled_flows, look_at_crawls, target_name
from adplatform.failures import listed
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.engine_run import EngineRun

CHECK = "crawl_agrees"
_SHOWN = 20


class CrawlsCursor(BaseModel):
    """Where the last tick stopped. ``own`` is the cursor of the source's other work; the rest is as
    ``adplatform.engines.crawls.Since``."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[1] = 1
    own: str | None = None
    newest: dict[str, AwareDatetime] = {}
    busy: list[str] = []
    looked: AwareDatetime | None = None


def _look(
    crawled: Source, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    before = read_cursor(how.cursor, CrawlsCursor) or CrawlsCursor(own=how.cursor)
    tick = automation.look(services, instance, replace(how, cursor=before.own))
    since = Since(before.newest, frozenset(before.busy), before.looked)
    found = look_at_crawls(services, crawled, since, how.budget)
    left, active = found.since, found.look.active
    cursor = CrawlsCursor(own=tick.cursor, newest=dict(left.newest), busy=sorted(left.busy), looked=left.looked)
    flows = {target_name(flow): flow for flow in crawled_flows(crawled)}
    seen = [_observation(flows[run.target], run) for run in found.look.changed]
    return replace(
        tick,
        standing=tick.standing + (f"; {active} crawls have not been judged" if active else ""),
        waits=tick.waits or active > 0,
        cursor=cursor.model_dump_json(),
        events=(*tick.events, *seen, *map(_evaluation, found.verdicts)),
    )


def with_crawls(automation: Automation, source: Source) -> Automation:
    """The automation of a source, with the crawls of its tables where there are to be any."""
    return Extended(automation, partial(_look, source)) if crawled_flows(source) else automation


def crawl_checks(flow: FeedFlow, key: dg.AssetKey) -> Sequence[dg.AssetCheckSpec]:
    """The check of the clean asset ``key`` that its sensor evaluates when a crawl has ended; no step does."""
    if not flow.feed.crawl:
        return ()
    text = "The last Glue crawler that read the table's files found what is registered. No run evaluates it."
    return [dg.AssetCheckSpec(CHECK, asset=key, description=text)]


def _evaluation(verdict: Verdict) -> dg.AssetCheckEvaluation:
    differences = verdict.differences
    return dg.AssetCheckEvaluation(
        asset_key=_clean_key(verdict.flow),
        check_name=CHECK,
        passed=not differences,
        description=listed(differences, _SHOWN, "; ") or "the crawler found what is registered",
        metadata={"adplatform/differences": len(differences), **engine_run_metadata(verdict.run)},
        severity=dg.AssetCheckSeverity.WARN,
    )


def _observation(flow: FeedFlow, run: EngineRun) -> dg.AssetObservation:
    """Where a crawl stands, among the events of the table that it reads."""
    return dg.AssetObservation(
        _clean_key(flow), description=f"crawl {run.run_id}: {run.state}", metadata=engine_run_metadata(run)
    )


def _clean_key(flow: FeedFlow) -> dg.AssetKey:
    return dg.AssetKey(["clean", flow.source, flow.feed.name])
