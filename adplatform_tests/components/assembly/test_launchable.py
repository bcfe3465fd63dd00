"""A request that Dagster would refuse takes no others with it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import dagster as dg
import pytest

from adplatform.cli import headless
from adplatform.components.assembly.arrivals import request
from adplatform.components.assembly.automation import Automation, Looking, Tick, launchable
from adplatform.components.assembly.delivery_jobs import DeliveryJobs
from adplatform.components.assembly.partitions import is_partition, partitions_in
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform_tests.support.platforms import TODAY, YESTERDAY, Platform, make_platform

FEEDS = [{"name": "orders", "start_date": str(YESTERDAY), "columns": {"id": {"type": "bigint", "required": True}}}]


@pytest.fixture
def acme(services: Services, instance: dg.DagsterInstance) -> Platform:
    return make_platform(services, {"source": "acme", "feeds": FEEDS}, instance)


def test_dates_that_are_no_partitions_are_named_and_the_others_are_launched(acme: Platform) -> None:
    flow = acme.flow("orders")
    days = [YESTERDAY - timedelta(days=1), YESTERDAY, TODAY, TODAY + timedelta(days=1)]
    tick = launchable(
        Tick(tuple(request(flow, day) for day in days), "standing"), partitions_in(acme.definitions), acme.instance
    )
    assert [each.partition_key for each in tick.requests] == [str(YESTERDAY), str(TODAY)]
    assert tick.standing == f"standing; no run of acme/orders {days[0]}, acme/orders {days[3]}, which are no partitions"


def test_a_scope_that_an_account_has_no_longer_is_no_partition() -> None:
    partitions = dg.MultiPartitionsDefinition(
        {"date": dg.DailyPartitionsDefinition("2026-01-01"), "profile_id": dg.DynamicPartitionsDefinition(name="p")}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("p", ["1"])
        asked = [
            is_partition(
                lambda _: partitions, dg.RunRequest(partition_key=key, asset_selection=[dg.AssetKey("a")]), instance
            )
            for key in ("2026-01-02|1", "2026-01-02|2", "2025-01-02|1")
        ]
    assert asked == [True, False, False]


@dataclass(frozen=True)
class Unreachable:
    """The automation of a source whose looks fail."""

    source: str = "broken"

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        raise PermanentFailure("the queue is gone")

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        return ()


@dataclass(frozen=True)
class Asking:
    """One that asks for runs of some dates, once."""

    flow: FeedFlow
    days: list[date]
    source: str = "acme"

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        jobs = DeliveryJobs(self.source, {self.flow.feed.name: self.flow.feed.start_date})
        requests = (jobs.of_request(request(self.flow, self.days.pop())) for _ in list(self.days))
        return Tick(tuple(requests), "nothing to start")

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        return ()


def test_a_source_that_cannot_be_looked_at_and_a_date_that_is_no_partition_hold_up_no_other(
    acme: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headless, "defs", lambda: acme.definitions)
    asking = Asking(acme.flow("orders"), [YESTERDAY, TODAY + timedelta(days=9)])
    automations: list[Automation] = [Unreachable(), asking]  # type: ignore[list-item]
    told: list[str] = []
    given = (acme.services, acme.instance, automations)
    finished = list(headless.process(*given, patience=0, watch=lambda _: None, told=told.append, sleep=lambda _: None))
    assert [replace(each, error="") for each in finished] == [
        headless.Finished("broken", "", False, ""),
        headless.Finished("acme/orders", str(YESTERDAY), True, "", lost=True),
    ]
    assert finished[0].error == "the queue is gone"
    assert told == [f"running acme_deliveries for acme/orders {YESTERDAY}", "acme: nothing to start"]
    assert [run.job_name for run in acme.instance.get_runs()] == ["acme_deliveries"]


@dataclass(frozen=True)
class Waiting:
    """One for which something is on its way for some looks, and then nothing."""

    looks: list[bool]
    source: str = "acme"

    def look(self, services: Services, instance: dg.DagsterInstance, how: Looking) -> Tick:
        return Tick((), "nothing to start", waits=self.looks.pop(0))

    def new_partitions(
        self, services: Services, instance: dg.DagsterInstance
    ) -> Iterable[dg.AddDynamicPartitionsRequest]:
        return ()


@pytest.mark.parametrize(
    ("rest", "waits", "looks"),
    [
        (None, [False] * 20, 11),
        (2.0, [False] * 20, 3),
        (2.0, [True] * 20, 11),
        (2.0, [True] * 6 + [False] * 20, 8),
    ],
)
def test_where_nothing_is_on_its_way_a_short_rest_is_enough(
    acme: Platform, rest: float | None, waits: list[bool], looks: int
) -> None:
    seconds = [0.0]
    waiting = Waiting(list(waits))
    process = headless.process(
        acme.services,
        acme.instance,
        [waiting],  # type: ignore[list-item]
        patience=10,
        watch=lambda _: None,
        rest=rest,
        loaded=acme.definitions,
        sleep=lambda _: seconds.append(seconds[-1] + 1),
        clock=lambda: seconds[-1],
    )
    assert list(process) == []
    assert len(waits) - len(waiting.looks) == looks
