"""A seller's own and weekly reports as assets."""

from datetime import timedelta

import dagster as dg

from adplatform.amazon.sources import SellingPartnerSource
from adplatform.components.assembly.report_account import account_definitions
from adplatform.flow.services import Services
from adplatform.platform.settings import read_settings
from adplatform.pull.account import account_of
from adplatform.pull.pattern import pulled_reports
from adplatform.resources.report_apis import open_api
from adplatform_tests.support.platforms import RESOURCES

DECLARED = SellingPartnerSource.model_validate(
    {
        "source": "shop",
        "credentials": "s",
        "start_date": "2026-01-01",
        "reports": [
            "sales_and_traffic",
            "repeat_purchase",
            {
                "name": "orders_to_ship",
                "report_type": "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING",
                "format": "tsv",
                "restricted": True,
                "date_field": "purchase-date",
                "columns": {"order-id": None, "purchase-date": "timestamp", "buyer-email": {"pii": "email"}},
            },
        ],
    }
)


def spec(*path: str) -> dg.AssetSpec:
    resources = dg.Definitions(resources=dict.fromkeys(RESOURCES, dg.ResourceDefinition.none_resource()))
    defs = dg.Definitions.merge(account_definitions(DECLARED, open_api), resources)
    return defs.resolve_assets_def(dg.AssetKey([*path])).get_asset_spec(dg.AssetKey([*path]))


def test_a_week_is_asked_for_by_its_last_date_and_is_fresh_six_days_longer() -> None:
    assert "Each week, by its last date, is asked for at the ages of 2 to 3, 7 days, one at a time" in str(
        spec("raw", "shop", "repeat_purchase").description
    )
    for table, longer in (("sales_and_traffic_by_date", 0), ("repeat_purchase", 6)):
        window = timedelta(hours=36, days=longer)
        assert spec("clean", "shop", table).freshness_policy == dg.FreshnessPolicy.time_window(fail_window=window)
        assert measured(DECLARED)[table] == window


def test_of_a_table_nothing_else_is_measured_or_alarmed_than_dagster_is_told() -> None:
    never = DECLARED.model_copy(update={"fresh_within": None})
    assert set(measured(never).values()) == {None}
    longer = DECLARED.model_copy(update={"fresh_within": timedelta(days=3)})
    assert measured(longer)["sales_and_traffic_by_date"] == timedelta(days=3)


def measured(declared: SellingPartnerSource) -> dict[str, timedelta | None]:
    """For how long metrics take each table for fresh."""
    return {flow.feed.name: flow.feed.fresh_within for flow in pulled_reports(declared, read_settings()).source.feeds}


def test_a_restricted_report_is_an_asset_whose_personal_columns_are_digests() -> None:
    table = spec("clean", "shop", "orders_to_ship")
    columns = {column.name for column in table.metadata["dagster/column_schema"].columns}
    assert {"order_id", "buyer_email_lake"} <= columns
    assert "buyer_email" not in columns
    assert table.tags["pii"] == "hashed"


def test_a_vendor_has_the_marketplaces_that_are_declared(services: Services) -> None:
    vendor = {"partner": "vendor", "marketplaces": ["A1VC38T7YXB528"], "reports": ["vendor_traffic"]}
    declared = SellingPartnerSource.model_validate(DECLARED.model_dump(exclude={"reports"}) | vendor)
    [scope] = open_api(services, account_of(declared)).scopes()
    assert (scope.id, scope.country, scope.currency, scope.timezone, scope.kind) == (
        *("A1VC38T7YXB528", "JP", "JPY", "Asia/Tokyo", "vendor"),
    )
