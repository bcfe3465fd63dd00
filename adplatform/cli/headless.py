"""Running the code location without its daemon: the same decisions, assets and resources, one process, until idle."""

import fcntl
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from adplatform import components
from adplatform.cli.run_history import keep_engines
from adplatform.components.assembly import ownership
from adplatform.components.assembly.alerts import failure_of_run
from adplatform.components.assembly.automation import Automation, Looking, Tick, launchable, look_at
from adplatform.components.assembly.errors import step_error
from adplatform.components.assembly.partitions import partitions_in
from adplatform.components.assembly.report_assets import day_of
from adplatform.components.assembly.runs import (
    FEED_TAG,
    NOTIFIED_TAG,
    RANGE_END,
    RANGE_START,
    RUN_KEY_TAG,
    WORKER_TAG,
    said_of,
    was_stopped,
)
from adplatform.definitions import defs
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.budget import Budget, in_turns
from adplatform.flow.outbox import send_unsent
from adplatform.flow.services import Services
from adplatform.ledger.messages import PLATFORM
from adplatform.ledger.workers import this_worker
from adplatform.patterns import faultless_defs
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.extras import LOCAL, extra
from adplatform.platform.settings import Settings

Event = dg.AssetObservation | dg.AssetCheckEvaluation | dg.AssetMaterialization
_UNCAPTURED = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
}
"""What runs print goes to the terminal itself: to keep it as well Dagster starts four processes for each run."""
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
LOOK_AGAIN = 60.0
"""Seconds after which what is due is looked at again, so that the runs of one source hold up no other's."""


def nobody(_said: str) -> None:
    """For nobody who wants to be told."""


@dataclass(frozen=True)
class Finished:
    """One run that ended. ``dates`` are those of its partitions: a date, the first and the last, or "" when it has none
    and publishes nothing. One that is ``lost`` found another run at work, and did nothing. The delivery of one that is
    ``given`` is with an engine now. ``seen`` is what it says of what it looked at."""

    feed: str
    dates: str
    success: bool
    error: str
    lost: bool = False
    given: bool = False
    seen: tuple[str, ...] = ()


def declared_automations() -> list[Automation]:
    """The automation of every declared source.

    Raises:
        PermanentFailure: a file has mistakes; names the first.
    """
    found: list[Automation] = [getattr(components, each.kind)(each.model).automation() for each in faultless_defs()]
    return found


def process(
    services: Services,
    instance: dg.DagsterInstance,
    automations: Sequence[Automation],
    *,
    patience: float,
    watch: Callable[[str], None],
    stands: Callable[[str], None] = lambda _: None,
    told: Callable[[str], object] = nobody,
    rest: float | None = None,
    loaded: dg.Definitions | None = None,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Finished]:
    """Settle and run what is due, scheduled feeds too, until nothing was due for ``patience`` seconds; ``rest`` seconds
    are enough in which no source waits for anything either. A source that cannot be looked at has failed, and holds up
    no other.

    ``watch`` gets what happens, for a progress display, and ``stands`` in the end what each source waits for. ``told``
    is for who wants all of it: what was seen and begun, and where each source stands that waits for nothing.
    ``loaded`` are the definitions of a caller that has them already.

    Raises:
        PermanentFailure: another Dagster instance owns the automation.
        KeyboardInterrupt: a run was stopped from outside, and so is this.
    """
    loaded, since = loaded or defs(), time.time()
    idle_since = awaited = clock()
    cursors: dict[str, str | None] = {}
    at_end: set[str] = set()
    unseen: dict[str, str] = {}
    while True:
        ownership.require(services.ledger, instance)
        ticks: dict[str, Tick] = {}
        for each in automations:
            budget = Budget.of(services.settings.tick_seconds, clock)
            how = Looking(budget, cursors.get(each.source), since, everything=True, list_every=timedelta(0))
            found = _look(each, services, instance, how)
            said, unseen[each.source] = unseen.get(each.source, ""), found if isinstance(found, str) else ""
            if said != unseen[each.source]:
                yield Finished(each.source, "", not unseen[each.source], unseen[each.source])
            if isinstance(found, str):
                continue
            ticks[each.source] = tick = launchable(found, partitions_in(loaded), instance)
            cursors[each.source] = tick.cursor
            _tell(instance, tick, each.new_partitions(services, instance))
            _say(told, each.source, _counted(tick.events))
        requests, began = list(in_turns(tick.requests for tick in ticks.values())), clock()
        for request in requests:
            what = f"{request.tags[FEED_TAG]} {_dates(request)}".rstrip()
            watch(what)
            told(f"running {request.job_name} for {what}")
            finished = run_request(loaded, request, services, instance)
            _say(told, finished.feed, finished.seen)
            yield finished
            if clock() - began >= LOOK_AGAIN:
                break
        at_end = set() if requests else at_end | {name for name, tick in ticks.items() if tick.at_end}
        if at_end < ticks.keys() or any(unseen.values()) or any(tick.waits for tick in ticks.values()):
            awaited = clock()
        if at_end < ticks.keys():
            idle_since = clock()
        elif clock() - idle_since >= patience or (rest is not None and clock() - awaited >= rest):
            for name, tick in ticks.items():
                (stands if tick.waits else told)(f"{name}: {tick.standing}")
            return
        else:
            watch("waiting for more files")
            sleep(0.5)


def _say(told: Callable[[str], object], name: str, seen: Iterable[str]) -> None:
    for each in seen:
        told(f"{name}: {each}")


