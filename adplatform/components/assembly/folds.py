"""Tables that are made of changes, in Dagster: their assets, and the looks that ask for merges when they are due."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg
from dagster_aws.s3.resources import S3Resource

from adplatform.changes.accounted import count_merged, unaccounted
from adplatform.changes.fitness import merged_fitness
from adplatform.changes.fold import Folded, fold
from adplatform.changes.folds_due import folds_due
from adplatform.changes.made import MadeTable, history_columns
from adplatform.components.assembly.arrivals import run_tags
from adplatform.components.assembly.automation import Automation, Extended, Looking, Tick
from adplatform.components.assembly.delivery_assets import audit_result, clean_key, consumer_checks
from adplatform.components.assembly.metadata import declared_table, table_metadata, topic_metadata
from adplatform.components.assembly.roles import step_of
from adplatform.components.assembly.runs import FEED_TAG, NOTIFIED_TAG, at_work, runs_of, say_of, work_ended
from adplatform.components.assembly.transforms import given_observation, made_metadata
from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure, kind_of
from adplatform.flow.engine_work import Given
from adplatform.flow.private_directory import private_directory
from adplatform.flow.services import Services
from adplatform.flow.telemetry import TablesMade, emit_made
from adplatform.flow.tried import failed
from adplatform.ledger.folds import Fold, FoldState
from adplatform.platform.aws_errors import aws_failures
from adplatform.resources.named import (
    CatalogResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    services_of,
)
from adplatform.transform.compile import output_columns

FOLD_TAG = "adplatform/fold"
CONSERVED, PLACED = "every_change_is_accounted_for", "rows_have_keys"
_CHECKS = {
    CONSERVED: "Every row that was read is applied, superseded by a later one or set aside, and every file that "
    "readers are led to has the rows that were written.",
    PLACED: "Every change has a key that can be stored.",
}
_MOST_NAMED = 20


def with_folds(automation: Automation, followed: Sequence[MadeTable]) -> Automation:
    """The automation of a source of changes, with the merges of its tables."""
    return Extended(automation, partial(_look, followed))


def _look(
    followed: Sequence[MadeTable],
    automation: Automation,
    services: Services,
    instance: dg.DagsterInstance,
    how: Looking,
) -> Tick:
    tick = automation.look(services, instance, how)
    due = folds_due(services, followed, runs_of(services.ledger, instance), everything=how.everything)
    wanted = tuple(_request(each.followed, each.fold) for each in due)
    return replace(tick, requests=(*tick.requests, *wanted), waits=tick.waits or bool(wanted))


def _request(followed: MadeTable, row: Fold) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=row.run_key,
        asset_selection=[_table_key(table) for table in followed.tables],
        tags={**run_tags(followed.changes), FEED_TAG: followed.name, FOLD_TAG: str(row.next)},
    )


def _table_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(["clean", *table.split("/")])


def fold_asset(followed: MadeTable, owners: Sequence[str], tags: dict[str, str]) -> dg.AssetsDefinition:
    """The tables that are made of the changes of one, by merges."""
    flow, declared = followed.changes, followed.declared
    columns = followed.columns((column.name, column.type) for column in followed.stored.values())
    described = {
        followed.name: declared.description or f"Rows of {followed.table}, up to the last merge.",
        followed.deleted: f"Rows of {followed.table} that were deleted, with their last values.",
        followed.history: f"Versions of rows of {followed.table} that have ended.",
    }
    pii = {"pii": "hashed"} if any(flow.feed.contract.pii_columns()) else {}
    fresh = declared.fresh_within
    specs = [
        dg.AssetSpec(
            _table_key(table),
            deps=[clean_key(each) for each in followed.flows_merged],
            description=described[table],
            group_name=followed.source,
            owners=owners,
            kinds={"parquet", "glue", "duckdb"},
            tags=tags | {"zone": "clean"} | pii,
            skippable=True,
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=fresh) if fresh else None,
            metadata={
                **declared_table(table, history_columns(columns) if table == followed.history else columns),
                **topic_metadata(flow.topics),
            },
        )
        for table in followed.tables
    ]
    key = _table_key(followed.name)
    checks = [dg.AssetCheckSpec(name, asset=key, description=text) for name, text in _CHECKS.items()]
    checks += consumer_checks(followed.consumers, key)

    @dg.multi_asset(
        name=f"fold__{followed.source}__{followed.target}",
        specs=specs,
        check_specs=checks,
        can_subset=True,  # a run that has nothing to do judges nothing
        pool=f"fold_{followed.source}_{followed.target}",
    )
    @step_of(followed.changes.pattern)
    def merge_changes(
        context: dg.AssetExecutionContext,
        s3: S3Resource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        machine: MachineResource,
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        services = services_of(s3, catalog, ledger, notifications, machine)
        with _merging(context, services, followed) as done:
            if done is None:
                context.log.info("%s: no changes wait to be merged", followed.name)
                return
            if isinstance(done, Given):
                context.log_event(given_observation(key, done, None, services.settings.spark))
                return
            selected = context.selected_asset_keys
            yield from (each for each in _results(services, followed, done) if each.asset_key in selected)

    return merge_changes


@contextmanager
def _merging(
    context: dg.AssetExecutionContext, services: Services, followed: MadeTable
) -> Iterator[Folded | Given | None]:
    """What the merge came to that is due, or what an engine was given; None when there is none, or another run has
    it."""
    run_id, folds = context.run.run_id, services.ledger.folds
    with aws_failures(followed.name), at_work(context, services.ledger, followed.name):
        row = folds.get(followed.source, followed.target)
        if not row.plan or row.state is FoldState.FAILED:
            # Somebody has started the run; what a sensor asks for is planned.
            due = folds_due(services, [followed], runs_of(services.ledger, context.instance), everything=True)
            row = due[0].fold if due else row
        open_to_us = bool(row.plan) and row.state is FoldState.WAITING and not row.run_id
        claimed = folds.claim(row, run_id) if open_to_us else None
        if claimed is None:
            yield None
        else:
            began = services.ledger.now()
            try:
                with private_directory(services.settings.temp, run_id) as work:
                    done = fold(services, followed, claimed, run_id, work)
            except ClaimLost:
                raise
            except (PermanentFailure, TransientFailure) as e:
                _failed(context, services, followed, claimed, e)
                raise dg.Failure(f"{followed.name}: {e}", allow_retries=False) from e
            if isinstance(done, Folded):
                count_merged(services.metrics, followed, done, run_id)
                emit_made(services, _made(services, followed, done, run_id, began))
            yield done
        work_ended(context, services.ledger, followed.name)


def _made(services: Services, followed: MadeTable, done: Folded, run_id: str, began: datetime) -> TablesMade:
    """What a merge has made, as those are told who watch."""
    row, changes = done.row, followed.changes
    columns = {
        table: history_columns(done.columns) if table == followed.history else done.columns for table in followed.tables
    }
    return TablesMade(
        followed.name,
        row.number,
        run_id,
        began,
        services.ledger.now(),
        {changes.table: output_columns(changes.feed.contract)},
        columns,
        {followed.name: row.rows, followed.deleted: row.deleted},
    )


def _failed(
    context: dg.AssetExecutionContext,
    services: Services,
    followed: MadeTable,
    claimed: Fold,
    error: PermanentFailure | TransientFailure,
) -> None:
    folds = services.ledger.folds
    after = failed(folds, folds.get(claimed.source, claimed.target), error, services.ledger.now())
    if after is not None:
        services.metrics.failed(followed.source, kind_of(error), feed=followed.name, run_id=context.run.run_id)
    if after is not None and after.state is not FoldState.FAILED:
        # People hear of it when it is given up.
        say_of(context.instance, context.run.run_id, {NOTIFIED_TAG: "it is tried again"})
    work_ended(context, services.ledger, followed.name)


def _results(
    services: Services, followed: MadeTable, done: Folded
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    key, row = _table_key(followed.name), done.row
    counts = {
        "merge": row.number,
        "changes": done.changes,
        "applied": done.applied,
        "superseded": done.superseded,
        "without_key": done.unplaced,
        "made_anew": done.rebuilt,
        "versions_ended": done.closed,
    }
    rows = {followed.name: row.rows, followed.deleted: row.deleted}
    for table in followed.tables:
        columns = history_columns(done.columns) if table == followed.history else done.columns
        shown: dict[str, Any] = {
            **table_metadata(table, columns, services.settings.database_prefix),
            **({"dagster/uri": row.locations[table]} if table in row.locations else {}),
            **({"dagster/row_count": rows[table]} if table in rows else {}),
            **{f"adplatform/{name}": value for name, value in counts.items()},
            **made_metadata(done.engine_run, services.settings.spark),
        }
        version = dg.DataVersion(str(row.number))
        yield dg.MaterializeResult(asset_key=_table_key(table), metadata=shown, data_version=version)
    problems = unaccounted(services, followed, done)
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=CONSERVED,
        passed=not problems,
        metadata={"problems": problems[:_MOST_NAMED]} if problems else {},
        description=f"{len(problems)} counts do not add up, the first: {problems[0]}"
        if problems
        else f"{done.changes} changes: {done.applied} applied, {done.superseded} superseded",
    )
    yield dg.AssetCheckResult(
        asset_key=key,
        check_name=PLACED,
        passed=not done.unplaced,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{done.unplaced} changes have no key that could be stored and are not in the table",
    )
    yield from (audit_result(key, finding) for finding in merged_fitness(services, followed, done))
