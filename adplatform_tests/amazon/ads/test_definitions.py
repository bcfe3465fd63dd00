"""Reports of the Ads API as they are declared: checked before Amazon is asked, typed so that nothing is lost."""

import re
from typing import Any

import pytest

from adplatform.amazon.ads.definitions import READY_MADE, ads_definition
from adplatform.amazon.ads.report_types import column_type, report_type, report_types
from adplatform.amazon.definitions import STAMPS
from adplatform.amazon.sources import AdsSource

MONEY = re.compile(r"cost$|fee$|budgetAmount$|sales(?!Percentage|Rate)|royalties", re.IGNORECASE)
COUNTS = re.compile(
    "(newToBrand|total|gross|invalid|viewable|measurable)?"
    "(Impressions|Clicks|ClickThroughs|Purchases|UnitsSold|Orders|Conversions|addToCart|brandedSearches"
    "|detailPageViews|video.*Views$|reach|bids$)",
    re.IGNORECASE,
)
SHARES = re.compile("Rate$|Average$|bidAdjustment$")


@pytest.mark.parametrize("name", READY_MADE)
def test_a_ready_made_report_is_one_that_amazon_takes(name: str) -> None:
    definition = ads_definition(name, READY_MADE[name])
    kind, asked = report_type(definition.report_type), definition.configuration
    assert set(asked["columns"]) <= kind.allowed(asked["groupBy"])
    daily = "DAILY" in kind.time_units
    unit, longest = ("DAILY", kind.max_range_days) if daily else ("SUMMARY", 1)
    assert (asked["adProduct"], asked["timeUnit"], asked["format"]) == (kind.product, unit, "GZIP_JSON")
    assert definition.policy.retention_days == kind.retention_days
    assert definition.policy.max_range_days == longest
    assert definition.attribution_days == (30 if "sales30d" in asked["columns"] else 14)
    assert definition.datasets[0].plotted


@pytest.mark.parametrize("name", READY_MADE)
def test_the_columns_of_a_ready_made_report_hold_what_amazon_sends(name: str) -> None:
    columns = ads_definition(name, READY_MADE[name]).datasets[0].columns
    ids = "string" if name.startswith("dsp_") else "bigint"
    for column in columns:
        kind = str(column.type)
        if re.search("Ids?$", column.field_name):
            assert kind == ids, column.field_name
        elif MONEY.search(column.field_name):
            assert kind == "decimal(18,6)", column.field_name
        elif COUNTS.match(column.field_name):
            assert kind == "bigint", column.field_name
        elif SHARES.search(column.field_name):
            assert kind == "double", column.field_name
        else:
            dates = ("date", "startDate", "endDate")
            assert kind == ("date" if column.field_name in dates else "string"), column.field_name
    names = [column.name for column in (*columns, *STAMPS)]
    assert len(set(names)) == len(names)


def test_every_report_type_has_a_ready_made_report() -> None:
    assert {each.report_type for each in READY_MADE.values()} == report_types().keys()


def test_what_places_a_row_is_required_and_no_more() -> None:
    def required(name: str) -> list[str]:
        return [c.field_name for c in ads_definition(name, READY_MADE[name]).datasets[0].columns if c.required]

    assert required("sp_targeting") == required("sd_targeting") == ["date", "campaignId", "adGroupId"]
    assert required("sb_targeting") == ["date", "campaignId"], "older campaigns of Sponsored Brands have no ad groups"


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("onTargetCostPerImpression", "decimal(18,6)"),
        ("eCPAppStoreOpens", "decimal(18,6)"),
        ("kindleEditionNormalizedPagesRoyalties14d", "decimal(18,6)"),
        ("clickThroughRate", "double"),
        ("topOfSearchImpressionShare", "double"),
        ("portfolioId", "bigint"),
        ("campaignApplicableBudgetRuleId", "string"),
        ("entityId", "string"),
        ("placementSize", "string"),
        ("royaltyQualifiedBorrows", "bigint"),
        ("aColumnThatIsNew", "string"),
    ],
)
def test_types_of_columns(column: str, kind: str) -> None:
    assert column_type(column).type == kind


