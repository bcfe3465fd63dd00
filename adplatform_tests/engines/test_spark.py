"""Runs of Spark that transform deliveries: what becomes of bad ends, limits and lost answers, on Glue and on EMR
Serverless."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.contracts.model import Contract
from adplatform.engines.declared_spark import MOST_RUNS, SCRIPT
from adplatform.engines.emr_application import RELEASE, application, forget_applications
from adplatform.engines.engine import Busy, Engine, Run, Started
from adplatform.engines.spark import spark_engine
from adplatform.engines.spark_work import spark_watch
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.engine_work import output_prefix, plan_key
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import make_source
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.platform.calls import CODE_SERVER, OPERATOR, acting
from adplatform.platform.names import SPARK_APPLICATION
from adplatform.transform.job_plan import JobResult
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.glue_jobs import job_runs, make_job, order_job_fault, wait_for_job_run
from adplatform_tests.support.replication import administer
from adplatform_tests.support.spark_runs import (
    LEAVES_A_RESULT,
    clean_rows,
    emr_runs,
    make_application,
    on_emr,
    on_glue,
    order_emr_fault,
    put_delivery,
    put_entry_point,
    result_of,
    wait_for_emr_run,
)

FEED = "orders"
ORDERS: dict[str, Any] = {"name": FEED, "start_date": "2026-01-01", "columns": {"order_id": "int"}}
SLEEPS = b"import time\ntime.sleep(60)\n"


@dataclass(frozen=True)
class Spark:
    services: Services
    engine: Engine
    service: str
    order: Callable[..., None]
    wait: Callable[..., dict[str, Any]]
    runs: Callable[[], list[dict[str, Any]]]
    put_script: Callable[[bytes], None]

    def started(self, intention: Intention) -> str:
        answer = self.engine.start(intention)
        assert isinstance(answer, Started)
        return answer.run_id

    def ended(self, intention: Intention) -> Run:
        run = self.started(intention)
        self.wait(run)
        return self.engine.observe([run])[run]

    def objects(self, intention: Intention) -> set[str]:
        prefix = output_prefix(intention)
        listed = self.services.s3.list_objects_v2(Bucket=self.services.zones.raw_bucket, Prefix=prefix)
        return {each["Key"].removeprefix(prefix) for each in listed.get("Contents", ())}


def glue(services: Services) -> Spark:
    aws, job = services.aws, unique("transform")
    bucket = services.zones.raw_bucket
    make_job(aws, job, bucket, script=LEAVES_A_RESULT, arguments={}, runs=MOST_RUNS)
    return Spark(
        services,
        spark_engine(on_glue(services, job), "crm", FEED),
        "glue",
        lambda name, **more: order_job_fault(aws, name, job, **more),
        lambda *run: wait_for_job_run(aws, job, *run),
        lambda: job_runs(aws, job),
        lambda script: services.s3.put_object(Bucket=bucket, Key=f"jobs/{job}.py", Body=script),
    )


def emr(services: Services) -> Spark:
    aws, made = services.aws, make_application(services.aws)
    put_entry_point(services)
    return Spark(
        services,
        spark_engine(on_emr(services, made), "crm", FEED),
        "emr-serverless",
        lambda name, **more: order_emr_fault(aws, name, made, **more),
        lambda *run: wait_for_emr_run(aws, made, *run),
        lambda: emr_runs(aws, made),
        lambda script: put_entry_point(services, script),
    )


@pytest.fixture(params=[glue, emr], ids=["glue", "emr"])
def spark(request: pytest.FixtureRequest, services: Services) -> Spark:
    provision(services, [])
    made: Spark = request.param(services)
    return made


def wanted(attempt: int = 1, begun: int = 1) -> Intention:
    now = datetime.now(UTC)
    key = f"{FEED}/2026-03-14/v1/a1"
    return Intention("crm", FEED, key, attempt=attempt, begun=begun, intended_at=now, begun_at=now)


def test_tries_have_one_plan_and_prefixes_of_their_own() -> None:
    first, second = wanted(), wanted(attempt=2)
    assert plan_key(first) == plan_key(second)
    assert output_prefix(first) != output_prefix(second)
    folder = plan_key(first).removesuffix("plan.json")
    assert {output_prefix(each) for each in (first, second)} == {f"{folder}1/", f"{folder}2/"}
    assert not plan_key(replace(first, key=f"{FEED}/2026-03-14/v1/a2")).startswith(folder)


def test_a_success_that_wrote_nothing_has_failed_and_a_result_is_looked_for_once(spark: Spark) -> None:
    given = spark.engine.services  # type: ignore[attr-defined]
    counted = CountedAws(given.aws.region, given.aws.endpoint_url)
    declared = Feed.model_validate({**ORDERS, "engine": "spark"})
    source, services = make_source("crm", given.zones.raw_bucket, [declared]), replace(given, aws=counted)
    [name] = [target.name for target in spark_watch(services, source).targets]
    runs, intention = services.ledger.engine_runs, replace(wanted(), target=name, begun=0, begun_at=None)
    assert runs.intend(intention)

    def looked(*, hours: int = 0) -> list[tuple[RunState, str]]:
        """The runs after a look."""
        later = replace(services, now=lambda: datetime.now(UTC) + timedelta(hours=hours))
        counted.names.clear()
        with acting(CODE_SERVER):
            spark_watch(later, source).look()
        return [(run.state, run.error) for run in runs.runs("crm", name)]

    spark.order("writes_nothing")
    assert [state for state, _ in looked()] == [RunState.UNSEEN]
    spark.wait(spark.runs()[0].get("Id") or spark.runs()[0]["id"])
    [(state, error)] = looked()
    assert (state, error.startswith("it ended without a result")) == (RunState.FAILED, True)
    assert counted.names.count("GetObject") == 1
    assert len(looked()) == 1
    assert not {"GetObject", "HeadObject"} & set(counted.names)

    contract = Contract.model_validate({"columns": ORDERS["columns"]})
    result = JobResult(contract=contract).model_dump_json().encode()
    spark.put_script(LEAVES_A_RESULT.replace(b'b"{}"', repr(result).encode()))
    looked(hours=2)
    for run in spark.runs():
        spark.wait(run.get("Id") or run["id"])
    assert sorted(looked(hours=2)) == [(RunState.FAILED, error), (RunState.SUCCEEDED, "0 clean rows in 0 files")]
    assert counted.names.count("GetObject") == 1
    looked(hours=2)
    assert not {"GetObject", "HeadObject"} & set(counted.names)


def test_a_run_whose_driver_is_lost_has_failed_and_leaves_no_result(spark: Spark) -> None:
    spark.put_script(SLEEPS)
    run = spark.started(wanted())
    spark.wait(run, "RUNNING")
    while not administer(spark.services.aws, ask={"service": spark.service, "what": "kill", "target": run})["answer"][
        "killed"
    ]:
        pass
    spark.wait(run)
    assert spark.engine.observe([run])[run].state is RunState.FAILED
    assert spark.objects(wanted()) == set()


def test_a_run_that_takes_too_long_is_ended_and_has_failed(spark: Spark) -> None:
    spark.put_script(SLEEPS)
    spark.order("run_times_out", seconds=0.1)
    seen = spark.ended(wanted())
    assert (seen.state, "timeout" in seen.message) == (RunState.FAILED, True)


def test_a_run_says_what_it_is_charged_by_and_where_it_is_shown(spark: Spark) -> None:
    spark.put_script(b"import time\ntime.sleep(0.6)\n" + LEAVES_A_RESULT)
    with acting(CODE_SERVER):
        seen = spark.ended(wanted())
        [again] = list(spark.engine.recent(datetime.now(UTC) - timedelta(minutes=1)))
        assert list(spark.engine.claims(seen)) == []
        assert not spark.engine.cancel(seen.run_id)
    assert again == seen
    names = {"glue": {"dpu_hours"}, "emr-serverless": {"vcpu_hours", "memory_gb_hours"}}
    assert seen.usage.keys() == names[spark.service]
    assert all(value >= 0 for value in seen.usage.values())
    assert seen.link.startswith("https://us-east-1.console.aws.amazon.com/")


def test_a_start_that_finds_no_room_starts_nothing(spark: Spark) -> None:
    spark.order({"glue": "too_many_runs", "emr-serverless": "quota"}[spark.service])
    assert spark.engine.start(wanted()) == Busy()
    assert spark.runs() == []
    assert isinstance(spark.engine.start(wanted(begun=2)), Started)


def test_a_delivery_of_objects_is_transformed_by_the_job_itself(spark: Spark, tmp_path: Path) -> None:
    texts = {"a.csv": "id,email\n1,a@b.de\nx,c@d.de\n", "b.csv": "id,email\n2,A@B.de\n3,\n"}
    put_delivery(spark.services, wanted(), texts)
    spark.put_script(SCRIPT)
    seen = spark.ended(wanted())
    assert (seen.state, seen.message) == (RunState.SUCCEEDED, "")
    result = result_of(spark.services, wanted())
    assert {count.origin: (count.rows_in, count.clean, count.quarantined) for count in result.counts} == {
        "a.csv": (2, 1, 1),
        "b.csv": (2, 2, 0),
    }
    first, second, third = clean_rows(spark.services, result, tmp_path)
    assert first["email_lake"] == second["email_lake"] != third["email_lake"] is None
    below = spark.services.zones.raw_uri(output_prefix(wanted()))
    written = {file.uri.removeprefix(below) for file in result.clean}
    assert written <= spark.objects(wanted())


def test_runs_of_other_targets_are_not_shown(spark: Spark) -> None:
    run = spark.started(wanted())
    other = replace(spark.engine, mark="crm/contacts")  # type: ignore[type-var]
    assert list(other.recent(datetime.now(UTC) - timedelta(minutes=1))) == []
    assert [each.run_id for each in spark.engine.recent(datetime.now(UTC) - timedelta(minutes=1))] == [run]


def test_a_run_that_somebody_wants_stopped_is_cancelled(spark: Spark) -> None:
    spark.put_script(SLEEPS)
    run = spark.started(wanted())
    spark.wait(run, "RUNNING")
    with acting(OPERATOR):
        assert spark.engine.cancel(run)
    spark.wait(run)
    assert spark.engine.observe([run])[run].state is RunState.CANCELLED


def test_emr_takes_a_start_that_its_list_does_not_show_yet_for_the_same(services: Services) -> None:
    provision(services, [])
    spark = emr(services)
    spark.order("answer_lost", times=3)  # by as often as a client asks
    with pytest.raises(TransientFailure):
        spark.engine.start(wanted())
    administer(services.aws, fault={"service": "emr-serverless", "name": "no_records"})
    assert isinstance(spark.engine.start(wanted(begun=2)), Started)
    assert len(spark.runs()) == 1


def test_an_application_that_does_not_start_by_itself_is_found(services: Services) -> None:
    provision(services, [])
    put_entry_point(services, SCRIPT)
    made = make_application(services.aws, autoStartConfiguration={"enabled": False})
    engine = spark_engine(on_emr(services, made), "crm", FEED)
    [finding] = engine.check()
    assert finding.fatal
    assert finding.text.endswith("its auto-start is off while it is CREATED, and should be on, or start it")
    with pytest.raises(PermanentFailure, match="does not auto-start"):
        engine.start(wanted())
    services.aws.client("emr-serverless").start_application(applicationId=made)
    assert list(engine.check()) == []


def test_what_differs_of_an_application_is_found_member_by_member(services: Services) -> None:
    provision(services, [])
    put_entry_point(services, SCRIPT)
    declared = {**application(RELEASE, 64, 256, 5), "name": unique("application")}

    def found(**more: Any) -> list[tuple[str, bool]]:
        made = make_application(services.aws, **{**declared, **more})
        findings = spark_engine(on_emr(services, made), "crm", FEED).check()
        return [(each.text.removeprefix(f"application {made}: "), each.fatal) for each in findings]

    assert found() == []
    assert found(
        architecture="ARM64", releaseLabel="emr-7.9.0", maximumCapacity={"cpu": "4 vCPU", "memory": "64 GB"}
    ) == [
        ("its architecture is ARM64, and should be X86_64, for which what runs import is made: make another", True),
        (
            "its release is emr-7.9.0, and should be emr-7.13.0 or a later one of 7, which has the Python of runs",
            False,
        ),
        ("its most cpu is 4 vCPU, and should be 8 vCPU at least, for a driver and an executor", True),
        (
            "its most memory is 64 GB, and should be 176 GB, for a driver and the 10 executors of "
            "ADPLATFORM_SPARK_WORKERS",
            False,
        ),
    ]
    ready = {"DRIVER": {"workerCount": 1, "workerConfiguration": {"cpu": "4 vCPU", "memory": "16 GB"}}}
    network = {"subnetIds": ["subnet-1"], "securityGroupIds": ["sg-1"]}
    assert [
        (text.partition(" is ")[0], fatal)
        for text, fatal in found(
            type="HIVE",
            autoStopConfiguration={"enabled": False},
            initialCapacity=ready,
            networkConfiguration=network,
        )
    ] == [("its type", True), ("its auto-stop", False), ("its initial capacity", False), ("its network", False)]


def test_the_application_is_found_by_its_name_once_a_process(services: Services) -> None:
    aws = CountedAws("ap-southeast-4", services.aws.endpoint_url)  # a region whose applications are of this test
    named, client = on_emr(replace(services, aws=aws), ""), aws.client("emr-serverless")

    def looks() -> list[Run]:
        engine = spark_engine(named, "crm", FEED)
        with acting(CODE_SERVER):
            return list(engine.recent(datetime.now(UTC) - timedelta(minutes=1)))

    forget_applications()
    with pytest.raises(PermanentFailure, match="no application of EMR Serverless called adplatform: a deployment"):
        looks()
    first = make_application(aws, name=SPARK_APPLICATION)
    make_application(aws)
    aws.names.clear()
    assert (looks(), looks()) == ([], [])
    assert aws.names == ["ListApplications", "ListJobRuns", "ListJobRuns"]
    client.delete_application(applicationId=first)
    with pytest.raises(PermanentFailure, match=f"application {first} takes no runs: it is TERMINATED"):
        spark_engine(named, "crm", FEED).check()
    with pytest.raises(PermanentFailure, match=f"called adplatform, but {first}, which is terminated"):
        looks()
    others = sorted(make_application(aws, name=SPARK_APPLICATION) for _ in range(2))
    with pytest.raises(PermanentFailure, match=f"2 applications .* called adplatform: {', '.join(others)}: name"):
        looks()
    client.delete_application(applicationId=others[0])
    assert looks() == []
    forget_applications()


def test_what_no_setting_says_is_asked_for(services: Services) -> None:
    for settings, said in (
        ({}, "no Spark is set"),
        ({"spark": "emr-serverless", "spark_role": "me"}, "ARN of the role"),
    ):
        with pytest.raises(PermanentFailure, match=said):
            spark_engine(replace(services, settings=replace(services.settings, **settings)), "crm", FEED)
