"""Files of another cloud through DataSync, in Dagster: from another store's bucket to a clean table."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.components import ReplicatedFiles
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform.platform.clock import utc_now
from adplatform.resources.provisioning import provision_patterns
from adplatform_tests.support.platforms import Platform, make_platform
from adplatform_tests.support.replication import execute, make_task, order_fault, wait_for_execution

DAY = datetime.now(UTC).date() - timedelta(days=1)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "columns": {
        "order_id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "amount": "decimal(12,2)",
    },
    "key": "order_id",
}


@pytest.fixture
def elsewhere(services: Services) -> str:
    """The bucket of the other cloud."""
    name = f"elsewhere-{uuid.uuid4().hex[:8]}"
    services.s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def task(services: Services, elsewhere: str) -> str:
    provision(services, [])
    reports = f"reports-{uuid.uuid4().hex[:8]}"
    services.s3.create_bucket(Bucket=reports)
    landing = f"{services.zones.raw_bucket}/landing/cloud"
    return make_task(services.aws, elsewhere, landing, reports=f"{reports}/cloud")


@pytest.fixture
def cloud(services: Services, instance: dg.DagsterInstance, task: str) -> Platform:
    declared = {"source": "cloud", "task": task, "every": "1h", "feeds": [ORDERS]}
    return make_platform(services, declared, instance, ReplicatedFiles)


@pytest.fixture
def export(services: Services, elsewhere: str) -> Callable[..., None]:
    """Writes rows as a file into the other cloud."""

    def write(name: str, *rows: tuple[int, str, str]) -> None:
        body = "order_id,email,amount\n" + "".join(f"{n},{mail},{amount}\n" for n, mail, amount in rows)
        services.s3.put_object(Bucket=elsewhere, Key=f"orders/dt={DAY}/{name}", Body=body.encode())

    return write


def execution_ends(cloud: Platform) -> dict[str, Any]:
    """The execution that the platform started."""
    [intention] = [each for each in cloud.services.ledger.engine_runs.pursued("cloud") if each.run_id]
    return wait_for_execution(cloud.services.aws, intention.run_id)


def test_files_of_another_cloud_become_a_table_and_stay_where_they_are_compared(
    cloud: Platform, task: str, export: Callable[..., None]
) -> None:
    export("a.csv", (1, "ann@example.com", "9.90"), (2, "bob@example.com", "1.00"))
    cloud.tick()
    execution_ends(cloud)
    [result] = cloud.process()
    assert result.success
    assert cloud.query("select order_id, length(email_lake) from {orders} order by 1") == [(1, 64), (2, 64)]
    listed = cloud.services.s3.list_objects_v2(Bucket=cloud.services.zones.raw_bucket, Prefix="landing/cloud/")
    assert [each["Key"] for each in listed["Contents"]] == [f"landing/cloud/orders/dt={DAY}/a.csv"]
    assert execute(cloud.services.aws, task)["FilesTransferred"] == 0
    assert cloud.process() == []


@pytest.mark.slow
def test_a_start_whose_answer_is_lost_is_one_execution_which_the_next_try_finds(
    cloud: Platform, task: str, export: Callable[..., None]
) -> None:
    export("a.csv", (1, "ann@example.com", "9.90"))
    order_fault(cloud.services.aws, "answer_lost", task)
    cloud.tick()
    client, ledger = cloud.services.aws.client("datasync"), cloud.services.ledger
    [execution] = client.list_task_executions(TaskArn=task)["TaskExecutions"]
    wait_for_execution(cloud.services.aws, execution["TaskExecutionArn"])
    later = replace(cloud, services=replace(cloud.services, now=lambda: utc_now() + timedelta(minutes=2)))
    later.process()
    assert len(client.list_task_executions(TaskArn=task)["TaskExecutions"]) == 1
    [intention] = ledger.engine_runs.intentions("cloud", "task")
    assert (intention.state, intention.run_id) == (IntentState.FULFILLED, execution["TaskExecutionArn"])
    assert cloud.query("select count(*) from {orders}") == [(1,)]


@pytest.mark.slow
def test_an_execution_behind_the_platforms_back_is_landed(
    cloud: Platform, task: str, export: Callable[..., None]
) -> None:
    export("a.csv", (1, "ann@example.com", "9.90"))
    execute(cloud.services.aws, task)
    cloud.process()
    assert cloud.query("select count(*) from {orders}") == [(1,)]


def test_a_file_that_changed_there_replaces_its_rows(cloud: Platform, task: str, export: Callable[..., None]) -> None:
    for amount in ("9.90", "100.00"):
        export("a.csv", (1, "ann@example.com", amount))
        execute(cloud.services.aws, task)
        cloud.process()
    assert [str(row[0]) for row in cloud.query("select amount from {orders}")] == ["100.00"]


def test_nothing_is_landed_before_the_report_is_there(cloud: Platform, task: str, export: Callable[..., None]) -> None:
    export("a.csv", (1, "ann@example.com", "9.90"))
    order_fault(cloud.services.aws, "report_late", task, seconds=2)
    cloud.tick()
    execution_ends(cloud)
    [result] = cloud.process()
    assert result.success


def test_files_that_could_not_be_transferred_are_reported_and_the_others_land(
    cloud: Platform, task: str, export: Callable[..., None]
) -> None:
    export("a.csv", (1, "ann@example.com", "9.90"))
    export("b.csv", (2, "bob@example.com", "1.00"))
    order_fault(cloud.services.aws, "transfer_failures", task, count=1)
    cloud.tick()
    execution_ends(cloud)
    cloud.process()
    [row] = cloud.services.ledger.engine_runs.runs("cloud", "task")
    assert (row.state, row.objects) == (RunState.PARTIAL, 1)
    assert row.error.startswith("1 of its writes failed")
    assert cloud.query("select count(*) from {orders}") == [(1,)]


def test_what_a_failed_execution_did_transfer_is_delivered_and_the_rest_comes_with_the_next(
    services: Services, instance: dg.DagsterInstance, task: str, export: Callable[..., None]
) -> None:
    watched = {"source": "cloud", "task": task, "feeds": [ORDERS]}
    cloud = make_platform(services, watched, instance, ReplicatedFiles)
    export("a.csv", (1, "ann@example.com", "9.90"))
    export("b.csv", (2, "bob@example.com", "1.00"))
    order_fault(cloud.services.aws, "run_fails", task, count=1)
    execute(cloud.services.aws, task)
    cloud.process()
    [row] = cloud.services.ledger.engine_runs.runs("cloud", "task")
    assert (row.state, row.objects) == (RunState.FAILED, 1)
    assert cloud.query("select order_id from {orders}") == [(1,)]
    execute(cloud.services.aws, task)
    cloud.process()
    assert cloud.query("select order_id from {orders} order by 1") == [(1,), (2,)]


def test_a_task_whose_agent_is_offline_is_not_started(cloud: Platform, task: str) -> None:
    order_fault(cloud.services.aws, "agent_offline", task)
    assert cloud.tick() == []
    assert cloud.services.ledger.engine_runs.runs("cloud", "task") == []
    assert "is unavailable" in cloud.services.ledger.messages.troubles("cloud")["target/task"].error


@pytest.mark.slow
def test_a_process_that_knows_nothing_yet_describes_no_execution_that_has_landed(
    cloud: Platform, task: str, export: Callable[..., None]
) -> None:
    export("a.csv", (1, "ann@example.com", "9.90"))
    execute(cloud.services.aws, task)
    cloud.process()
    [target] = ReplicatedFiles(cloud.declared).pattern(cloud.services.settings).targets(cloud.services)
    before = {run.run_id for run in target.engine.recent(datetime(2020, 1, 1, tzinfo=UTC))}
    [fresh] = ReplicatedFiles(cloud.declared).pattern(cloud.services.settings).targets(cloud.services)
    unasked = replace(fresh.engine, client=Undescribed(cloud.services.aws.client("datasync")))
    assert {run.run_id for run in unasked.recent(datetime(2020, 1, 1, tzinfo=UTC))} == before


def test_a_declared_store_that_is_simulated_is_a_bucket_here_and_becomes_a_table(
    services: Services, instance: dg.DagsterInstance, elsewhere: str, export: Callable[..., None]
) -> None:
    store = {"kind": "gcs", "bucket": elsewhere, "secret": f"{elsewhere}/hmac"}
    declared = {"source": "cloud", "from": store, "simulated": True, "every": "1h", "feeds": [ORDERS]}
    cloud = make_platform(services, {**declared, "task": f"cloud {elsewhere}"}, instance, ReplicatedFiles)
    pattern = ReplicatedFiles(cloud.declared).pattern(services.settings)
    for _ in range(2):
        provision_patterns(services, [pattern])
    [target] = pattern.targets(services)
    assert target.engine.check() == []
    export("a.csv", (1, "ann@example.com", "9.90"))
    cloud.tick()
    execution_ends(cloud)
    cloud.process()
    assert cloud.query("select count(*) from {orders}") == [(1,)]


def test_a_store_is_simulated_in_local_mode_only(services: Services) -> None:
    store = {"kind": "gcs", "bucket": "exports", "secret": "hmac"}
    declared = {"source": "cloud", "from": store, "simulated": True, "feeds": [ORDERS]}
    pattern = ReplicatedFiles(ReplicatedFiles.get_model_cls().model_validate(declared)).pattern(services.settings)
    there = replace(services, settings=replace(services.settings, env="aws"))
    with pytest.raises(PermanentFailure, match="cloud is simulated, which only the local mode can be"):
        provision_patterns(there, [pattern])


@dataclass(frozen=True)
class Undescribed:
    """A client of DataSync that nobody may ask for executions one by one."""

    client: Any

    def __getattr__(self, name: str) -> Any:
        assert name != "describe_task_execution"
        return getattr(self.client, name)