def test_every_column_of_the_catalogue_has_a_type_with_its_source() -> None:
    kinds = report_types().values()
    columns = {c for kind in kinds for c in kind.allowed(kind.groups)}
    types = {column: column_type(column) for column in sorted(columns)}
    assert len(types) == 686
    assert {each.source for each in types.values()} == {"documentation", "name", "observed"}
    assert [c for c, each in types.items() if bool(each.reason) == (each.source == "documentation")] == []


def report(**changes: Any) -> dict[str, Any]:
    columns = ["date", "campaignId", "clicks", "cost"]
    return {"name": "mine", "report_type": "spCampaigns", "group_by": ["campaign"], "columns": columns, **changes}


def source(declared: Any) -> AdsSource:
    return AdsSource.model_validate(
        {"source": "ads", "credentials": "a", "start_date": "2026-01-01", "reports": [declared]}
    )


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (
            "sp_campaign",
            r"no ready-made report 'sp_campaign' \(did you mean sp_campaigns\?\); there are sp_campaigns, ",
        ),
        (report(report_type="spCampaign"), r"'spCampaign' is not one of the Ads API \(did you mean spCampaigns\?\)"),
        (
            report(columns=["date", "cilcks"]),
            r"column 'cilcks' does not go .* \(did you mean clicks\?\); it takes addTo",
        ),
        (
            report(columns=["date", "adGroupId"]),
            r"'adGroupId' does not go with group_by campaign \(it does with adGroup",
        ),
        (
            report(report_type="dspInventory", columns=["date", "site"]),
            r"\(it does with site\); it takes .* and \d+ more, which `adplatform amazon catalogue dspInventory` lists",
        ),
        (report(columns=["date", "startDate"]), "column startDate does not go with time unit DAILY; use date"),
        (report(columns=["campaignId"]), "columns lack date, by which rows are placed"),
        (
            report(group_by=["adGroups"]),
            r"'adGroups' is unknown \(did you mean adGroup\?\); it takes adGroup, campaign, ",
        ),
        (report(group_by=["campaign", "adGroup", "campaignPlacement"]), "takes adGroup or campaignPlacement, not both"),
        (report(filters={"campaignStatus": ["ON"]}), "does not take ON, only ENABLED, PAUSED, ARCHIVED"),
        (
            report(filters={"adStatus": ["ENABLED"]}),
            "filter 'adStatus' does not go with campaign; it takes campaignStat",
        ),
        (report(unchecked_columns={"new": "money"}), "money"),
        ({"name": "mine", "extends": "sp_campaigns", "remove": ["x"]}, "x cannot be removed: the report has date, "),
    ],
)
def test_a_mistake_is_reported_with_what_is_right(declared: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        source(declared)


def test_a_column_that_is_new_or_of_another_type_is_declared_with_its_type() -> None:
    own = {"brandNew": "decimal(10,2)", "campaignId": "decimal(20,0)"}
    (definition,) = source(report(unchecked_columns=own)).definitions()
    assert definition.configuration["columns"] == ["date", "campaignId", "clicks", "cost", "brandNew"]
    types = {c.field_name: str(c.type) for c in definition.datasets[0].columns}
    assert {name: types[name] for name in own} == own


def test_declared_columns_whose_names_come_to_one_have_names_of_their_own_in_any_order() -> None:
    own = {"Cost": "double", "brand-new": "string", "brandNew": "string"}
    named = []
    for columns in (own, dict(reversed(own.items()))):
        (definition,) = source(report(unchecked_columns=columns)).definitions()
        named.append({c.field_name: c.name for c in definition.datasets[0].columns})
    assert named[0] == named[1]
    assert (named[0]["cost"], named[0]["brand-new"]) == ("cost", "brand_new")
    assert re.fullmatch("cost_[a-z]{6}", named[0]["Cost"])
    assert re.fullmatch("brand_new_[a-z]{6}", named[0]["brandNew"])
