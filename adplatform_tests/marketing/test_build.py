"""The sums of a fact are those of its tables, every amount has a rate, and only what changed is built."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import PermanentFailure, SenderFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.marketing import build as building
from adplatform.marketing.pattern import marketing_fact
from adplatform_tests.marketing.world import BEFORE, CAMPAIGNS, INPUT, RATES, World
from adplatform_tests.support.platforms import TODAY, YESTERDAY
from adplatform_tests.support.tables import corrupt_shown


@pytest.fixture
def world(services: Services, tmp_path: Path) -> World:
    provision(services, [])
    return World(services, tmp_path)


def test_a_date_is_the_sum_of_its_tables_at_the_rates_of_the_date_or_the_last_before(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,USD,100,5,10.00,1", "c1,USD,50,1,5.00,", "c2,usd,1,0,0.01,0", "c3,EUR,7,7,7.77,")
    world.rates(BEFORE, USD="1.25", GBP="0.8")
    world.rates(BEFORE - timedelta(days=1), USD="99")
    assert world.build() == [YESTERDAY]
    assert world.rows("input, channel, account, campaign, currency, impressions, cost_original, cost, source_rows") == [
        ("acme/campaigns", "display", "acme-1", "c1", "USD", 150, Decimal("15"), Decimal("12"), 2),
        ("acme/campaigns", "display", "acme-1", "c2", "USD", 1, Decimal("0.01"), Decimal("0.008"), 1),
        ("acme/campaigns", "display", "acme-1", "c3", "EUR", 7, Decimal("7.77"), Decimal("7.77"), 1),
    ]
    assert world.rows("distinct currency, rate, rate_date, sales") == [
        ("EUR", Decimal(1), YESTERDAY, None),
        ("USD", Decimal("0.8"), BEFORE, None),
    ]
    assert world.failed == {}
    assert world.build() == []


def test_what_came_again_is_built_anew_and_nothing_else(world: World) -> None:
    for day in (BEFORE, YESTERDAY):
        world.campaigns(day, "c1,EUR,100,5,10.00,1")
    assert world.build() == [BEFORE, YESTERDAY]
    world.campaigns(YESTERDAY, "c1,EUR,100,5,12.50,2")
    assert world.build() == [YESTERDAY]
    assert world.rows("cost, conversions") == [(Decimal("12.5"), Decimal(2))]
    world.rates(BEFORE, EUR="2")  # no row needs it yet: looked at, and the same rows are not published again
    assert world.build() == [BEFORE, YESTERDAY]
    assert (world.version(BEFORE), world.version()) == (1, 2)
    world.changes["currency"] = "USD"
    assert world.build() == [BEFORE, YESTERDAY]
    assert world.rows("cost, cost_original, currency") == [(Decimal("6.25"), Decimal("12.5"), "EUR")]


def test_a_date_whose_files_are_older_than_a_column_of_their_table_has_no_value_of_it(world: World) -> None:
    columns = {name: column for name, column in CAMPAIGNS["columns"].items() if name != "leads"}
    world.publish({**CAMPAIGNS, "columns": columns}, BEFORE, ["c1,EUR,1,1,1.00,"])
    world.campaigns(YESTERDAY, "c1,EUR,1,1,2.00,3")
    assert world.build() == [BEFORE, YESTERDAY]
    assert world.rows("cost, conversions", BEFORE) == [(Decimal(1), None)]
    assert world.rows("cost, conversions") == [(Decimal(2), Decimal(3))]


def test_an_amount_without_a_rate_keeps_its_date_back_until_one_comes_and_no_other(world: World) -> None:
    world.campaigns(BEFORE, "c1,EUR,1,1,1.00,")
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,", "c2,GBP,9,3,8.00,1", "c3,XXX,5,0,0,0", "c4,$,1,1,2.00,")
    world.rates(YESTERDAY - timedelta(days=8), GBP="0.5")
    with pytest.raises(SenderFailure):
        world.build()
    assert world.failed == {
        "rates_known": "1 rows of acme/campaigns (cost 2.000000) have amounts and a currency that is no code of three "
        "letters: mend its contract or map another column; 1 rows of acme/campaigns (cost 8.000000) are in GBP, of "
        f"which acme/rates has no rate of {YESTERDAY} or the 7 days before: deliver one, or lengthen at_most"
    }
    assert (world.version(BEFORE), world.version()) == (1, 0)
    assert world.build() == []
    assert "are in GBP" in world.due().stuck[YESTERDAY]
    [failed] = marketing_fact(world.declared, world.services.settings).failed(world.services)
    assert failed.retry(world.services).changed
    with pytest.raises(SenderFailure):
        world.build()
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,", "c2,GBP,9,3,8.00,1", "c3,XXX,5,0,0,0")
    world.rates(YESTERDAY - timedelta(days=7), GBP="0.5")
    world.build()
    assert world.rows("campaign, cost, rate") == [
        ("c1", Decimal(1), Decimal(1)),
        ("c2", Decimal(16), Decimal(2)),
        ("c3", Decimal(0), None),
    ]


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (("GBP,0.5", "GBP,0.6"), "acme/rates has different rates of GBP on"),
        (("GBP,0",), "the rate of GBP on .* in acme/rates is not above zero"),
    ],
)
def test_a_rate_that_is_none_is_not_used_and_said(world: World, prices: tuple[str, ...], says: str) -> None:
    world.campaigns(YESTERDAY, "c2,GBP,9,3,8.00,1")
    world.publish(RATES, BEFORE, ["GBP,0.5"])
    world.publish(RATES, YESTERDAY, prices)
    with pytest.raises(SenderFailure, match=says):
        world.build()


def test_profiles_views_of_columns_and_dates_of_other_deliveries_come_together(world: World) -> None:
    """An Ads account's fact by profile, a table partitioned by a column, in Iceberg, and one of the day before."""
    ads = {
        "name": "ads_daily",
        "columns": {
            **dict.fromkeys(("ad_product", "campaign_name", "currency_code"), "string"),
            **dict.fromkeys(("campaign_id", "impressions", "clicks", "purchases"), "bigint"),
            **dict.fromkeys(("cost", "sales"), "decimal(38,6)"),
        },
    }
    social = {
        "name": "social",
        "columns": {"day": {"type": "date", "required": True}, "ad": {"required": True}, "paid": "double"},
        "key": ["day", "ad"],
        "partition_by": "day",
        "table_format": "iceberg",
    }
    late = {"name": "late", "columns": {"campaign": "string", "clicks": "bigint"}}
    everything = {
        "name": "history",
        "columns": {"day": "date", "curr": "string", "price": "decimal(12,6)"},
        "partition_by": None,
    }
    for profile, currency in (("111", "USD"), ("222", "CAD")):
        world.publish(ads, YESTERDAY, [f"SPONSORED,C 1,{currency},{2**60},10,1,2,3.5,9.25"], scope=profile)
    world.publish(social, TODAY, [f"{YESTERDAY},a,1.5", f"{BEFORE},a,2.25"])
    world.publish(late, TODAY, ["L,4"])
    world.publish(everything, TODAY, [f"{BEFORE},USD,0.5", f"{BEFORE},CAD,2"])
    world.changes = {
        "inputs": [
            {"table": "acme/ads_daily"},
            {
                "table": "acme/social",
                "values": {"channel": "social", "currency": "EUR"},
                "columns": {"campaign": "ad", "cost": "paid"},
            },
            {
                "table": "acme/late",
                "days_back": 1,
                "values": {"channel": "tv"},
                "columns": {"campaign": "campaign", "clicks": "clicks"},
            },
        ],
        "rates": {"table": "acme/history", "date": "day", "currency": "curr", "rate": "price"},
    }
    assert world.build() == [BEFORE, YESTERDAY]
    assert world.rows("channel, account, campaign, clicks, cost, sales") == [
        ("SPONSORED", "111", str(2**60), 1, Decimal("1.75"), Decimal("4.625")),
        ("SPONSORED", "222", str(2**60), 1, Decimal(7), Decimal("18.5")),
        ("social", None, "a", None, Decimal("1.5"), None),
        ("tv", None, "L", 4, None, None),
    ]
    assert world.rows("input, cost", BEFORE) == [("acme/social", Decimal("2.25"))]
    world.publish(social, TODAY, [f"{YESTERDAY},a,1.5", f"{BEFORE},a,3"])
    assert BEFORE in world.build()
    assert world.rows("input, cost", BEFORE) == [("acme/social", Decimal(3))]


