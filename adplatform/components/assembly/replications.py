"""Replications of DMS in Dagster: watched by the sensor of their source, each table's verdict an asset check."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import raw_key
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.engines.changes import ChangedFiles, TableVerdict, keep_running, look_at_tables
from adplatform.failures import PermanentFailure, TransientFailure, clipped
from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.engine_run import EngineRun
from adplatform.ledger.messages import Trouble, Unsent
from adplatform.ledger.rows import digest
from adplatform.platform.aws_errors import aws_failures

CHECK = "replicated"


class ReplicationCursor(BaseModel):
    """Where the last tick stopped. ``own`` is the cursor of the source's other work, ``newest`` when the newest known
    run began, and ``said`` what was said of each table."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[1] = 1
    own: str | None = None
    newest: dict[str, AwareDatetime] = {}
    said: dict[str, str] = {}


def with_replication(automation: Automation, pattern: ChangedFiles) -> Automation:
    """The automation of a source of changes, with the replication that brings them, where one is named."""
    return Extended(automation, partial(_look, pattern)) if pattern.names_of_targets else automation


def replication_checks(pattern: ChangedFiles, flow: FeedFlow) -> list[dg.AssetCheckSpec]:
    """The check of the raw asset of a table that the sensor evaluates; no step does."""
    if not pattern.names_of_targets:
        return []
    text = "DMS follows the table and has not given it up. No run evaluates it."
    return [dg.AssetCheckSpec(CHECK, asset=raw_key(flow), description=text)]


def _look(
    pattern: ChangedFiles, automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking
) -> Tick:
    before = read_cursor(how.cursor, ReplicationCursor) or ReplicationCursor(own=how.cursor)
    watch = pattern.watch(services)
    keep_running(services, pattern, watch)
    engine = watch.look(before.newest, how.budget.share(0.3))
    verdicts = _verdicts(services, pattern)
    tick = automation.look(services, instance, replace(how, cursor=before.own))
    said = {each.followed.name: digest(_described(each), each.problem) for each in verdicts}
    new = [each for each in verdicts if before.said.get(each.followed.name) != said[each.followed.name]]
    troubles = services.ledger.messages.troubles(pattern.source.name) if verdicts else {}
    for each in verdicts:
        _tell(services, each, troubles)
    cursor = ReplicationCursor(own=tick.cursor, newest=dict(engine.newest), said={**before.said, **said})
    return replace(
        tick,
        cursor=cursor.model_dump_json(),
        events=(
            *tick.events,
            *(_observation(pattern, run) for run in engine.changed),
            *map(_evaluation, new),
        ),
    )


def _verdicts(services: Services, pattern: ChangedFiles) -> list[TableVerdict]:
    """What DMS says of the tables; nothing while it cannot be asked, which the watch of its runs reports."""
    try:
        with aws_failures(f"the tables of {pattern.source.name}"):
            return look_at_tables(services, pattern)
    except (PermanentFailure, TransientFailure):
        return []


def _described(verdict: TableVerdict) -> str:
    if verdict.problem or verdict.statistics is None:
        return verdict.problem
    found = verdict.statistics
    return f"{found.state or 'no state'}: {found.loaded:,} rows loaded"


def _evaluation(verdict: TableVerdict) -> dg.AssetCheckEvaluation:
    found = verdict.statistics
    counts = {} if found is None else {"inserts": found.inserts, "updates": found.updates, "deletes": found.deletes}
    return dg.AssetCheckEvaluation(
        asset_key=raw_key(verdict.followed.changes),
        check_name=CHECK,
        passed=not verdict.problem,
        description=_described(verdict),
        metadata={f"adplatform/{name}": dg.MetadataValue.int(value) for name, value in counts.items()},
        severity=dg.AssetCheckSeverity.ERROR,
    )


def _observation(pattern: ChangedFiles, run: EngineRun) -> dg.AssetObservation:
    """Where the replication stands, among the events of what it brings."""
    return dg.AssetObservation(
        raw_key(pattern.source.feeds[0]),
        description=f"replication {run.run_id}: {run.state}",
        metadata=engine_run_metadata(run),
    )


def _tell(services: Services, verdict: TableVerdict, troubles: Mapping[str, Trouble]) -> None:
    """Notify people of a table that is not followed, once for as long as that is so."""
    flow, messages, what = verdict.followed.changes, services.ledger.messages, f"replicated/{verdict.followed.name}"
    known, text = troubles.get(what), clipped(verdict.problem)
    if not text:
        if known is not None:
            messages.clear_trouble(flow.source, what)
    elif known is None or known.error != text:
        messages.note_trouble(flow.source, what, text)
        facts = {"source": flow.source, "table": verdict.followed.declared.table, "error": text}
        subject = f"{verdict.followed.name}: its changes are not followed"
        notify(services, flow.source, Unsent.of(flow.topics.failure, "table_not_followed", subject, facts))
