"""Seventy simulated days of an account whose reports are restated, with faults between the platform and Amazon.

Beside it, on the same truth, other policies of reading again: daily re-reads of 42 days, and look-backs of 3 days.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.ads.client import AdsApi, open_ads
from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.lake.query import run_query
from adplatform.ledger.report import ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS
from adplatform.local.world.amazon.advertising import Query, rows, truth
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import Settings, World
from adplatform.pull.account import Account, account_of
from adplatform.pull.due import place_orders, poll_reports, reports_due
from adplatform.pull.land import claim, failed, finish, land
from adplatform_tests.support.runs import Nobody
from benchmarks.restatement import lookback, run
from benchmarks.restatement import ours as planned

START = datetime(2026, 6, 1, 20, tzinfo=UTC)
FIRST = START.date() - timedelta(days=40)
"""The account is older than our connection to it."""
QUIET = 5
"""Days without faults at the end, so that what the table must say by then is known."""
WAVES = (*range(1, 15), 21, 28, 35, 42)
LATEST = {21: 27, 28: 34, 35: 41, 42: 48}
"""Until when each of the later waves may wait for a request that it can share."""
FINAL = 50
"""Age from which a date must be final: the last wave of 14-day columns with its delay and one day of faults."""
PROFILE = next(p for p in DEMO_ACCOUNTS.profiles if p.timezone == "America/Los_Angeles")
COLUMNS = ("campaignId", "impressions", "clicks", "cost", "purchases14d", "sales14d")
QUERY = Query("spCampaigns", ("campaign",), ("date", *COLUMNS))
FAULTS = (
    *(("create_report", f) for f in ("throttle", "throttle_silent", "server_error", "bad_gateway", "reset", "drop")),
    *(("create_report", f) for f in ("duplicate_without_id", "duplicate_foreign", "bigger_range", "unauthorized")),
    *(("create_report", f) for f in ("fail", "revoke_scope")),
    *(("get_report", f) for f in ("bad_gateway", "complete_without_url", "forget", "unauthorized", "expired_url")),
    *(("get_report", f) for f in ("throttle", "stuck", "fail", "truncate")),
    *(("download", f) for f in ("truncate", "corrupt_gzip", "not_gzip", "error_text", "reset", "server_error")),
    *(("token", f) for f in ("server_error", "reset")),
    *(("profiles", f) for f in ("throttle", "server_error")),
)


@dataclass
class Simulation:
    services: Services
    account: Account
    api: AdsApi
    world: World
    at: list[datetime]
    work: Path
    runs: int = 0

    def later(self, by: timedelta) -> None:
        self.at[0] += by
        self.world.clock.set(self.at[0], frozen=True)

    def day(self) -> None:
        """Looks, an hour apart, until nothing is under way or the day is over; then the same time of the next day."""
        tomorrow = self.at[0] + timedelta(days=1)
        self.look()
        while self.services.ledger.reports.active("ads") and tomorrow - self.at[0] > timedelta(hours=12):
            self.later(timedelta(hours=1))
            self.look()
        self.later(tomorrow - self.at[0])

    def look(self) -> None:
        """Orders, progress, and what is ready to its slices."""
        for step in (
            lambda: place_orders(self.services, self.account, self.api),
            lambda: poll_reports(self.services, self.account, lambda: self.api),
        ):
            try:
                step()
            except TransientFailure:
                continue
        for due in reports_due(self.services, self.account, Nobody()):
            self.runs += 1
            claimed = claim(self.services.ledger, due.report, f"run-{self.runs}")
            folder = self.work / f"run-{self.runs}"
            folder.mkdir()
            try:
                landed, _ = land(self.services, self.account, lambda: self.api, claimed, folder, sleep=lambda _: None)
            except (PermanentFailure, TransientFailure) as e:
                failed(self.services, self.account, claimed, e)
            else:
                finish(self.services.ledger, landed)

    def publish(self, days: list[date]) -> None:
        """What is waiting to be published, several dates at a time."""
        (_, table), *_ = self.account.tables()
        flow = self.account.scoped(table, str(PROFILE.id))

        def one(day: date) -> None:
            work = self.work / str(day)
            work.mkdir()
            publish_slice(self.services, flow, day, f"publish-{day}", work)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, days))

    def table(self) -> dict[date, list[tuple[Any, ...]]]:
        prefix = self.services.settings.database_prefix
        sql = f"""select cast(dt as date), campaign_id, impressions, clicks, cost, purchases_14d, sales_14d
                  from {prefix}ads.sp_small order by all"""
        found: dict[date, list[tuple[Any, ...]]] = {}
        for day, *values in run_query(self.services.aws, self.services.glue, prefix, sql, 10**6)[1]:
            found.setdefault(day, []).append(tuple(None if v is None else round(float(v), 6) for v in values))
        return found

    def said(self, day: date, age: int) -> list[tuple[Any, ...]]:
        """What a report says of a date when it is asked for at that age."""
        return _plain(rows(QUERY, PROFILE, day, START + (day - START.date()) + timedelta(days=age), self.seed))

    def true(self, day: date) -> list[tuple[Any, ...]]:
        return _plain(truth(QUERY, PROFILE, day, self.seed))

    @property
    def seed(self) -> int:
        return self.world.settings.seed


def _plain(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(None if r[c] is None else round(float(r[c]), 6) for c in COLUMNS) for r in found), key=str)


@pytest.fixture
def simulation(services: Services, tmp_path: Path) -> Iterator[Simulation]:
    at = [START]
    timed = replace(services, settings=replace(services.settings, path_copies=False), now=lambda: at[0])
    provision(timed, [])
    secret = f"{timed.settings.database_prefix}ads/secret"
    timed.secrets.create_secret(Name=secret, SecretString=json.dumps(asdict(DEMO_CREDENTIALS["ads"])))
    report = {
        "name": "sp_small",
        "report_type": "spCampaigns",
        "group_by": ["campaign"],
        "columns": ["date", *COLUMNS],
    }
    declared = {
        "source": "ads",
        "credentials": "ads/secret",
        "profiles": [PROFILE.id],
        "start_date": FIRST,
        "spread": "0s",
        "reports": [report],
    }
    world = World(Settings(queue_seconds=300, processing_seconds=300))
    world.clock.set(START, frozen=True)
    work = tmp_path / "work"
    work.mkdir()

    def sleep(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)
        world.clock.set(at[0], frozen=True)

    with serving(world) as server:
        api = open_ads(
            timed.secrets,
            secret,
            "na",
            timed.ledger,
            tmp_path / "tokens",
            sleep=sleep,
            endpoint=f"{server.url}/na",
        )
        yield Simulation(timed, account_of(AdsSource.model_validate(declared)), api, world, at, work)


@pytest.mark.parametrize(
    ("days", "faulty"),
    [
        pytest.param(16, (3, 1), marks=pytest.mark.slow, id="16 days"),
        pytest.param(70, (1, 2), marks=[pytest.mark.slow, pytest.mark.timeout(1500)], id="70 days"),
    ],
)
def test_every_date_is_what_amazon_says_after_days_of_faults(
    simulation: Simulation, days: int, faulty: tuple[int, int]
) -> None:
    """``faulty``: how many faults, and every how many days; each kind strikes at least once."""
    faults, (number, every) = cycle(FAULTS), faulty
    for n in range(days):
        for fault in islice(faults, number if n < days - QUIET and n % every == 0 else 0):
            simulation.world.fault(*fault)
        simulation.day()
    assert simulation.world.faults.pending() == [], "every fault struck"

    last_asked = simulation.at[0].date() - timedelta(days=1)
    age_of = {FIRST + timedelta(days=n): (last_asked - FIRST).days - n for n in range((last_asked - FIRST).days)}
    simulation.publish([*age_of])
    table = {day: sorted(found, key=str) for day, found in simulation.table().items()}
    final = [day for day, age in age_of.items() if age >= FINAL]
    assert len(final) == days - 10
    assert [day for day in final if table.get(day) != simulation.true(day)] == []
    outdated = [
        day
        for day, age in age_of.items()
        if all(table.get(day) != simulation.said(day, asked) for asked in range(_must_have_been_asked_at(age), age + 1))
    ]
    assert outdated == []
    reports = simulation.services.ledger.reports.of_feed(f"ads/sp_small/{PROFILE.id}")
    assert {r.state for r in reports} == {ReportState.DONE, ReportState.FAILED}
    if days == 70:
        naive = run(lookback(42), PROFILE, simulation.seed, FIRST, START.date(), days)
        assert naive.wrong == 0, "equal final truth"
        requests = sum(str(create["answer"]) == "200" for create in simulation.world.requests.creates)
        assert requests < 0.6 * naive.requests, "also with what faults cost"


def _must_have_been_asked_at(age: int) -> int:
    """The least age at which a date of this age may have been asked for last, where nothing failed lately."""
    return max(wave for wave in WAVES if LATEST.get(wave, wave) <= age)


def test_the_plan_finds_the_final_truth_at_less_than_60_percent_of_the_requests_and_a_short_look_back_does_not() -> (
    None
):
    ours, naive, short = (
        run(policy, PROFILE, 7, FIRST, START.date(), 140) for policy in (planned, lookback(42), lookback(3))
    )
    assert ours.dates > 120
    assert (ours.wrong, naive.wrong) == (0, 0)
    assert ours.requests < 0.6 * naive.requests
    assert short.wrong > short.dates / 2
    assert short.missed > 0.05, "purchases that come later"
    assert short.taken_back > 0.05, "and those that were taken back"
