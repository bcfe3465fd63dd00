"""What starts the runs of a source: one look, the same for its sensor and for a process without a daemon."""

import functools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Protocol

import dagster as dg
from dagster_aws.s3.resources import S3Resource
from dagster_aws.secretsmanager.resources import SecretsManagerResource

from adplatform.components.assembly.ownership import hold_for
from adplatform.components.assembly.partitions import PartitionsOf, is_partition
from adplatform.components.assembly.runs import BACKFILL_TAG, FEED_TAG, SOURCE_TAG
from adplatform.failures import listed
from adplatform.flow.budget import Budget
from adplatform.flow.looks import LIST_EVERY
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.pauses import Pause
from adplatform.ledger.publications import Publication
from adplatform.platform.calls import CODE_SERVER, acting
from adplatform.platform.json_logs import about
from adplatform.resources.named import (
    CatalogResource,
    EnginesResource,
    LedgerResource,
    MachineResource,
    NotificationsResource,
    QueuesResource,
    services_of,
)
from adplatform.transform.values import OutputColumn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Looking:
    """How to look at a source. ``cursor`` is what the look before left. Failures of runs before ``since``, in seconds
    since 1970, hold up nothing. ``everything`` brings also what waits for its schedule; otherwise a look may be spared
    where nothing says that there is something new."""

    budget: Budget
    cursor: str | None = None
    since: float = 0.0
    everything: bool = False
    list_every: timedelta = LIST_EVERY


@dataclass(frozen=True)
class Tick:
    """What one look found: the runs to start, and in a sentence where the source stands; ``waits`` when something is on
    its way. Another look goes on where one stopped that did not come to its end."""

    requests: tuple[dg.RunRequest, ...]
    standing: str
    waits: bool = False
    cursor: str | None = None
    at_end: bool = True
    events: tuple[dg.AssetObservation | dg.AssetCheckEvaluation | dg.AssetMaterialization, ...] = ()


class Automation(Protocol):
    """The runs of one source."""

    @property
    def source(self) -> str:
        """The name of the source."""

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        """Bring the ledger up to date and say what needs a run."""

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        """Partitions that the source has by now and Dagster does not know."""

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        """A run of one delivery, without a key: it may be asked for again at once."""

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        """What Dagster is to know of a delivery that was published without a run."""


@dataclass(frozen=True)
class Extended:
    """An automation whose looks do more: ``also`` looks with it."""

    automation: Automation
    also: Callable[[Automation, Services, dg.DagsterInstance, Looking], Tick]

    @property
    def source(self) -> str:
        return self.automation.source

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        return self.also(self.automation, services, instance, how)

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        return self.automation.new_partitions(services, instance)

    def request(self, flow: FeedFlow, day: date) -> dg.RunRequest:
        return self.automation.request(flow, day)

    def materialization(
        self, services: Services, flow: FeedFlow, publication: Publication, columns: Iterable[OutputColumn]
    ) -> dg.AssetMaterialization:
        return self.automation.materialization(services, flow, publication, columns)


def source_sensor(
    automation: Automation,
    name: str,
    description: str,
    seconds: int,
    status: dg.DefaultSensorStatus,
    clock: Callable[[], float] = time.monotonic,
    *,
    jobs: Sequence[Any],
    kinds: Sequence[str] = (),
) -> dg.SensorDefinition:
    """The sensor of a source, which starts runs of ``jobs``. ``kinds`` are of the services by which it learns of what
    there is to do.

    The ledger remembers everything, so a tick that dies at any point is repeated by the next, and the cursor holds
    nothing but where to go on.
    """

    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=seconds,
        default_status=status,
        tags={SOURCE_TAG: automation.source, **{f"dagster/kind/{kind}": "" for kind in kinds}},
        jobs=jobs,
    )
    @acting(CODE_SERVER)
    def look(
        context: dg.SensorEvaluationContext,
        s3: S3Resource,
        secrets: SecretsManagerResource,
        catalog: CatalogResource,
        ledger: LedgerResource,
        notifications: NotificationsResource,
        queues: QueuesResource,
        engines: EnginesResource,
        machine: MachineResource,
    ) -> dg.SensorResult | dg.SkipReason:
        services = services_of(s3, secrets, catalog, ledger, notifications, queues, engines, machine)
        why, pause = hold_for(automation.source, services.ledger, context.instance)
        return dg.SkipReason(why) if why else looked(automation, services, context, clock, pause)

    return look


@acting(CODE_SERVER)
def look_at(
    automation: Automation, services: Services, instance: dg.DagsterInstance, how: Looking, *, going_on: bool = False
) -> Tick:
    """One look at a source. Of one that is paused everything is noted as ever, and nothing is started: whatever is due
    is so again at the next look. Runs of it that wait in Dagster's queue are taken out of it, which is no attempt.
    ``going_on`` where it was not paused a moment ago, so that nobody asks again unless there is something to start."""
    with about(source=automation.source):
        tick = automation.look(services, instance, how)
    pause = services.ledger.pauses.of(automation.source) if tick.requests or not going_on else None
    if pause is None:
        return tick
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
        of_source = run.tags.get(FEED_TAG, "").partition("/")[0] == automation.source
        if of_source and BACKFILL_TAG not in run.tags and run.parent_run_id is None:
            instance.run_coordinator.cancel_run(run.run_id)
    waits = f". {len(tick.requests)} runs wait for that" if tick.requests else ""
    return replace(tick, requests=(), standing=f"{pause}{waits}", waits=True)


def launchable(tick: Tick, partitions: PartitionsOf, instance: dg.DagsterInstance) -> Tick:
    """The tick without requests that Dagster would refuse, and with it the whole tick: they hold up no others."""
    possible = tuple(each for each in tick.requests if is_partition(partitions, each, instance))
    refused = [each for each in tick.requests if each not in possible]
    if not refused:
        return tick
    named = listed(f"{each.tags.get(FEED_TAG, '')} {each.partition_key}" for each in refused)
    log.error("no run can be started, as these dates are no partitions: %s", named)
    return replace(tick, requests=possible, standing=f"{tick.standing}; no run of {named}, which are no partitions")


def _partitions(context: dg.SensorEvaluationContext) -> PartitionsOf:
    repository = context.repository_def
    if repository is None:
        return lambda _: None
    return lambda key: repository.asset_graph.get(key).partitions_def


def unless_paused(source: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For the schedules of a source: they skip while it is paused. The function takes ``ledger`` among others."""

    def decorate(evaluate: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(evaluate)
        def evaluated(context: dg.ScheduleEvaluationContext, ledger: LedgerResource, **resources: Any) -> Any:
            pause = services_of(ledger).ledger.pauses.of(source)
            return dg.SkipReason(str(pause)) if pause else evaluate(context, ledger=ledger, **resources)

        return evaluated

    return decorate


def looked(
    automation: Automation,
    services: Services,
    context: dg.SensorEvaluationContext,
    clock: Callable[[], float] = time.monotonic,
    pause: Pause | None = None,
) -> dg.SensorResult:
    """One look, as the tick of a sensor, which has just found the source to be in that ``pause``, or in none."""
    how = Looking(Budget.of(services.settings.tick_seconds, clock), context.cursor)
    found = look_at(automation, services, context.instance, how, going_on=pause is None)
    tick = launchable(found, _partitions(context), context.instance)
    return dg.SensorResult(
        run_requests=list(tick.requests),
        skip_reason=None if tick.requests else tick.standing,
        cursor=tick.cursor,
        dynamic_partitions_requests=list(automation.new_partitions(services, context.instance)),
        asset_events=list(tick.events),
    )
