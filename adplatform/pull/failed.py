"""Reports that were given up, or that rest after an error."""

from dataclasses import dataclass
from datetime import timedelta

from adplatform.flow.failed import instant
from adplatform.flow.retried import Retried
from adplatform.flow.services import Services
from adplatform.ledger.asked import covered
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import Report, ReportState
from adplatform.pull.account import Account
from adplatform.pull.plan import intend_days

LATELY = timedelta(days=3)
"""How long a report that was given up is named: by then its dates were asked for again, or are history."""


@dataclass(frozen=True)
class FailedReport:
    """A report that was given up, or one that rests because of an error; as ``adplatform.flow.pattern.Failed``."""

    account: Account
    report: Report

    @property
    def name(self) -> str:
        return self.report.feed

    @property
    def counts(self) -> bool:
        """Only one that was given up: the others are on their way."""
        return self.report.ended

    def retry(self, services: Services) -> Retried:
        """Ask for a report that was given up once more, or end the rest of one that rests."""
        report, account = self.report, self.account
        what = f"{report.feed} {report.start} to {report.end}"
        if not self.counts:
            changed = services.ledger.reports.hasten(report)
            done = "it is tried again now" if changed else "it changed meanwhile and was left alone"
            return Retried(f"{what}: {done}", bool(changed))
        definition = account.definition(report.name)
        days = set(report.days)
        intended = intend_days(services.ledger, account, definition, report.scope, days) if definition else []
        done = "asked for once more" if intended else "Amazon does not keep it, or it is on its way already"
        return Retried(f"{what}: {done}", bool(intended))

    def __str__(self) -> str:
        r = self.report
        what = "" if self.counts or not r.not_before else f"; it is tried again from {instant(r.not_before)}"
        mend = f"; mend it, then `adplatform retry {r.feed}`" if self.counts else what
        return f"{r.feed} {r.start} to {r.end}: {r.error or 'failed'}{mend}"


def failed_reports(ledger: Ledger, account: Account) -> list[FailedReport]:
    """Reports that were given up lately and whose dates no other report brings, and those that rest after an error."""
    now = ledger.now()
    resting = [r for r in ledger.reports.active(account.source) if r.error and r.not_before and r.not_before > now]
    found = [FailedReport(account, r) for r in resting]
    for scope in (scope.id for scope in ledger.scopes.of_source(account.source) if account.wants(scope)):
        for definition in account.definitions:
            asked = ledger.reports.of_feed(f"{account.source}/{definition.name}/{scope}", (now - LATELY).date())
            brought = covered(asked, definition.definition_hash)
            given_up = [r for r in asked if r.state is ReportState.FAILED and r.permanent]
            found += [FailedReport(account, r) for r in given_up if not brought.keys() >= set(r.days)]
    return found
