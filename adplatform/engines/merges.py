"""Merges of changes by Spark, as a kind of what it does."""

from collections.abc import Iterator
from functools import partial

from adplatform.changes.targets import TARGET, table_of, target_name, with_engines
from adplatform.engines.engine import BroughtNothing
from adplatform.engines.spark_kind import Kind, Waiting
from adplatform.flow.engine_work import goes_to_engine, result_of
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.ledger.engine_run import Intention
from adplatform.ledger.folds import FoldState


def _targets(services: Services, source: Source) -> set[str]:
    return {
        target_name(flow.feed.name)
        for flow in source.derived
        if flow.feed.name in source.merges and goes_to_engine(services, flow)
    }


def _is_wanted(services: Services, intention: Intention) -> bool:
    row = services.ledger.folds.get(*table_of(intention))
    return row.job == intention.key and row.state is not FoldState.FAILED


def _waiting(services: Services, source: Source) -> Iterator[Waiting]:
    for row in with_engines(services, source):
        yield Waiting(target_name(row.target), row.job, partial(services.ledger.folds.handed_back, row))


def _came_to(services: Services, intention: Intention) -> str:
    from adplatform.changes.merge_plan import MergeResult  # noqa: PLC0415 - few merges are made by an engine

    result = result_of(services, intention, MergeResult)
    if result is None:
        raise BroughtNothing("it ended without a result: is its script adplatform.jobs.spark?")
    if result.failure:
        return "it says why there can be no such merge"
    return f"{result.applied:,} of {result.changes:,} changes applied, {len(result.files):,} files"


MERGES = Kind(TARGET, "merges changes of {} tables", _targets, _is_wanted, _waiting, _came_to)
