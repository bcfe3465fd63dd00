"""A feed with a naming convention, from the file to the check and to the list of names that do not conform."""

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from adplatform.cli.naming import named_table, offenders, require_made
from adplatform.contracts.changes import ChangesSource
from adplatform.contracts.naming import Naming
from adplatform.engines.changes import database_changes
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.platform.settings import Settings
from adplatform_tests.support.changes import ORDERS
from adplatform_tests.support.platforms import YESTERDAY, make_platform

SPEND: dict[str, Any] = {
    "name": "spend",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"campaign_name": None, "cost": "decimal(12,2)", "currency": None},
}
NAMING = {"campaign_name": "{market}_{channel}", "allowed": {"market": ["de"]}, "at_least": "90%"}
ROWS = b"campaign_name,cost,currency\nde_search,30,EUR\n[old] x,1.5,EUR\n[old] x,,EUR\nus_x,9,USD\n,7,EUR\n"


def test_names_that_do_not_conform_are_in_the_table_and_in_the_list_and_not_in_the_check(
    services: Services, instance: dg.DagsterInstance
) -> None:
    named = make_platform(services, {"source": "acme", "feeds": [{**SPEND, "naming": NAMING}]}, instance)
    named.put(f"spend/dt={YESTERDAY}/a.csv", ROWS)
    [run] = named.process()
    [check] = [each for each in run.get_asset_check_evaluations() if each.check_name == "naming"]
    assert (run.success, check.passed, check.severity) == (True, False, dg.AssetCheckSeverity.WARN)
    assert {name: value.value for name, value in check.metadata.items()} == {
        "campaign_name_rows": 4,
        "campaign_name_rows_not_conforming": 3,
        "campaign_name_share_of_rows": 0.25,
        "campaign_name_share_of_spend": pytest.approx(30 / 40.5),
    }
    assert "25.0% of the names in campaign_name, 74.1% of cost conform, 90% wanted" in str(check.description)
    assert named.query(
        "select campaign_name_market, campaign_name_channel, campaign_name_conforms, sum(cost) from {spend}"
        " group by all order by 3 desc nulls last"
    ) == [("de", "search", True, 30), (None, None, False, 10.5), (None, None, None, 7)]
    database, table = named.table("spend").split(".")
    columns = services.glue.get_table(DatabaseName=database, Name=table)["Table"]["StorageDescriptor"]["Columns"]
    comment = {each["Name"]: each.get("Comment") for each in columns}["campaign_name_conforms"]
    assert comment == "Whether campaign_name is named as {market}_{channel}"

    [found] = offenders(services, "acme/spend", named.flow("spend").feed, 2)
    assert asdict(found) == {
        **{"column": "campaign_name", "rows": 3, "of_rows": 4, "spend": "cost"},
        "names": (
            {"name": "us_x", "rows": 1, "spend": 9.0, "currency": "USD"},
            {"name": "[old] x", "rows": 2, "spend": 1.5, "currency": "EUR"},
        ),
    }
    assert offenders(services, "acme/spend", named.flow("spend").feed, 1, YESTERDAY)[0].names == found.names[:1]


def test_tables_with_conventions_are_known_by_their_names() -> None:
    declared = {"source": "shop", "feeds": [{**ORDERS, "naming": {"status": "{step}"}}]}
    followed = database_changes(ChangesSource.model_validate(declared), Settings(env="local", home=Path("home")))
    assert named_table([followed], "shop/orders").naming == named_table([followed], "shop/orders_changes").naming
    with pytest.raises(PermanentFailure, match=r"no table 'shop/order' with naming .* \(did you mean shop/orders\?\)"):
        named_table([followed], "shop/order")
    with pytest.raises(PermanentFailure, match="none has any; declare them under naming of its feed"):
        named_table([], "shop/orders")


@pytest.mark.parametrize(
    ("columns", "day", "why"),
    [
        ([], None, "acme/spend: nothing has been published to it"),
        (
            ["x", "x_a", "dt"],
            None,
            r"acme/spend has no x_conforms yet: .*; `adplatform backfill acme/spend --changed` makes",
        ),
        (["x", "x_a", "x_conforms"], YESTERDAY, r"acme/spend has no dates \(dt\); leave --date out"),
    ],
)
def test_a_table_without_what_is_asked_for_says_what_to_do(columns: list[str], day: date | None, why: str) -> None:
    with pytest.raises(PermanentFailure, match=why):
        require_made("acme/spend", Naming.model_validate({"x": "{a}"}), columns, day)
