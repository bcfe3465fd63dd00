"""The simulated Marketing Stream: hours of the same numbers as the reports."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS, Profile
from adplatform.local.world.amazon.advertising import Query, rows
from adplatform.local.world.amazon.stream import sent

SEED = 7
US, _, DE, JP = DEMO_ACCOUNTS.profiles
CLOCKS_GO_BACK, MONTH_ENDS = date(2026, 11, 1), date(2026, 9, 30)
OF_REPORTS = {
    "sp-traffic": {"impressions": "impressions", "clicks": "clicks", "cost": "cost"},
    "sp-conversion": {"attributed_conversions_14d": "purchases14d", "attributed_sales_7d": "sales7d"},
}


@pytest.mark.parametrize(("profile", "day"), [(US, CLOCKS_GO_BACK), (JP, MONTH_ENDS)], ids=["clocks", "month"])
@pytest.mark.parametrize("dataset", OF_REPORTS)
@pytest.mark.parametrize("age", [0, 2, 3, 58])
def test_what_was_sent_up_to_an_age_adds_up_to_the_report_of_that_age(
    profile: Profile, day: date, dataset: str, age: int
) -> None:
    named = OF_REPORTS[dataset]
    noon = datetime.combine(day + timedelta(days=age), datetime.min.time(), ZoneInfo(profile.timezone))
    query = Query("spTargeting", ("targeting",), ("keywordId", *named.values()))
    reported: dict[str, dict[str, Decimal]] = {}
    for row in rows(query, profile, day, noon + timedelta(hours=12), SEED):
        reported[str(row["keywordId"])] = {own: round(Decimal(str(row[own])), 2) for own in named.values()}
    summed: dict[str, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(named.values(), Decimal(0)))
    for record in sent(dataset, profile, day, SEED, age):
        for name, own in named.items():
            summed[record["keyword_id"]][own] += Decimal(str(record[name]))
    sums = {key: {name: round(value, 2) for name, value in of.items()} for key, of in summed.items()}
    assert {key: of for key, of in sums.items() if any(of.values())} == {
        key: of for key, of in reported.items() if any(of.values())
    }


def test_hours_are_those_of_the_profile_and_a_date_may_have_25() -> None:
    hours = {
        record["time_window_start"] for seed in range(40) for record in sent("sp-traffic", US, CLOCKS_GO_BACK, seed, 0)
    }
    assert {"2026-11-01T01:00:00-07:00", "2026-11-01T01:00:00-08:00", "2026-11-01T23:00:00-08:00"} <= hours
    assert len(hours) == 25
    assert {each[:10] for each in hours} == {"2026-11-01"}


def test_every_record_has_an_id_of_its_own_and_clicks_are_taken_away_later() -> None:
    every = sent("sp-traffic", DE, MONTH_ENDS, SEED, 9)
    assert len({each["idempotency_id"] for each in every}) == len(every)
    assert any(each["clicks"] < 0 for each in every)
