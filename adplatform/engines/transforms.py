"""Transforms of deliveries that an engine runs: started, watched and judged as the runs of every engine, and each
delivery given back once its engine is done with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from adplatform.engines.engine import BroughtNothing, Engine
from adplatform.engines.notices import Notices, troubles_of
from adplatform.engines.runs import Look, Target, Watch
from adplatform.engines.spark import spark_engine
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.begun import goes_to_engine
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.flow.transforms import TARGET, clear, is_transform, result_of, target_name, wanted_of
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.engine_run import PURSUED, EngineRun, Intention, IntentState
from adplatform.platform.aws_errors import aws_failures

EngineOf = Callable[[Services, str, str], Engine]
"""The engine of a target, by the names of its source and its own."""
_UNWANTED = "its delivery does not wait for it any more"


@dataclass(frozen=True)
class TransformsLook:
    """What one look found: the runs that moved on, and the deliveries that engines have still."""

    look: Look
    waiting: int


def transform_targets(services: Services, source: Source, engine_of: EngineOf = spark_engine) -> list[Target]:
    """The transforms of a source's tables, as far as an engine may run them."""
    flows = {flow.table: flow for flow in source.feeds if goes_to_engine(services, flow)}
    return [_target(services, source, name, engine_of) for name in sorted(map(target_name, flows.values()))]


def transform_watch(services: Services, source: Source, engine_of: EngineOf = spark_engine) -> Watch:
    """The transforms of a source that engines run."""
    topics = (flow.topics for flow in source.feeds[:1])
    return Watch(services, source, transform_targets(services, source, engine_of), *topics)


def look_at_transforms(
    services: Services,
    source: Source,
    newest: Mapping[str, datetime] | None = None,
    budget: Budget = UNLIMITED,
    engine_of: EngineOf = spark_engine,
) -> TransformsLook:
    """Stop what is not wanted any more, start what is due, judge what has ended, and give back the deliveries that
    nothing is done for. Each step is found to be due by looking, so that one that was not taken is taken by the next
    look. ``newest`` is as for ``Watch.look``. Settings that name no usable Spark are noted as what keeps the source's
    targets from being run."""
    what = f"the transforms of {source.name}"
    try:
        watch = transform_watch(services, source, engine_of)
    except PermanentFailure as e:
        topics, (known, _) = source.feeds[0].topics, troubles_of(TARGET)
        troubles = services.ledger.messages.troubles(source.name)
        noted = {known: troubles[known]} if known in troubles else {}
        Notices(services, source.name, topics).troubled(TARGET, e, noted)
        return TransformsLook(Look(), sum(_is_with_engine(each) for _, each in _active(services, source)))
    with aws_failures(what):
        _stop_unwanted(services, source, watch)
    look = watch.look(newest, budget)
    with aws_failures(what):
        return TransformsLook(look, _give_back(services, source, watch))


def _active(services: Services, source: Source) -> list[tuple[str, Delivery]]:
    return services.ledger.deliveries.active(source.name)


def _is_with_engine(delivery: Delivery) -> bool:
    return delivery.state is DeliveryState.TRANSFORMING


def _target(services: Services, source: Source, name: str, engine_of: EngineOf) -> Target:
    engine = engine_of(services, source.name, name)
    return Target(name, engine, judge=partial(_judge, services), only_wanted=True, silent=True)


def _judge(services: Services, run: EngineRun) -> str | None:
    """What a run that has succeeded came to.

    Raises:
        BroughtNothing: it left no result.
    """
    runs = services.ledger.engine_runs
    intention = runs.intention(run.source, run.target, run.intent) if run.intent else None
    if intention is None or intention.run_id != run.run_id:
        pursued = (each for each in runs.pursued(run.source) if each.target == run.target)
        # One of these may have it: its answer was lost, and the next call finds it.
        return None if any(each.begun and not each.run_id for each in pursued) else _UNWANTED
    try:
        result = result_of(services, intention)
    except PermanentFailure as e:
        raise BroughtNothing(str(e)) from e
    if result is None:
        raise BroughtNothing("it ended without a result: is its script adplatform.transform.spark_job?")
    if result.failure or result.bad:
        return "it read files that are not to be read, or says why the delivery cannot be transformed"
    rows = sum(count.clean for count in result.counts)
    return f"{rows:,} clean rows in {len(result.clean):,} files"


def _stop_unwanted(services: Services, source: Source, watch: Watch) -> None:
    """Have runs stopped whose delivery was taken from them, and end what wanted them once they have ended."""
    targets, runs = {target.name: target for target in watch.targets}, services.ledger.engine_runs
    for intention in runs.pursued(source.name):
        if not is_transform(intention.target) or _is_wanted(services, intention):
            continue
        run, target = None, targets.get(intention.target)
        if intention.run_id:
            run = runs.run(intention.source, intention.target, intention.run_id)
        if run is None or run.ended:
            if runs.end(intention, IntentState.GIVEN_UP, _UNWANTED) is not None:
                clear(services, intention)
        elif target is not None and not run.unwanted:
            _stop(watch, target, run)


def _stop(watch: Watch, target: Target, run: EngineRun) -> None:
    try:
        watch.cancel(target, run)
    except (PermanentFailure, TransientFailure):
        # It has ended, or a later look asks again.
        return


def _is_wanted(services: Services, intention: Intention) -> bool:
    feed, day = wanted_of(intention.key)
    delivery = services.ledger.deliveries.get(feed, day)
    if delivery.transform != intention.key:
        return False
    return not (delivery.state in (DeliveryState.OPEN, DeliveryState.PUBLISHED) or delivery.permanent)


def _give_back(services: Services, source: Source, watch: Watch) -> int:
    """Have deliveries due again for which no engine does anything any more; how many others there are."""
    targets, waiting = {target.name for target in watch.targets}, 0
    for name, delivery in _active(services, source):
        target = f"{TARGET}{name.split('/')[1]}"
        if not _is_with_engine(delivery):
            continue
        intention = services.ledger.engine_runs.intention(source.name, target, delivery.transform)
        if intention is not None and intention.state in PURSUED and target in targets:
            waiting += 1
            continue
        seen = services.ledger.deliveries.get(name, delivery.day)
        if _is_with_engine(seen) and seen.transform == delivery.transform:
            services.ledger.deliveries.handed_back(name, seen)
    return waiting
