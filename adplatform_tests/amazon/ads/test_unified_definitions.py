"""Reports of the Ads API v1 as they are declared: refused before Amazon does, typed so that nothing is lost."""

from typing import Any

import pytest

from adplatform.amazon.ads.unified.definitions import READY_MADE, column_of, unified_definition
from adplatform.amazon.ads.unified.fields import fields
from adplatform.amazon.definitions import STAMPS, ReportDefinition
from adplatform.amazon.sources import AdsSource
from adplatform.local.world.amazon.unified_rows import catalogue
from adplatform.pull.account import account_of


def source(*reports: Any, **more: Any) -> AdsSource:
    account = {"source": "a", "api": "v1", "credentials": "a", "start_date": "2026-01-01", "reports": list(reports)}
    return AdsSource.model_validate(account | more)


def own(*asked: str, **more: Any) -> dict[str, Any]:
    return {"name": "mine", "fields": ["date.value", "campaign.id", *asked], **more}


def definition(declared: Any) -> ReportDefinition:
    return source(declared).definitions()[0]


def test_every_field_has_a_type_with_its_source_and_a_column_of_its_own() -> None:
    known = fields()
    assert len(known) == 816
    assert {each.type.source for each in known.values()} == {"documentation", "name"}
    assert [name for name, f in known.items() if bool(f.type.reason) == (f.type.source == "documentation")] == []
    assert {needed for each in known.values() for needed in each.needs} <= known.keys()
    dimensions = {name.partition(".")[0] for name in known}
    assert set().union(*(each.without for each in known.values())) <= dimensions
    taken = [
        *map(column_of, known),
        *(stamp.name for stamp in STAMPS),
        "dt",
        account_of(source("unified_campaigns")).scope_column,
    ]
    assert len(taken) == len(set(taken))


def test_what_the_simulated_amazon_serves_is_known_and_needs_the_same() -> None:
    for name, served in catalogue().served.items():
        assert set(served.needs) == set(fields()[name].needs), name


@pytest.mark.parametrize("name", READY_MADE)
def test_a_ready_made_report_has_money_counts_and_texts_of_their_types(name: str) -> None:
    made = unified_definition(name, READY_MADE[name])
    types = {column.name: column.type for column in made.datasets[0].columns}
    wanted = {"date": "date", "total_cost": "decimal(18,6)", "sales": "decimal(18,6)", "clicks": "bigint"}
    assert wanted.items() <= types.items()
    assert {types[c] for c in types if c.endswith("_id")} == {"string"}
    assert made.datasets[0].plotted == ("metric.impressions", "metric.clicks", "metric.purchases"), (
        "no money is added up"
    )
    assert (made.policy.max_range_days, made.layout) == (31, "csv")


def test_a_declared_report_becomes_what_amazon_is_asked() -> None:
    filters = {"campaign.country": ["US", "GB"], "adProduct.value": ["SPONSORED_PRODUCTS"]}
    added = ["convertedCurrency.value", "metric.salesConverted", "metric.new"]
    asked = own(
        "metric.clicks", add=added[:2], filters=filters, currency_of_view="EUR", unchecked_columns={added[2]: "bigint"}
    )
    made = definition(asked)
    on = {"comparisonOperator": "EQUALS", "not": False}
    assert made.configuration == {
        "format": "CSV",
        "fields": ["date.value", "campaign.id", "metric.clicks", *added],
        "currencyOfView": "EUR",
        "filter": {
            "and": {
                "filters": [
                    {"on": {**on, "field": "adProduct.value", "values": ["SPONSORED_PRODUCTS"]}},
                    {"on": {**on, "field": "campaign.country", "comparisonOperator": "IN", "values": ["US", "GB"]}},
                ]
            }
        },
    }
    assert definition(own(filters={"campaign.id": ["1"]})).configuration["filter"].keys() == {"on"}
    columns = {column.field_name: (column.name, column.type) for column in made.datasets[0].columns}
    assert columns["metric.salesConverted"] == ("sales_converted", "decimal(18,6)")
    assert columns["metric.new"] == ("new", "bigint")
    hourly = definition(own("hour.value", "metric.clicks")).policy
    assert (hourly.retention_days, hourly.max_range_days) == (14, 14), "Amazon has hours for two weeks"


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (own("metric.sales"), "mine: metric.sales cannot be had without budgetCurrency.value: add it to the fields"),
        (own("ad.name"), "mine: ad.name cannot be had without ad.id"),
        (own("metric.click"), r"no field 'metric.click' that is known \(did you mean metric.clicks\?\)"),
        (own("clicks"), "no field 'clicks' that is known; it has the form dimension.field, or metric.name"),
        (own("dateRange.value"), "dateRange.value is for sums over the whole range; use date.value"),
        ({"name": "mine", "fields": ["campaign.id"]}, "mine: fields lack date.value, by which rows are placed"),
        (own("audienceSegment.id", "metric.purchases"), "metric.purchases does not go with audienceSegment.id"),
        (own(filters={"metric.clicks": ["1"]}), "filter 'metric.clicks' is no dimension that is known"),
        (own(filters={"campaign.id": []}), "filter campaign.id has 0 values, and Amazon takes 1 to 2000"),
        (own("convertedCurrency.value"), "currency_of_view and the field convertedCurrency.value go together"),
        (own(columns=["date"]), "fields goes with neither report_type, group_by and columns"),
        ({"name": "mine", "extends": "unified_campaign"}, r"'unified_campaign' \(did you mean unified_campaigns\?\)"),
        ("sp_campaigns", "report sp_campaigns does not go with `api: v1`"),
        ("campaigns_metadata", "report campaigns_metadata does not go with `api: v1`"),
    ],
)
def test_what_amazon_would_refuse_is_refused_with_what_to_do(declared: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        source(declared)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"api": "v3"}, "report unified_campaigns needs `api: v1` on the source"),
        ({"profiles": [111]}, "profiles does not go with `api: v1`"),
        ({"stream": ["sp-traffic"]}, "stream does not go with `api: v1`"),
        ({"accounts": ["a/b"]}, "'a/b' is no advertiser account: it has the form amzn1.ads-account.g.abc123"),
        ({"api": "v3", "reports": ["sp_campaigns"], "accounts": ["a"]}, "accounts goes with `api: v1`"),
    ],
)
def test_a_source_is_of_one_api(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        source("unified_campaigns", **more)
