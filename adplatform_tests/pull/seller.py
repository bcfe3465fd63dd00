"""A seller's account on a platform of its own, driven by hand: orders, polls, downloads, tables."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from adplatform.amazon.reports import ReportApi
from adplatform.amazon.sources import SellingPartnerSource
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.lake.query import run_query
from adplatform.ledger.report import Report
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.pull.account import Account, account_of
from adplatform.pull.due import place_orders, poll_reports, reports_due
from adplatform.pull.land import claim, failed, finish, land
from adplatform_tests.support.runs import Nobody

MORNING = datetime(2026, 9, 22, 9, tzinfo=UTC)
GERMANY = next(m for m in DEMO_ACCOUNTS.marketplaces if m.country == "DE")


@dataclass
class Seller:
    """A German seller, whose clock the test moves; ``moved`` is reported."""

    services: Services
    account: Account
    api: ReportApi
    at: list[datetime]
    work: Path
    moved: Callable[[datetime], None] = lambda _: None
    runs: int = 0

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
            for part in slices:
                if part.changed and publish:
                    publish_slice(self.services, part.flow, part.day, f"run-{self.runs}", self.work)
            finish(self.services.ledger, landed)

    def day(self) -> None:
        self.orders()
        self.later(minutes=20)
        self.poll()
        self.run_ready()

    def reports(self, name: str) -> list[Report]:
        return self.services.ledger.reports.of_feed(f"seller/{name}/{GERMANY.id}")

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
