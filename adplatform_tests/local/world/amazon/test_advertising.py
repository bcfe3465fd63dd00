"""Properties of the made-up advertising data: sums, restatement, finality."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adplatform.amazon.ads.report_types import AdsReportType, column_type, report_types
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Profile
from adplatform.local.world.amazon.advertising import Query, rows, truth

SEED = 7
DAY = date(2026, 9, 1)
METRICS = ("impressions", "clicks", "cost", "purchases14d", "sales14d", "unitsSoldClicks14d")
TARGETS = Query("spTargeting", ("targeting",), ("date", "campaignId", "adGroupId", "keywordId", *METRICS))


def at_age(query: Query, profile: Profile, day: date, days: int) -> list[dict[str, Any]]:
    noon = datetime.combine(day + timedelta(days=days), datetime.min.time(), ZoneInfo(profile.timezone))
    return rows(query, profile, day, noon + timedelta(hours=12), SEED)


def totals(found: list[dict[str, Any]], by: str) -> dict[int, dict[str, Decimal]]:
    sums: dict[int, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in found:
        for metric in METRICS:
            sums[row[by]][metric] += round(Decimal(str(row[metric])), 2)
    return {key: dict(of) for key, of in sums.items()}


@pytest.mark.parametrize("days", [0, 1, 2, 3, 9, 100])
@pytest.mark.parametrize("profile", DEMO_ACCOUNTS.profiles, ids=lambda p: p.country)
def test_report_types_add_up(profile: Profile, days: int) -> None:
    by_target = at_age(TARGETS, profile, DAY, days)
    groups = Query("spCampaigns", ("campaign", "adGroup"), ("date", "campaignId", "adGroupId", *METRICS))
    products = Query("spAdvertisedProduct", ("advertiser",), ("date", "campaignId", "adGroupId", "adId", *METRICS))
    campaigns = Query("spCampaigns", ("campaign",), ("date", "campaignId", *METRICS))
    placements = Query("spCampaigns", ("campaign", "campaignPlacement"), ("date", "campaignId", *METRICS))
    for other in (groups, products):
        assert totals(at_age(other, profile, DAY, days), "adGroupId") == totals(by_target, "adGroupId")
    for other in (campaigns, placements):
        assert totals(at_age(other, profile, DAY, days), "campaignId") == totals(by_target, "campaignId")


def test_clicks_and_sales_of_search_terms_add_up() -> None:
    profile = DEMO_ACCOUNTS.profiles[0]
    terms = at_age(Query("spSearchTerm", ("searchTerm",), TARGETS.columns), profile, DAY, 60)
    assert all(row["clicks"] for row in terms)
    found, expected = totals(terms, "campaignId"), totals(at_age(TARGETS, profile, DAY, 60), "campaignId")
    for metric in ("clicks", "cost", "sales14d"):
        assert {k: v[metric] for k, v in found.items()} == {k: v[metric] for k, v in expected.items() if v["clicks"]}


@pytest.mark.slow
def test_restatement_is_sparse_and_ends() -> None:
    changed: Counter[int] = Counter()
    changes_of_date = []
    long = Query("spTargeting", ("targeting",), ("date", "keywordId", "sales30d"))
    for profile in DEMO_ACCOUNTS.profiles:
        for n in range(30):
            day = DAY + timedelta(days=n)
            states = [at_age(TARGETS, profile, day, days) for days in range(46)]
            ages = [days for days in range(1, 46) if states[days] != states[days - 1]]
            changed.update(ages)
            changes_of_date.append(len(ages))
            final = truth(TARGETS, profile, day, SEED)
            assert states[42] == final
            if n < 5:
                assert at_age(long, profile, day, 58) == truth(long, profile, day, SEED)
    assert {1, 2, 3, 7, 14, 28, *range(35, 43)} <= set(changed)
    assert max(changed) == 42
    assert max(changes_of_date) <= 9
    assert 4 <= sum(changes_of_date) / len(changes_of_date) <= 8


def test_rows_appear_and_vanish() -> None:
    appeared = vanished = 0
    for n in range(20):
        day = DAY + timedelta(days=n)
        keys = [{r["keywordId"] for r in at_age(TARGETS, DEMO_ACCOUNTS.profiles[0], day, days)} for days in (1, 3)]
        appeared += len(keys[1] - keys[0])
        vanished += len(keys[0] - keys[1])
    assert appeared > 0
    assert vanished > 0


def test_the_profiles_own_date_decides_on_the_age() -> None:
    japan = next(p for p in DEMO_ACCOUNTS.profiles if p.country == "JP")
    evening = datetime(2026, 8, 31, 20, tzinfo=UTC)
    assert rows(TARGETS, japan, DAY, evening, SEED), "it is already the first of September in Tokyo"
    assert not rows(TARGETS, DEMO_ACCOUNTS.profiles[0], DAY, evening, SEED)


@pytest.mark.parametrize("kind", report_types().values(), ids=lambda k: k.id)
def test_every_column_of_every_report_type_has_values_of_its_type(kind: AdsReportType) -> None:
    together = kind.product == "DEMAND_SIDE_PLATFORM"
    for groups in [tuple(kind.groups)] if together else [(group,) for group in kind.groups]:
        columns = tuple(sorted(kind.allowed(groups) - {"startDate", "endDate"}))
        found = [
            row
            for n in range(3 if together else 6)
            for row in truth(Query(kind.id, groups, columns), DEMO_ACCOUNTS.profiles[0], DAY + timedelta(days=n), SEED)
        ]
        assert len(found) >= 3
        assert all(set(row) == set(columns) for row in found)
        for column in columns:
            values = [row[column] for row in found if row[column] is not None]
            texts = [isinstance(value, str) for value in values]
            assert all(texts) if column_type(column).type in ("string", "date") else not any(texts), column


def test_null_metrics_and_names_beyond_ascii_occur() -> None:
    query = Query("spCampaigns", ("campaign",), ("date", "campaignName", "topOfSearchImpressionShare", "addToList"))
    found = [row for n in range(30) for row in truth(query, DEMO_ACCOUNTS.profiles[0], DAY + timedelta(days=n), SEED)]
    assert any(row["topOfSearchImpressionShare"] is None for row in found)
    assert any(row["addToList"] is None for row in found)
    assert any(not row["campaignName"].isascii() for row in found)