def test_a_run_that_dies_before_it_notes_what_a_date_is_made_of_is_repeated_and_changes_nothing(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,EUR,100,5,10.00,1")
    found = world.due()
    building.build(world.services, found.inputs, YESTERDAY, "dies", world.work)
    assert world.build() == [YESTERDAY]
    assert world.version() == 1


@pytest.mark.slow
def test_what_an_older_look_was_published_of_is_found_by_the_next(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,")
    older = world.due().inputs
    world.campaigns(YESTERDAY, "c1,EUR,1,1,2.00,")
    world.build()
    building.build(world.services, older, YESTERDAY, "slow", world.work)
    building.built(world.services, older, YESTERDAY)
    assert world.build() == [YESTERDAY]
    assert world.rows("cost") == [(Decimal(2),)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"campaign": "campain_id"},
            r"acme/campaigns: the table has no column campain_id \(did you mean campaign_id\?\)",
        ),
        ({"campaign": "email_lake"}, "acme/campaigns: column email_lake is personal"),
        ({"clicks": "curr"}, "acme/campaigns: column curr is string, and what is added up is a number"),
    ],
)
def test_a_mapping_that_the_table_does_not_have_is_refused(world: World, change: dict[str, Any], says: str) -> None:
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,")
    world.changes["inputs"] = [{**INPUT, "columns": {**INPUT["columns"], **change}}]
    with pytest.raises(PermanentFailure, match=says):
        world.due()


