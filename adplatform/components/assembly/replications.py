"""Replications of DMS in Dagster: watched by the sensor of their source, each table's verdict an asset check."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Literal

import dagster as dg
from pydantic import AwareDatetime, BaseModel, ConfigDict

from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.cursors import read_cursor
from adplatform.components.assembly.delivery_assets import raw_key
from adplatform.components.assembly.metadata import engine_run_metadata
from adplatform.engines.changes import ChangedFiles, TableVerdict, keep_running, look_at_tables
from adplatform.engines.dms import Dms
from adplatform.engines.events import woken
from adplatform.failures import PermanentFailure, TransientFailure, clipped
from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.engine_run import EngineRun
from adplatform.ledger.messages import Trouble, Unsent
from adplatform.ledger.rows import digest
from adplatform.platform.aws_errors import aws_failures

CHECK, COUNTED = "replicated", "changes_have_come"
_EVENTS = {
    CHECK: ("table_not_followed", "its changes are not followed"),
    COUNTED: ("changes_missing", "changes have not come"),
}
"""What people are told where a check fails: the event, and its subject."""


class ReplicationCursor(BaseModel):
    """Where the last tick stopped. ``own`` is the cursor of the source's other work, ``newest`` when the newest known
    run began, ``said`` what was said of each table, and ``looked_at`` when the last look came to its end."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    version: Literal[1] = 1
    own: str | None = None
    newest: dict[str, AwareDatetime] = {}
    said: dict[str, str] = {}
    looked_at: AwareDatetime | None = None


def with_replication(automation: Automation, pattern: ChangedFiles, every: timedelta = timedelta(0)) -> Automation:
    """The automation of a source of changes, with the replication that brings them, where one is named. It looks
    ``every`` so long, and at once where DMS reports something."""
    return Extended(automation, partial(_look, pattern, every)) if pattern.names_of_targets else automation


def replication_checks(pattern: ChangedFiles, flow: FeedFlow) -> list[dg.AssetCheckSpec]:
    """The checks of the raw asset of a table that the sensor evaluates; no step does."""
    if not pattern.names_of_targets:
        return []
    texts = {
        CHECK: "DMS follows the table and has not given it up. No run evaluates it.",
        COUNTED: "As many changes were read as DMS has counted until an hour ago. No run evaluates it.",
    }
    return [dg.AssetCheckSpec(name, asset=raw_key(flow), description=text) for name, text in texts.items()]


def _look(
    pattern: ChangedFiles,
    every: timedelta,
    automation: Automation,
    services: Services,
    instance: dg.DagsterInstance,
    how: Looking,
) -> Tick:
    before = read_cursor(how.cursor, ReplicationCursor) or ReplicationCursor(own=how.cursor)
    now, last = services.ledger.now(), before.looked_at
    came = woken(services, pattern.reported_to)
    if not came and not how.everything and last and now - last < every:
        return Tick((), f"DMS has reported nothing since {last:%H:%M:%S} UTC", cursor=how.cursor)
    dms = pattern.dms(services)
    watch = pattern.watch_of(services, pattern.targets_of(services, dms))
    keep_running(services, pattern, watch)
    engine = watch.look(before.newest, how.budget.share(0.3))
    verdicts = _verdicts(services, pattern, dms)
    tick = automation.look(services, instance, replace(how, cursor=before.own))
    told = [(f"{each.followed.name}/{check.name}", each, check) for each in verdicts for check in _checked(each)]
    said = {what: digest(check.text, str(check.passed)) for what, _, check in told}
    new = [_evaluation(each, check) for what, each, check in told if before.said.get(what) != said[what]]
    troubles = services.ledger.messages.troubles(pattern.source.name) if verdicts else {}
    for each in verdicts:
        _tell(services, each, CHECK, each.problem, troubles)
        _tell(services, each, COUNTED, each.missing, troubles)
    cursor = ReplicationCursor(
        own=tick.cursor,
        newest=dict(engine.newest),
        said={**before.said, **said},
        looked_at=now if tick.at_end else None,
    )
    return replace(
        tick,
        cursor=cursor.model_dump_json(),
        events=(*tick.events, *(_observation(pattern, run) for run in engine.changed), *new),
    )


def _verdicts(services: Services, pattern: ChangedFiles, dms: Dms | None) -> list[TableVerdict]:
    """What DMS says of the tables; nothing while it cannot be asked, which the watch of its runs reports."""
    try:
        with aws_failures(f"the tables of {pattern.source.name}"):
            return look_at_tables(services, pattern, dms)
    except (PermanentFailure, TransientFailure):
        return []


@dataclass(frozen=True)
class _Checked:
    name: str
    text: str
    passed: bool


def _checked(verdict: TableVerdict) -> list[_Checked]:
    come = verdict.missing or "nothing that was due is missing"
    return [
        _Checked(CHECK, _described(verdict), not verdict.problem),
        _Checked(COUNTED, come, not verdict.missing),
    ]


def _described(verdict: TableVerdict) -> str:
    if verdict.problem or verdict.statistics is None:
        return verdict.problem
    found = verdict.statistics
    return f"{found.state or 'no state'}: {found.loaded:,} rows loaded"


def _evaluation(verdict: TableVerdict, check: _Checked) -> dg.AssetCheckEvaluation:
    found = verdict.statistics
    counts = {} if found is None else {"inserts": found.inserts, "updates": found.updates, "deletes": found.deletes}
    return dg.AssetCheckEvaluation(
        asset_key=raw_key(verdict.followed.changes),
        check_name=check.name,
        passed=check.passed,
        description=check.text,
        metadata={f"adplatform/{name}": dg.MetadataValue.int(value) for name, value in counts.items()},
        severity=dg.AssetCheckSeverity.ERROR if check.name == CHECK else dg.AssetCheckSeverity.WARN,
    )


def _observation(pattern: ChangedFiles, run: EngineRun) -> dg.AssetObservation:
    """Where the replication stands, among the events of what it brings."""
    return dg.AssetObservation(
        raw_key(pattern.source.feeds[0]),
        description=f"replication {run.run_id}: {run.state}",
        metadata=engine_run_metadata(run),
    )


def _tell(services: Services, verdict: TableVerdict, check: str, problem: str, troubles: Mapping[str, Trouble]) -> None:
    """Notify people of a table that is not followed, or of which changes are missing, once for as long as that is
    so."""
    flow, messages, what = verdict.followed.changes, services.ledger.messages, f"{check}/{verdict.followed.name}"
    known, text = troubles.get(what), clipped(problem)
    if not text:
        if known is not None:
            messages.clear_trouble(flow.source, what)
    elif known is None or known.error != text:
        messages.note_trouble(flow.source, what, text)
        facts = {"source": flow.source, "table": verdict.followed.declared.table, "error": text}
        event, said = _EVENTS[check]
        message = Unsent.of(flow.topics.failure, event, f"{verdict.followed.name}: {said}", facts)
        notify(services, flow.source, message)
