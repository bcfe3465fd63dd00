"""What the ledger tells of restatements, freshness and retention."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from adplatform.amazon.sources import AdsSource, SellingPartnerSource
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.observations import Observation
from adplatform.ledger.report import Report
from adplatform.ledger.scopes import Planned, Scope
from adplatform.pull.account import Account, account_of
from adplatform.pull.plan import oldest_wanted
from adplatform.pull.watch import at_risk, freshness, restatements
from adplatform_tests.support.ledger_rows import put_delivery

NOON = datetime(2026, 6, 10, 19, tzinfo=UTC)
"""12:00 on 10 June in Los Angeles, 04:00 on 11 June in Tokyo."""
TODAY = date(2026, 6, 10)
WITHIN = timedelta(hours=36)
AMERICA, JAPAN = Scope("111", "America/Los_Angeles", "US"), Scope("222", "Asia/Tokyo", "JP")
SMALL = {
    "name": "sp_small",
    "report_type": "spCampaigns",
    "group_by": ["campaign"],
    "columns": ["date", "campaignId", "clicks", "sales14d"],
}


def ads(**changes: Any) -> Account:
    declared = {"source": "ads", "credentials": "ads/secret", "start_date": "2026-01-01", "reports": [SMALL]}
    return account_of(AdsSource.model_validate(declared | changes))


@pytest.fixture
def at() -> list[datetime]:
    return [NOON]


@pytest.fixture
def timed(services: Services, at: list[datetime]) -> Services:
    moved = replace(services, now=lambda: at[0])
    provision(moved, [])
    moved.ledger.scopes.put("ads", [replace(AMERICA, seen_at=NOON)])
    return moved


def observe(
    ledger: Ledger, day: date, age: int, report_id: str = "", feed: str = "ads/sp_small/111", **sums: int
) -> None:
    as_of = datetime(day.year, day.month, day.day, 19, tzinfo=UTC) + timedelta(days=age)
    totals = {name: Decimal(value) for name, value in sums.items()}
    ledger.observations.put(
        feed, Observation(day, as_of, age, age, report_id or f"{day}-{age}", rows=5, content="c", totals=totals)
    )


def publish(ledger: Ledger, feed: str, day: date) -> None:
    put_delivery(ledger, feed, Delivery(day), version=1, published=1)


def intend(ledger: Ledger, account: Account, asked_on: date, start: date, end: date, **changes: Any) -> Report:
    (definition,) = account.definitions
    row = Report("ads", definition.name, "111", asked_on, start, end, 1, "t", definition.definition_hash)
    report = replace(row, **changes)
    assert ledger.reports.intend(report)
    return report


def test_restatements_are_reported_by_scope_with_what_is_unusual(timed: Services) -> None:
    timed.ledger.scopes.put("ads", [JAPAN])
    odd, calm = TODAY - timedelta(days=10), TODAY - timedelta(days=9)
    for age, clicks in ((1, 100), (4, 98), (9, 40)):
        observe(timed.ledger, odd, age, clicks=clicks)
    for age, clicks in ((1, 100), (4, 99), (9, 99)):
        observe(timed.ledger, calm, age, clicks=clicks)
    account = ads()
    america, japan = restatements(timed.ledger, account, account.definitions[0], "sp_small")
    assert (america.scope.id, japan.scope.id) == ("111", "222")
    assert len(america.observations) == 6
    assert [(c.day, c.age) for c in america.changes] == [(odd, 4), (odd, 9), (calm, 4)]
    (finding,) = america.findings
    assert (finding.change.before, finding.change.after, type(finding.change.after)) == (98, 40, Decimal)
    assert america.recent(TODAY - timedelta(days=1)) == (finding,), "it was seen on the day before"
    assert america.recent(TODAY) == ()
    assert japan.observations == japan.findings == ()


def test_other_scopes_other_definitions_and_dates_that_are_long_final_are_left_out(timed: Services) -> None:
    timed.ledger.scopes.put("ads", [JAPAN])
    account = ads(profiles=[111])
    observe(timed.ledger, TODAY - timedelta(days=5), 1, report_id="before", clicks=1000)
    observe(timed.ledger, TODAY - timedelta(days=5), 5, report_id="now", clicks=10)
    observe(timed.ledger, TODAY - timedelta(days=98), 1, clicks=7)
    observe(timed.ledger, TODAY - timedelta(days=97), 1, clicks=7)
    day = TODAY - timedelta(days=4)
    intend(timed.ledger, account, day, day, day, definition="another", report_id="before")
    intend(timed.ledger, account, TODAY, day, day, report_id="now")
    (watched,) = restatements(timed.ledger, account, account.definitions[0], "sp_small")
    assert [o.age for o in watched.observations] == [1, 5]
    assert watched.observations[0].day == TODAY - timedelta(days=97)
    assert watched.changes == ()


def test_a_selling_partner_report_has_no_final_age_of_conversions(timed: Services) -> None:
    declared = {
        "source": "shop",
        "credentials": "s",
        "start_date": "2026-01-01",
        "reports": ["all_orders"],
    }
    account = account_of(SellingPartnerSource.model_validate(declared))
    timed.ledger.scopes.put("shop", [Scope("ATVPDKIKX0DER", "America/Los_Angeles", "US")])
    for age, quantity in ((50, 100), (60, 99)):
        day = TODAY - timedelta(days=60)
        observe(timed.ledger, day, age, feed="shop/all_orders/ATVPDKIKX0DER", quantity=quantity)
    (watched,) = restatements(timed.ledger, account, account.definitions[0], "all_orders")
    assert len(watched.changes) == 1
    assert watched.findings == ()


def test_freshness_counts_from_the_end_of_the_newest_published_date_where_the_scope_is(timed: Services) -> None:
    timed.ledger.scopes.put("ads", [JAPAN])
    account = ads()
    for scope in ("111", "222"):
        publish(timed.ledger, f"ads/sp_small/{scope}", date(2026, 6, 7))
        publish(timed.ledger, f"ads/sp_small/{scope}", date(2026, 6, 9))
    put_delivery(timed.ledger, "ads/sp_small/111", Delivery(date(2026, 6, 10)), version=1)
    america, japan = freshness(timed.ledger, account, account.definitions[0], "sp_small", WITHIN)
    assert (america.newest, america.age) == (date(2026, 6, 9), timedelta(hours=12))
    assert (japan.newest, japan.age) == (date(2026, 6, 9), timedelta(hours=28))
    assert not america.overdue
    assert not america.waiting


@pytest.mark.parametrize(("hours", "overdue"), [(24, False), (25, True)])
def test_data_is_overdue_once_its_newest_date_ended_too_long_ago(
    timed: Services, at: list[datetime], hours: int, overdue: bool
) -> None:
    account = ads()
    publish(timed.ledger, "ads/sp_small/111", date(2026, 6, 9))
    at[0] += timedelta(hours=hours)
    (found,) = freshness(timed.ledger, account, account.definitions[0], "sp_small", WITHIN)
    assert found.overdue == overdue


def test_a_report_that_is_first_asked_for_at_age_2_may_be_a_day_older(timed: Services, at: list[datetime]) -> None:
    account = ads(reports=[SMALL | {"restatement": {"daily": [2, 3]}}])
    publish(timed.ledger, "ads/sp_small/111", date(2026, 6, 9))
    at[0] += timedelta(hours=48)
    (found,) = freshness(timed.ledger, account, account.definitions[0], "sp_small", WITHIN)
    assert not found.overdue
    at[0] += timedelta(hours=1)
    (found,) = freshness(timed.ledger, account, account.definitions[0], "sp_small", WITHIN)
    assert found.overdue


@pytest.mark.parametrize(("days", "overdue"), [(8, False), (9, True)])
def test_a_week_is_fresh_until_the_next_one_should_have_come(
    timed: Services, at: list[datetime], days: int, overdue: bool
) -> None:
    report = {"name": "vendor_traffic", "options": {"reportPeriod": "WEEK"}}
    declared = {"source": "shop", "credentials": "s", "start_date": "2026-01-01", "reports": [report]}
    account = account_of(SellingPartnerSource.model_validate(declared))
    timed.ledger.scopes.put("shop", [Scope("A1VC38T7YXB528", "Asia/Tokyo", "JP", seen_at=at[0])])
    saturday = date(2026, 6, 6)
    publish(timed.ledger, "shop/vendor_traffic_total/A1VC38T7YXB528", saturday)
    at[0] = datetime(2026, 6, 6, 15, tzinfo=UTC) + timedelta(days=days)
    (found,) = freshness(
        timed.ledger, account, account.definitions[0], "vendor_traffic_total", timedelta(days=1, hours=12)
    )
    assert (found.age, found.overdue) == (timedelta(days=days), overdue)


def test_a_new_scope_is_waited_for_from_when_it_was_seen_and_then_from_its_first_report(
    timed: Services, at: list[datetime]
) -> None:
    account = ads()

    def state() -> tuple[bool, bool]:
        (found,) = freshness(timed.ledger, account, account.definitions[0], "sp_small", WITHIN)
        return found.waiting, found.overdue

    assert state() == (True, False), "it was never asked for: not yet"
    at[0] = NOON + WITHIN + timedelta(minutes=1)
    assert state() == (False, True), "it was seen, and forgotten"
    intend(timed.ledger, account, TODAY, TODAY, TODAY)
    assert state() == (True, False), "it was asked for just now"
    at[0] += WITHIN + timedelta(minutes=1)
    timed.ledger.scopes.put("ads", [replace(AMERICA, seen_at=at[0])])
    assert state() == (False, True), "that a scope is seen every day does not put it off"
    publish(timed.ledger, "ads/sp_small/111", at[0].date() - timedelta(days=1))
    assert state() == (False, False)


def test_a_scope_whose_plan_found_no_date_to_ask_for_is_not_overdue(timed: Services, at: list[datetime]) -> None:
    account = ads(start_date="2026-06-20")
    timed.ledger.scopes.put_planned("ads", Planned("sp_small", "111", TODAY, account.definitions[0].definition_hash))
    at[0] += timedelta(days=5)
    (found,) = freshness(timed.ledger, account, account.definitions[0], "sp_small", WITHIN)
    assert found.waiting


def test_history_limits_the_first_requests_and_no_later_ones() -> None:
    account = ads(history="10d", start_date="2026-05-01")
    assert oldest_wanted(account, TODAY, {}) == TODAY - timedelta(days=10)
    read = {date(2026, 5, 20): TODAY - timedelta(days=15)}
    assert oldest_wanted(account, TODAY, read) == date(2026, 5, 20), "it is restated, and so is what an outage left out"
    assert oldest_wanted(account, TODAY, {date(2026, 4, 1): TODAY}) == date(2026, 5, 1)
    assert oldest_wanted(account, TODAY, {TODAY - timedelta(days=1): TODAY}) == TODAY - timedelta(days=10)


def test_dates_at_risk_are_those_of_the_last_plan(timed: Services) -> None:
    account = ads(profiles=[111])
    (definition,) = account.definitions
    for name, scope, dates in (("sp_small", "111", 2), ("other", "111", 5), ("sp_small", "222", 7)):
        timed.ledger.scopes.put_planned("ads", Planned(name, scope, TODAY, definition.definition_hash, at_risk=dates))
    timed.ledger.scopes.put("ads", [JAPAN])
    (risk,) = at_risk(timed.ledger, account, definition)
    assert (risk.scope, risk.dates, risk.day, risk.stands_still) == ("111", 2, TODAY, False)
    timed.ledger.scopes.put_planned("ads", Planned("sp_small", "111", TODAY, definition.definition_hash))
    assert at_risk(timed.ledger, account, definition) == []


def test_dates_leave_retention_unread_when_nothing_is_planned_any_more(timed: Services, at: list[datetime]) -> None:
    account = ads()
    (definition,) = account.definitions
    timed.ledger.scopes.put_planned("ads", Planned("sp_small", "111", TODAY, definition.definition_hash))
    intend(timed.ledger, account, TODAY, date(2026, 1, 1), TODAY - timedelta(days=1))
    assert at_risk(timed.ledger, account, definition) == []
    at[0] += timedelta(days=5)
    assert at_risk(timed.ledger, account, definition) == [], "the oldest dates were read when they were final"
    at[0] = NOON + timedelta(days=definition.policy.last_age)
    (risk,) = at_risk(timed.ledger, account, definition)
    assert (risk.dates, risk.day, risk.stands_still) == (3, TODAY, True)
