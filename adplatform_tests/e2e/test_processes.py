"""`adplatform process` in real processes: killed, terminated, two at once, and two instances of Dagster."""

import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from adplatform.cli.deliveries import retry
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import DeliveryState
from adplatform_tests.support.deadly_proxy import Fate, deadly
from adplatform_tests.support.mortal_storage import DIES_AFTER, prepare
from adplatform_tests.support.platforms import YESTERDAY, Inbox
from adplatform_tests.support.projects import ORDERS, Project

FEED = "acme/orders"
EVENTS = (
    *("RUN_START:1", "ENGINE_EVENT:1", "STEP_START:1", "ASSET_CHECK_EVALUATION:1", "ASSET_MATERIALIZATION:1"),
    *("STEP_SUCCESS:1", "STEP_START:2", "ASSET_CHECK_EVALUATION:3", "ASSET_MATERIALIZATION:2", "STEP_SUCCESS:2"),
)
NAMES = {"RUN_START": "PIPELINE_START"}


@pytest.fixture
def project(services: Services, tmp_path: Path) -> Project:
    project = Project.copy(tmp_path, services)
    provision(services, [project.source])
    return project


def rows(project: Project) -> list[tuple[object, ...]]:
    prefix = project.services.settings.database_prefix
    sql = f"select order_id, amount, cast(dt as date) from {prefix}acme.orders order by 3, 1"
    return run_query(project.services.aws, project.services.glue, prefix, sql, 10_000)[1]


def state(project: Project) -> tuple[DeliveryState, int, int, int]:
    delivery = project.services.ledger.deliveries.get(FEED, YESTERDAY)
    return delivery.state, delivery.version, delivery.published, delivery.attempt


def unfinished(project: Project) -> list[dg.DagsterRun]:
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        return [run for run in instance.get_runs() if not run.is_finished]


