"""A partner's files by a connector: listed, fetched, landed and delivered, each once, whatever is lost."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.components.assembly.automation import Automation
from adplatform.components.assembly.engine_runs import EngineRuns, engine_definitions
from adplatform.components.assembly.origins import Origin
from adplatform.contracts.sftp import SftpFeed, SftpSource
from adplatform.engines.engine import Postponed
from adplatform.engines.events import connector_events, woken
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.sftp.connector import below_name, connector_files, target_name
from adplatform.engines.sftp.listings import Listings
from adplatform.engines.sftp.plans import MOST_PATHS
from adplatform.engines.sftp.provided_connectors import fingerprint
from adplatform.engines.sftp.transfers import CHANGED, Transfers
from adplatform.flow.provision import events_to_queue
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import IntentState, RunState
from adplatform.platform.settings import Settings, read_settings
from adplatform_tests.flow.world import Crash, Fuse
from adplatform_tests.support.fetched import DAY, ORDERS, Fetched, fetched_source
from adplatform_tests.support.platforms import Inbox, make_platform
from adplatform_tests.support.sftp_host import SftpHost
from adplatform_tests.support.waiting import eventually

A, B = "orders_20260314_a.csv", "orders_20260314_b.csv"


@pytest.fixture
def fetched(services: Services, sftp_host: SftpHost) -> Fetched:
    return fetched_source(services, sftp_host)


@pytest.fixture
def told(fetched: Fetched) -> Callable[[], list[dict[str, Any]]]:
    return failures_of(fetched)


def failures_of(fetched: Fetched) -> Callable[[], list[dict[str, Any]]]:
    """The messages of failures since the last call."""
    inbox = Inbox.subscribe(fetched.bare)
    return lambda: [each for each in inbox.read() if each["event"] != "delivery_published"]


Messages = Callable[[], list[dict[str, Any]]]


# From the server to the table


def test_files_are_listed_fetched_landed_and_delivered(fetched: Fetched) -> None:
    fetched.put(A, "id\n1\n")
    fetched.put(B, "id\n2\n")
    fetched.put("readme.txt")
    fetched.work()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n1\n", B: "id\n2\n"}
    assert fetched.left() == []
    fetched.pass_by()
    fetched.settle()
    [run] = fetched.transfers()
    assert (run.state, run.files, run.objects, run.failed) == (RunState.SUCCEEDED, 2, 2, 0)
    assert run.started_at
    assert run.ended_at
    assert run.started_at <= run.ended_at
    assert fetched.runs("listing-")[-1].error == "files: 3 listed, 1 of no feed"
    assert len(fetched.versions()) == 2


@dataclass(frozen=True)
class ByConnector(dg.Component):
    """As a component of such sources is."""

    declared: SftpSource

    @classmethod
    def get_model_cls(cls) -> type[SftpSource]:
        return SftpSource

    def pattern(self, settings: Settings) -> EngineFiles:
        return connector_files(self.declared, settings)

    def automation(self) -> Automation:
        return EngineRuns(self.pattern(read_settings()))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return engine_definitions(
            self.pattern(read_settings()), self.declared, {"s3", "transfer"}, Origin("A server", "sftp")
        )


@pytest.mark.slow
def test_what_is_fetched_becomes_rows_of_a_table(
    services: Services, sftp_host: SftpHost, instance: dg.DagsterInstance
) -> None:
    fetched = fetched_source(services, sftp_host)
    platform = make_platform(services, fetched.attributes, instance, ByConnector)
    fetched.put(A, "id\n1\n2\n")
    fetched.put(B, "id\n3\n")

    def delivered() -> bool:
        return all(each.success for each in platform.process()) and bool(platform.delivery("orders", DAY).published)

    assert eventually(delivered)
    assert platform.query("SELECT id FROM {orders} ORDER BY id") == [(1,), (2,), (3,)]


@pytest.mark.slow
def test_a_file_that_comes_again_with_another_content_is_another_version(fetched: Fetched) -> None:
    fetched.put(A, "id\n1\n")
    fetched.work()
    fetched.settle()
    fetched.put(A, "id\n10\n")
    fetched.pass_by()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n10\n"}
    assert fetched.versions() == [A, A]


@pytest.mark.slow
def test_a_file_is_fetched_once_two_listings_show_it_as_it_is(services: Services, sftp_host: SftpHost) -> None:
    orders = {**ORDERS, "remote": f"{sftp_host.folder}/orders_{{date:%Y%m%d}}_*.csv", "ready": {"stable_for": "1m"}}
    fetched = fetched_source(services, sftp_host, orders)
    fetched.put(A)
    fetched.work()
    fetched.pass_by()
    assert fetched.transfers() == []
    fetched.later(minutes=1)
    fetched.pass_by()
    fetched.settle()
    assert list(fetched.delivered()) == [A]


@pytest.mark.slow
def test_a_folder_that_is_listed_once_a_day_is_listed_again_when_a_file_in_it_may_be_whole(
    services: Services, sftp_host: SftpHost
) -> None:
    orders = {**ORDERS, "remote": f"{sftp_host.folder}/orders_{{date:%Y%m%d}}_*.csv", "ready": {"stable_for": "1m"}}
    hour = (datetime.now(UTC) - timedelta(hours=1)).hour
    fetched = fetched_source(services, sftp_host, orders, every="1d", offset=f"{hour}h")
    fetched.put(A)
    fetched.work()
    fetched.look()
    assert (len(fetched.runs("listing-")), fetched.transfers()) == (1, [])
    fetched.later(minutes=1)
    fetched.work()
    fetched.settle()
    assert list(fetched.delivered()) == [A]
    assert fetched.pursued() == []


def test_a_clock_that_is_ahead_is_told_once(services: Services, sftp_host: SftpHost) -> None:
    fetched = fetched_source(services, sftp_host, remote=f"{sftp_host.folder}/orders*.csv")
    told = failures_of(fetched)
    fetched.put(A, at=datetime.now(UTC) + timedelta(hours=50))
    for _ in range(2):
        fetched.pass_by()
    [unsent] = fetched.bare.ledger.messages.unsent(fetched.declared.source)
    assert told() == []
    assert "2 d 1 h" in unsent.facts or "2 d 2 h" in unsent.facts


@pytest.mark.slow
def test_a_file_is_fetched_once_its_marker_is_there(services: Services, sftp_host: SftpHost) -> None:
    ready = {"stable_for": "0s", "marker": "{file}.done"}
    orders = {**ORDERS, "remote": f"{sftp_host.folder}/orders_{{date:%Y%m%d}}_*", "ready": ready}
    fetched = fetched_source(services, sftp_host, orders)
    fetched.put(A)
    fetched.put(B)
    fetched.put(f"{A}.done", "")
    fetched.work()
    fetched.settle()
    assert list(fetched.delivered()) == [A]


@pytest.mark.slow
def test_folders_in_a_folder_are_listed_as_far_as_a_feed_says(services: Services, sftp_host: SftpHost) -> None:
    remote = f"{sftp_host.folder}/{{date:%Y%m%d}}/orders/*.csv"
    fetched = fetched_source(services, sftp_host, remote=remote)
    for path in ("20260314/orders/a.csv", "20260315/orders/a.csv", "20251231/orders/a.csv", "20260314/other/a.csv"):
        fetched.put(path)
    fetched.put("20260314/orders/deeper/a.csv")
    fetched.put("notes/orders/a.csv")
    fetched.work()
    fetched.settle()
    assert list(fetched.delivered()) == ["20260314/orders/a.csv"]
    below = fetched.runs("listings-below-")
    # Two dates and their folder of orders; not the date before the feed begins, nor what has another name.
    assert len(below) == 4
    fetched.pass_by()
    fetched.settle()
    assert len(fetched.runs("listings-below-")) == 8
    assert fetched.versions() == ["20260314/orders/a.csv"]


@pytest.mark.slow
def test_files_of_one_name_are_fetched_by_two_transfers(services: Services, sftp_host: SftpHost) -> None:
    fetched = fetched_source(services, sftp_host, remote=f"{sftp_host.folder}/*/orders_{{date:%Y%m%d}}_a.csv")
    fetched.put(f"east/{A}", "id\n1\n")
    fetched.put(f"west/{A}", "id\n2\n")
    fetched.work()
    fetched.settle()
    assert fetched.delivered() == {f"east/{A}": "id\n1\n", f"west/{A}": "id\n2\n"}


@pytest.mark.slow
def test_many_files_are_fetched_in_one_pass(fetched: Fetched) -> None:
    count = 3 * MOST_PATHS + 1
    for number in range(count):
        fetched.put(f"orders_20260314_{number}.csv", f"id\n{number}\n")
    fetched.work()
    fetched.settle()
    assert fetched.delivered() == {f"orders_20260314_{n}.csv": f"id\n{n}\n" for n in range(count)}
    assert len(fetched.transfers()) == 4
    assert len(fetched.runs("listing-")) == 1


@pytest.mark.slow
def test_more_files_than_may_wait_are_fetched_by_listing_after_listing(fetched: Fetched) -> None:
    fetched.most = 1
    for number in range(2 * MOST_PATHS + 1):
        fetched.put(f"orders_20260314_{number:02}.csv", at=datetime(2026, 3, 14, 0, number, tzinfo=UTC))
    fetched.work()
    fetched.settle()
    assert [each.objects for each in fetched.transfers()] == [MOST_PATHS, MOST_PATHS, 1]
    assert len(fetched.versions()) == 2 * MOST_PATHS + 1


# What is lost, late, refused or wrong


@pytest.mark.parametrize(
    "faults",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in ("event_lost", "event_early")),
        "event_twice truncated_bool no_times",
    ],
)
def test_what_changes_only_what_is_told_changes_nothing(fetched: Fetched, faults: str) -> None:
    fetched.put(A)
    for fault in faults.split():
        fetched.order(fault)
    fetched.work()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n1\n"}
    assert fetched.versions() == [A]


@pytest.mark.parametrize(
    "fault", ["throttled", *(pytest.param(each, marks=pytest.mark.slow) for each in ("unavailable", "internal_error"))]
)
def test_a_call_that_fails_is_repeated_later(fetched: Fetched, told: Messages, fault: str) -> None:
    fetched.put(A)
    for _ in range(5):
        fetched.order(fault, seconds=7)
        fetched.look()
        fetched.later(minutes=2)
    fetched.until(lambda: _later(fetched))
    fetched.settle()
    assert fetched.versions() == [A]
    assert all(each["event"] == "target_refused" for each in told())


def _later(fetched: Fetched) -> bool:
    fetched.later(seconds=30)
    return not fetched.pursued()


def test_a_start_that_is_throttled_may_come_again_when_the_answer_says(fetched: Fetched) -> None:
    engine = fetched.target("transfer").engine
    assert isinstance(engine, Transfers)
    fetched.order("throttled", seconds=100)
    with pytest.raises(Postponed) as postponed:
        engine.connector.start("start_remote_delete", DeletePath="/nobody")
    assert postponed.value.rest == timedelta(seconds=100)


@pytest.mark.parametrize("target", [pytest.param("listing-", marks=pytest.mark.slow), "transfer"])
def test_a_start_whose_answer_is_lost_is_repeated_and_nothing_lands_twice(fetched: Fetched, target: str) -> None:
    fetched.put(A)
    if target == "transfer":
        fetched.until(lambda: fetched.intentions("transfer"))
    fetched.order("answer_lost")
    fetched.look()
    [intention] = [each for each in fetched.intentions(target) if not each.run_id]
    assert (intention.state, intention.begun) == (IntentState.INTENDED, 1)
    fetched.later(minutes=2)
    fetched.work()
    fetched.settle()
    assert fetched.versions() == [A]
    # What the lost one wrote lies in a folder of its own, and expires.
    assert len(fetched.left()) == (1 if target == "transfer" else 0)


def test_a_listing_that_writes_nothing_has_failed_after_a_while_and_is_repeated(
    fetched: Fetched, told: Messages
) -> None:
    fetched.put(A)
    fetched.order("listing_lost")
    fetched.look()
    fetched.look()
    fetched.later(minutes=16)
    fetched.look()
    [failed] = fetched.runs("listing-")
    assert (failed.state, failed.said) == (RunState.FAILED, "no output")
    assert "the log of connector c-" in failed.message
    fetched.look()
    fetched.later(minutes=2)
    fetched.work()
    fetched.settle()
    assert fetched.versions() == [A]
    assert told() == []


@pytest.mark.slow
def test_a_folder_that_cannot_be_listed_is_told_once(services: Services, sftp_host: SftpHost) -> None:
    fetched = fetched_source(services, sftp_host, remote=f"{sftp_host.folder}/gone/*.csv", every="1h")
    told = failures_of(fetched)
    for _ in range(20):
        fetched.look()
        fetched.later(minutes=10)
    [message] = told()
    assert message["event"] == "run_given_up"
    fetched.put("gone/orders.csv", at=datetime(2026, 3, 14, tzinfo=UTC))
    fetched.until(lambda: _later(fetched) and fetched.transfers())
    fetched.work()
    assert told() == []
    assert services.ledger.messages.troubles(fetched.declared.source) == {}


def test_a_truncated_listing_is_taken_as_far_as_it_goes_and_told_once(fetched: Fetched, told: Messages) -> None:
    for number in range(5):
        fetched.put(f"orders_20260314_{number}.csv")
    fetched.order("listing_truncated", count=2)
    fetched.work()
    fetched.order("listing_truncated", count=2)
    fetched.pass_by()
    [message] = told()
    assert message["event"] == "listing_truncated"
    assert "afterwards" in message["error"]
    assert len(fetched.transfers()) == 1
    fetched.pass_by()
    fetched.settle()
    assert len(fetched.versions()) == 5
    assert fetched.bare.ledger.messages.troubles(fetched.declared.source) == {}


def test_a_file_that_fails_is_fetched_again_after_a_rest_and_told_if_it_fails_again(
    fetched: Fetched, told: Messages
) -> None:
    fetched.put(A)
    fetched.put(B)
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.order("file_fails")
    fetched.work()
    [partial] = fetched.transfers()
    assert (partial.state, partial.failed, partial.objects) == (RunState.PARTIAL, 1, 1)
    assert "TRANSFER_ERROR" in partial.message
    fetched.pass_by()
    assert len(fetched.transfers()) == 1
    fetched.later(minutes=6)
    fetched.list_again()
    fetched.until(lambda: len(fetched.intentions("transfer")) == 2)
    fetched.order("transfer_fails")
    fetched.work()
    assert told() == []
    fetched.pass_by()
    [message] = told()
    assert message["event"] == "files_not_fetched"
    assert "CONNECTION_ERROR" in message["error"]
    fetched.later(minutes=11)
    fetched.pass_by()
    fetched.settle()
    assert fetched.versions() == [A, B]
    assert told() == []


def test_a_file_that_changed_while_it_was_fetched_is_fetched_as_it_is_then(fetched: Fetched) -> None:
    fetched.put(A, "id\n1\n")
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.put(A, "id\n1\n2\n")
    fetched.work()
    [run] = fetched.transfers()
    assert CHANGED in run.error
    assert fetched.versions() == []
    fetched.pass_by()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n1\n2\n"}
    assert fetched.versions() == [A]


def test_an_object_that_lacks_bytes_is_not_delivered(fetched: Fetched) -> None:
    fetched.put(A, "id\n1\n2\n")
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.order("short_object", count=2)
    fetched.work()
    fetched.settle()
    assert fetched.versions() == []
    fetched.pass_by()
    fetched.later(minutes=6)
    fetched.pass_by()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n1\n2\n"}


@pytest.mark.slow
def test_a_file_that_is_gone_before_it_is_fetched_fails_no_other(fetched: Fetched) -> None:
    fetched.put(A)
    fetched.put(B)
    fetched.until(lambda: fetched.intentions("transfer"))
    (fetched.host.folder / A).unlink()
    fetched.work()
    fetched.pass_by()
    fetched.settle()
    assert list(fetched.delivered()) == [B]
    assert len(fetched.transfers()) == 1


def test_a_transfer_that_is_stuck_is_overdue_and_what_it_has_is_fetched_no_second_time(
    fetched: Fetched, told: Messages
) -> None:
    fetched.put(A)
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.order("stuck")
    fetched.look()
    fetched.look()
    fetched.pass_by_once()
    assert [run.state for run in fetched.transfers()] == [RunState.RUNNING]
    fetched.later(hours=13)
    fetched.look()
    fetched.look()
    assert [each["event"] for each in told()] == ["run_overdue"]
    assert len(fetched.intentions("transfer")) == 1


def test_a_transfer_whose_results_are_forgotten_is_proved_by_its_objects(fetched: Fetched) -> None:
    fetched.put(A)
    fetched.put(B)
    fetched.until(fetched.transfers)
    assert eventually(lambda: len(fetched.left()) == 2)
    fetched.order("history_expired")
    assert eventually(lambda: fetched.target("transfer").engine.observe([fetched.transfers()[0].run_id]))
    fetched.work()
    fetched.settle()
    assert fetched.versions() == [A, B]
    assert fetched.transfers()[0].said in ("forgotten", "COMPLETED")


@pytest.mark.slow
def test_only_three_listings_are_begun_a_second(services: Services, sftp_host: SftpHost) -> None:
    fetched = fetched_source(services, sftp_host, remote=f"{sftp_host.folder}/{{date:%Y%m%d}}/*.csv")
    fetched.order("listing_rate")
    for day in range(1, 6):
        fetched.put(f"202603{day:02}/a.csv")
    fetched.work()
    fetched.settle()
    assert len(fetched.runs("listings-below-")) == 5
    assert len(fetched.transfers()) >= 5


@pytest.mark.slow
def test_what_an_old_transfer_brings_is_not_landed_behind_what_a_later_listing_wanted(fetched: Fetched) -> None:
    fetched.put(A, "id\n1\n", at=datetime(2026, 3, 14, 1, tzinfo=UTC))
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.order("late", seconds=6)
    fetched.until(fetched.transfers)
    fetched.put(A, "id\n2\n", at=datetime(2026, 3, 14, 2, tzinfo=UTC))
    fetched.pass_by_once()
    fetched.until(lambda: any(run.ended for run in fetched.transfers()))
    fetched.settle()
    assert fetched.delivered() == {A: "id\n2\n"}
    fetched.work()
    fetched.settle()
    assert fetched.versions() == [A]
    assert all(run.ended for run in fetched.transfers())


@pytest.mark.slow
def test_a_plan_that_nobody_has_carried_out_is_by_the_next_judgement(fetched: Fetched) -> None:
    fetched.work()
    fetched.put(A)
    fetched.list_again()
    fetched.look()
    run = fetched.runs("listing-")[-1]
    assert eventually(lambda: fetched.target().engine.observe([run.run_id])[run.run_id].final)
    # The process is killed between the memory and what the plan wants.
    fetched.fuse.left = 3
    with suppress(Crash):
        fetched.look()
    assert fetched.remembered()[f"{fetched.folder}/{A}"].fetch
    assert fetched.intentions("transfer") == []
    runs = fetched.bare.ledger.engine_runs
    assert runs.landed(fetched.runs("listing-")[-1])
    fetched.pass_by()
    fetched.settle()
    assert fetched.versions() == [A]


def test_what_ends_is_reported_and_wakes_whoever_looks(fetched: Fetched) -> None:
    pattern = fetched.pattern
    events_to_queue(fetched.bare, pattern.source, pattern.events)
    other = {**ORDERS, "remote": "/elsewhere/{date}.csv"}
    events_to_queue(fetched.bare, replace(pattern.source, name="other"), connector_events(elsewhere(fetched, other)))
    fetched.put(A)
    fetched.look()
    assert eventually(lambda: woken(fetched.bare, pattern.source))
    fetched.until(fetched.transfers)
    assert eventually(lambda: woken(fetched.bare, pattern.source))
    assert not woken(fetched.bare, pattern.source)
    assert not woken(fetched.bare, replace(pattern.source, name="other"))


def elsewhere(fetched: Fetched, feed: dict[str, Any]) -> SftpSource:
    """A source whose server is another."""
    at = fetched.declared.from_.model_copy(update={"host": "other.example"})
    return fetched.declared.model_copy(update={"from_": at, "feeds": [SftpFeed.model_validate(feed)]})


def test_events_of_a_named_connector_are_known_by_its_id(fetched: Fetched) -> None:
    at = fetched.declared.from_.model_copy(update={"connector": "c-" + "0" * 17})
    pattern = connector_events(fetched.declared.model_copy(update={"from_": at}))
    assert pattern["detail"] == {"connector-id": ["c-" + "0" * 17]}


# Killed


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_before_any_write_loses_nothing_and_lands_nothing_twice(
    fetched: Fetched, step: int
) -> None:
    fetched.work()
    call, killed = 0, True
    while killed:
        name = f"orders_20260314_{call}.csv"
        fetched.put(name, f"id\n{call}\n")
        fetched.list_again()
        fetched.fuse.left = call
        with suppress(Crash):
            fetched.work()
        killed, fetched.fuse.left = fetched.fuse.left < 0, -1
        # What has landed is published and archived before anybody looks again.
        fetched.settle()
        fetched.later(minutes=2)
        fetched.work()
        call += step
    fetched.settle()
    names = sorted(f"orders_20260314_{n}.csv" for n in range(0, call, step))
    assert sorted(fetched.delivered()) == names
    assert fetched.versions() == names
    assert fetched.objects("landing/") == []
    # A start of which nobody heard.
    assert len(fetched.left()) <= 1
    assert call > 20


@pytest.mark.slow
@pytest.mark.parametrize("step", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_two_processes_that_look_at_the_same_time_land_nothing_twice(fetched: Fetched, step: int) -> None:
    other = replace(fetched, fuse=Fuse(), newest={})
    fetched.work()
    call, met = 0, True
    while met:
        fetched.put(f"orders_20260314_{call}.csv", f"id\n{call}\n")
        fetched.list_again()
        fetched.fuse.left, fetched.fuse.happens = call, other.look
        fetched.work()
        met, fetched.fuse.left = fetched.fuse.left < 0, -1
        fetched.later(minutes=2)
        fetched.work()
        call += step
    fetched.settle()
    names = sorted(f"orders_20260314_{n}.csv" for n in range(0, call, step))
    assert sorted(fetched.delivered()) == names
    # Who lands a file while another does the same may write it once more; readers have one of them.
    assert set(fetched.versions()) == set(names)
    assert len(fetched.versions()) <= len(names) + 2
    assert call > 20


# Names


def test_targets_are_called_by_their_folders_and_never_alike() -> None:
    folders = ["/out/orders", "/out-orders", "/out_orders", "/", "/root", "/" + "x" * 300, "/ü/orders"]
    names = [target_name(folder) for folder in folders]
    assert names[0] == "listing-out-orders"
    assert names[3] == "listing-root"
    assert len(set(names)) == len(folders)
    assert len({below_name(folder) for folder in folders} | set(names)) == 2 * len(folders)
    assert all(len(name) < 120 for name in names)


def test_people_are_told_also_when_the_process_is_killed_before_it_tells_them(fetched: Fetched, told: Messages) -> None:
    fetched.work()
    fetched.put("orders_20260314_\n.csv")
    fetched.list_again()
    fetched.look()
    run = fetched.runs("listing-")[-1].run_id
    assert eventually(lambda: fetched.target().engine.observe([run])[run].final)
    # The process is killed between the memory and what the plan tells.
    fetched.fuse.left = 3
    with suppress(Crash):
        fetched.look()
    assert fetched.fuse.left == -1
    assert told() == []
    fetched.work()
    assert [each["event"] for each in told()] == ["files_refused"]


@pytest.mark.slow
def test_names_that_nobody_can_ask_for_are_refused_and_told_once(fetched: Fetched, told: Messages) -> None:
    fetched.put("orders_20260314_\n.csv")
    fetched.put(A)
    fetched.work()
    fetched.pass_by()
    fetched.settle()
    assert list(fetched.delivered()) == [A]
    [message] = told()
    assert message["event"] == "files_refused"
    assert "line breaks" in message["error"]


# The connector


@pytest.mark.slow
def test_a_host_key_that_changed_in_the_night_is_told_once_with_both_keys(fetched: Fetched, told: Messages) -> None:
    fetched.put(A)
    fetched.host.restart(new_host_key=True)
    for _ in range(12):
        fetched.look()
        fetched.later(minutes=20)
    [message] = told()
    assert message["event"] == "target_refused"
    assert fingerprint(fetched.host.host_keys[0]) in message["error"] or (
        fingerprint(fetched.host.host_keys[1]) in message["error"]
    )
    assert all(fingerprint(key) in message["error"] for key in fetched.declared.from_.host_keys)
    assert fetched.transfers() == []
    trusted = fetched.declared.from_.model_copy(update={"host_keys": fetched.host.host_keys})
    fetched.declared = fetched.declared.model_copy(update={"from_": trusted})
    fetched.pattern.provision(fetched.services)
    fetched.until(lambda: _later(fetched) and fetched.transfers())
    fetched.settle()
    assert fetched.versions() == [A]
    assert told() == []
    assert fetched.bare.ledger.messages.troubles(fetched.declared.source) == {}


@pytest.mark.slow
def test_while_there_is_no_connector_nothing_is_given_up_and_that_is_told_once(
    fetched: Fetched, told: Messages
) -> None:
    fetched.put(A)
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.list_again()
    fetched.bare.aws.client("transfer").delete_connector(ConnectorId=fetched.connector)
    for _ in range(4):
        fetched.look()
        fetched.later(minutes=6)
    [message] = told()
    assert "`adplatform provision` makes it" in message["error"]
    assert fetched.transfers() == []
    fetched.pattern.provision(fetched.services)
    fetched.work()
    fetched.settle()
    assert fetched.versions() == [A]
    assert told() == []


@pytest.mark.parametrize("fault", ["connector_errored", pytest.param("connector_pending", marks=pytest.mark.slow)])
def test_while_the_connector_cannot_be_used_nothing_is_started_and_that_is_told_once(
    fetched: Fetched, told: Messages, fault: str
) -> None:
    fetched.put(A)
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.list_again()
    fetched.order(fault)
    for _ in range(4):
        fetched.look()
        fetched.later(minutes=6)
    assert fetched.transfers() == []
    [message] = told()
    assert fault.removeprefix("connector_").upper() in message["error"]
    assert all(each.begun == 0 for each in fetched.pursued())
    fetched.order(fault, seconds=0.01)
    assert eventually(lambda: fetched.pattern.targets(fetched.bare)[0].engine.check() == [])
    fetched.later(minutes=6)
    fetched.work()
    fetched.settle()
    assert fetched.versions() == [A]
    assert told() == []


# Afterwards


def cleared(services: Services, host: SftpHost, **afterwards: Any) -> Fetched:
    remote = f"{host.folder}/orders_{{date:%Y%m%d}}_*"
    ready = {"stable_for": "0s", "marker": "{file}.done"}
    made = fetched_source(services, host, {**ORDERS, "remote": remote, "ready": ready}, afterwards=afterwards)
    for name in (A, B):
        made.put(name)
        made.put(f"{name}.done", "")
    return made


def test_files_are_moved_with_their_markers_once_readers_see_them(services: Services, sftp_host: SftpHost) -> None:
    fetched = cleared(services, sftp_host, move_to="done")
    (sftp_host.folder / "done").mkdir()
    fetched.work()
    fetched.pass_by()
    assert fetched.on_server() == sorted([A, B, f"{A}.done", f"{B}.done"])
    fetched.settle()
    fetched.order("event_lost")
    fetched.pass_by()
    away = sorted(f"done/{name}" for name in (A, B, f"{A}.done", f"{B}.done"))
    assert eventually(lambda: fetched.on_server() == away)
    fetched.pass_by()
    assert fetched.remembered() == {}
    assert len(fetched.transfers()) == 1


@pytest.mark.slow
def test_files_are_moved_to_the_folder_of_their_date(services: Services, sftp_host: SftpHost) -> None:
    fetched = cleared(services, sftp_host, move_to="done/{date:%Y%m%d}")
    (sftp_host.folder / "done/20260314").mkdir(parents=True)
    fetched.work()
    fetched.settle()
    fetched.pass_by()
    away = sorted(f"done/20260314/{name}" for name in (A, B, f"{A}.done", f"{B}.done"))
    assert eventually(lambda: fetched.on_server() == away)


def test_files_are_deleted_once_readers_see_them_and_one_that_changed_stays(
    services: Services, sftp_host: SftpHost
) -> None:
    fetched = cleared(services, sftp_host, delete=True)
    fetched.work()
    fetched.settle()
    fetched.put(B, "id\n7\n8\n")
    fetched.pass_by()
    assert eventually(lambda: fetched.on_server() == sorted([B, f"{B}.done"]))
    fetched.settle()
    assert fetched.delivered()[B] == "id\n7\n8\n"
    fetched.later(minutes=61)
    fetched.pass_by()
    assert eventually(lambda: fetched.on_server() == [])


@pytest.mark.slow
def test_what_could_not_be_moved_is_asked_for_again_under_another_name_and_told_in_the_end(
    services: Services, sftp_host: SftpHost
) -> None:
    fetched = cleared(services, sftp_host, move_to=f"{sftp_host.folder}/done")
    told = failures_of(fetched)

    def moved() -> bool:
        return len([name for name in fetched.on_server() if name.startswith("done/")]) == 5

    fetched.work()
    fetched.settle()
    for _ in range(4):
        fetched.pass_by()
        fetched.later(minutes=61)
    [message] = told()
    assert message["event"] == "files_not_cleared"
    assert f"have {sftp_host.folder}/done made, since a connector makes no folder" in message["error"]
    assert fetched.on_server() == sorted([A, B, f"{A}.done", f"{B}.done"])
    fetched.put(f"done/{A}", "of the day before")
    # On a busy machine a session may fail; what stays is asked for again after an hour.
    for _ in range(3):
        fetched.pass_by()
        if moved():
            break
        fetched.later(minutes=61)
    assert eventually(moved)
    assert (sftp_host.folder / "done" / A).read_text() == "of the day before"
    assert told() == []


@pytest.mark.slow
def test_by_a_listing_that_is_old_by_now_nothing_is_deleted(services: Services, sftp_host: SftpHost) -> None:
    fetched = cleared(services, sftp_host, delete=True)
    fetched.work()
    fetched.settle()
    fetched.list_again()
    fetched.look()
    run = fetched.runs("listing-")[-1].run_id
    assert eventually(lambda: fetched.target().engine.observe([run])[run].final)
    # The process is killed when it is about to judge the listing.
    fetched.fuse.left = 1
    with suppress(Crash):
        fetched.look()
    assert fetched.runs("listing-")[-1].final
    fetched.later(minutes=11)
    fetched.work()
    assert fetched.runs("listing-")[-1].ended
    assert len(fetched.on_server()) == 4
    fetched.later(minutes=61)
    fetched.pass_by()
    assert eventually(lambda: fetched.on_server() == [])


@pytest.mark.slow
def test_an_output_that_is_gone_is_left_for_the_next_listing(fetched: Fetched) -> None:
    fetched.work()
    fetched.put(A)
    fetched.list_again()
    fetched.look()
    run = fetched.runs("listing-")[-1].run_id
    assert eventually(lambda: fetched.target().engine.observe([run])[run].final)
    fetched.fuse.left = 1
    with suppress(Crash):
        fetched.look()
    fetched.fuse.left = -1
    fetched.bare.store.delete(fetched.bare.zones.raw_bucket, [each["Key"] for each in fetched.objects("listings/")])
    fetched.work()
    assert "gone" in fetched.runs("listing-")[-1].error
    fetched.pass_by()
    fetched.settle()
    assert fetched.versions() == [A]


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "seconds"), [("stuck", 0), ("late", 3)])
def test_a_listing_that_does_not_come_in_time_is_wanted_again_and_its_late_output_fetches_nothing_twice(
    fetched: Fetched, told: Messages, fault: str, seconds: int
) -> None:
    fetched.put(A)
    fetched.order(fault, seconds=seconds)
    fetched.look()
    [lost] = fetched.runs("listing-")
    fetched.later(minutes=14)
    fetched.look()
    assert not fetched.runs("listing-")[0].ended
    fetched.later(minutes=2)
    fetched.until(lambda: fetched.pursued()[0].attempt == 2)
    assert "it wrote no listing within" in fetched.runs("listing-")[0].error
    fetched.later(minutes=2)
    fetched.work()
    fetched.settle()
    if seconds:
        prefix = fetched.bare.zones.sftp_listings(fetched.declared.source)
        assert eventually(lambda: any(lost.run_id in each["Key"] for each in fetched.objects(prefix)))
    fetched.pass_by()
    fetched.settle()
    assert fetched.versions() == [A]
    assert len(fetched.transfers()) == 1
    assert told() == []


@pytest.mark.slow
def test_an_output_that_is_no_listing_is_told_once_and_the_next_is_taken(fetched: Fetched, told: Messages) -> None:
    fetched.work()
    fetched.put(A)
    for _ in range(2):
        fetched.list_again()
        fetched.look()
        run = fetched.runs("listing-")[-1].run_id
        engine = fetched.target().engine
        assert isinstance(engine, Listings)
        assert eventually(lambda engine=engine, run=run: engine.observe([run])[run].final)
        key = (
            f"{fetched.bare.zones.sftp_listings(fetched.declared.source)}{engine.target}/{fetched.connector}-{run}.json"
        )
        fetched.bare.s3.put_object(Bucket=fetched.bare.zones.raw_bucket, Key=key, Body=b"<html>")
        fetched.work()
    [message] = told()
    assert message["event"] == "listing_unreadable"
    fetched.pass_by()
    fetched.settle()
    assert fetched.versions() == [A]
    assert fetched.bare.ledger.messages.troubles(fetched.declared.source) == {}


@pytest.mark.slow
def test_a_memory_that_is_damaged_is_told_with_what_to_do(fetched: Fetched, told: Messages) -> None:
    fetched.put(A)
    fetched.work()
    [key] = [o["Key"] for o in fetched.objects("fetched/")]
    fetched.bare.s3.put_object(Bucket=fetched.bare.zones.raw_bucket, Key=key, Body=b"x", Metadata={"run": "x"})
    fetched.list_again()
    fetched.until(lambda: fetched.bare.ledger.messages.troubles(fetched.declared.source))
    [message] = told()
    assert "restore the version before" in message["error"]
    fetched.bare.s3.delete_object(Bucket=fetched.bare.zones.raw_bucket, Key=key)
    fetched.work()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n1\n"}


@pytest.mark.slow
def test_files_that_feeds_share_the_folder_of_go_to_the_first_that_takes_them(
    services: Services, sftp_host: SftpHost
) -> None:
    orders = {**ORDERS, "remote": f"{sftp_host.folder}/orders_{{date:%Y%m%d}}_*.csv"}
    refunds = {**ORDERS, "name": "refunds", "remote": f"{sftp_host.folder}/refunds_{{date:%Y%m%d}}.csv"}
    fetched = fetched_source(services, sftp_host, orders, refunds)
    fetched.put(A)
    fetched.put("refunds_20260314.csv", "id\n5\n")
    fetched.work()
    fetched.settle()
    assert fetched.delivered() == {A: "id\n1\n"}
    assert fetched.delivered(feed="refunds") == {"refunds_20260314.csv": "id\n5\n"}
    assert len(fetched.runs("listing-")) == 1
    assert len(fetched.transfers()) == 1


@pytest.mark.slow
def test_five_hundred_files_are_fetched_in_one_pass_though_calls_are_throttled(fetched: Fetched) -> None:
    for number in range(500):
        fetched.put(f"orders_20260314_{number}.csv", f"id\n{number}\n")
    fetched.until(lambda: fetched.intentions("transfer"))
    fetched.order("throttled", times=20)
    fetched.look()
    fetched.until(lambda: _later(fetched), 300)
    fetched.settle()
    assert len(fetched.transfers()) == 50
    assert len(fetched.delivered()) == 500
    assert len(fetched.versions()) == 500
    assert fetched.left() == []
