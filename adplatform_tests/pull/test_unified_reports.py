"""Reports of the Ads API v1 from the order to the table, at the simulated Amazon and at answers of no such Amazon."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adplatform.amazon.ads.client import open_ads
from adplatform.amazon.sources import AdsSource
from adplatform.flow.services import Services
from adplatform.ledger.report import ReportState
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.advertising import age, as_it_stands, atoms
from adplatform.local.world.amazon.products import minor_units
from adplatform.pull.account import Account, account_of
from adplatform_tests.pull.seller import Simulated, simulated

EVERYWHERE = DEMO_ACCOUNTS.advertisers[0]


def declared(*reports: Any, **more: Any) -> Account:
    settings = {
        "source": "seller",
        "api": "v1",
        "credentials": "seller/secret",
        "start_date": date(2026, 9, 20),
        "spread": "0s",
        "reports": list(reports),
    }
    return account_of(AdsSource.model_validate(settings | more))


@pytest.fixture
def unified(services: Services, tmp_path: Path) -> Iterator[Simulated]:
    def opened(*given: Any, **more: Any) -> Any:
        return open_ads(*given, **more).unified

    with simulated(services, tmp_path, declared("unified_campaigns"), opened) as made:
        yield made


def had(day: date, as_of: datetime) -> dict[str, tuple[int, Decimal]]:
    """Clicks and cost of a date by currency, as they stood when they were asked for."""
    found: dict[str, tuple[int, Decimal]] = {}
    for profile in EVERYWHERE.profiles:
        every = [a for product in ("sp", "sb", "sd") for a in atoms(7, profile, product, day)]
        lives = [live for atom in every if (live := as_it_stands(atom, age(profile, day, as_of)))]
        cost = Decimal(sum(live.cost for live in lives)) / minor_units(profile.currency)
        found[profile.currency] = (sum(live.clicks for live in lives), cost)
    return found


def test_a_report_of_an_advertiser_account_has_all_of_its_countries_each_in_its_currency(unified: Simulated) -> None:
    assert unified.orders() == [], "it is 02:00 in Los Angeles, where the account's days end last"
    unified.later(hours=5)
    unified.world.fault("create_report", "reset")
    (lost,) = unified.orders()
    assert "may have been accepted" in lost.error
    unified.later(minutes=10)
    asked = unified.at[0]
    unified.day()
    assert len(unified.world.ads_reports) == 2, "Amazon has no list in which the first could be found"
    (scope,) = unified.services.ledger.scopes.of_source("seller")
    assert (scope.id, scope.kind, scope.timezone) == (EVERYWHERE.id, "global", "America/Los_Angeles")
    dates = "distinct cast(dt as varchar), ads_account_id"
    assert unified.table("unified_campaigns", dates) == [(f"2026-09-{day}", EVERYWHERE.id) for day in (20, 21)]
    sums = "budget_currency, sum(clicks), sum(total_cost), count(distinct campaign_id)"
    prefix = unified.services.settings.database_prefix
    found = unified.query(f"select {sums} from {prefix}seller.unified_campaigns where dt = '2026-09-20' group by all")
    assert {currency: (clicks, cost) for currency, clicks, cost, _ in found} == had(date(2026, 9, 20), asked)
    assert all(campaigns > 8 for *_, campaigns in found)
    (report,) = unified.services.ledger.reports.of_feed(f"seller/unified_campaigns/{EVERYWHERE.id}")
    assert (report.state, report.doubt, report.outside_rows) == (ReportState.DONE, "", 0)


@pytest.mark.slow
def test_dates_are_asked_for_again_when_amazon_restates_them(unified: Simulated) -> None:
    unified.later(hours=5)
    for _ in range(4):
        unified.day()
        unified.later(hours=24)
    sums = "budget_currency, sum(clicks), sum(total_cost)"
    prefix = unified.services.settings.database_prefix
    found = unified.query(f"select {sums} from {prefix}seller.unified_campaigns where dt = '2026-09-20' group by all")
    assert {currency: (clicks, cost) for currency, clicks, cost in found} == had(date(2026, 9, 20), unified.at[0])