def eventually(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("event", EVENTS)
def test_a_process_that_is_killed_at_any_event_of_its_run_is_followed_by_the_next(project: Project, event: str) -> None:
    prepare(project.home)
    project.deliver(YESTERDAY)
    kind, _, number = event.partition(":")
    killed = project.run("process", **{DIES_AFTER: f"{NAMES.get(kind, kind)}:{number}"})
    assert killed.returncode == -signal.SIGKILL
    assert len(unfinished(project)) == 1
    recovered = project.run("process")
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    assert unfinished(project) == []
    assert state(project) == (DeliveryState.PUBLISHED, 1, 1, 1)
    assert [row[0] for row in rows(project)] == [1, 2]
    assert list((project.home / "tmp").glob("*_*")) == []


def is_heartbeat(target: str, body: str) -> bool:
    return target.endswith("PutItem") and '"worker#' in body


def is_claim(target: str, body: str) -> bool:
    return "TransactWriteItems" in target and '"running"' in body


@pytest.mark.parametrize(
    ("meets", "after"),
    [
        pytest.param(is_heartbeat, False, id="before-the-heartbeat", marks=pytest.mark.slow),
        pytest.param(is_heartbeat, True, id="after-the-heartbeat", marks=pytest.mark.slow),
        pytest.param(is_claim, False, id="before-the-claim", marks=pytest.mark.slow),
        pytest.param(is_claim, True, id="after-the-claim", marks=pytest.mark.slow),
    ],
)
def test_a_process_that_is_killed_around_its_claim_is_followed_by_the_next(
    project: Project, meets: Callable[[str, str], bool], after: bool
) -> None:
    project.deliver(YESTERDAY)
    fate = Fate(meets, after)
    with (
        deadly(str(project.services.aws.endpoint_url), fate) as url,
        project.start("process", endpoint=url) as process,
    ):
        fate.pid = process.pid
        process.communicate(timeout=120)
    assert (process.returncode, fate.met.is_set()) == (-signal.SIGKILL, True)
    recovered = project.run("process")
    assert recovered.returncode == 0, recovered.stdout + recovered.stderr
    assert (state(project), unfinished(project)) == ((DeliveryState.PUBLISHED, 1, 1, 1), [])
    assert [row[0] for row in rows(project)] == [1, 2]


@pytest.mark.slow
def test_two_processes_at_once_publish_every_row_once_and_report_no_failure(project: Project) -> None:
    inbox = Inbox.subscribe(project.services)
    days = [YESTERDAY - timedelta(days=n) for n in range(4)]
    for day in days:
        project.deliver(day)
    with project.start("process") as one, project.start("process") as two:
        reported = [process.communicate(timeout=180) for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0], reported
    assert "failed" not in "".join(out for out, _ in reported)
    assert [(row[0], row[2]) for row in rows(project)] == [(n, day) for day in sorted(days) for n in (1, 2)]
    assert sorted(m["event"] for m in inbox.read()) == ["delivery_published"] * len(days)
    assert {len(project.services.ledger.publications.of_feed(FEED, day)) for day in days} == {1}


@pytest.mark.slow
def test_a_process_that_is_terminated_lets_go_of_its_delivery_and_spends_no_attempt(
    services: Services, tmp_path: Path
) -> None:
    project = Project.copy(tmp_path, services, {**ORDERS, "bounds": {"max_quarantined": 1}})
    provision(services, [project.source])
    project.deliver(YESTERDAY, rows=400_000)
    for number in range(1, 4):
        with project.start("process") as process:
            eventually(lambda: state(project)[0] is DeliveryState.RUNNING)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert process.returncode != 0
        delivery = services.ledger.deliveries.get(FEED, YESTERDAY)
        if delivery.state is DeliveryState.RUNNING:  # Dagster stopped between two events; the next tick frees it
            continue
        assert (delivery.state, delivery.attempt, delivery.deaths) == (DeliveryState.SETTLED, 1, 0), out + err
        assert delivery.launches > number
    done = project.run("process")
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(project) == (DeliveryState.PUBLISHED, 1, 1, 1)
    assert len(rows(project)) == 10_000


@pytest.mark.slow
def test_a_second_instance_is_refused_with_a_sentence_until_it_takes_over(project: Project, tmp_path: Path) -> None:
    project.deliver(YESTERDAY)
    assert project.run("process").returncode == 0
    project.deliver(YESTERDAY, rows=3)
    other = tmp_path / "laptop"
    refused = project.run("process", home=other)
    assert refused.returncode == 1
    assert "another Dagster instance starts the runs of this ledger" in refused.stderr
    assert "adplatform process --take-over" in refused.stderr
    assert len(rows(project)) == 2
    assert project.run("process", "--take-over", home=other).returncode == 0
    assert len(rows(project)) == 3


@pytest.mark.slow
def test_process_ends_with_status_1_and_says_why_and_what_to_do_while_anything_has_failed(project: Project) -> None:
    key = f"landing/acme/orders/dt={YESTERDAY}"
    for name, body in (("orders.csv", b"id\n1\n"), ("_SUCCESS", b"")):
        project.services.s3.put_object(Bucket=project.services.settings.raw_bucket, Key=f"{key}/{name}", Body=body)
    assert project.run("process").returncode == 1
    again = project.run("process")
    assert again.returncode == 1
    assert f"has failed {FEED} {YESTERDAY}: " in again.stdout
    assert f"mend it, then `adplatform retry {FEED} {YESTERDAY}`" in again.stdout
    refused = project.run("retry", "acme", str(YESTERDAY))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "acme is a source" in refused.stderr
    shown = project.run("ledger", FEED, str(YESTERDAY))
    assert "failed: " in shown.stdout
    project.deliver(YESTERDAY)
    retried = project.run("retry", "acme")
    assert f"{FEED} {YESTERDAY}: reopened, to be processed as a new version" in retried.stdout
    assert project.run("process").returncode == 0
    assert len(rows(project)) == 2


@pytest.mark.parametrize("wrong", [(None, None, False), ("acme", None, True), (None, "2026-01-01", False)])
def test_what_to_retry_must_be_said(wrong: tuple[str | None, str | None, bool]) -> None:
    with pytest.raises(PermanentFailure, match="say what to retry"):
        retry(*wrong)
