"""A backfill of an account in Dagster: it waits without a process until its dates have come, and ends as they do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from adplatform.amazon.sources import AdsSource
from adplatform.components import AmazonAdsReports
from adplatform.components.assembly.held_runs import HELD_TAG, WAITS
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform_tests.support.backfills import Backfills, backfilling
from adplatform_tests.support.platforms import resources_with
from adplatform_tests.support.report_api import MemoryReports

NOON = datetime(2026, 6, 10, 20, tzinfo=UTC)
DECLARED = AdsSource.model_validate(
    {
        "source": "ads",
        "credentials": "ads/secret",
        "start_date": "2026-01-01",
        "history": "2d",
        "spread": "0s",
        "profiles": [111],
        "reports": [
            {
                "name": "sp_small",
                "report_type": "spCampaigns",
                "group_by": ["campaign"],
                "columns": ["date", "clicks", "sales14d"],  # without an id, of which no daily fact is made
            }
        ],
    }
)
RAW, CLEAN = dg.AssetKey(["raw", "ads", "sp_small"]), dg.AssetKey(["clean", "ads", "sp_small"])


def rows(scope: str, day: date, as_of: datetime) -> list[dict[str, Any]]:
    return [{"date": str(day), "clicks": 10, "sales14d": 12.5}]


class Account:
    """An account whose sensor, orders and downloads go on with every look."""

    def __init__(self, services: Services, home: Path) -> None:
        self.at = NOON
        self.services = replace(services, now=lambda: self.at)
        provision(self.services, [])
        self.api = MemoryReports(lambda: self.at, rows)
        component = AmazonAdsReports(DECLARED, lambda *_: self.api)
        self.definitions = dg.Definitions.merge(
            dg.component_defs(component=component),
            dg.Definitions(resources=resources_with(self.services), executor=dg.in_process_executor),
        )
        self.home = home

    def tick(self, dagster: Backfills) -> str:
        context = dg.build_sensor_context(
            instance=dagster.instance, definitions=self.definitions, resources=resources_with(self.services)
        )
        found = self.definitions.resolve_sensor_def("ads_reports").evaluate_tick(context)
        dagster.submit(found.run_requests or ())
        return found.skip_message or ""

    def look(self, dagster: Backfills) -> None:
        """The daemon's round: the sensor, then the queue."""
        self.tick(dagster)
        dagster.begin(lambda: self.tick(dagster))

    def until(self, dagster: Backfills, backfill: str, done: Callable[[BulkActionStatus], bool]) -> BulkActionStatus:
        for _ in range(25):
            status = dagster.evaluate(backfill)
            if done(status):
                return status
            self.look(dagster)
            self.at += timedelta(minutes=6)
        raise AssertionError(f"{backfill} is still {status}: {[(r.job_name, r.status) for r in runs_of(dagster)]}")


def runs_of(dagster: Backfills, backfill: str = "") -> list[dg.DagsterRun]:
    filters = dg.RunsFilter(tags={"dagster/backfill": backfill}) if backfill else None
    return list(dagster.instance.get_runs(filters=filters))


def held(dagster: Backfills, backfill: str) -> list[dg.DagsterRun]:
    queued = dg.DagsterRunStatus.QUEUED
    return [r for r in runs_of(dagster, backfill) if r.status is queued and r.tags.get(HELD_TAG) == WAITS]


def partitions(first: int, last: int) -> list[str]:
    """Of dates that many days ago."""
    return [f"{NOON.date() - timedelta(days=n)}|111" for n in range(first, last + 1)]


def has_ended(status: BulkActionStatus) -> bool:
    return status not in (BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING)


@pytest.fixture
def account(services: Services, tmp_path: Path) -> Account:
    return Account(services, tmp_path / "dagster-home")


@pytest.fixture
def dagster(account: Account) -> Iterator[Backfills]:
    with backfilling(account.definitions, account.home) as made:
        yield made


