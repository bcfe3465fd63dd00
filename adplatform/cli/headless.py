"""Running the code location without its daemon: the same decisions, assets and resources, one process, until idle."""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from adplatform.cli.context import declared_sources
from adplatform.components.assembly import ownership
from adplatform.components.assembly.alerts import failure_of_run
from adplatform.components.assembly.arrival_automation import look_at_source, request
from adplatform.components.assembly.errors import step_error
from adplatform.components.assembly.report_assets import day_of
from adplatform.components.assembly.report_automation import (
    RANGE_END,
    RANGE_START,
    add_partitions,
    look,
    request_delivery,
    request_facts,
    request_report,
    scope_keys,
    standing,
)
from adplatform.components.assembly.runs import FEED_TAG, RUN_KEY_TAG, TOLD_TAG, WORKER_TAG, said_of, was_stopped
from adplatform.definitions import defs
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.budget import Budget, in_turns
from adplatform.flow.looks import Progress
from adplatform.flow.services import Services
from adplatform.ledger.workers import this_worker
from adplatform.local.dagster_home import prepare_dagster_home
from adplatform.pull.account import Account
from adplatform.pull.connect import open_api
from adplatform.pull.due import place_orders

LOOK_AGAIN = 60.0
"""Seconds after which what is due is looked at again, so that the runs of one source hold up no other's."""


@dataclass(frozen=True)
class Finished:
    """One run that ended. ``dates`` are those of its partitions: a date, or the first and the last. One that is
    ``lost`` found another run at work, and did nothing."""

    feed: str
    dates: str
    success: bool
    error: str
    lost: bool = False


def process(
    services: Services,
    instance: dg.DagsterInstance,
    *,
    accounts: Sequence[Account],
    patience: float,
    watch: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Finished]:
    """Settle and run what is due, scheduled feeds too, until nothing was due for ``patience`` seconds.

    ``watch`` is told what happens, for a progress display.

    Raises:
        PermanentFailure: another Dagster instance owns the automation.
        KeyboardInterrupt: a run was stopped from outside, and so is this.
    """
    loaded = defs()
    sources = declared_sources(services.settings)
    idle_since = clock()
    stuck: set[str] = set()
    progress = {source.name: Progress() for source in sources}
    at_end: set[str] = set()
    while True:
        ownership.require(services, instance)
        found = []
        for source in sources:
            budget, before = Budget.of(services.settings.tick_seconds, clock), progress[source.name]
            seen, progress[source.name] = look_at_source(services, source, instance, budget, before, timedelta(0))
            found.append(seen.due)
        due, began = list(in_turns(found)), clock()
        for each in due:
            watch(f"{each.flow.name} {each.day}")
            yield run_request(loaded, request(each), services, instance)
            if clock() - began >= LOOK_AGAIN:
                break
        ended = 0
        for account in accounts:
            for finished in _pull(loaded, account, services, instance, watch, stuck):
                ended += 1
                yield finished
        at_end = set() if due or ended else at_end | {name for name, each in progress.items() if each.at_end}
        if at_end < progress.keys():
            idle_since = clock()
        elif clock() - idle_since >= patience:
            return
        else:
            watch("waiting for more files")
            sleep(0.5)


def _pull(
    loaded: dg.Definitions,
    account: Account,
    services: Services,
    instance: dg.DagsterInstance,
    watch: Callable[[str], None],
    stuck: set[str],
) -> list[Finished]:
    """One look at an account, and the runs that it asks for. What would be asked for again as soon as it failed is
    remembered as ``stuck`` and left alone."""
    found = look(services, account, instance)
    if found.orders and account.source not in stuck:
        watch(f"asking for the reports of {account.source}")
        try:
            place_orders(services, account, open_api(services, account))
        except (PermanentFailure, TransientFailure) as e:
            stuck.add(account.source)
            return [Finished(account.source, "orders", False, str(e))]
    add_partitions(services, account, instance)
    requests = [request_report(account, due) for due in found.reports]
    requests += [request_delivery(account, due) for due in found.deliveries]
    facts = request_facts(account, found.facts, scope_keys(account, instance)) if not requests else []
    finished = []
    for each in [*requests, *(fact for fact in facts if fact.tags[FEED_TAG] not in stuck)]:
        watch(each.tags[FEED_TAG])
        finished.append(run_request(loaded, each, services, instance))
        if each.run_key is None and not finished[-1].success:
            stuck.add(each.tags[FEED_TAG])
    return finished


def run_request(
    loaded: dg.Definitions, request: dg.RunRequest, services: Services, instance: dg.DagsterInstance
) -> Finished:
    """Run it in this process; people hear of a failure as they would by a daemon."""
    keys = request.asset_selection or []
    result = dg.materialize(
        list({id(a): a for a in map(loaded.resolve_assets_def, keys)}.values()),
        selection=keys,
        partition_key=request.partition_key,
        instance=instance,
        tags={
            **request.tags,
            **({RUN_KEY_TAG: request.run_key} if request.run_key else {}),
            WORKER_TAG: str(this_worker()),
        },
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    failed = [step_error(result.failure_data_for_node(step), step) for step in result.get_failed_step_keys()]
    error = next(filter(None, failed), "")
    ended = instance.get_run_by_id(result.run_id)
    if ended is not None and was_stopped(ended):
        raise KeyboardInterrupt
    if not result.success and ended is not None and not said_of(ended, TOLD_TAG):
        failure_of_run(services, result.dagster_run, error)
    lost = request.partition_key is not None and result.success and not result.get_asset_materialization_events()
    return Finished(request.tags[FEED_TAG], _dates(request), result.success, error, lost)


def _dates(request: dg.RunRequest) -> str:
    first, last = (day_of(request.partition_key or request.tags.get(tag, "")) for tag in (RANGE_START, RANGE_END))
    return first if first == last else f"{first} to {last}"


def opened(home: Path) -> dg.DagsterInstance:
    """The instance of a home. Its first process makes the tables, which two at once cannot do on SQLite."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".opening").open("w", encoding="ascii") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        instance = dg.DagsterInstance.from_config(str(prepare_dagster_home(home)))
        instance.get_runs(limit=1)
        instance.all_instigator_state()
        instance.get_dynamic_partitions("none")
        return instance


def process_all(
    services: Services,
    accounts: Sequence[Account],
    patience: float,
    console: Console,
    errors: Console,
    *,
    take_over: bool = False,
) -> bool:
    """Process until idle with a progress display; whether the last run of everything succeeded."""
    ended: dict[tuple[str, str], bool] = {}
    with opened(services.settings.home) as instance, errors.status("looking for files") as status:
        if take_over:
            ownership.take_over(services, instance)
        for finished in process(services, instance, accounts=accounts, patience=patience, watch=status.update):
            ended[finished.feed, finished.dates] = finished.success
            if finished.lost:
                console.print(f"{finished.feed} {finished.dates}: another process works on it", highlight=False)
                continue
            mark = ("published ", "green") if finished.success else ("failed    ", "red")
            console.print(Text.assemble(mark, f"{finished.feed} {finished.dates}"))
            if finished.error:
                console.print(Padding(Text(finished.error), (0, 0, 0, 10)))
    for account in accounts:
        if services.ledger.reports.active(account.source):
            console.print(f"{account.source}: {standing(services, account)}", highlight=False, soft_wrap=True)
    return all(ended.values())
