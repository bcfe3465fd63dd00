"""Who lives: by boot, namespace, pid and start time here, and by the age of the last sign of life elsewhere."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from adplatform.flow.services import Services
from adplatform.ledger.automation import EXPIRES_AFTER, RENEW_EVERY, Automation
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.table import table_definition
from adplatform.ledger.workers import ALIVE_FOR, WorkerIdentity, Workers, identity_of, started_at, this_worker


class Clock:
    now = datetime(2026, 3, 14, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(services: Services, clock: Clock) -> Ledger:
    client = services.aws.client("dynamodb")
    client.create_table(**table_definition(services.settings.ledger_table))
    return Ledger(client, services.settings.ledger_table, clock)


@pytest.fixture
def workers(ledger: Ledger) -> Workers:
    return Workers(ledger)


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def identity(process: "subprocess.Popen[bytes]") -> WorkerIdentity:
    found = identity_of(process.pid)
    assert found is not None
    return found


def note(workers: Workers, worker: WorkerIdentity, runner: WorkerIdentity | None = None) -> None:
    """The row of a process that is not this one."""
    with workers.beating("run", "work", runner or worker):
        pass
    workers.ledger.client.update_item(
        TableName=workers.ledger.table,
        Key={"pk": {"S": "worker#run"}, "sk": {"S": "work"}},
        UpdateExpression="SET worker = :w",
        ExpressionAttributeValues={":w": {"S": str(worker)}},
    )


def test_an_identity_survives_being_written() -> None:
    assert WorkerIdentity.parse(str(this_worker())) == this_worker()
    assert this_worker().is_here
    assert this_worker().exists
    for text in ("", "ip-10-0-0-1:4711", "a/b/c/d/e", "a/b/c/1"):
        assert WorkerIdentity.parse(text) is None


def test_a_process_started_when_it_did(child: "subprocess.Popen[bytes]") -> None:
    assert abs((started_at(child.pid) or 0) - time.time()) < 30
    child.kill()
    child.wait()
    assert (started_at(child.pid), identity_of(child.pid)) == (None, None)


def test_a_killed_process_is_dead_at_once_even_before_its_parent_notices(
    workers: Workers, child: "subprocess.Popen[bytes]"
) -> None:
    note(workers, identity(child))
    assert workers.live("run") is True
    child.kill()
    end = time.monotonic() + 10
    while workers.live("run"):
        assert time.monotonic() < end
    assert workers.live("run") is False


def test_a_process_that_got_the_id_of_a_dead_one_is_not_that_one(
    workers: Workers, child: "subprocess.Popen[bytes]"
) -> None:
    note(workers, replace(identity(child), started="1"))
    assert workers.live("run") is False


def test_another_host_name_makes_no_live_process_dead_and_no_dead_one_immortal(
    workers: Workers, clock: Clock, child: "subprocess.Popen[bytes]"
) -> None:
    note(workers, replace(identity(child), host="as-it-was-called-before"))
    clock.now += ALIVE_FOR * 100
    assert workers.live("run") is True
    child.kill()
    child.wait()
    assert workers.live("run") is False


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"namespace": "4026530000"}])
def test_a_process_elsewhere_lives_for_as_long_as_it_shows_it(
    workers: Workers, clock: Clock, elsewhere: dict[str, str]
) -> None:
    note(workers, replace(this_worker(), **elsewhere))  # type: ignore[arg-type]
    clock.now += ALIVE_FOR - timedelta(seconds=1)
    assert workers.live("run") is True
    clock.now += timedelta(seconds=1)
    assert workers.live("run") is False


def test_a_run_lives_between_two_steps_while_its_own_process_does(
    workers: Workers, child: "subprocess.Popen[bytes]"
) -> None:
    with subprocess.Popen(["true"]) as step:
        ended = replace(identity(child), pid=step.pid)
    note(workers, ended, runner=identity(child))
    assert workers.live("run") is True
    child.kill()
    child.wait()
    assert workers.live("run") is False


def test_a_sign_of_life_is_renewed_until_the_work_ends_or_nobody_believes_it(workers: Workers, clock: Clock) -> None:
    def beat_at() -> str:
        [row] = workers._rows("run")
        return str(row["beat_at"]["S"])

    with workers.beating("run", "work", this_worker(), every=timedelta(milliseconds=20)):
        first = beat_at()
        clock.now += timedelta(minutes=1)
        end = time.monotonic() + 20
        while beat_at() == first:
            assert time.monotonic() < end
        workers.forget("run")
        time.sleep(0.2)
        assert workers.live("run") is None


def test_nobody_is_known_of_a_run_that_ended(workers: Workers) -> None:
    assert workers.live("run") is None
    with workers.beating("run", "one", this_worker()), workers.beating("run", "two", this_worker()):
        workers.end("run", "one")
        assert workers.live("run") is True
    workers.end("run", "two")
    assert workers.live("run") is None


# -- automation


def test_the_first_owns_the_automation_for_as_long_as_it_is_seen(ledger: Ledger, clock: Clock) -> None:
    automation, began = Automation(ledger), clock.now
    assert automation.hold("a", "host-a", "/home/a") is None
    refused = automation.hold("b", "host-b", "/home/b")
    assert refused is not None
    assert (refused.id, refused.host, refused.home, refused.since) == ("a", "host-a", "/home/a", began)
    for _ in range(20):
        clock.now += EXPIRES_AFTER / 2
        assert automation.hold("a", "host-a", "/home/a") is None
    assert automation.hold("b", "host-b", "/home/b") is not None
    clock.now += EXPIRES_AFTER
    assert automation.hold("b", "host-b", "/home/b") is None
    taken = automation.hold("a", "host-a", "/home/a")
    assert taken is not None
    assert (taken.id, taken.since) == ("b", clock.now)


def test_the_owner_renews_its_row_about_once_a_minute(ledger: Ledger, clock: Clock) -> None:
    automation, began = Automation(ledger), clock.now
    automation.hold("a", "h", "/")
    seen = []
    for _ in range(7):
        clock.now += RENEW_EVERY / 3
        automation.hold("a", "h", "/")
        owner = automation.owner()
        assert owner is not None
        assert owner.since == began
        seen.append((owner.seen_at - began) / RENEW_EVERY)
    assert seen == [0, 0, 1, 1, 1, 2, 2]


def test_taking_over_does_not_ask(ledger: Ledger) -> None:
    automation = Automation(ledger)
    automation.hold("a", "h", "/")
    automation.take_over("b", "h", "/")
    assert automation.hold("b", "h", "/") is None
    assert automation.hold("a", "h", "/") is not None
