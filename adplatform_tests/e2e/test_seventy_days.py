"""Seventy simulated days of an account whose reports are restated, with faults between the platform and Amazon."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.ads import AdsReports, open_ads
from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.reports.account import Account, account_of
from adplatform.flow.reports.due import place_orders, poll_reports, reports_due
from adplatform.flow.reports.land import claim, failed, finish, land, publish_slice
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.rows import ReportState
from adplatform.local.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS
from adplatform.local.amazon.advertising import Query, rows
from adplatform.local.amazon.server import serving
from adplatform.local.amazon.world import Settings, World

START = datetime(2026, 6, 1, 20, tzinfo=UTC)
DAYS = 70
FIRST = START.date() - timedelta(days=60)
"""The account is older than our connection to it."""
FINAL_AGE, LONGEST_RANGE = 42, 31
"""Days for which 14-day columns are restated, all of which a naive client reads again every day."""
PROFILE = next(p for p in DEMO_ACCOUNTS.profiles if p.timezone == "America/Los_Angeles")
COLUMNS = ("campaignId", "impressions", "clicks", "cost", "purchases14d", "sales14d")
FAULTS = (
    *(("create_report", f) for f in ("throttle", "throttle_silent", "server_error", "reset", "duplicate_without_id")),
    *(("get_report", f) for f in ("bad_gateway", "complete_without_url", "forget", "unauthorized")),
    *(("create_report", f) for f in ("fail",)),
    *(("download", f) for f in ("truncate", "expired_url", "corrupt_gzip")),
    ("token", "server_error"),
)


class Nobody:
    """Runs of an orchestrator in which every run has ended."""

    def alive(self, run_id: str) -> bool:
        return False

    def spent(self, run_key: str) -> bool:
        return False


@dataclass
class Simulation:
    services: Services
    account: Account
    api: AdsReports
    world: World
    at: list[datetime]
    work: Path
    runs: int = 0

    def later(self, by: timedelta) -> None:
        self.at[0] += by
        self.world.clock.set(self.at[0], frozen=True)

    def hour(self) -> None:
        """One look: orders, progress, and what is ready to its slices."""
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
            claimed = claim(self.services, due.report, f"run-{self.runs}")
            folder = self.work / f"run-{self.runs}"
            folder.mkdir()
            try:
                landed, _ = land(self.services, self.account, lambda: self.api, claimed, folder, sleep=lambda _: None)
            except (PermanentFailure, TransientFailure) as e:
                failed(self.services, self.account, claimed, e)
            else:
                finish(self.services, landed)

    def publish(self, since: date) -> None:
        (_, flow), *_ = self.account.scoped_flows([str(PROFILE.id)])
        day = since
        while day < self.at[0].date():
            publish_slice(self.services, flow, day, "publish", self.work)
            day += timedelta(days=1)

    def table(self) -> dict[date, list[tuple[Any, ...]]]:
        prefix = self.services.settings.database_prefix
        sql = f"""select dt, campaign_id, impressions, clicks, cost, purchases_14d, sales_14d
                  from {prefix}ads.sp_small order by all"""
        found: dict[date, list[tuple[Any, ...]]] = {}
        for day, *values in run_query(self.services.aws, self.services.glue, prefix, sql, 10**6)[1]:
            found.setdefault(day, []).append(tuple(None if v is None else round(float(v), 6) for v in values))
        return found

    def shown(self, day: date, as_of: datetime) -> list[tuple[Any, ...]]:
        """What a report of that instant says of a date."""
        query = Query("spCampaigns", ("campaign",), ("date", *COLUMNS))
        found = rows(query, PROFILE, day, as_of, self.world.settings.seed)
        return sorted((tuple(None if r[c] is None else round(float(r[c]), 6) for c in COLUMNS) for r in found), key=str)


@pytest.fixture
def simulation(services: Services, tmp_path: Path) -> Iterator[Simulation]:
    at = [START]
    timed = replace(services, now=lambda: at[0])
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


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_table_is_the_truth_after_seventy_days_of_faults_at_less_than_60_percent_of_the_requests(
    simulation: Simulation,
) -> None:
    chance = random.Random(7)
    for _ in range(DAYS):
        if chance.random() < 0.6:
            simulation.world.fault(*chance.choice(FAULTS))
        for _ in range(4):
            simulation.hour()
            simulation.later(timedelta(hours=1))
        simulation.later(START + timedelta(days=1 + (simulation.at[0] - START).days) - simulation.at[0])
    today = simulation.at[0].date()
    simulation.publish(FIRST)
    table = simulation.table()
    final = [FIRST + timedelta(days=n) for n in range((today - FIRST).days - 50)]
    wrong = [day for day in final if sorted(table.get(day, []), key=str) != simulation.shown(day, simulation.at[0])]
    assert len(final) > 70
    assert wrong == []
    recent = [today - timedelta(days=age) for age in range(2, 15)]
    asked = simulation.at[0] - timedelta(days=1) + timedelta(minutes=1)
    stale = [day for day in recent if sorted(table.get(day, []), key=str) != simulation.shown(day, asked)]
    assert stale == []
    states = {r.state for r in simulation.services.ledger.reports(f"ads/sp_small/{PROFILE.id}")}
    assert states <= {ReportState.DONE, ReportState.EMPTY, ReportState.FAILED, ReportState.REQUESTED}
    naive = DAYS * ceil(FINAL_AGE / LONGEST_RANGE)
    accepted = [c for c in simulation.world.requests.creates if str(c["answer"]) == "200"]
    lookback = [
        day for day in final if simulation.shown(day, _at_age(day, 3)) != simulation.shown(day, _at_age(day, 60))
    ]
    print(f"{len(accepted)} reports, naive {naive}; a 3-day lookback is wrong on {len(lookback)} of {len(final)} dates")
    assert len(accepted) < 0.6 * naive
    assert len(lookback) > len(final) / 2


def _at_age(day: date, age: int) -> datetime:
    return datetime.combine(day + timedelta(days=age), START.timetz())
