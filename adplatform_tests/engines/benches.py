"""Engines before their stand-ins, each with what a test needs to disturb it: the ground of the contract of all."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from adplatform.contracts.database import DatabaseSource
from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import SftpConnector
from adplatform.engines.appflow import AppFlow
from adplatform.engines.crawler import GlueCrawler
from adplatform.engines.databases import database_tables
from adplatform.engines.datasync import DataSync
from adplatform.engines.declared_crawlers import DeclaredCrawler, provide
from adplatform.engines.declared_glue_jobs import PLAN
from adplatform.engines.declared_spark import MOST_RUNS, SCRIPT, SCRIPT_KEY
from adplatform.engines.engine import Engine, Started
from adplatform.engines.glue_job import GlueJobEngine
from adplatform.engines.sftp.listings import Listings
from adplatform.engines.sftp.memories import Memories
from adplatform.engines.sftp.plans import Plan, Plans, Wanted
from adplatform.engines.sftp.provided_connectors import Connector
from adplatform.engines.sftp.transfers import Transfers
from adplatform.engines.spark import spark_engine
from adplatform.engines.spark_runs import arguments
from adplatform.extract.plan import plan_of
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import EngineRun, Intention
from adplatform.local.world.saas.server import Server
from adplatform.platform.aws import CALL_BUDGET, Aws
from adplatform_tests.local.aws.appflow_world import new_bucket, unique
from adplatform_tests.support.connectors import order_connector_fault, wait_for_transfer
from adplatform_tests.support.crawls import crawls, put_parquet, wait_for_crawl
from adplatform_tests.support.crawls import order_fault as order_crawler_fault
from adplatform_tests.support.databases import Database
from adplatform_tests.support.fetched import fetched_source
from adplatform_tests.support.glue_jobs import job_runs, make_job, order_job_fault, wait_for_job_run
from adplatform_tests.support.replication import make_task, reported, wait_for_execution
from adplatform_tests.support.replication import order_fault as order_task_fault
from adplatform_tests.support.saas import make_flow, order_fault, records, wait_for_run, written
from adplatform_tests.support.sftp_host import SftpHost
from adplatform_tests.support.spark_runs import (
    LEAVES_A_RESULT,
    ROLE,
    emr_runs,
    make_application,
    on_emr,
    on_glue,
    order_emr_fault,
    put_entry_point,
    wait_for_emr_run,
)


@dataclass(frozen=True)
class Bench:
    """An ``engine`` whose client asks once. ``foreign`` has somebody else start a run, ``order`` a fault by a name that
    all engines share, ``written`` gives the keys of what a run wrote. ``nowhere`` is an engine of a target that is not
    there."""

    engine: Engine
    foreign: Callable[[], str]
    wait: Callable[[str], object]
    order: Callable[..., None]
    runs: Callable[[], int]
    written: Callable[[str], set[str]]
    nowhere: Engine
    lacks: frozenset[str] = frozenset()
    """Faults that its stand-in does not have, because the service cannot have them."""
    brings: bool = True
    """Whether its runs write objects, which it claims and counts."""
    stops: bool = True
    """Whether it stops a run that somebody wants stopped."""
    beside: bool = False
    """Whether its runs go on beside each other."""
    tells: tuple[Engine, Engine] | None = None
    """What says whether the target is fit, and the one that is not there, where neither engine does."""

    @property
    def checks(self) -> tuple[Engine, Engine]:
        return self.tells or (self.engine, self.nowhere)


def appflow_bench(aws: Aws, endpoint: str, saas: Server) -> Bench:
    bucket, flow = new_bucket(aws), unique("flow")
    make_flow(aws, saas.url, flow, "Campaign", ["Id", "Name"], bucket, "landing/crm")
    client = aws.client_once("appflow")

    def of(name: str) -> AppFlow:
        return AppFlow(client, aws.client("s3"), name, bucket, "landing/crm/")

    return Bench(
        of(flow),
        lambda: str(client.start_flow(flowName=flow)["executionId"]),
        lambda run: wait_for_run(aws, flow, run),
        lambda name, **more: order_fault(endpoint, name, flow, **more),
        lambda: len(records(aws, flow)),
        lambda run: set(written(aws, bucket, run)),
        of(unique("nobody")),
    )


def datasync_bench(aws: Aws, endpoint: str) -> Bench:
    source, landing, reports = new_bucket(aws), new_bucket(aws), new_bucket(aws)
    s3 = aws.client("s3")
    for name in ("a", "b", "c"):
        s3.put_object(Bucket=source, Key=f"{name}.csv", Body=name.encode())
    task = make_task(aws, source, f"{landing}/landing/cloud", reports=f"{reports}/below", Options=ALL)
    client = aws.client_once("datasync")

    def of(named: str) -> DataSync:
        return DataSync(client, s3, named, landing, "landing/cloud/")

    def order(name: str, **more: Any) -> None:
        order_task_fault(aws, _NAMES.get(name, name), task, **more)

    def keys(run: str) -> set[str]:
        came = [each for each in reported(aws, reports, run) if each.get("TransferStatus", "SUCCESS") == "SUCCESS"]
        return {f"landing/cloud/{each['RelativePath'].lstrip('/')}" for each in came}

    return Bench(
        of(task),
        lambda: str(client.start_task_execution(TaskArn=task)["TaskExecutionArn"]),
        lambda run: wait_for_execution(aws, run),
        order,
        lambda: len(client.list_task_executions(TaskArn=task)["TaskExecutions"]),
        keys,
        of(unique("nobody")),
        frozenset({"no_records", "on_page_2", "connection_expired"}),
    )


def crawler_bench(aws: Aws, endpoint: str) -> Bench:
    bucket, source = new_bucket(aws), unique("source").replace("-", "_")
    path = f"s3://{bucket}/{source}/orders/"
    put_parquet(aws, bucket, f"{source}/orders/dt=2026-01-01/a.parquet", {"id": [1]})
    database = f"crawled_{source}"
    declared = DeclaredCrawler(unique("crawler"), f"{source}/orders", "adplatform-crawler", database, path, 3)
    client = aws.client_once("glue")
    provide(client, declared)
    nowhere = replace(declared, name=unique("nobody"))

    def foreign() -> str:
        client.start_crawler(Name=declared.name)
        return str(crawls(aws, declared.name)[0]["CrawlId"])

    return Bench(
        GlueCrawler(client, declared),
        foreign,
        lambda run: wait_for_crawl(aws, declared.name, run),
        lambda name, **more: order_crawler_fault(endpoint, name, declared.name, **more),
        lambda: len(crawls(aws, declared.name)),
        lambda run: set(),
        GlueCrawler(client, nowhere),
        frozenset({"put_failures", "connection_expired"}),
        brings=False,
    )


def glue_bench(services: Services, shop: Database) -> Bench:
    """One with a table of three rows."""
    shop.execute("CREATE TABLE contacts (id bigint PRIMARY KEY)", "INSERT INTO contacts VALUES (1), (2), (3)")
    declared, aws = contacts_by_glue(shop, unique("read")), services.aws
    pattern, job = database_tables(declared, services.settings), declared.job_name
    provision(services, [pattern.source])
    make_job(aws, job, services.zones.raw_bucket)
    client = aws.client_once("glue")

    def of(wanted: DatabaseSource) -> GlueJobEngine:
        [target] = database_tables(wanted, services.settings).targets(services)
        assert isinstance(target.engine, GlueJobEngine)
        return replace(target.engine, client=client, client_once=lambda: client)

    engine = of(declared)

    def foreign() -> str:
        arguments = {PLAN: put_plan(services, engine), "--region": aws.region}
        return str(client.start_job_run(JobName=job, Arguments=arguments)["JobRunId"])

    def keys(run: str) -> set[str]:
        listed = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket, Prefix="landing/crm/contacts/")
        return {each["Key"] for each in listed.get("Contents", ()) if f"/{run}/" in each["Key"]}

    return Bench(
        engine,
        foreign,
        lambda run: wait_for_job_run(aws, job, run),
        lambda name, **more: order_job_fault(aws, name, job, **more),
        lambda: len(job_runs(aws, job)),
        keys,
        of(contacts_by_glue(shop, unique("nobody"))),
        frozenset({"put_failures", "connection_expired"}),
    )


@dataclass(frozen=True)
class OnceAws(Aws):
    """Its clients never ask again by themselves."""

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self.client_once(service)


def connector_bench(services: Services, host: SftpHost) -> Bench:
    """Transfers of a plan with three batches of two files each."""
    once = replace(services, aws=OnceAws(services.aws.region, services.aws.endpoint_url))
    fetched = fetched_source(services, host)
    lacking = fetched.declared.model_copy(update={"source": unique("nobody").replace("-", "_")})
    batches = []
    for number in range(3):
        names = [f"orders_20260314_{number}{letter}.csv" for letter in "ab"]
        paths = [fetched.put(name) for name in names]
        sizes = [path.stat().st_size for path in paths]
        batches.append([Wanted(str(p), n, None, f"landing/crm/{p.name}") for p, n in zip(paths, sizes, strict=True)])
    plan = Plan("/", datetime.now(UTC), "", batches=tuple(map(tuple, batches)))
    wanted: dict[str, Intention] = {}

    def engines(declared: SftpSource) -> tuple[Transfers, Listings]:
        assert isinstance(declared.from_, SftpConnector)
        connector = Connector(once, declared, declared.from_)
        findings = partial(connector.findings, test=False)
        plans, memories = Plans(once, declared.source, {"slot": plan}), Memories(once, declared.source)

        def row(run_id: str) -> EngineRun:
            intent = wanted[run_id].key if run_id in wanted else "slot/1"
            return EngineRun("crm", "contacts", run_id, intent=intent, found_at=plan.at)

        def intention(key: str) -> Intention:
            return Intention("crm", "contacts", key, begun=1)

        transfers = Transfers(once, connector, declared.source, plans, memories, row, intention, tuple)
        return transfers, Listings(
            once, connector, declared.source, "listing", lambda _: fetched.folder, lambda _: None, findings
        )

    def foreign() -> str:
        """What nobody else can do, an intention of its own does."""
        intention = Intention("crm", "contacts", f"slot/{len(wanted)}", begun=1)
        started = transfers.start(intention)
        assert isinstance(started, Started)
        wanted[started.run_id] = intention
        return started.run_id

    def keys(run: str) -> set[str]:
        results = transfers.connector.results(run) or {}
        paths = {path for path, each in results.items() if each["StatusCode"] == "COMPLETED"}
        return {each.key for each in batches[int(wanted[run].key[-1])] if each.path in paths}

    (transfers, listings), (nowhere, checks_nothing) = engines(fetched.declared), engines(lacking)
    connector = fetched.connector
    return Bench(
        transfers,
        foreign,
        lambda run: wait_for_transfer(services.aws, connector, run),
        lambda name, **more: order_connector_fault(services.aws, _OF_TRANSFERS.get(name, name), connector, **more),
        lambda: len(wanted),
        keys,
        nowhere,
        # What is proven by objects is not forgotten, and a transfer whose every file failed has brought nothing.
        frozenset({"no_records", "on_page_2", "connection_expired", "run_fails", "history_expired", "answer_lost"}),
        stops=False,
        tells=(listings, checks_nothing),
    )


def spark_glue_bench(services: Services) -> Bench:
    provision(services, [])
    aws, job = services.aws, unique("transform")
    make_job(aws, job, services.zones.raw_bucket, script=LEAVES_A_RESULT, arguments={}, runs=MOST_RUNS)
    client = aws.client_once("glue")

    def foreign() -> str:
        given = {**arguments(services, Intention("crm", "contacts", unique("other")), "crm/contacts")}
        return str(client.start_job_run(JobName=job, Arguments=given)["JobRunId"])

    once = replace(services, aws=OnceAws(aws.region, aws.endpoint_url))
    return Bench(
        spark_engine(on_glue(once, job), "crm", "contacts"),
        foreign,
        lambda run: wait_for_job_run(aws, job, run),
        lambda name, **more: order_job_fault(aws, name, job, **more),
        lambda: len(job_runs(aws, job)),
        lambda run: set(),
        spark_engine(on_glue(once, unique("nobody")), "crm", "contacts"),
        frozenset({"put_failures", "connection_expired"}),
        brings=False,
        beside=True,
    )


def spark_emr_bench(services: Services) -> Bench:
    """One whose script leaves a result; what is fit runs ours."""
    aws, application = services.aws, make_application(services.aws)
    provision(services, [])
    put_entry_point(services)
    ours = replace(services, settings=replace(services.settings, raw_bucket=new_bucket(aws)))
    put_entry_point(ours, SCRIPT)
    client = aws.client_once("emr-serverless")
    count = itertools.count()

    def of(where: Services, named: str) -> Engine:
        once = replace(where, aws=OnceAws(aws.region, aws.endpoint_url))
        return spark_engine(on_emr(once, named), "crm", "contacts")

    def foreign() -> str:
        given = arguments(services, Intention("crm", "contacts", unique("other")), "crm/contacts")
        submitted = {
            "entryPoint": services.zones.raw_uri(SCRIPT_KEY),
            "entryPointArguments": [part for pair in given.items() for part in pair],
        }
        started = client.start_job_run(
            applicationId=application,
            executionRoleArn=ROLE,
            name=f"crm/contacts other-{next(count)}",
            jobDriver={"sparkSubmit": submitted},
        )
        return str(started["jobRunId"])

    return Bench(
        of(services, application),
        foreign,
        lambda run: wait_for_emr_run(aws, application, run),
        lambda name, **more: order_emr_fault(aws, name, application, **more),
        lambda: len(emr_runs(aws, application)),
        lambda run: set(),
        of(services, unique("nobody")),
        frozenset({"put_failures", "connection_expired"}),
        brings=False,
        beside=True,
        tells=(of(ours, application), of(ours, unique("nobody"))),
    )


def contacts_by_glue(shop: Database, job: str, **more: Any) -> DatabaseSource:
    """A source ``crm`` whose table ``contacts`` runs of a job read; ``more`` are settings of the job."""
    feed = {"name": "contacts", "start_date": "2026-01-01", "columns": {"id": {"type": "bigint", "required": True}}}
    declared = {"source": "crm", "connection": shop.secret, "tls": "off", "engine": "glue", "feeds": [feed]}
    return DatabaseSource.model_validate({**declared, "glue": {"job": job, **more}})


def put_plan(services: Services, engine: GlueJobEngine) -> str:
    """The place of a plan for the engine's table that belongs to no intention."""
    key = f"{services.zones.extract_plans(engine.table.declared.source, engine.table.feed.name)}{uuid4().hex}.json"
    body = plan_of(engine.table, services.zones, "").model_dump_json().encode()
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    return services.zones.raw_uri(key)


ALL = {"TransferMode": "ALL", "VerifyMode": "ONLY_FILES_TRANSFERRED"}
_OF_TRANSFERS = {"put_failures": "file_fails"}
_NAMES = {"stuck": "stuck_launching", "put_failures": "transfer_failures"}
