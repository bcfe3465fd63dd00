"""Runs of a Glue job that read a table: what becomes of a start that is cut short, of limits, and of bad ends."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adplatform.engines.databases import database_tables
from adplatform.engines.declared_glue_jobs import PLAN
from adplatform.engines.engine import Busy, Started
from adplatform.engines.glue_job import GlueJobEngine
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform_tests.engines.benches import contacts_by_glue, put_plan
from adplatform_tests.flow.world import Crash, Fuse
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.calls import WatchedAws
from adplatform_tests.support.databases import Database
from adplatform_tests.support.glue_jobs import job_runs, make_job, order_job_fault, wait_for_job_run


@dataclass(frozen=True)
class Job:
    """The engine of a table of three rows, and its job. ``fuse`` burns at calls of ``hurt``, an engine like it."""

    services: Services
    engine: GlueJobEngine
    fuse: Fuse

    @property
    def name(self) -> str:
        return self.engine.job

    def hurt(self, *, after: bool) -> GlueJobEngine:
        real = self.services.aws
        aws = WatchedAws(real.region, real.endpoint_url, self.fuse.burn, frozenset({"glue", "s3"}), after)
        return engine_of(replace(self.services, aws=aws), self.engine)

    def order(self, fault: str, **more: Any) -> None:
        order_job_fault(self.services.aws, fault, self.name, **more)

    def wait(self, run: str, *states: str) -> dict[str, Any]:
        return wait_for_job_run(self.services.aws, self.name, run, *states)

    def runs_of_plans(self) -> Counter[str]:
        return Counter(each["Arguments"][PLAN] for each in job_runs(self.services.aws, self.name))


def engine_of(services: Services, like: GlueJobEngine) -> GlueJobEngine:
    [target] = database_tables(like.table.declared, services.settings).targets(services)
    assert isinstance(target.engine, GlueJobEngine)
    return target.engine


Made = Callable[..., Job]


@pytest.fixture
def made(services: Services, shop: Database) -> Made:
    def make(runs: int = 3) -> Job:
        shop.execute("CREATE TABLE contacts (id bigint PRIMARY KEY)", "INSERT INTO contacts VALUES (1), (2), (3)")
        declared = contacts_by_glue(shop, unique("read"))
        pattern = database_tables(declared, services.settings)
        provision(services, [pattern.source])
        make_job(services.aws, declared.job_name, services.zones.raw_bucket, runs=runs)
        [target] = pattern.targets(services)
        assert isinstance(target.engine, GlueJobEngine)
        return Job(services, target.engine, Fuse())

    return make


def wanted(key: str = "slot/1", begun: int = 1) -> Intention:
    return Intention("crm", "contacts", key, begun=begun, begun_at=datetime.now(UTC))


def started(engine: GlueJobEngine, intention: Intention | None = None) -> str:
    answer = engine.start(intention or wanted())
    assert isinstance(answer, Started)
    return answer.run_id


def test_a_start_that_is_killed_at_any_call_costs_one_run(made: Made) -> None:
    job = made()
    job.wait(started(job.engine))
    job.order("run_fails", times=100)
    for call in count():
        job.fuse.left = call
        with suppress(Crash):
            job.hurt(after=True).start(wanted(f"slot/{call}"))
        if job.fuse.left >= 0:
            break
        job.wait(started(job.engine, wanted(f"slot/{call}", begun=2)))
    assert call >= 6
    assert set(job.runs_of_plans().values()) == {1}


def throttle() -> None:
    raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}}, "Any")


def calls(job: Job, going: str, ended: str) -> Iterator[Callable[[GlueJobEngine], object]]:
    yield lambda engine: engine.check()
    yield lambda engine: engine.observe([going, ended, "unknown"])
    yield lambda engine: list(engine.recent(datetime.now(UTC) - timedelta(hours=1)))
    yield lambda engine: list(engine.claims(job.engine.observe([ended])[ended]))
    yield lambda engine: engine.start(wanted("slot/2"))
    yield lambda engine: engine.cancel(going)


def test_a_call_that_is_throttled_at_any_request_may_pass_later(made: Made) -> None:
    job = made()
    ended = started(job.engine)
    job.wait(ended)
    job.order("stuck")
    going = started(job.engine, wanted("slot/0"))
    job.fuse.happens = throttle
    for call in calls(job, going, ended):
        for request in count():
            job.fuse.left = request
            failed = False
            try:
                call(job.hurt(after=False))
            except TransientFailure:
                failed = True
            assert failed is (job.fuse.left < 0)
            if not failed:
                break
        assert request


def test_a_job_that_has_as_many_runs_as_it_may_is_busy(made: Made) -> None:
    job = made(runs=1)
    job.order("stuck", seconds=1)
    client = job.services.glue
    other = client.start_job_run(JobName=job.name, Arguments={PLAN: "s3://elsewhere/plan.json"})["JobRunId"]
    assert job.engine.start(wanted()) == Busy()
    job.wait(other)
    run = started(job.engine, wanted(begun=2))
    assert job.wait(run)["JobRunState"] == "SUCCEEDED"


def test_a_run_may_take_as_long_as_a_view_may_be_held_whatever_its_job_says(made: Made) -> None:
    job = made()
    run = started(job.engine)
    assert job.wait(run)["Timeout"] == 240


def test_a_start_that_is_refused_because_too_many_runs_go_on_leaves_no_run(made: Made) -> None:
    job = made()
    job.order("too_many_runs")
    assert job.engine.start(wanted()) == Busy()
    assert not job.runs_of_plans()
    started(job.engine, wanted(begun=2))
    assert set(job.runs_of_plans().values()) == {1}


def test_once_a_run_is_cancelled_the_next_one_starts(made: Made) -> None:
    job = made(runs=1)
    job.order("stuck")
    first = started(job.engine)
    assert job.engine.start(wanted("slot/2")) == Busy(first)
    assert job.engine.cancel(first)
    job.wait(first)
    assert not job.engine.cancel(first)
    assert started(job.engine, wanted("slot/2", begun=2))


def test_a_run_that_ends_badly_brings_nothing_and_the_next_attempt_everything(made: Made) -> None:
    job, ends = made(), {"run_times_out": "TIMEOUT", "run_errs": "ERROR", "run_expires": "EXPIRED"}
    for attempt, (fault, said) in enumerate(ends.items(), 1):
        job.order(fault)
        run = started(job.engine, replace(wanted(), attempt=attempt))
        job.wait(run)
        seen = job.engine.observe([run])[run]
        assert (seen.state, seen.said, seen.final, bool(seen.message)) == (RunState.FAILED, said, True, True)
        assert list(job.engine.claims(seen)) == []
    again = started(job.engine, replace(wanted(), attempt=len(ends) + 1))
    job.wait(again)
    assert job.engine.observe([again])[again].records == 3


def test_a_run_somebody_stopped_is_cancelled(made: Made) -> None:
    job = made()
    job.order("stuck")
    run = started(job.engine)
    job.services.glue.batch_stop_job_run(JobName=job.name, JobRunIds=[run])
    job.wait(run)
    seen = job.engine.observe([run])[run]
    assert (seen.state, seen.said, seen.final) == (RunState.CANCELLED, "STOPPED", True)


def test_a_manifest_that_is_gone_is_said(made: Made) -> None:
    job = made()
    run = started(job.engine)
    job.wait(run)
    seen = job.engine.observe([run])[run]
    key = f"{job.services.zones.extract_manifests('crm', 'contacts')}{run}.json"
    job.services.s3.delete_object(Bucket=job.services.zones.raw_bucket, Key=key)
    with pytest.raises(PermanentFailure, match=f"{key} is gone: restore it, or read contacts again"):
        list(job.engine.claims(seen))


def test_a_success_without_a_manifest_has_failed(made: Made) -> None:
    job = made()
    script = b"print('ours?')"
    job.services.s3.put_object(Bucket=job.services.zones.raw_bucket, Key=f"jobs/{job.name}.py", Body=script)
    arguments = {PLAN: put_plan(job.services, job.engine)}
    run = job.services.glue.start_job_run(JobName=job.name, Arguments=arguments)["JobRunId"]
    assert job.wait(run)["JobRunState"] == "SUCCEEDED"
    seen = job.engine.observe([run])[run]
    assert (seen.state, "is its script adplatform.jobs.read_table?" in seen.message) == (RunState.FAILED, True)


def secret_of(job: Job, **members: str) -> None:
    """Give the database's secret these members."""
    declared, secrets = job.engine.table.declared, job.services.secrets
    known = json.loads(secrets.get_secret_value(SecretId=declared.connection)["SecretString"])
    secrets.put_secret_value(SecretId=declared.connection, SecretString=json.dumps({**known, **members}))


def test_a_secret_of_a_database_that_glue_does_not_read_is_found_before_a_run_is_started(made: Made) -> None:
    job = made()
    secret_of(job, engine="mysql")
    [finding] = job.engine.check()
    assert finding.fatal
    connection = job.engine.table.declared.connection
    assert finding.text.startswith(
        f"the secret {connection} is of mysql, and Glue reads PostgreSQL: leave `engine` out"
    )


def test_a_secret_that_only_the_job_may_read_is_no_hindrance(made: Made) -> None:
    job = made()
    job.services.secrets.delete_secret(SecretId=job.engine.table.declared.connection, ForceDeleteWithoutRecovery=True)
    [finding] = job.engine.check()
    assert not finding.fatal
    assert finding.text.endswith("declare `dialect: postgres`")
    declared = job.engine.table.declared.model_copy(update={"dialect": "postgres"})
    assert list(replace(job.engine, table=replace(job.engine.table, declared=declared)).check()) == []
