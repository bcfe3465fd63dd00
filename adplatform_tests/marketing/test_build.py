"""The sums of a fact are those of its tables, every amount has a rate, and only what changed is built."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import PermanentFailure, SenderFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.marketing import build as building
from adplatform.marketing.fact import fact_of
from adplatform.marketing.inputs import look_at_inputs
from adplatform.marketing.kept_rates import take_anew
from adplatform.marketing.pattern import marketing_fact
from adplatform_tests.marketing.world import BEFORE, CAMPAIGNS, FACT, INPUT, RATES, World
from adplatform_tests.support.platforms import TODAY, YESTERDAY
from adplatform_tests.support.tables import corrupt_shown, publish_text, table_flow


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
    assert world.rows("distinct currency, fx_rate, fx_date, fx_source, sales_eur") == [
        ("EUR", Decimal(1), YESTERDAY, "base", None),
        ("USD", Decimal("0.8"), BEFORE, "acme/rates", None),
    ]
    assert world.rows("count(*)  filter (cost_eur = cost and fx_rate = rate and fx_date = rate_date)") == [(3,)]
    assert world.failed == {}
    assert world.build() == []


def test_what_came_again_is_built_anew_and_nothing_else(world: World) -> None:
    for day in (BEFORE, YESTERDAY):
        world.campaigns(day, "c1,EUR,100,5,10.00,1")
    assert world.build() == [BEFORE, YESTERDAY]
    world.campaigns(YESTERDAY, "c1,EUR,100,5,12.50,2")
    assert world.build() == [YESTERDAY]
    assert world.rows("cost, conversions") == [(Decimal("12.5"), Decimal(2))]
    world.rates(BEFORE, EUR="2")  # no row needs it yet
    assert world.build() == []
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
    world.rates(YESTERDAY - timedelta(days=11), GBP="0.5")
    with pytest.raises(SenderFailure):
        world.build()
    assert world.failed == {
        "rates_known": "1 rows of acme/campaigns (cost 2.000000) have amounts and a currency that is no code of three "
        "letters: mend its contract or map another column; 1 rows of acme/campaigns (cost 8.000000) are in GBP, of "
        f"which acme/rates has no rate of {YESTERDAY} or the 10 days before: deliver one, or lengthen at_most"
    }
    assert (world.version(BEFORE), world.version()) == (1, 0)
    assert world.build() == []
    assert "are in GBP" in world.due().stuck[YESTERDAY]
    [failed] = marketing_fact(world.declared, world.services.settings).failed(world.services)
    assert failed.retry(world.services).changed
    with pytest.raises(SenderFailure):
        world.build()
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,", "c2,GBP,9,3,8.00,1", "c3,XXX,5,0,0,0")
    world.rates(YESTERDAY - timedelta(days=10), GBP="0.5")
    world.build()
    assert world.rows("campaign, cost, fx_rate") == [
        ("c1", Decimal(1), Decimal(1)),
        ("c2", Decimal(16), Decimal(2)),
        ("c3", Decimal(0), None),
    ]


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (("GBP,0.5", "GBP,0.6"), "acme/rates has different rates of GBP on"),
        pytest.param(
            ("GBP,0",), "the rate of GBP on .* in acme/rates is not above zero", marks=pytest.mark.slow, id="zero"
        ),
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


def test_a_restated_date_keeps_the_rate_of_first_use_until_somebody_says_why_not(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,USD,1,1,10.00,", "c2,EUR,1,1,1.00,")
    world.rates(BEFORE, USD="1.25")
    found = world.due()
    building.build(world.services, found.inputs, YESTERDAY, "dies before it notes that", world.work)
    world.rates(BEFORE, USD="2", GBP="0.5")
    assert world.build() == [YESTERDAY]
    assert (world.version(), world.build()) == (1, [])
    world.campaigns(YESTERDAY, "c1,USD,1,1,30.00,", "c3,GBP,1,1,1.00,")
    assert world.build() == [YESTERDAY]
    kept = [("GBP", Decimal(2), Decimal(2), BEFORE), ("USD", Decimal(24), Decimal("0.8"), BEFORE)]
    assert world.rows("currency, cost_eur, fx_rate, fx_date") == kept
    asked = world.due().inputs
    assert take_anew(world.services, asked.fact, BEFORE, YESTERDAY, "the bank corrected a fixing") == [YESTERDAY]
    with pytest.raises(PermanentFailure, match="gone"):
        building.build(world.services, asked, YESTERDAY, "dies", world.work, _dies)
    assert world.rows("currency, cost_eur, fx_rate, fx_date") == kept
    made = building.build(world.services, asked, YESTERDAY, "slow", world.work, world.findings.extend)
    assert world.rows("currency, cost_eur") == [("GBP", Decimal(2)), ("USD", Decimal(15))]
    assert "the bank corrected a fixing" in {each.name: each.description for each in world.findings}["rates_known"]
    building.built(world.services, asked, made)
    assert world.build() == []


def _dies(_: object) -> None:
    raise PermanentFailure("gone")


@pytest.mark.slow
def test_a_date_that_is_not_over_takes_its_own_rate_when_it_comes_and_keeps_that(world: World) -> None:
    world.campaigns(TODAY, "c1,USD,1,1,10.00,")
    for day, price, date_then in (
        (YESTERDAY, "2", YESTERDAY),
        (TODAY, "4", TODAY),
        (TODAY, "5", TODAY),
    ):
        world.rates(day, USD=price)
        assert world.build() == [TODAY]
        assert world.rows("fx_date", TODAY) == [(date_then,)]
    assert world.rows("cost_eur", TODAY) == [(Decimal("2.5"),)]
    later = replace(world.services, now=lambda: datetime.now(UTC) + timedelta(days=1))
    world.services = later
    world.rates(TODAY, USD="8")
    assert (world.build(), world.build()) == ([TODAY], [])
    world.rates(TODAY, USD="9")
    assert (world.build(), world.rows("cost_eur", TODAY)) == ([], [(Decimal("2.5"),)])


@pytest.mark.slow
def test_amounts_without_a_rate_are_shown_as_nothing_where_that_is_wanted_and_built_again_with_one(
    world: World,
) -> None:
    world.changes["rates"] = {**FACT["rates"], "missing": "publish"}
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,", "c2,GBP,9,3,8.00,1")
    assert world.build() == [YESTERDAY]
    assert world.rows("campaign, cost, cost_eur, cost_original, fx_rate, fx_source") == [
        ("c1", Decimal(1), Decimal(1), Decimal(1), Decimal(1), "base"),
        ("c2", None, None, Decimal(8), None, None),
    ]
    assert f"are in GBP, of which acme/rates has no rate of {YESTERDAY}" in world.failed["rates_known"]
    assert world.build() == []
    world.rates(BEFORE, GBP="0.5")
    assert (world.build(), world.failed) == ([YESTERDAY], {})
    assert world.rows("sum(cost_eur)") == [(Decimal(17),)]


def test_a_file_of_the_central_bank_is_rates_of_every_date_also_through_the_euro(world: World) -> None:
    ecb = {
        "name": "ecb",
        "columns": {"date": {"type": "date", "required": True}, "usd": "decimal(18,6)", "gbp": "decimal(18,6)"},
        "key": "date",
        "partition_by": None,
        "format": {"preset": "ecb_rates"},
        "schema_policy": "evolve",
    }
    friday = YESTERDAY - timedelta(days=2)
    text = f"Date,USD,GBP,CYP,\n{BEFORE},N/A,0.9,N/A,\n{friday},1.25,0.8,N/A,\n{friday - timedelta(days=1)},2,2,N/A,\n"
    publish_text(world.services, table_flow(ecb), TODAY, text, world.work)
    world.changes = {
        "currency": "USD",
        "rates": {
            **{"table": "acme/ecb", "date": "date", "base": "EUR", "is_of": "fact"},
            "currencies": ["USD", "GBP"],
        },
    }
    world.campaigns(YESTERDAY, "c1,GBP,1,1,4.00,", "c2,EUR,1,1,4.00,", "c3,USD,1,1,4.00,")
    assert world.build() == [YESTERDAY]
    assert world.rows("currency, cost_usd, fx_rate, fx_date, fx_source") == [
        ("EUR", Decimal(5), Decimal("1.25"), friday, "acme/ecb"),
        ("GBP", Decimal("6.25"), Decimal("1.5625"), friday, "acme/ecb"),
        ("USD", Decimal(4), Decimal(1), YESTERDAY, "base"),
    ]
    publish_text(world.services, table_flow(ecb), TODAY, text.replace("1.25", "3"), world.work)
    assert world.build() == [], "a file of all rates makes no date due that has its own"


@pytest.mark.slow
def test_new_rates_that_are_asked_for_while_a_date_is_built_are_taken_by_the_next_run(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,EUR,1,1,10.00,")
    world.build()
    inputs = world.due().inputs
    made = building.build(world.services, inputs, YESTERDAY, "slow", world.work)
    take_anew(world.services, inputs.fact, YESTERDAY, YESTERDAY, "corrected")
    building.built(world.services, inputs, made)
    assert world.build() == [YESTERDAY]
    assert world.build() == []


@pytest.mark.slow
def test_a_date_of_before_an_upgrade_is_read_as_it_was_until_it_is_built_again(world: World) -> None:
    fact = fact_of(world.declared)
    first = [c for c in fact.flow.feed.columns if not c.name.startswith("fx_") and not c.name.endswith("_eur")]
    older = replace(fact, flow=replace(fact.flow, feed=fact.flow.feed.model_copy(update={"columns": tuple(first)})))
    world.campaigns(YESTERDAY, "c1,USD,1,1,10.00,")
    world.rates(YESTERDAY, USD="1.25")
    inputs = look_at_inputs(world.services.lake, older, world.services.settings.database_prefix)
    building.built(world.services, inputs, building.build(world.services, inputs, YESTERDAY, "older", world.work))
    world.campaigns(BEFORE, "c1,EUR,1,1,10.00,")
    found = world.due()
    assert found.days == (BEFORE, YESTERDAY)
    building.build(world.services, found.inputs, BEFORE, "the first of two", world.work)
    assert world.rows("cost, rate, cost_eur, fx_rate") == [(Decimal(8), Decimal("0.8"), None, None)]
    assert world.build() == [BEFORE, YESTERDAY]
    assert world.rows("cost, rate, cost_eur, fx_rate") == [(Decimal(8), Decimal("0.8"), Decimal(8), Decimal("0.8"))]


@pytest.mark.slow
def test_what_an_older_look_was_published_of_is_found_by_the_next(world: World) -> None:
    world.campaigns(YESTERDAY, "c1,EUR,1,1,1.00,")
    older = world.due().inputs
    world.campaigns(YESTERDAY, "c1,EUR,1,1,2.00,")
    world.build()
    made = building.build(world.services, older, YESTERDAY, "slow", world.work)
    building.built(world.services, older, made)
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
