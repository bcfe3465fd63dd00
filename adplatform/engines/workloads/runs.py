"""The runs of what services do with tables: wanted by publications, and watched as those of every engine."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from adplatform.consumers.registration.athena import workgroup_name
from adplatform.consumers.registration.entity_resolution import workflow_name
from adplatform.consumers.registration.quicksight import data_set_id
from adplatform.consumers.registration.redshift import lacking, warehouse
from adplatform.contracts.consumers import Athena, QuickSight, Redshift, SageMaker
from adplatform.contracts.entity_resolution import EntityResolution
from adplatform.engines.failed import FailedRun, failed_runs
from adplatform.engines.runs import Look, Target, Watch
from adplatform.engines.workloads.athena import Unload
from adplatform.engines.workloads.engine import Service, WorkloadEngine
from adplatform.engines.workloads.entity_resolution import MatchingJob
from adplatform.engines.workloads.match_results import MatchResults
from adplatform.engines.workloads.quicksight import Ingestion
from adplatform.engines.workloads.redshift import Refresh
from adplatform.engines.workloads.sagemaker import PipelineExecution
from adplatform.failures import PermanentFailure
from adplatform.flow.budget import UNLIMITED, Budget
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.flow.workloads import Workload, published_date
from adplatform.lake.table import table_name
from adplatform.lake.zones import Zones
from adplatform.ledger.engine_run import EngineRun, Intention
from adplatform.platform.aws import SIDE_BUDGET
from adplatform.platform.aws_errors import aws_failures


@dataclass(frozen=True)
class WorkloadLook:
    """What one look found: the runs that moved on, each with what it is of, and how many have not ended."""

    changed: tuple[tuple[Workload, EngineRun], ...] = ()
    active: int = 0


def workload_names(source: Source) -> list[str]:
    """What the workloads of a source can be called in a command."""
    return [f"{source.name}/{each.target}" for each in source.workloads]


def workload_watch(services: Services, source: Source, only: Collection[str] | None = None) -> Watch:
    """What services do with the tables of a source; ``only`` the targets with these names, for who asks no other."""
    flows = {flow.table: flow for flow in (*source.feeds, *source.derived)}
    wanted = [each for each in source.workloads if only is None or each.target in only]
    targets = [_target(services, each, flows) for each in wanted]
    return Watch(services, source, targets, *(flow.topics for flow in source.feeds[:1]))


def failed_workloads(services: Services, source: Source) -> list[FailedRun]:
    """Runs that were wanted and given up."""
    return failed_runs(services.ledger, source.name, [each.target for each in source.workloads])


def look_at_workloads(services: Services, source: Source, budget: Budget = UNLIMITED) -> WorkloadLook:
    """Start what publications want, and judge what has ended. While nothing is wanted, the ledger alone is asked."""
    targets = {each.target: each for each in source.workloads}
    runs = services.ledger.engine_runs
    with aws_failures(f"the workloads of {source.name}"):
        named = {i.target for i in runs.pursued(source.name)} | {run.target for run in runs.active(source.name)}
    if named.isdisjoint(targets):
        return WorkloadLook()
    look: Look = workload_watch(services, source, named).look(budget=budget)
    return WorkloadLook(tuple((targets[run.target], run) for run in look.changed), look.active)


def _target(services: Services, workload: Workload, flows: Mapping[str, FeedFlow]) -> Target:
    service = _service(services, workload, flows)
    alike = (lambda intention: published_date(intention.key)) if workload.dated else (lambda _: "")
    return Target(
        workload.target,
        WorkloadEngine(service, services.now),
        judge=service.result,
        only_wanted=True,
        alike=alike,
    )


def _service(services: Services, workload: Workload, flows: Mapping[str, FeedFlow]) -> Service:
    settings = flows[workload.table].feed.consumers.declared[workload.service]
    own, table = services.settings, table_name(workload.table, services.settings.database_prefix)
    match settings:
        case Athena():
            client, query = services.aws.client("athena", SIDE_BUDGET), settings.unloads[workload.name]
            group, prefix = workgroup_name(table), Zones.unloads(workload.table, workload.name)
            return Unload(client, services.store, table, group, query, prefix, partial(_intention_of, services))
        case QuickSight():
            client = services.aws.client("quicksight", SIDE_BUDGET)
            return Ingestion(client, lambda: services.account, data_set_id(table))
        case EntityResolution():
            name, feed = workflow_name(table), flows.get(f"{workload.source}/{workload.results}")
            prefix = f"{Zones.matches(workload.table)}{name}/"
            results = MatchResults(services.store, prefix, feed) if feed is not None else None
            return MatchingJob(services.aws.client_once("entityresolution", SIDE_BUDGET), name, results)
        case SageMaker():
            client = services.aws.client("sagemaker", SIDE_BUDGET)
            return PipelineExecution(client, settings.pipeline or "", table, settings.parameters)
        case Redshift():
            client, unset = services.aws.client("redshift-data", SIDE_BUDGET), tuple(lacking(settings, own))
            return Refresh(client, warehouse(own), settings.refresh, unset)
        case _:
            raise PermanentFailure(f"{workload.table}: nothing is run at {workload.service}")


def _intention_of(services: Services, run: EngineRun) -> Intention | None:
    """Why the run was wanted, as long as it is the one that its intention has."""
    intention = services.ledger.engine_runs.intention(run.source, run.target, run.intent) if run.intent else None
    return intention if intention is not None and intention.run_id == run.run_id else None
