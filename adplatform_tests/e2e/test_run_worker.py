"""The process of a run as a launcher starts it, `dagster api execute_run`: stopped by SIGTERM, and outlived by a run
that has its delivery."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform_tests.support.deadly_proxy import Fate, deadly
from adplatform_tests.support.platforms import YESTERDAY, Inbox
from adplatform_tests.support.projects import Project
from adplatform_tests.support.run_worker import make_workers
from adplatform_tests.support.slow_proxy import Slow, slowed

FEED = "acme/orders"
STOP_TIMEOUT = 120
"""Seconds that ECS gives a container to end before it kills it, at most (Fargate)."""


@pytest.fixture
def project(services: Services, tmp_path: Path) -> Project:
    project = Project.copy(tmp_path, services)
    provision(services, [project.source])
    return project


def delivery(project: Project) -> Delivery:
    return project.services.ledger.deliveries.get(FEED, YESTERDAY)


def statuses(project: Project) -> list[str]:
    """Of all runs, the first at the beginning."""
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        return [run.status.value for run in reversed(instance.get_runs())]


def materialized(project: Project) -> int:
    """How often the table was."""
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        return len(instance.fetch_materializations(dg.AssetKey(["clean", "acme", "orders"]), limit=10).records)


def rows(project: Project) -> list[Any]:
    prefix = project.services.settings.database_prefix
    sql = f"select order_id from {prefix}acme.orders order by 1"
    return [row[0] for row in run_query(project.services.aws, project.services.glue, prefix, sql, 100)[1]]


def finish(project: Project, worker: list[str]) -> None:
    done = project.run(*worker[1:], module=worker[0])
    assert done.returncode == 0, done.stderr[-2000:]


def is_claim(target: str, body: str) -> bool:
    return "TransactWriteItems" in target and '"running"' in body


def is_staged_file(target: str, body: str) -> bool:
    return target.startswith("PUT") and ".parquet" in target


def is_flip(target: str, body: str) -> bool:
    return target.endswith(("BatchCreatePartition", "CreatePartition", "UpdatePartition", "BatchUpdatePartition"))


def is_end(target: str, body: str) -> bool:
    return "published" in body and target.endswith(("TransactWriteItems", "UpdateItem", "PutItem"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "meets",
    [
        pytest.param(is_claim, id="at-its-claim"),
        pytest.param(is_staged_file, id="while-files-are-staged"),
        pytest.param(is_flip, id="while-it-publishes"),
        pytest.param(is_end, id="at-its-end"),
    ],
)
def test_a_run_that_is_told_to_stop_ends_and_the_next_one_begins_at_once(
    project: Project, meets: Callable[[str, str], bool]
) -> None:
    inbox = Inbox.subscribe(project.services)
    project.deliver(YESTERDAY)
    [worker] = make_workers(project)
    fate = Fate(meets, number=signal.SIGTERM)
    with (
        deadly(str(project.services.aws.endpoint_url), fate) as url,
        project.start(*worker[1:], module=worker[0], endpoint=url) as process,
    ):
        fate.pid = process.pid
        assert fate.met.wait(120)
        told = time.monotonic()
        _, errors = process.communicate(timeout=STOP_TIMEOUT)
    assert time.monotonic() - told < STOP_TIMEOUT / 2
    assert process.returncode != 0, errors[-2000:]
    assert statuses(project) == ["FAILURE"]
    [following] = make_workers(project)
    assert (delivery(project).attempt, delivery(project).deaths) == (1, 0)
    finish(project, following)
    assert (delivery(project).state, delivery(project).published) == (DeliveryState.PUBLISHED, 1)
    assert (rows(project), statuses(project)) == ([1, 2], ["FAILURE", "SUCCESS"])
    assert [message["event"] for message in inbox.read()] == ["delivery_published"]


def fail_like_run_monitoring(project: Project) -> None:
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        [run] = instance.get_runs(
            filters=dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
        )
        instance.report_run_failed(run, "Run timed out due to taking longer than 600 seconds to start.")


@pytest.mark.slow
def test_a_task_that_starts_when_its_run_was_given_up_does_nothing(project: Project) -> None:
    project.deliver(YESTERDAY)
    [late] = make_workers(project)
    fail_like_run_monitoring(project)
    [following] = make_workers(project)
    with project.start(*late[1:], module=late[0]) as zombie:
        finish(project, following)
        zombie.communicate(timeout=120)
    assert (delivery(project).state, delivery(project).version) == (DeliveryState.PUBLISHED, 1)
    assert (rows(project), statuses(project)) == ([1, 2], ["FAILURE", "SUCCESS"])


@pytest.mark.slow
def test_a_run_that_was_given_up_and_still_works_does_not_disturb_the_one_that_publishes(project: Project) -> None:
    inbox = Inbox.subscribe(project.services)
    project.deliver(YESTERDAY)
    [first] = make_workers(project)
    slow = Slow("parquet", times=10, request=True, longest=250)  # clients repeat a call after a minute
    with (
        slowed(str(project.services.aws.endpoint_url), slow) as url,
        project.start(*first[1:], module=first[0], endpoint=url) as zombie,
    ):
        assert slow.reached.wait(120)
        fail_like_run_monitoring(project)
        [following] = make_workers(project)
        finish(project, following)
        shown = delivery(project)
        slow.let_go()
        zombie.communicate(timeout=120)
    assert (shown.state, shown.published) == (DeliveryState.PUBLISHED, 1)
    assert delivery(project) == shown
    assert (rows(project), materialized(project)) == ([1, 2], 1)
    assert [message["event"] for message in inbox.read()] == ["delivery_published"]
