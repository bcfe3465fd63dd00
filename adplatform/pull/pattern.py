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
from adplatform.pull.stream.tables import StreamTables, stream_of

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class PulledReports:
    """As ``adplatform.flow.pattern.Pattern``. Each table of a report has one delivery a date and scope, which is part
    of the name of its deliveries; those of a ``stream`` have one a date."""

    account: Account
    source: Source
    stream: StreamTables | None = None

    @property
    def part(self) -> Callable[[FeedFlow, str], FeedFlow]:
        return lambda table, scope: self.account.scoped(table, scope) if self._has_scopes(table) else table

    @property
    def names(self) -> tuple[str, ...]:
        behind = f"/<{self.account.dimension}>"
        return tuple(f"{table.table}{behind if self._has_scopes(table) else ''}" for table in self.source.feeds)

    def find(self, name: str) -> FeedFlow | None:
        for table in self.source.feeds:
            if not self._has_scopes(table) and name == table.name:
                return table
            if self._has_scopes(table) and name.startswith(f"{table.table}/"):
                return self.account.scoped(table, name.removeprefix(f"{table.table}/"))
        return None

    def _has_scopes(self, table: FeedFlow) -> bool:
        return self.stream is None or table.table not in {flow.table for flow in self.stream.flows}

    def deliveries(self, ledger: "Ledger") -> list[FeedFlow]:
        scopes = ledger.scopes.of_source(self.account.source)
        of_reports = [table for table in self.source.feeds if self._has_scopes(table)]
        scoped = [self.account.scoped(table, scope.id) for table in of_reports for scope in scopes]
        return [*scoped, *(self.stream.flows if self.stream else ())]

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
        PermanentFailure: a report of the account has the name of a table that is made of reports, or of its stream.
    """
    account = account_of(declared)
    return PulledReports(account, account_source(account, settings.raw_bucket), stream_of(account))


def all_tables(account: Account) -> list[FeedFlow]:
    """Every table of an account: those of its reports, those that are made of them, and those of its stream."""
    stream = stream_of(account)
    of_reports = [*(table for _, table in account.tables()), *(each.table for each in derived_of(account))]
    return [*of_reports, *(stream.flows if stream else ())]


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
