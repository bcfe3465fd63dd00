"""Days of an account whose campaigns, ad groups, ads and targets change: their histories are what the simulated Amazon
showed each day, and the spend of a day has the name that its campaign had then."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.ads.client import AdsApi, open_ads
from adplatform.amazon.ads.metadata import ENTITIES, READY_MADE
from adplatform.amazon.sources import AdsSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.flow.source import FeedFlow
from adplatform.lake.query import run_query
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS
from adplatform.local.world.amazon.entities import PRODUCTS, Entity, entities
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import Settings, World
from adplatform.pull.account import Account, account_of
from adplatform.pull.build import build, built, facts_due
from adplatform.pull.derived import derived_of, mark
from adplatform.pull.due import place_orders, poll_reports, reports_due
from adplatform.pull.land import claim, failed, finish, land
from adplatform_tests.support.runs import Nobody

START = datetime(2026, 6, 10, 18, tzinfo=UTC)
FIRST = START.date()
PROFILE = next(p for p in DEMO_ACCOUNTS.profiles if p.timezone == "America/Los_Angeles")
FAULTS = (
    ("create_export", "server_error"),
    ("create_export", "reset"),
    ("create_export", "fail"),
    ("get_export", "forget"),
    ("get_export", "complete_without_url"),
    ("get_export", "expired_url"),
    ("download", "corrupt_gzip"),
    ("create_export", "throttle"),
)
NAMED = """select f.dt, f.campaign_id, v.campaign_name, sum(f.cost)
    from {0}.ads_daily f left join {0}.campaigns_versions v on v.campaign_id = f.campaign_id
      and v.profile_id = f.profile_id and v.valid_from <= cast(f.dt as date)
      and (v.valid_to is null or v.valid_to > cast(f.dt as date))
    group by all order by all"""


@dataclass
class Simulation:
    services: Services
    account: Account
    api: AdsApi
    world: World
    at: list[datetime]
    work: Path
    runs: int = 0

    def run_id(self) -> str:
        self.runs += 1
        return f"run-{self.runs}"

    def later(self, by: timedelta) -> None:
        self.at[0] += by
        self.world.clock.set(self.at[0], frozen=True)

    def day(self) -> None:
        """Looks until nothing is under way, and then the same time of the next day."""
        tomorrow = self.at[0] + timedelta(days=1)
        self.look()
        while self.services.ledger.reports.active("ads") and tomorrow - self.at[0] > timedelta(hours=12):
            self.later(timedelta(minutes=40))
            self.look()
        self.later(timedelta(hours=1))
        self.build()
        self.later(tomorrow - self.at[0])

    def look(self) -> None:
        for step in (
            lambda: place_orders(self.services, self.account, self.api),
            lambda: poll_reports(self.services, self.account, lambda: self.api),
        ):
            try:
                step()
            except TransientFailure:
                continue
        for due in reports_due(self.services, self.account, Nobody()):
            run = self.run_id()
            folder = self.work / run
            folder.mkdir()
            claimed = claim(self.services.ledger, due.report, run)
            try:
                landed, slices = land(self.services, self.account, lambda: self.api, claimed, folder, lambda _: None)
            except (PermanentFailure, TransientFailure) as e:
                failed(self.services, self.account, claimed, e)
                continue
            for part in slices:
                if part.changed:
                    self.publish(part.flow, part.day)
            finish(self.services.ledger, landed)

    def publish(self, flow: FeedFlow, day: date) -> None:
        def tell(_: object) -> None:
            mark(self.services.ledger, derived_of(self.account), flow, day)

        publish_slice(self.services, flow, day, self.run_id(), self.work, tell)

    def build(self) -> None:
        for each in derived_of(self.account):
            for stale in facts_due(self.services, each, Nobody())[0]:
                done = build(self.services, each, stale.scope, stale.day, self.run_id(), self.work)
                assert done is not None
                built(self.services.ledger, each, done)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        return run_query(self.services.aws, self.services.glue, prefix, sql.format(f"{prefix}ads"), 10**6)[1]

    def shown(self, kind: str, day: date) -> dict[int, Entity]:
        """What the simulated Amazon has on a date, by id."""
        member = {"campaigns": "campaignId", "adGroups": "adGroupId", "ads": "adId", "targets": "targetId"}[kind]
        found = [e for product in PRODUCTS for e in entities(kind, product, PROFILE, day, self.world.settings.seed)]
        return {int(entity[member]): entity for entity in found}


@contextmanager
def simulated(services: Services, tmp_path: Path, *reports: Any, path_copies: bool = False) -> Iterator[Simulation]:
    """An account with these reports at a simulated Amazon whose clock stands."""
    at = [START]
    timed = replace(services, settings=replace(services.settings, path_copies=path_copies), now=lambda: at[0])
    provision(timed, [])
    secret = f"{timed.settings.database_prefix}ads/secret"
    timed.secrets.create_secret(Name=secret, SecretString=json.dumps(asdict(DEMO_CREDENTIALS["ads"])))
    declared = {
        "source": "ads",
        "credentials": "ads/secret",
        "profiles": [PROFILE.id],
        "start_date": FIRST - timedelta(days=1),
        "spread": "0s",
        "reports": reports,
    }
    world = World(Settings(queue_seconds=60, processing_seconds=60))
    world.clock.set(START, frozen=True)
    work = tmp_path / "work"
    work.mkdir()

    def sleep(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)
        world.clock.set(at[0], frozen=True)

    with serving(world) as server:
        api = open_ads(
            *(timed.secrets, secret, "na", timed.ledger, tmp_path / "tokens"),
            sleep=sleep,
            endpoint=f"{server.url}/na",
        )
        yield Simulation(timed, account_of(AdsSource.model_validate(declared)), api, world, at, work)


@pytest.fixture
def simulation(services: Services, tmp_path: Path) -> Iterator[Simulation]:
    columns = ["date", "campaignId", "campaignName", "impressions", "clicks", "cost"]
    spend = {"name": "spend", "report_type": "spCampaigns", "group_by": ["campaign"], "columns": columns}
    with simulated(services, tmp_path, *READY_MADE, spend | {"restatement": {"daily": [1], "waves": []}}) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_histories_are_what_amazon_showed_each_day_and_spend_has_the_name_of_its_day(simulation: Simulation) -> None:
    days = [FIRST + timedelta(days=n) for n in range(9)]
    for number, day in enumerate(days):
        for fault in FAULTS[number : number + 1]:
            simulation.world.fault(*fault)
        assert day == simulation.at[0].date()
        simulation.day()
    assert simulation.world.faults.pending() == []
    looked = {
        kind: [p.day for p in simulation.services.ledger.placements.of_feed(f"ads/{each.report}/{PROFILE.id}")]
        for kind, each in ENTITIES.items()
    }
    assert looked == dict.fromkeys(ENTITIES, days), "each fault passed within its day"
    for kind, each in ENTITIES.items():
        rows = simulation.query(
            f"select {each.key}, state, valid_from, valid_to, is_current from {{}}.{each.name}_versions"
        )
        for day in days:
            valid = {name: state for name, state, begin, end, _ in rows if begin <= day and (end is None or end > day)}
            assert valid == {name: e["state"] for name, e in simulation.shown(kind, day).items()}, (kind, day)
        assert sum(is_current for *_, is_current in rows) == len(simulation.shown(kind, days[-1]))
        assert kind == "adGroups" or len(rows) > len({name for name, *_ in rows}), "something changed"
    named = simulation.query(NAMED)
    told = {(date.fromisoformat(str(day)), name): text for day, name, text, _ in named if str(day) >= str(FIRST)}
    assert told == {(day, name): simulation.shown("campaigns", day)[name]["name"] for day, name in told}
    assert len({text for (_, name), text in told.items()}) > len({name for _, name in told}), "one was renamed"
    spent = simulation.query("select sum(cost) from {}.ads_daily")
    assert sum(cost for *_, cost in named) == spent[0][0], "no spend is counted twice or lost by the names"
