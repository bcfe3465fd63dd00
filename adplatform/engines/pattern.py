"""The pattern of files that a managed engine brings: its runs prove what arrived."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.saas import FlowFeed, SaasSource
from adplatform.contracts.source import PLATFORM_TOPICS, Topics
from adplatform.engines import provided_tasks
from adplatform.engines.appflow import AppFlow
from adplatform.engines.datasync import DataSync
from adplatform.engines.declared_connections import declared_connection, provide_connection
from adplatform.engines.declared_flows import declared_flow, flow_names, provide
from adplatform.engines.declared_tasks import DeclaredTask, declared_task
from adplatform.engines.engine import Run
from adplatform.engines.events import flow_events, task_events
from adplatform.engines.failed import failed_runs
from adplatform.engines.runs import Target, Watch
from adplatform.engines.window_flows import WindowFlows
from adplatform.engines.window_flows import target_name as window_target
from adplatform.failures import PermanentFailure
from adplatform.files.landing import WINDOW
from adplatform.flow.failed import failed_deliveries
from adplatform.flow.pattern import Failed
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.flow.source import Source, declared_source
from adplatform.ledger.engine_run import Intention
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger

TASK = "task"
"""What the one target of a replicated source is called."""


@dataclass(frozen=True)
class EngineFiles(PushedFiles):
    """As ``adplatform.flow.pattern.Pattern``. ``events`` is the EventBridge pattern of what says that something has
    ended. ``targets`` makes what runs for the source of the clients, and
    ``provision`` what of it YAML declares and AWS lacks; ``fill`` puts what that needs inside, once it is there.
    ``further_targets`` are names of those that run only for others, which ``names_of_targets`` leaves out.
    ``simulated`` names the connection that is to be one to something simulated, ``simulated_database`` the secret of
    such a database and ``simulated_host`` that of such an SFTP host; ``task`` is the task that YAML declares with its
    store, which may be, too."""

    events: Mapping[str, Any] = field(default_factory=dict)
    topics: Topics = PLATFORM_TOPICS
    targets: Callable[[Services], Sequence[Target]] = lambda _: ()
    provision: Callable[[Services], None] = lambda _: None
    fill: Callable[[Services], None] = lambda _: None
    simulated: str | None = None
    simulated_database: str | None = None
    simulated_host: str | None = None
    task: Callable[[Services], DeclaredTask | None] = lambda _: None
    names_of_targets: tuple[str, ...] = ()
    further_targets: tuple[str, ...] = ()

    def failing(self, ledger: "Ledger") -> list[str]:
        return [*self.names, *(f"{self.source.name}/{target}" for target in self.names_of_targets)]

    def failed(self, services: Services) -> Sequence[Failed]:
        deliveries = failed_deliveries(services.ledger, self.source.name, self.source.feeds)
        return [*deliveries, *failed_runs(services.ledger, self.source.name, self.names_of_targets)]

    @property
    def reported_to(self) -> Source:
        """The source whose queue takes ``events``."""
        return self.source

    def watch(self, services: Services) -> Watch:
        """Its runs."""
        return self.watch_of(services, self.targets(services))

    def watch_of(self, services: Services, targets: Sequence[Target]) -> Watch:
        """The runs of these targets."""
        here = replace(self.source, bucket=services.zones.raw_bucket)
        return Watch(services, here, targets, self.topics)


def saas_flows(declared: SaasSource, settings: Settings) -> EngineFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: a landing template is invalid, or two feeds have the same.
    """
    flows = flow_names(declared)
    feeds = [
        feed.model_copy(update={"landing": feed.landing.replace("{flow}", f"{flows[feed.name]}{WINDOW}")})
        for feed in declared.feeds
    ]
    source = declared_source(declared.model_copy(update={"feeds": feeds}), settings.raw_bucket)
    source = replace(source, takes_files=False)

    def request(feed: FlowFeed, bucket: str) -> dict[str, Any] | None:
        return declared_flow(declared, feed, bucket, source.prefix)

    def targets(services: Services) -> list[Target]:
        client, bucket = services.aws.client("appflow"), services.zones.raw_bucket
        where, found = (bucket, source.prefix), []
        for feed in declared.feeds:
            flow, wanted = flows[feed.name], request(feed, bucket)
            engine = AppFlow(client, services.s3, flow, *where, services.now, wanted)
            pursued = partial(_windows, services, source.name, feed.name)
            windows = WindowFlows(client, services.s3, feed, flow, *where, pursued, services.now, wanted)
            found += [
                Target(feed.name, engine, feed.every, feed.offset),
                Target(window_target(feed.name), windows, release=windows.release, kin=feed.name),
            ]
        return found

    def provision(services: Services) -> None:
        """Every flow that can be made is, before those that cannot are told of."""
        client, refused = services.aws.client("appflow"), []
        if (connection := declared_connection(declared)) is not None:
            provide_connection(client, services.secrets, connection)
        for feed in declared.feeds:
            if (wanted := request(feed, services.zones.raw_bucket)) is not None:
                try:
                    provide(client, wanted)
                except PermanentFailure as e:
                    refused.append(str(e))
        if refused:
            raise PermanentFailure("; ".join(refused))

    simulated = declared.connection if declared.simulated else None
    return EngineFiles(
        source,
        events=flow_events(flows.values()),
        topics=declared.topics,
        targets=targets,
        provision=provision,
        simulated=simulated,
        names_of_targets=(*flows, *map(window_target, flows)),
    )


def _windows(services: Services, source: str, feed: str) -> list[Intention]:
    """The windows of a feed that are pursued."""
    pursued = services.ledger.engine_runs.pursued(source)
    return [each for each in pursued if each.target == window_target(feed)]


def replicated_files(declared: ReplicatedSource, settings: Settings) -> EngineFiles:
    """The pattern that YAML declares. Its originals stay in the landing zone, where DataSync compares: what went to an
    archive would be copied again.

    Raises:
        PermanentFailure: a landing template is invalid, or two feeds have the same.
    """
    source = declared_source(declared, settings.raw_bucket)
    feeds = tuple(replace(flow, archive="") for flow in source.feeds)
    final: dict[str, Run] = {}
    source = replace(source, feeds=feeds, takes_files=False)

    def made(services: Services) -> DeclaredTask | None:
        zones = services.zones
        return declared_task(declared, zones.raw_bucket, source.prefix, zones.task_reports(source.name))

    def targets(services: Services) -> list[Target]:
        def remembered(run_ids: Collection[str]) -> dict[str, Run]:
            rows = services.ledger.engine_runs.known(source.name, TASK, run_ids)
            names = [each.name for each in fields(Run)]
            ended = {run_id: row for run_id, row in rows.items() if row.final}
            return {run_id: Run(**{name: getattr(row, name) for name in names}) for run_id, row in ended.items()}

        engine = DataSync(
            services.aws.client("datasync"),
            services.s3,
            declared.task_name,
            services.zones.raw_bucket,
            source.prefix,
            final,
            remembered,
            made(services),
            partial(services.aws.client_once, "datasync"),
        )
        return [Target(TASK, engine, declared.every, declared.offset)]

    def provision(services: Services) -> None:
        if (task := made(services)) is not None:
            provided_tasks.provide(services.aws.client("datasync"), services.secrets, task, services.account)

    return EngineFiles(
        source,
        events=task_events(),
        topics=declared.topics,
        targets=targets,
        provision=provision,
        task=made,
        names_of_targets=(TASK,),
    )
