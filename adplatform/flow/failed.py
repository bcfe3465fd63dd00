"""What has failed and stays so: deliveries and reports that wait for somebody, or for a while."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adplatform.flow.patience import is_given_up
from adplatform.flow.reports.account import Account
from adplatform.flow.reports.fact import all_tables
from adplatform.flow.reports.plan import covered
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.rows import Delivery, DeliveryState, Report, ReportState

LATELY = timedelta(days=3)
"""How long a report that was given up is named: by then its dates were asked for again, or are history."""


@dataclass(frozen=True)
class FailedDelivery:
    flow: FeedFlow
    delivery: Delivery

    @property
    def name(self) -> str:
        return self.flow.name

    def __str__(self) -> str:
        d = self.delivery
        seen = f"; readers see version {d.published}" if d.published else ""
        return f"{self.name} {d.day}: {d.error or 'failed'}{seen}{self._next()}"

    def _next(self) -> str:
        d = self.delivery
        if not is_given_up(d) and d.not_before:
            return f"; it is tried again from {_instant(d.not_before)}"
        return f"; mend it, then `adplatform retry {self.name} {d.day}`"


@dataclass(frozen=True)
class FailedReport:
    """A report that was given up, or one that rests because of an error."""

    account: Account
    report: Report

    @property
    def name(self) -> str:
        return self.report.feed

    @property
    def given_up(self) -> bool:
        return self.report.ended

    def __str__(self) -> str:
        r = self.report
        what = "" if self.given_up or not r.not_before else f"; it is tried again from {_instant(r.not_before)}"
        mend = f"; mend it, then `adplatform retry {r.feed}`" if self.given_up else what
        return f"{r.feed} {r.start} to {r.end}: {r.error or 'failed'}{mend}"


def failed_deliveries(
    services: Services, sources: Sequence[Source], accounts: Sequence[Account]
) -> list[FailedDelivery]:
    """Every declared feed's deliveries that have failed."""
    found: list[FailedDelivery] = []
    for source in sources:
        flows = {flow.name: flow for flow in source.feeds}
        found += _failed(services, source.name, flows)
    for account in accounts:
        scopes = services.ledger.scopes(account.source)
        tables = [account.scoped(table, scope.id) for table in all_tables(account) for scope in scopes]
        found += _failed(services, account.source, {flow.name: flow for flow in tables})
    return found


def _failed(services: Services, source: str, flows: dict[str, FeedFlow]) -> list[FailedDelivery]:
    active = services.ledger.active_deliveries(source)
    return [
        FailedDelivery(flows[name], delivery)
        for name, delivery in active
        if name in flows and delivery.state is DeliveryState.FAILED
    ]


def failed_reports(services: Services, accounts: Sequence[Account]) -> list[FailedReport]:
    """Reports that were given up lately and whose dates no other report brings, and those that rest after an error."""
    now = services.ledger.now()
    found = []
    for account in accounts:
        resting = [r for r in services.ledger.active_reports(account.source) if r.error and r.not_before]
        found += [FailedReport(account, r) for r in resting if r.not_before and r.not_before > now]
        scopes = [scope.id for scope in services.ledger.scopes(account.source) if account.wants(scope)]
        for definition in account.definitions:
            for scope in scopes:
                asked = services.ledger.reports(f"{account.source}/{definition.name}/{scope}", (now - LATELY).date())
                brought = covered(asked, definition.definition_hash)
                given_up = [r for r in asked if r.state is ReportState.FAILED and r.permanent]
                found += [FailedReport(account, r) for r in given_up if not brought.keys() >= set(r.days)]
    return found


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
