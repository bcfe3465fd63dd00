"""What the ledger says of a report's restatements, freshness and retention, across the scopes of an account."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from adplatform.amazon import restatement_watch
from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.restatement import plan
from adplatform.flow.backfills import Reason, Wanted
from adplatform.ledger.asked import covered
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.scopes import Planned, Scope
from adplatform.pull.account import Account, local_zone
from adplatform.pull.plan import oldest_wanted

REPORTED_FOR = timedelta(days=7)
"""How long a change that is unusual counts as news."""


@dataclass(frozen=True)
class Watched:
    """The restatement history of one table and scope."""

    scope: Scope
    observations: tuple[restatement_watch.Observation, ...]
    changes: tuple[restatement_watch.Change, ...]
    findings: tuple[restatement_watch.Finding, ...]

    def recent(self, since: date) -> tuple[restatement_watch.Finding, ...]:
        """The findings of reports that were asked for on or after ``since``, by the scope's date."""
        return tuple(finding for finding in self.findings if seen_on(finding.change) >= since)


def seen_on(change: restatement_watch.Change) -> date:
    """The scope's date on which the report was asked for that brought the change."""
    return change.day + timedelta(days=change.age)


def restatements(ledger: Ledger, account: Account, definition: ReportDefinition, feed: str) -> list[Watched]:
    """How each date of a table changed from wave to wave, and what of that is unusual, for every scope.

    Dates count until their last wave is over, and ``REPORTED_FOR`` longer. What was asked for by another version of the
    definition is left out: other filters have other totals. So is a date by the hour while it lasts.
    """
    kept = timedelta(days=max(definition.policy.deadlines.values())) + REPORTED_FOR
    attribution_days = definition.attribution_days if definition.api == "ads" else None
    plotted = definition.dataset(feed).plotted
    watched = []
    for scope in wanted_scopes(ledger, account):
        since = _today(ledger, definition, scope) - kept
        reports = ledger.reports.of_feed(f"{account.source}/{definition.name}/{scope.id}", since)
        others = {r.report_id for r in reports if r.definition != definition.definition_hash}
        observations = tuple(
            restatement_watch.Observation(
                o.day, o.as_of, o.age, {m: total for m, total in o.totals.items() if m in plotted}, o.rows
            )
            for o in ledger.observations.since(account.flow(definition.dataset(feed), scope.id).name, since)
            if o.report_id not in others and (o.age or not definition.policy.hours)
        )
        changes = tuple(restatement_watch.changes(observations))
        findings = tuple(restatement_watch.unusual(changes, observations, attribution_days=attribution_days))
        watched.append(Watched(scope, observations, changes, findings))
    return watched


@dataclass(frozen=True)
class Freshness:
    """How old the newest published date of a scope is.

    ``age`` is the time since that date ended where the report's dates are counted; without any date, the time since the
    first report was intended, or the scope was last seen; None where there is nothing to wait for.
    """

    scope: Scope
    newest: date | None
    age: timedelta | None
    allowed: timedelta

    @property
    def overdue(self) -> bool:
        return self.age is not None and self.age > self.allowed

    @property
    def waiting(self) -> bool:
        """Whether nothing has been published yet, and need not have been."""
        return self.newest is None and not self.overdue


def freshness(
    ledger: Ledger, account: Account, definition: ReportDefinition, feed: str, within: timedelta
) -> list[Freshness]:
    """How fresh each scope is, by the dates of its data.

    ``within`` is for dates that are asked for the day after; where a report's first age is later, so is its data, and
    the next period is as old as it is long.
    """
    now = ledger.now()
    later = timedelta(days=definition.policy.first_age - 1 + definition.policy.period.longest - 1)
    planned = {p.scope for p in _planned(ledger, account, definition)}
    found = []
    for scope in wanted_scopes(ledger, account):
        flow = account.flow(definition.dataset(feed), scope.id)
        newest = ledger.deliveries.newest_published(flow.name)
        if newest is not None:
            ended = datetime.combine(newest.day + timedelta(days=1), time(), local_zone(definition, scope))
            found.append(Freshness(scope, newest.day, now - ended, within + later))
        else:
            since = _waiting_since(ledger, account, definition, scope, scope.id in planned)
            found.append(Freshness(scope, None, now - since if since else None, within))
    return found