def test_a_table_that_no_date_partitions_is_refused(world: World) -> None:
    world.publish({**CAMPAIGNS, "partition_by": None}, YESTERDAY, ["c1,EUR,1,1,1.00,,a@b.c"])
    with pytest.raises(PermanentFailure, match="acme/campaigns has no partitions"):
        world.due()


def test_rates_whose_date_is_a_text_are_refused_before_one_is_read(world: World) -> None:
    """What a text cannot be is said with its value."""
    world.publish(
        {"name": "history", "columns": {"day": "string", "curr": "string", "price": "double"}, "partition_by": None},
        YESTERDAY,
        ["ann@example.com,USD,0.5"],
    )
    world.changes["rates"] = {"table": "acme/history", "date": "day", "currency": "curr", "rate": "price"}
    with pytest.raises(PermanentFailure, match="acme/history: column day is string, and rates are of dates"):
        world.due()


def test_sums_that_differ_from_the_table_are_not_published(world: World) -> None:
    """A fraction of a click: the fact has whole ones."""
    halves = {**CAMPAIGNS, "columns": {**CAMPAIGNS["columns"], "clicks": "decimal(12,2)"}}
    world.publish(halves, YESTERDAY, ["c1,EUR,1,1.50,1.00,,"])
    with pytest.raises(SenderFailure, match=r"acme/campaigns has clicks of 1\.500000 in EUR, and the fact 2"):
        world.build()
    assert world.version() == 0


def test_a_table_whose_file_is_broken_leaves_the_date_as_it_was(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,")
    world.build()
    world.campaigns(YESTERDAY, "c1,EUR,1,1,2.00,")
    corrupt_shown(world.services, "acme/campaigns", YESTERDAY)
    with pytest.raises(SenderFailure, match="cannot be computed"):
        world.build()
    assert world.rows("cost") == [(Decimal(1),)]
