"""Dates of a report that somebody asks for by hand: which are on their way, which have nothing to come, and why others
do not come."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from adplatform.amazon.definitions import ReportDefinition
from adplatform.amazon.restatement import Period
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.pull.account import Account, local_zone
from adplatform.pull.plan import MARGIN


@dataclass(frozen=True)
class Awaited:
    """Dates that readers do not see, each with a sentence: those that come ``by themselves``, those of which there is
    ``nothing`` to come, and those that are ``missing`` for a reason."""

    by_themselves: Mapping[date, str]
    nothing: Mapping[date, str]
    missing: Mapping[date, str]


def awaited(
    ledger: Ledger, account: Account, definition: ReportDefinition, scope: str, days: Iterable[date]
) -> Awaited:
    """How each of the ``days`` stands of which readers do not see every table."""
    coming: dict[date, str] = {}
    nothing: dict[date, str] = {}
    missing: dict[date, str] = {}
    known = next((each for each in ledger.scopes.of_source(account.source) if each.id == scope), None)
    wanted = set(days)
    reports = _reports(ledger, account, definition, scope, min(wanted, default=date.max))
    for day in sorted(wanted):
        landed = [ledger.deliveries.get(account.flow(d, scope).name, day) for d in definition.datasets]
        unseen = [each for each in landed if not each.published]
        if not unseen:
            continue
        report = reports.get(day)
        if report is not None and not report.ended:
            coming[day] = f"the report that was asked for on {report.asked_on} is {report.state}"
        elif works := next((each for each in unseen if _goes_on(each)), None):
            coming[day] = f"version {works.version or 1} is {works.state} and goes on by itself"
        elif error := next((each.error for each in unseen if each.error), ""):
            missing[day] = error
        elif report is not None and report.state is ReportState.FAILED:
            missing[day] = f"the report that was asked for on {report.asked_on} failed: {report.error}"
        elif why := _nothing(ledger, account, definition, scope, day):
            nothing[day] = why
        else:
            missing[day] = _why_not(ledger, account, definition, known, day)
    return Awaited(coming, nothing, missing)


def may_come(ledger: Ledger, account: Account, names: Iterable[str], scopes: Iterable[str], days: set[date]) -> bool:
    """Whether anything on its way may bring one of the ``days`` of the definitions of these ``names``. Two queries,
    whose index may lag: what it denies, :func:`awaited` has to confirm."""
    wanted, among = set(names), set(scopes)
    for report in ledger.reports.active(account.source):
        if report.name in wanted and report.scope in among and not days.isdisjoint(report.days):
            return True
    flows = {
        account.flow(dataset, scope).name
        for definition in account.definitions
        if definition.name in wanted
        for dataset in definition.datasets
        for scope in among
    }
    active = ledger.deliveries.active(account.source)
    return any(name in flows and each.day in days and _goes_on(each) for name, each in active)


def _goes_on(delivery: Delivery) -> bool:
    failed = delivery.state is DeliveryState.FAILED
    return delivery.active and not (failed and delivery.permanent)


def _reports(
    ledger: Ledger, account: Account, definition: ReportDefinition, scope: str, since: date
) -> dict[date, Report]:
    """Of each date the report on its way that brings it, else the one that was asked for last."""
    feed = f"{account.source}/{definition.name}/{scope}"
    found: dict[date, Report] = {}
    for report in ledger.reports.of_feed(feed, since=min(since, ledger.now().date()) - MARGIN):
        for day in report.days:
            before = found.get(day)
            if before is None or before.ended:
                found[day] = report
    return found


def _nothing(ledger: Ledger, account: Account, definition: ReportDefinition, scope: str, day: date) -> str:
    period = definition.policy.period
    if period is not Period.DAY and not period.ends_on(day):
        return f"it is not the last date of a {period.lower()}, of which alone there are reports"
    if not definition.discovered:
        return ""
    planned = ledger.scopes.planned(account.source)
    looked = next((p.day for p in planned if (p.name, p.scope) == (definition.name, scope)), None)
    return f"Amazon, which makes these by itself, had none of it on {looked}" if looked and looked > day else ""


def _why_not(ledger: Ledger, account: Account, definition: ReportDefinition, scope: Scope | None, day: date) -> str:
    policy = definition.policy
    if scope is None or not account.wants(scope):
        return f"the {account.dimension} is not known, or not wanted: the orders job learns of new ones"
    if definition.discovered:
        return "Amazon makes these by itself; they are looked for every day"
    zone = local_zone(definition, scope)
    today = ledger.now().astimezone(zone).date()
    age = (today - day).days
    if policy.snapshot and age:
        when = "is asked for on that date" if age < 0 else "cannot be asked for a date that is over"
        return f"it is a snapshot, which shows what is so when it is asked for: it {when}, in {zone.key}"
    if age < policy.first_age:
        first = day + timedelta(days=policy.first_age)
        return f"Amazon is asked for it from {first} on, when it is over in {zone.key}"
    if age > policy.last_age:
        return f"it is {age} days old; Amazon keeps {policy.retention_days}, and {policy.last_age} can be asked for"
    return "it was not asked for: the source may have been changed meanwhile; launch it again"
