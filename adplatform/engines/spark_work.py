"""What Spark does for the tables of a source: its runs are started, watched and judged as those of every engine, and
what each was for is given back once the engine is done with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from adplatform.engines.engine import BroughtNothing, Engine
from adplatform.engines.merges import MERGES
from adplatform.engines.notices import Notices, troubles_of
from adplatform.engines.runs import Look, Target, Watch
from adplatform.engines.spark import spark_engine
from adplatform.engines.spark_kind import Kind
from adplatform.engines.transforms import TRANSFORMS
from adplatform.failures import PermanentFailure, TransientFailure, listed
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.engine_work import clear
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.ledger.engine_run import PURSUED, EngineRun, Intention, IntentState
from adplatform.platform.aws_errors import aws_failures

EngineOf = Callable[[Services, str, str], Engine]
"""The engine of a target, by the names of its source and its own."""
_KINDS = (TRANSFORMS, MERGES)
_UNWANTED = "nothing waits for it any more"


@dataclass(frozen=True)
class SparkLook:
    """What one look found: the runs that moved on, and how much of each kind engines have still."""

    look: Look
    by_kind: Mapping[str, int]

    @property
    def waiting(self) -> int:
        return sum(self.by_kind.values())

    @property
    def standing(self) -> str:
        """What engines do, as part of a sentence; "" for nothing."""
        does = [kind.does.format(n) for kind in _KINDS if (n := self.by_kind.get(kind.prefix, 0))]
        return f"an engine {listed(does)}" if does else ""


def spark_names(services: Services, source: Source) -> list[str]:
    """What Spark runs for the tables of a source, as it is called in a command."""
    return [f"{source.name}/{name}" for kind in _KINDS for name in sorted(kind.targets(services, source))]


def spark_watch(services: Services, source: Source, engine_of: EngineOf = spark_engine) -> Watch:
    """What Spark may do for the tables of a source."""
    topics = (flow.topics for flow in source.feeds[:1])
    targets = [
        _target(services, source, kind, name, engine_of)
        for kind in _KINDS
        for name in sorted(kind.targets(services, source))
    ]
    return Watch(services, source, targets, *topics)


def look_at_spark(
    services: Services,
    source: Source,
    newest: Mapping[str, datetime] | None = None,
    budget: Budget = UNLIMITED,
    engine_of: EngineOf = spark_engine,
) -> SparkLook:
    """Stop what is not wanted any more, start what is due, judge what has ended, and give back what nothing is done
    for. Each step is found to be due by looking, so that one that was not taken is taken by the next look. ``newest``
    is as for ``Watch.look``. Settings that name no usable Spark are noted as what keeps the source's targets from being
    run."""
    what = f"what Spark does for {source.name}"
    try:
        watch = spark_watch(services, source, engine_of)
    except PermanentFailure as e:
        topics, (known, _) = source.feeds[0].topics, troubles_of(TRANSFORMS.prefix)
        troubles = services.ledger.messages.troubles(source.name)
        noted = {known: troubles[known]} if known in troubles else {}
        Notices(services, source.name, topics).troubled(TRANSFORMS.prefix, e, noted)
        return SparkLook(Look(), {kind.prefix: len(list(kind.waiting(services, source))) for kind in _KINDS})
    with aws_failures(what):
        _stop_unwanted(services, source, watch)
    look = watch.look(newest, budget)
    with aws_failures(what):
        return SparkLook(look, {kind.prefix: _give_back(services, source, watch, kind) for kind in _KINDS})


def _target(services: Services, source: Source, kind: Kind, name: str, engine_of: EngineOf) -> Target:
    engine = engine_of(services, source.name, name)
    return Target(name, engine, judge=partial(_judge, services, kind), only_wanted=True, silent=True)


def _judge(services: Services, kind: Kind, run: EngineRun) -> str | None:
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
        return kind.came_to(services, intention)
    except PermanentFailure as e:
        raise e if isinstance(e, BroughtNothing) else BroughtNothing(str(e)) from e


def _stop_unwanted(services: Services, source: Source, watch: Watch) -> None:
    """Have runs stopped for which nothing waits any more, and end what wanted them once they have ended."""
    targets, runs = {target.name: target for target in watch.targets}, services.ledger.engine_runs
    for intention in runs.pursued(source.name):
        kind = next((each for each in _KINDS if intention.target.startswith(each.prefix)), None)
        if kind is None or kind.is_wanted(services, intention):
            continue
        _end(services, watch, targets.get(intention.target), intention)


def _end(services: Services, watch: Watch, target: Target | None, intention: Intention) -> None:
    run, runs = None, services.ledger.engine_runs
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


def _give_back(services: Services, source: Source, watch: Watch, kind: Kind) -> int:
    """Have due again for which no engine does anything any more; how much else there is."""
    targets, waiting = {target.name for target in watch.targets}, 0
    for each in kind.waiting(services, source):
        intention = services.ledger.engine_runs.intention(source.name, each.target, each.key)
        if intention is not None and intention.state in PURSUED and each.target in targets:
            waiting += 1
        else:
            each.hand_back()
    return waiting
