"""The pattern of reports that are asked of an API and pulled when they are ready."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adplatform.amazon.sources import ReportSource
from adplatform.flow.failed import FailedDelivery, failed_deliveries
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.zones import Zones
from adplatform.platform.settings import Settings
from adplatform.pull.account import Account, account_of
from adplatform.pull.derived import derived_of
from adplatform.pull.failed import FailedReport, failed_reports

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class PulledReports:
    """As ``adplatform.flow.pattern.Pattern``. Each table has one delivery a date and scope, which is part of the name
    of its deliveries."""

    account: Account
    source: Source

    @property
    def part(self) -> Callable[[FeedFlow, str], FeedFlow]:
        return self.account.scoped

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{table.table}/<{self.account.dimension}>" for table in self.source.feeds)

    def find(self, name: str) -> FeedFlow | None:
        for table in self.source.feeds:
            if name.startswith(f"{table.table}/"):
                return self.account.scoped(table, name.removeprefix(f"{table.table}/"))
        return None

    def deliveries(self, ledger: "Ledger") -> list[FeedFlow]:
        scopes = ledger.scopes.of_source(self.account.source)
        return [self.account.scoped(table, scope.id) for table in self.source.feeds for scope in scopes]

    def arrivals(self, flow: FeedFlow) -> Source:
        return account_source(self.account, self.source.bucket, flow)

    def failing(self, ledger: "Ledger") -> list[str]:
        reports = (f"{self.account.source}/{definition.name}" for definition in self.account.definitions)
        feeds = sorted({*(table.table for table in self.source.feeds), *reports})
        return [
            *feeds,
            *(f"{feed}/{scope.id}" for feed in feeds for scope in ledger.scopes.of_source(self.account.source)),
        ]

    def failed(self, services: Services) -> list[FailedDelivery | FailedReport]:
        deliveries = failed_deliveries(services.ledger, self.account.source, self.deliveries(services.ledger))
        return [*deliveries, *failed_reports(services.ledger, self.account)]


def pulled_reports(declared: ReportSource, settings: Settings) -> PulledReports:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: a report of the account has the name of a table that is made of reports.
    """
    account = account_of(declared)
    return PulledReports(account, account_source(account, settings.raw_bucket))


def all_tables(account: Account) -> list[FeedFlow]:
    """Every table of an account: those of its reports, and those that are made of them."""
    return [*(table for _, table in account.tables()), *(each.table for each in derived_of(account))]


def account_source(account: Account, bucket: str, *feeds: FeedFlow) -> Source:
    """An account as the source of its slices, of these feeds or of all."""
    return Source(
        account.source,
        bucket,
        account.slices,
        feeds or tuple(all_tables(account)),
        takes_files=False,
        retention=account.retention,
        budget=account.budget,
        documents=(Zones.documents(account.source),),
        pattern=ReportSource.pattern,
    )