def _counted(events: Iterable[Event]) -> Iterator[str]:
    """What is said in the end of each event, and how often."""
    said = (str(event.description or event.asset_key.to_user_string()).rpartition(": ")[2] for event in events)
    yield from (f"{count:,} {what}" for what, count in Counter(said).items())


def _look(automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick | str:
    """What there is to do for a source, or why nobody can tell."""
    try:
        with aws_failures(automation.source):
            return look_at(automation, services, instance, how)
    except (PermanentFailure, TransientFailure) as e:
        return str(e)


def _tell(instance: dg.DagsterInstance, tick: Tick, partitions: Iterable[dg.AddDynamicPartitionsRequest]) -> None:
    """Have Dagster know of new partitions and of what was seen, as its daemon has after a tick."""
    for new in partitions:
        instance.add_dynamic_partitions(new.partitions_def_name, list(new.partition_keys))
    for event in tick.events:
        instance.report_runless_asset_event(event)


def run_request(
    loaded: dg.Definitions, request: dg.RunRequest, services: Services, instance: dg.DagsterInstance
) -> Finished:
    """Run it in this process; people hear of a failure as they would by a daemon."""
    run_key = {RUN_KEY_TAG: request.run_key} if request.run_key else {}
    result = loaded.resolve_job_def(str(request.job_name)).execute_in_process(
        asset_selection=request.asset_selection,
        partition_key=request.partition_key,
        instance=instance,
        tags={**request.tags, **run_key, WORKER_TAG: str(this_worker())},
        run_config=_QUIET,
        raise_on_error=False,
    )
    failed = [step_error(result.failure_data_for_node(step), step) for step in result.get_failed_step_keys()]
    error = next(filter(None, failed), "")
    ended = instance.get_run_by_id(result.run_id)
    if ended is not None and was_stopped(ended):
        raise KeyboardInterrupt
    if not result.success and ended is not None and not said_of(ended, NOTIFIED_TAG):
        failure_of_run(services, result.dagster_run, error)
    lost = request.partition_key is not None and result.success and not result.get_asset_materialization_events()
    observed = [
        e.asset_observation_data.asset_observation
        for e in result.all_events
        if e.event_type_value == "ASSET_OBSERVATION"
    ]
    given = request.partition_key is not None and result.success and bool(observed)
    seen = () if request.asset_selection else tuple(_counted(observed))
    return Finished(request.tags[FEED_TAG], _dates(request), result.success, error, lost, given, seen)


def run_jobs(settings: Settings, loaded: dg.Definitions, names: Iterable[str]) -> None:
    """Run jobs that schedules start otherwise, one after the other in this process.

    Raises:
        DagsterExecutionStepExecutionError: one failed.
    """
    with opened(settings) as instance:
        for name in names:
            loaded.resolve_job_def(name).execute_in_process(run_config=_QUIET, instance=instance)


def _dates(request: dg.RunRequest) -> str:
    first, last = (day_of(request.partition_key or request.tags.get(tag, "")) for tag in (RANGE_START, RANGE_END))
    return first if first == last else f"{first} to {last}"


def opened(settings: Settings) -> dg.DagsterInstance:
    """The instance that ``DAGSTER_HOME`` names where this runs beside the services of an account, else that of the
    platform's home. The first process there makes the tables, which two at once cannot do on SQLite.

    Raises:
        PermanentFailure: the platform's home can have no instance, because that needs the local parts.
    """
    if settings.env == "aws" and "DAGSTER_HOME" in os.environ:
        return dg.DagsterInstance.get()
    with extra(LOCAL):
        from adplatform.local.dagster_home import prepare_dagster_home  # noqa: PLC0415 - not everywhere
    home = settings.home
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".opening").open("w", encoding="ascii") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        kept = InstanceRef.from_dir(str(prepare_dagster_home(home)), overrides=_UNCAPTURED)
        instance = dg.DagsterInstance.from_ref(kept)
        keep_engines(instance)
        instance.get_runs(limit=1)
        instance.all_instigator_state()
        instance.get_dynamic_partitions("none")
        return instance


def process_all(
    services: Services,
    automations: Sequence[Automation],
    patience: float,
    console: Console,
    errors: Console,
    *,
    take_over: bool = False,
    rest: float | None = None,
    loaded: dg.Definitions | None = None,
    told: Callable[[str], object] = nobody,
) -> bool:
    """Process until idle with a progress display; whether the last run of everything succeeded. ``rest``, ``loaded``
    and ``told`` are as for :func:`process`."""
    ended: dict[tuple[str, str], bool] = {}
    with opened(services.settings) as instance, errors.status("looking for files") as status:
        if take_over:
            ownership.take_over(services.ledger, instance)
        waiting: list[str] = []
        for finished in process(
            services,
            instance,
            automations,
            patience=patience,
            watch=status.update,
            stands=waiting.append,
            told=told,
            rest=rest,
            loaded=loaded,
        ):
            ended[finished.feed, finished.dates] = finished.success
            if finished.success and not finished.dates:
                continue
            if finished.lost:
                console.print(f"{finished.feed} {finished.dates}: another process works on it", highlight=False)
                continue
            if finished.given:
                console.print(f"{finished.feed} {finished.dates}: an engine transforms it", highlight=False)
                continue
            mark = ("published ", "green") if finished.success else ("failed    ", "red")
            console.print(Text.assemble(mark, f"{finished.feed} {finished.dates}"))
            if finished.error:
                console.print(Padding(Text(finished.error), (0, 0, 0, 10)))
        if (alerting := services.alerting()) is not None:
            send_unsent(services, PLATFORM)
            alerting.end()
        for sentence in waiting:
            console.print(sentence, highlight=False, soft_wrap=True)
    return all(ended.values())