def _waiting_since(
    ledger: Ledger, account: Account, definition: ReportDefinition, scope: Scope, planned: bool
) -> datetime | None:
    """From when a scope without data is waited for. Each run of the orders job sees the scopes anew, then plans them:
    one that has not been planned for long after it was seen is forgotten. One that was planned without a report has no
    date yet that could be had."""
    first = next(iter(ledger.reports.of_feed(f"{account.source}/{definition.name}/{scope.id}")), None)
    if first is not None:
        return first.intended_at
    return None if planned else scope.seen_at


@dataclass(frozen=True)
class AtRisk:
    """Dates of a scope that will soon be past what Amazon keeps, as planned on ``day``, and are not going to be asked
    for before. ``stands_still`` when nothing was planned since."""

    scope: str
    dates: int
    day: date
    stands_still: bool


def at_risk(ledger: Ledger, account: Account, definition: ReportDefinition) -> list[AtRisk]:
    """The scopes with dates at risk. A plan older than yesterday is drawn up anew, as if nothing could be asked for."""
    scopes = {scope.id: scope for scope in wanted_scopes(ledger, account)}
    found = []
    for planned in _planned(ledger, account, definition):
        if planned.scope in scopes:
            today = _today(ledger, definition, scopes[planned.scope])
            stands_still = planned.day < today - timedelta(days=1)
            dates = len(_unread(ledger, account, definition, planned, today)) if stands_still else planned.at_risk
            if dates:
                found.append(AtRisk(planned.scope, dates, planned.day, stands_still))
    return found


def to_be_saved(ledger: Ledger, account: Account) -> list[Wanted]:
    """Dates that were never read, that Amazon will soon not keep any more, and whose turn would come too late, by the
    last plan of each report and scope. One query where no plan left any."""
    found = []
    for planned in ledger.scopes.planned(account.source):
        definition = account.definition(planned.name)
        if not planned.at_risk or definition is None:
            continue
        feed = f"{account.source}/{planned.name}"
        deliveries = [account.flow(dataset, planned.scope).name for dataset in definition.datasets]
        read = {each.day for name in deliveries for each in ledger.deliveries.of_feed(name) if each.arrivals}
        days = tuple(d for d in _unread(ledger, account, definition, planned, planned.day) if d not in read)
        if days:
            why = f"Amazon will not keep them much longer: {len(days)} dates of {feed} of {planned.scope}"
            found.append(Wanted(feed, days, Reason.RETENTION, why, scope=planned.scope))
    return found


@dataclass(frozen=True)
class Gap:
    """Dates of a scope of which no snapshot was had, and none can be had any more."""

    scope: str
    dates: tuple[date, ...]


def gaps(ledger: Ledger, account: Account, definition: ReportDefinition) -> list[Gap]:
    """The scopes without a snapshot of a date of the last ``REPORTED_FOR``, but after another one."""
    found = []
    for scope in wanted_scopes(ledger, account):
        today = _today(ledger, definition, scope)
        had = covered(ledger.reports.of_feed(f"{account.source}/{definition.name}/{scope.id}", today - REPORTED_FOR))
        since = (today - min(had, default=today)).days
        passed = (today - timedelta(days=age) for age in range(since, 0, -1))
        if dates := tuple(day for day in passed if day not in had):
            found.append(Gap(scope.id, dates))
    return found


def _unread(
    ledger: Ledger, account: Account, definition: ReportDefinition, planned: Planned, today: date
) -> tuple[date, ...]:
    """The dates at risk, if nothing more could be asked for."""
    policy = definition.policy
    feed = f"{account.source}/{definition.name}/{planned.scope}"
    reports = ledger.reports.of_feed(feed, today - timedelta(days=policy.retention_days))
    pulled = covered(reports, definition.definition_hash)
    budget = max(policy.requests_per_day, policy.backfill_per_day)
    oldest = oldest_wanted(account, today, covered(reports))
    return plan(policy, today, oldest, pulled, spent=budget).at_risk


def wanted_scopes(ledger: Ledger, account: Account) -> list[Scope]:
    return [scope for scope in ledger.scopes.of_source(account.source) if account.wants(scope)]


def _planned(ledger: Ledger, account: Account, definition: ReportDefinition) -> list[Planned]:
    return [p for p in ledger.scopes.planned(account.source) if p.name == definition.name]


def _today(ledger: Ledger, definition: ReportDefinition, scope: Scope) -> date:
    return ledger.now().astimezone(local_zone(definition, scope)).date()