def test_a_backfill_waits_for_its_dates_and_ends_as_they_do(account: Account, dagster: Backfills) -> None:
    for _ in range(4):  # the account's own two dates
        account.look(dagster)
        account.at += timedelta(minutes=6)
    seen = dagster.instance.get_materialized_partitions(CLEAN)
    assert seen == set(partitions(1, 2))

    wanted = dagster.launch([RAW, CLEAN], partitions(1, 4))
    account.until(dagster, wanted, lambda _: bool(held(dagster, wanted)))
    [waits] = held(dagster, wanted)
    assert dagster.instance.get_materialized_partitions(CLEAN) == seen
    for _ in range(3):  # longer than Dagster waits for dates without a run
        assert dagster.evaluate(wanted) is BulkActionStatus.REQUESTED
    again = dagster.launch([RAW, CLEAN], partitions(3, 4))
    old = dagster.launch([RAW, CLEAN], partitions(5, 5) + partitions(95, 97))
    unwanted = dagster.launch([RAW, CLEAN], partitions(6, 6))
    account.until(dagster, unwanted, lambda _: bool(held(dagster, unwanted)))
    dagster.cancel(unwanted)

    assert account.until(dagster, unwanted, has_ended) is BulkActionStatus.CANCELED
    assert not held(dagster, unwanted)
    assert account.until(dagster, wanted, has_ended) is BulkActionStatus.COMPLETED_SUCCESS
    assert account.until(dagster, again, has_ended) is BulkActionStatus.COMPLETED_SUCCESS
    assert account.until(dagster, old, has_ended) is BulkActionStatus.COMPLETED_FAILED

    came = dagster.instance.get_materialized_partitions(CLEAN)
    assert came >= set(partitions(1, 6)), "what was asked for comes, whatever became of the backfill"
    assert came == dagster.instance.get_materialized_partitions(RAW)
    assert not came & set(partitions(95, 97))
    ended = dagster.instance.get_run_by_id(waits.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.SUCCESS
    [failed] = [r for r in runs_of(dagster, old) if r.status is dg.DagsterRunStatus.FAILURE]
    events = dagster.instance.all_logs(failed.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    text = " ".join(str(e.dagster_event.step_failure_data.user_failure_data) for e in events if e.dagster_event)
    assert f"{partitions(95, 95)[0]}: it is 95 days old; Amazon keeps 95, and 93 can be asked for" in text
    ordered = [placed.order for placed in account.api.placed.values()]
    days = [order.start + timedelta(days=n) for order in ordered for n in range((order.end - order.start).days + 1)]
    assert len(days) == len(set(days)), "dates of two backfills are asked for once"


def by_hand(account: Account, instance: dg.DagsterInstance, day: int, **tags: str) -> dg.ExecuteInProcessResult:
    [partition] = partitions(day, day)
    return dg.materialize(
        [account.definitions.resolve_assets_def(RAW)],
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": partition,
            "dagster/asset_partition_range_end": partition,
            **tags,
        },
        raise_on_error=False,
    )


def why(result: dg.ExecuteInProcessResult) -> str:
    return str(result.failure_data_for_node("report__ads__sp_small").user_failure_data.description)


@pytest.fixture
def known(account: Account, instance: dg.DagsterInstance) -> Account:
    """One whose profile is known."""
    assert account.definitions.resolve_job_def("ads_orders").execute_in_process(instance=instance).success
    return account


def test_a_backfill_that_could_not_wait_fails_and_says_what_dagster_lacks(
    known: Account, instance: dg.DagsterInstance
) -> None:
    backfill = by_hand(known, instance, 5, **{"dagster/backfill": "abcdefgh"})
    assert not backfill.success
    assert "adplatform/held, value: until its dates have come, limit: 0}` to concurrency.runs" in why(backfill)
    alone = by_hand(known, instance, 5)
    assert alone.success, "without a backfill nobody waits"
    said = [
        e.event_specific_data.asset_observation for e in alone.all_events if e.event_type_value == "ASSET_OBSERVATION"
    ]
    assert [each.partition for each in said] == partitions(5, 5)
    assert "is intended" in said[0].description


def test_a_backfill_of_a_paused_account_fails_at_once_and_its_dates_are_noted(
    known: Account, instance: dg.DagsterInstance
) -> None:
    known.services.ledger.pauses.begin("ads", "ann@desk")
    backfill = by_hand(known, instance, 5, **{"dagster/backfill": "abcdefgh"})
    assert not backfill.success
    assert "ads is paused since 2026-06-10 20:00 UTC by ann@desk" in why(backfill)
    assert "1 dates are noted, and asked for when the source goes on" in why(backfill)
    assert any(NOON.date() - timedelta(days=5) in r.days for r in known.services.ledger.reports.active("ads"))


def test_a_run_of_a_date_that_is_not_over_fails_and_says_when_it_is_asked_for(
    known: Account, instance: dg.DagsterInstance
) -> None:
    result = by_hand(known, instance, 0)
    assert not result.success
    assert "Amazon is asked for it from 2026-06-11 on, when it is over in America/Los_Angeles" in why(result)
