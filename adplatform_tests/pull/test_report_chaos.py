"""Workers that are killed, workers in each other's way, and a network that loses, cuts and repeats what Amazon and the
platform say to each other. Whatever happens, no order becomes two reports and the tables end with what Amazon says."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.report import Report, ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.advertising import Query, rows
from adplatform.local.world.amazon.selling import order_rows
from adplatform.local.world.amazon.server import Server, serving
from adplatform.local.world.amazon.world import Settings as WorldSettings
from adplatform.local.world.amazon.world import World
from adplatform.platform.aws import Aws
from adplatform_tests.support.chaos_proxy import Chaos, disturbed
from adplatform_tests.support.report_worker import Clock, Order, Worker, account, killed, worker

NOON = datetime(2026, 9, 22, 20, tzinfo=UTC)
TAKES = timedelta(minutes=20)
PROFILE = next(p for p in DEMO_ACCOUNTS.profiles if p.country == "US")
GERMANY = next(m for m in DEMO_ACCOUNTS.marketplaces if m.country == "DE")
COLUMNS = ("campaignId", "impressions", "clicks", "purchases14d")
ADS: dict[str, Any] = {
    "source": "ads",
    "credentials": "ads/secret",
    "profiles": [PROFILE.id],
    "start_date": "2026-09-20",
    "spread": "0s",
    "reports": [
        {
            "name": "sp_small",
            "report_type": "spCampaigns",
            "group_by": ["campaign"],
            "columns": ["date", *COLUMNS],
        }
    ],
}
SELLER: dict[str, Any] = {
    "source": "seller",
    "region": "eu",
    "credentials": "seller/secret",
    "marketplaces": [GERMANY.id],
    "start_date": "2026-09-20",
    "spread": "0s",
    "reports": ["all_orders"],
}
ENDED = {ReportState.DONE, ReportState.EMPTY, ReportState.FAILED}


@pytest.fixture
def amazon() -> Iterator[Server]:
    """Reports take ten minutes; an equal order is the same report for a day, as Amazon says of the Ads API."""
    world = World(WorldSettings(queue_seconds=300, processing_seconds=300, memo_seconds=86_400))
    world.clock.set(NOON, frozen=True)
    with serving(world) as server:
        yield server


def ordered(services: Services, amazon: Server, declared: dict[str, Any], at: datetime = NOON) -> Order:
    settings = services.settings
    return Order(settings, services.aws.region, services.aws.endpoint_url, declared, amazon.url, at, TAKES)


def reports(services: Services, declared: dict[str, Any]) -> list[Report]:
    of = account(declared)
    scopes = [scope.id for scope in services.ledger.scopes.of_source(of.source)]
    names = [f"{of.source}/{definition.name}/{scope}" for definition in of.definitions for scope in scopes]
    return [report for name in names for report in services.ledger.reports.of_feed(name)]


def orphans(services: Services, amazon: Server, declared: dict[str, Any]) -> set[str]:
    """Reports that Amazon made and the ledger does not know."""
    known = {report.report_id for report in reports(services, declared)}
    return {*amazon.world.ads_reports, *amazon.world.sp_reports} - known


def ads_table(services: Services) -> dict[date, list[tuple[Any, ...]]]:
    prefix = services.settings.database_prefix
    columns = "cast(dt as date), campaign_id, impressions, clicks, purchases_14d"
    sql = f"select {columns} from {prefix}ads.sp_small order by all"
    found: dict[date, list[tuple[Any, ...]]] = {}
    for day, *values in run_query(services.aws, services.glue, prefix, sql, 10**6)[1]:
        found.setdefault(day, []).append(tuple(values))
    return found


def ads_truth(amazon: Server) -> dict[date, list[tuple[Any, ...]]]:
    """What the newest report of each date says."""
    query, said = Query("spCampaigns", ("campaign",), ("date", *COLUMNS)), {}
    for report in sorted(amazon.world.ads_reports.values(), key=lambda r: r.created):
        start, end = date.fromisoformat(report.start), date.fromisoformat(report.end)
        for day in (start + timedelta(days=n) for n in range((end - start).days + 1)):
            as_of = datetime.fromtimestamp(report.created, UTC)
            found = rows(query, PROFILE, day, as_of, amazon.world.settings.seed)
            said[day] = sorted(tuple(row[c] for c in COLUMNS) for row in found)
    return {day: found for day, found in said.items() if found}


def states(services: Services) -> list[ReportState]:
    return [report.state for report in reports(services, ADS)]


@pytest.mark.parametrize(
    "state",
    [
        pytest.param(state, marks=() if state == "landed" else pytest.mark.slow)
        for state in ("intended", "requested", "ready", "stored", "landed", "done")
    ],
)
def test_a_worker_killed_before_it_writes_a_state_is_followed_by_one_that_asks_for_nothing_anew(
    services: Services, amazon: Server, state: str
) -> None:
    provision(services, [])
    code, _ = killed(replace(ordered(services, amazon, ADS), state=state))
    assert code == -signal.SIGKILL
    _resumed(services, amazon)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("group", range(4))
def test_a_worker_killed_at_any_write_is_followed_by_one_that_asks_for_nothing_anew(
    services: Services, amazon: Server, tmp_path: Path, group: int
) -> None:
    moment, code = 1 + group, -signal.SIGKILL
    while code:
        settings = replace(
            services.settings,
            **{
                name: f"{getattr(services.settings, name)}{moment}"
                for name in ("raw_bucket", "clean_bucket", "ledger_table", "success_topic", "failure_topic")
            },
            database_prefix=f"{services.settings.database_prefix}{moment}_",
            home=tmp_path / str(moment),
        )
        own = Services(settings, services.aws)
        provision(own, [])
        amazon.world.ads_reports.clear()
        amazon.world.clock.set(NOON, frozen=True)
        code, _ = killed(replace(ordered(own, amazon, ADS), writes=moment))
        assert code in (0, -signal.SIGKILL)
        _resumed(own, amazon)
        moment += 4
    assert moment > 40


def _resumed(services: Services, amazon: Server) -> None:
    at = amazon.world.now() + timedelta(minutes=3)
    amazon.world.clock.set(at, frozen=True)
    again = worker(ordered(services, amazon, ADS, at), services.aws)
    for _ in range(3):
        again.day(TAKES)
    assert len(amazon.world.ads_reports) == 1
    assert orphans(services, amazon, ADS) == set()
    assert states(services) == [ReportState.DONE]
    assert ads_table(services) == ads_truth(amazon)


def test_two_workers_at_once_ask_once_and_land_the_same(services: Services, amazon: Server) -> None:
    provision(services, [])
    first, second = (
        worker(ordered(services, amazon, ADS), Aws(services.aws.region, services.aws.endpoint_url)) for _ in "ab"
    )
    _together(first.orders, second.orders)
    assert len(amazon.world.ads_reports) == 1
    first.clock.later(TAKES)
    second.clock.at = first.clock.at
    _together(first.poll, second.poll)
    _together(first.look, second.look)
    for _ in range(3):
        first.clock.later(timedelta(minutes=10))
        first.look()
    assert states(services) == [ReportState.DONE]
    assert ads_table(services) == ads_truth(amazon)


def _together(*steps: Any) -> None:
    failures: list[BaseException] = []

    def run(step: Any) -> None:
        try:
            step()
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
@pytest.mark.parametrize(
    "declared", [pytest.param(ADS, id="ads"), pytest.param(SELLER, marks=pytest.mark.slow, id="selling_partner")]
)
def test_a_network_that_loses_cuts_and_repeats_makes_no_second_report(
    services: Services, amazon: Server, tmp_path: Path, declared: dict[str, Any], seed: int
) -> None:
    # Nobody can tell an order of the Selling Partner API that the network sends twice from two orders.
    chaos = Chaos(seed, probability=0.35, spared=("/reports/2021-06-30/reports",))
    clock = Clock(amazon.url, NOON)
    timed = replace(services, now=clock)
    provision(timed, [])
    tmp_path.joinpath("home").mkdir()
    with disturbed(amazon.url, chaos) as url:
        one = Worker(timed, account(declared), clock, url, tmp_path / "home")
        for day in range(1, 3):
            for _ in range(8):
                one.look()
                clock.later(TAKES)
            chaos.on = day < 2
            clock.later(NOON + timedelta(days=day) - clock.at)
        for _ in range(4):
            one.day(TAKES)
            clock.later(timedelta(hours=2))
    assert len(set(chaos.happened)) > 4
    assert orphans(timed, amazon, declared) == set()
    ended = reports(timed, declared)
    assert {report.state for report in ended} <= ENDED
    assert all(report.error for report in ended if report.state is ReportState.FAILED)
    if declared is ADS:
        assert ads_table(timed) == ads_truth(amazon)
    else:
        assert _order_ids(timed) == _true_order_ids(amazon)


def _order_ids(services: Services) -> list[str]:
    prefix = services.settings.database_prefix
    sql = f"select amazon_order_id from {prefix}seller.all_orders order by 1"
    return [row[0] for row in run_query(services.aws, services.glue, prefix, sql, 10**6)[1]]


def _true_order_ids(amazon: Server) -> list[str]:
    newest: dict[str, Any] = {}
    for report in sorted(amazon.world.sp_reports.values(), key=lambda r: r.created):
        first, last = datetime.fromisoformat(report.start), datetime.fromisoformat(report.end)
        for n in range((last - first).days + 1):
            start = first + timedelta(days=n)
            end, as_of = start + timedelta(days=1, seconds=-1), datetime.fromtimestamp(report.created, UTC)
            found = order_rows(amazon.world.settings.seed, GERMANY, start, end, as_of)
            newest[start.isoformat()] = [row["amazon-order-id"] for row in found]
    return sorted(order for orders in newest.values() for order in orders)
