"""A seller's account on a platform of its own, driven by hand: orders, polls, downloads, tables."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from adplatform.amazon.reports import ReportApi
from adplatform.amazon.selling_partner.client import open_selling_partner
from adplatform.amazon.sources import SellingPartnerSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.lake.query import run_query
from adplatform.ledger.report import Report
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, DEMO_CREDENTIALS, Marketplace
from adplatform.local.world.amazon.server import serving
from adplatform.local.world.amazon.world import Settings, World
from adplatform.pull.account import Account, account_of
from adplatform.pull.due import place_orders, poll_reports, reports_due
from adplatform.pull.land import claim, failed, finish, land
from adplatform.pull.publish import keep_newest
from adplatform_tests.support.runs import Nobody

MORNING = datetime(2026, 9, 22, 9, tzinfo=UTC)
GERMANY = next(m for m in DEMO_ACCOUNTS.marketplaces if m.country == "DE")


@dataclass
class Seller:
    """A seller in one marketplace, whose clock the test moves; ``moved`` is reported."""

    services: Services
    account: Account
    api: ReportApi
    at: list[datetime]
    work: Path
    moved: Callable[[datetime], None] = lambda _: None
    runs: int = 0
    marketplace: Marketplace = GERMANY

    def later(self, **by: float) -> None:
        self.at[0] += timedelta(**by)
        self.moved(self.at[0])

    def orders(self) -> list[Report]:
        return place_orders(self.services, self.account, self.api)

    def poll(self) -> list[Report]:
        return poll_reports(self.services, self.account, lambda: self.api)

    def run_ready(self, *, publish: bool = True) -> None:
        for due in reports_due(self.services, self.account, Nobody()):
            self.runs += 1
            claimed = claim(self.services.ledger, due.report, f"run-{self.runs}")
            folder = self.work / f"run-{self.runs}"
            folder.mkdir()
            try:
                landed, slices = land(
                    self.services, self.account, lambda: self.api, claimed, folder, sleep=lambda _: None
                )
            except (PermanentFailure, TransientFailure) as e:
                failed(self.services, self.account, claimed, e)
                continue
            definition = self.account.definition(landed.name)
            assert definition is not None
            for part in slices:
                if part.changed and publish:
                    run = f"run-{self.runs}"
                    publish_slice(self.services, part.flow, part.day, run, self.work)
                    list(keep_newest(self.services, definition, part.flow, run, self.work))
            finish(self.services.ledger, landed)

    def day(self) -> None:
        self.orders()
        self.later(minutes=20)
        self.poll()
        self.run_ready()

    def reports(self, name: str) -> list[Report]:
        return self.services.ledger.reports.of_feed(f"seller/{name}/{self.marketplace.id}")

    def table(self, name: str, columns: str = "*") -> list[tuple[Any, ...]]:
        """Rows of a table of the seller in order of all of their values."""
        prefix = self.services.settings.database_prefix
        dated = f"select * replace (cast(dt as date) as dt) from {prefix}seller.{name}"
        return self.query(f"select {columns} from ({dated}) order by all")

    def columns(self, name: str) -> list[str]:
        prefix = self.services.settings.database_prefix
        return [c for (c,) in self.query(f"select column_name from (describe {prefix}seller.{name})")]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        return [tuple(r) for r in run_query(self.services.aws, self.services.glue, prefix, sql, 10**6)[1]]


def declared(*reports: Any, **more: Any) -> Account:
    settings = {
        "source": "seller",
        "region": "eu",
        "credentials": "seller/secret",
        "start_date": date(2026, 6, 1),
        "history": "4d",
        "spread": "0s",
        "reports": list(reports),
    }
    return account_of(SellingPartnerSource.model_validate(settings | more))


@dataclass
class Simulated(Seller):
    """The seller of the simulated Amazon."""

    world: World = field(default_factory=World)


@contextmanager
def simulated_seller(services: Services, folder: Path, marketplace: Marketplace = GERMANY) -> Iterator[Simulated]:
    """The seller of a simulated Amazon of its own, on a platform whose clock goes with Amazon's."""
    account = declared("sales_and_traffic", "all_orders", "settlements", region=marketplace.region)
    with simulated(services, folder, account, open_selling_partner) as made:
        made.marketplace = marketplace
        yield made


@contextmanager
def simulated(
    services: Services, folder: Path, account: Account, open_api: Callable[..., ReportApi]
) -> Iterator[Simulated]:
    """An account of a simulated Amazon of its own, whose clock goes with the platform's."""
    at = [MORNING]
    timed = replace(services, now=lambda: at[0])
    provision(timed, [])
    secret = json.dumps(asdict(DEMO_CREDENTIALS["ads" if account.api == "ads" else "selling_partner"]))
    name = f"{timed.settings.database_prefix}{account.credentials}"
    timed.secrets.create_secret(Name=name, SecretString=secret)
    world = World(Settings(queue_seconds=60, processing_seconds=60))
    world.clock.set(MORNING, frozen=True)

    def sleep(seconds: float) -> None:
        at[0] += timedelta(seconds=seconds)
        world.clock.set(at[0], frozen=True)

    work, region = folder / "work", account.region
    work.mkdir()
    with serving(world) as server:
        endpoint, tokens = f"{server.url}/{region}", folder / "tokens"
        api = open_api(timed.secrets, name, region, timed.ledger, tokens, sleep=sleep, endpoint=endpoint)
        yield Simulated(timed, account, api, at, work, partial(world.clock.set, frozen=True), world=world)
