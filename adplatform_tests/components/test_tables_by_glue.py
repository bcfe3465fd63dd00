"""Tables of a PostgreSQL server that runs of a Glue job read: from the database to a clean table."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import pytest

from adplatform.components import DatabaseTables
from adplatform.contracts.database import DatabaseSource
from adplatform.engines.databases import database_tables
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import RunState
from adplatform_tests.components.test_database_tables import CUSTOMERS, ROWS, TABLE, failures, later
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.databases import Database, database_of
from adplatform_tests.support.glue_jobs import (
    jdbc_jar,
    job_runs,
    kill_script,
    make_job,
    order_job_fault,
    wait_for_job_run,
)
from adplatform_tests.support.platforms import Platform, make_platform
from adplatform_tests.support.tls import secured_server

SLOWLY = {"rows_per_second": 8_000, "workers": 1}
"""So that something may happen to a run while it reads."""


@dataclass(frozen=True)
class ByGlue:
    """A platform with one table ``customers`` of ``shop``, and the job."""

    platform: Platform
    shop: Database
    job: str

    @property
    def services(self) -> Services:
        return self.platform.services

    def runs(self) -> list[Any]:
        return self.services.ledger.engine_runs.runs("shop", "customers")

    def read(self, hours: float = 0) -> "Platform":
        """Start what is due, wait for its runs, and land and publish what they brought."""
        platform = later(self.platform, hours=hours)
        platform.process()
        self.wait()
        assert not failures(platform.process())
        return platform

    def wait(self, *states: str, seconds: float = 60.0) -> dict[str, Any]:
        return wait_for_job_run(self.services.aws, self.job, "", *states, seconds=seconds)


Made = Callable[..., ByGlue]


@pytest.fixture
def by_glue(services: Services, shop: Database, instance: dg.DagsterInstance) -> Made:
    def made(source: dict[str, Any] | None = None, arguments: dict[str, str] | None = None, **feed: Any) -> ByGlue:
        job = unique("read")
        declared = {
            "source": "shop",
            "connection": shop.secret,
            "tls": "off",
            "engine": "glue",
            "glue": {"job": job},
            "feeds": [{**CUSTOMERS, **feed}],
            **(source or {}),
        }
        platform = make_platform(services, declared, instance, DatabaseTables)
        make_job(services.aws, job, services.settings.raw_bucket, arguments=arguments)
        return ByGlue(platform, shop, job)

    return made


SUMS = "select count(*), sum(id), sum(amount), count(note), {} from {}"


def assert_as_in_the_database(of: ByGlue) -> None:
    theirs = of.shop.query(SUMS.format("count(*) filter (where note = '')", "customers"))
    assert of.platform.query(SUMS.format("count_if(note = '')", "{customers}")) == theirs


def test_a_table_that_glue_reads_is_what_select_shows(by_glue: Made) -> None:
    of = by_glue(chunks={"rows": 1000})
    of.shop.execute(TABLE, ROWS.format(1, 3000), "ANALYZE customers")
    of.read()
    assert_as_in_the_database(of)
    [run] = of.runs()
    assert (run.state, run.records, run.said) == (RunState.SUCCEEDED, 3000, "SUCCEEDED")
    assert run.objects == run.files > 1
    arguments = str(job_runs(of.services.aws, of.job)[0]["Arguments"])
    assert "customers" in arguments
    assert of.shop.server.secret(of.shop.name)["password"] not in arguments


def with_driver(services: Services) -> dict[str, str]:
    """The argument of a job whose Spark is to reach a PostgreSQL."""
    bucket = unique("jars")
    services.s3.create_bucket(Bucket=bucket)
    services.s3.upload_file(jdbc_jar(), bucket, "driver.jar")
    return {"--extra-jars": f"s3://{bucket}/driver.jar"}


@pytest.mark.slow
def test_executors_of_spark_read_one_view_of_rows_that_move_meanwhile(by_glue: Made, services: Services) -> None:
    of = by_glue(arguments={"--reader": "spark", **with_driver(services)}, chunks={"rows": 5_000})
    of.shop.execute(TABLE, ROWS.format(1, 20_000), "ANALYZE customers")
    platform = later(of.platform)
    platform.process()
    # The view is there before the first piece is read, and Spark takes seconds to begin.
    deadline = time.monotonic() + 120
    while not of.shop.query(
        "SELECT 1 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    theirs = of.shop.query(SUMS.format("count(*) filter (where note = '')", "customers"))
    of.shop.execute("UPDATE customers SET amount = amount + 1", "DELETE FROM customers WHERE id % 7 = 0")
    assert of.wait(seconds=180)["JobRunState"] == "SUCCEEDED"
    assert not failures(platform.process())
    assert of.platform.query(SUMS.format("count_if(note = '')", "{customers}")) == theirs
    assert len(of.runs()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("reader", ["driver", pytest.param("spark", marks=pytest.mark.slow)])
def test_a_run_believes_a_server_by_the_certificates_of_the_secret(
    by_glue: Made, services: Services, reader: str
) -> None:
    arguments = {"--reader": reader, **(with_driver(services) if reader == "spark" else {})}
    with secured_server("127.0.0.1") as secured, database_of(secured.server, services) as shop:
        authority = f"{shop.name}/authority"
        services.secrets.create_secret(Name=authority, SecretString=secured.authority)
        source = {"connection": shop.secret, "tls": "verify", "authority": authority}
        of = replace(by_glue(source, arguments=arguments), shop=shop)
        shop.execute(TABLE, ROWS.format(1, 100))
        of.read()
        assert_as_in_the_database(of)
        assert "CERTIFICATE" not in str(job_runs(services.aws, of.job))


@pytest.mark.slow
def test_what_changed_is_read_from_where_the_last_run_stopped_whoever_read_it(
    by_glue: Made, instance: dg.DagsterInstance
) -> None:
    incremental = {"incremental": {"cursor": "updated_at", "lag": "0s"}, "latest_by": "updated_at"}
    of = by_glue(**incremental)
    of.shop.execute(TABLE, ROWS.format(1, 300))
    as_before = of.platform.declared.model_copy(update={"engine": "embedded"}).model_dump()
    embedded = make_platform(of.services, as_before, instance, DatabaseTables)
    assert not failures(embedded.process())
    of.shop.execute("UPDATE customers SET note = 'changed', updated_at = '2026-11-20' WHERE id IN (5, 6)")
    of.read(hours=1)
    of.shop.execute("UPDATE customers SET note = 'again', updated_at = '2026-11-21' WHERE id = 7")
    of.read(hours=2)
    of.read(hours=3)
    assert sorted(run.records for run in of.runs()) == [0, 1, 2, 300]
    back = later(embedded, hours=4)
    of.shop.execute("UPDATE customers SET note = 'back', updated_at = '2026-11-22' WHERE id = 8")
    assert not failures(back.process())
    assert sorted(run.records for run in of.runs()) == [0, 1, 1, 2, 300]


def test_a_run_whose_machine_is_lost_brings_nothing_and_the_next_one_everything(by_glue: Made) -> None:
    of = by_glue(SLOWLY, chunks={"rows": 1000})
    of.shop.execute(TABLE, ROWS.format(1, 12_000), "ANALYZE customers")
    of.platform.process()
    going = of.wait("RUNNING")
    until_there(of.services, "customers/dt=")
    kill_script(of.services.aws, going["Id"])
    assert of.wait()["JobRunState"] == "FAILED"
    assert not failures(of.platform.process())
    assert of.services.ledger.publications.of_feed("shop/customers") == []
    of.read(hours=0.1)
    assert_as_in_the_database(of)
    assert [run.state for run in of.runs()].count(RunState.SUCCEEDED) == 1


@pytest.mark.slow
def test_a_start_whose_answer_was_lost_costs_no_second_run(by_glue: Made) -> None:
    of = by_glue()
    of.shop.execute(TABLE, ROWS.format(1, 100))
    order_job_fault(of.services.aws, "answer_lost", of.job)
    of.platform.process()
    of.read(hours=0.1)
    [run] = of.runs()
    assert (run.records, len(job_runs(of.services.aws, of.job))) == (100, 1)
    assert_as_in_the_database(of)


@pytest.mark.slow
def test_a_plan_that_somebody_runs_again_is_read_once(by_glue: Made) -> None:
    of = by_glue(incremental={"cursor": "updated_at", "lag": "0s"})
    of.shop.execute(TABLE, ROWS.format(1, 100))
    of.read()
    glue, [first] = of.services.glue, job_runs(of.services.aws, of.job)
    glue.start_job_run(JobName=of.job, Arguments=first["Arguments"])
    again = of.wait()
    assert (again["JobRunState"], first["Id"] in again["ErrorMessage"]) == ("FAILED", True)
    assert not failures(of.platform.process())
    assert sorted(run.state for run in of.runs()) == [RunState.FAILED, RunState.SUCCEEDED]
    assert_as_in_the_database(of)


@pytest.mark.slow
def test_a_run_that_is_stopped_by_hand_is_delivered_to_nobody(by_glue: Made) -> None:
    of = by_glue(SLOWLY, chunks={"rows": 1000})
    of.shop.execute(TABLE, ROWS.format(1, 12_000), "ANALYZE customers")
    of.platform.process()
    of.wait("RUNNING")
    going = job_runs(of.services.aws, of.job)[0]["Id"]
    until_there(of.services, "customers/dt=")
    of.services.glue.batch_stop_job_run(JobName=of.job, JobRunIds=[going])
    assert of.wait()["JobRunState"] == "STOPPED"
    assert not failures(of.platform.process())
    assert [run.state for run in of.runs()] == [RunState.CANCELLED]
    assert of.services.ledger.publications.of_feed("shop/customers") == []


def test_a_run_of_another_table_or_without_a_plan_is_left_alone(by_glue: Made) -> None:
    of = by_glue(every=None)
    of.services.glue.start_job_run(JobName=of.job)
    failed = of.wait()
    assert (failed["JobRunState"], "--plan" in failed["ErrorMessage"]) == ("FAILED", True)
    elsewhere = {"--plan": "s3://elsewhere/plan.json", "--region": "us-east-1"}
    of.services.glue.start_job_run(JobName=of.job, Arguments=elsewhere)
    of.wait()
    of.platform.process()
    assert of.runs() == []


def test_what_the_job_cannot_read_is_said_without_a_value(by_glue: Made) -> None:
    of = by_glue(where="amount > 'rosebud'::text::numeric")
    of.shop.execute(TABLE, ROWS.format(1, 10))
    of.platform.process()
    said = of.wait()
    assert said["JobRunState"] == "FAILED"
    assert "correct `where`" in said["ErrorMessage"]
    assert "rosebud" not in said["ErrorMessage"]


def until_there(services: Services, part: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        listed = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket, Prefix="landing/shop/")
        if any(part in each["Key"] for each in listed.get("Contents", ())):
            return
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_that_is_provisioned_reads_here_as_it_is_declared(by_glue: Made, services: Services) -> None:
    job = unique("made")
    source = {"glue": {"job": job, "role": "adplatform-glue", "package": "s3://artifacts/adplatform.whl"}}
    of = replace(by_glue(source), job=job)
    declared = of.platform.declared
    assert isinstance(declared, DatabaseSource)
    database_tables(declared, services.settings).provision(services)
    of.shop.execute(TABLE, ROWS.format(1, 100))
    of.read()
    assert_as_in_the_database(of)
