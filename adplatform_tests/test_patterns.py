"""What is known of a declared table beside its own declaration."""

import pytest

from adplatform.flow.declared_table import DeclaredTable
from adplatform.patterns import declared_table
from adplatform.platform.settings import read_settings

DAILY = "northwind_marketing/marketing_daily"


@pytest.mark.parametrize(
    ("table", "place", "has_columns", "made_of_it"),
    [
        ("northwind/campaign_daily", "partners/northwind", True, (DAILY,)),
        ("northwind_ads/sp_ad_groups", "amazon/ads", False, ("northwind_ads/ads_daily", DAILY)),
        ("northwind_live/orders_changes", "databases/shop_changes", True, ("northwind_live/orders",)),
    ],
)
def test_where_a_table_is_declared_and_what_is_made_of_it(
    table: str, place: str, has_columns: bool, made_of_it: tuple[str, ...]
) -> None:
    assert declared_table(table, read_settings()) == DeclaredTable(f"defs/{place}/defs.yaml", has_columns, made_of_it)


def test_of_a_table_that_is_not_declared_nothing_is_known() -> None:
    assert declared_table("nobody/orders", read_settings()) == DeclaredTable()
