"""The models that fivetran/amazon_ads reads: their shape, and what is refused since it would be NULL without a word."""

import re
from typing import Any

import pytest
import sqlglot

from adplatform.amazon.sources import AdsSource
from adplatform.dbt.amazon_ads import Models, models_of
from adplatform.failures import PermanentFailure
from adplatform.pull.account import account_of

EXPORTS = ("campaigns_metadata", "ad_groups_metadata", "ads_metadata", "targets_metadata")
REPORTS = ("sp_campaigns", "sp_ad_groups", "sp_targeting", "sp_search_terms", "sp_advertised_products")
MEASURES = "clicks cost date impressions purchases_30_d sales_30_d"
BUDGET = "campaign_budget_amount campaign_budget_currency_code campaign_budget_type"
RULES = (
    "campaign_applicable_budget_rule_id campaign_applicable_budget_rule_name campaign_rule_based_budget_amount"
    " campaign_bidding_strategy"
)
ENTITY = "creation_date id last_updated_date serving_status state"
READ = {
    "campaign_level_report": f"campaign_id {MEASURES} {BUDGET} {RULES}",
    "ad_group_level_report": f"ad_group_id campaign_bidding_strategy {MEASURES}",
    "advertised_product_report": f"ad_group_id ad_id advertised_asin advertised_sku campaign_id {MEASURES} {BUDGET}",
    "targeting_keyword_report": "ad_group_id ad_keyword_status campaign_id keyword_bid keyword_id keyword_type"
    f" match_type targeting {MEASURES} {BUDGET}",
    "search_term_ad_keyword_report": "ad_group_id ad_keyword_status campaign_id keyword_bid keyword_id search_term"
    f" targeting {MEASURES} {BUDGET}",
    "campaign_history": f"{ENTITY} bidding_strategy budget budget_type effective_budget end_date name portfolio_id"
    " profile_id start_date targeting_type",
    "ad_group_history": f"{ENTITY} campaign_id default_bid name",
    "keyword_history": f"{ENTITY} ad_group_id bid campaign_id keyword_text match_type native_language_keyword"
    " native_language_locale",
    "product_ad_history": f"{ENTITY} ad_group_id asin campaign_id sku",
    "profile": "id account_id account_marketplace_string_id account_name account_sub_type account_type"
    " account_valid_payment_method country_code currency_code daily_budget timezone _fivetran_deleted",
}
"""The columns that version 1.2.0 of the package looks for (its macros ``get_*_columns``)."""


def made(*reports: Any) -> Models:
    declared = {"source": "ads", "credentials": "any", "start_date": "2026-01-01", "reports": reports}
    return models_of(account_of(AdsSource.model_validate(declared)), lambda name: f"defs.yaml:{name}")


def selects(models: Models) -> dict[str, str]:
    """The SQL of each model by the name of its table, with tables in the place of Jinja."""
    found = {}
    for path, text in models.files.items():
        if path.endswith(".sql"):
            config, _, sql = text.partition("\n\n")
            [alias] = re.findall(r"materialized='view', alias='(\w+)'", config)
            assert path == f"amazon_ads/ads__{alias}.sql"
            found[alias] = re.sub(r"\{\{ source\('(\w+)', '(\w+)'\) \}\}", r"\1.\2", sql)
    return found


@pytest.mark.parametrize("dialect", ["duckdb", "athena"])
def test_models_have_the_columns_that_the_package_looks_for(dialect: str) -> None:
    found = {name: sqlglot.parse_one(sql, read=dialect) for name, sql in selects(made(*REPORTS, *EXPORTS)).items()}
    added = {"_fivetran_synced", "profile_id"}
    assert {name: set(tree.named_selects) - added for name, tree in found.items()} == {
        name: set(columns.split()) - added for name, columns in READ.items()
    }
    assert all("_fivetran_synced" in tree.named_selects for tree in found.values()), (
        "by which dbt tells how fresh it is"
    )


def test_the_same_account_gives_the_same_files() -> None:
    assert made(*REPORTS, *EXPORTS) == made(*REPORTS, *EXPORTS)


def test_a_report_without_what_the_package_sums_is_refused_by_its_place_and_columns() -> None:
    columns = ["date", "campaignId", "adGroupId", "keywordId", "impressions", "clicks", "cost", "sales14d"]
    own = {"name": "keywords", "report_type": "spTargeting", "group_by": ["targeting"], "columns": columns}
    with pytest.raises(PermanentFailure) as refused:
        made("sp_campaigns", own, *EXPORTS)
    assert str(refused.value).splitlines() == [
        "nothing is written:",
        "defs.yaml:keywords: report keywords lacks purchases30d, sales30d, which fivetran/amazon_ads reads as "
        "purchases_30_d, sales_30_d of targeting_keyword_report: it would show NULL. Add them to the report's columns, "
        "or sp_targeting to the reports of the account",
    ]


def test_reports_without_what_the_package_joins_them_with_are_refused() -> None:
    with pytest.raises(PermanentFailure) as refused:
        made("sp_campaigns", "sp_targeting", "campaigns_metadata")
    [_, only] = str(refused.value).splitlines()
    assert only.startswith("defs.yaml:sp_targeting: report sp_targeting: fivetran/amazon_ads joins")
    assert only.endswith("Add ad_groups_metadata, targets_metadata to the reports of the account")


def test_an_account_without_a_report_that_the_package_reads_is_refused() -> None:
    filtered = {"name": "some", "extends": "sp_campaigns", "filters": {"campaignStatus": ["ENABLED"]}}
    for reports in (("sb_campaigns",), (filtered,), ("sp_targeting", *EXPORTS)):
        with pytest.raises(PermanentFailure, match="sp_campaigns or sp_ad_groups among them"):
            made(*reports)


def test_what_models_lack_is_said() -> None:
    rich = {"name": "rich", "extends": "sp_campaigns", "add": ["campaignBiddingStrategy"]}
    models = made("sp_campaigns", rich, "campaigns_metadata")
    assert "from ads.rich" in selects(models)["campaign_level_report"], "the report with the most of the columns"
    assert selects(models).keys() == {"campaign_level_report", "campaign_history", "profile"}
    said = "\n".join(models.said)
    assert "ad_group_level_report is not made, and the package shows an empty one" in said
    assert (
        "campaign_level_report: NULL is campaign_applicable_budget_rule_id, campaign_applicable_budget_rule_name, "
        "campaign_rule_based_budget_amount, because the report rich does not ask for campaignApplicableBudgetRuleId"
    ) in said
    assert "amazon_ads__portfolio_history_enabled to false" in said
