"""What YAML may say of a marketing fact, and what it is told otherwise."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.marketing import MarketingSource

INPUT: dict[str, Any] = {
    "table": "acme/spend",
    "values": {"channel": "tv", "currency": "EUR"},
    "columns": {"campaign": "ad", "cost": "paid"},
}
FACT: dict[str, Any] = {"source": "marketing", "start_date": "2026-01-01", "currency": "EUR", "inputs": [INPUT]}


def test_the_fact_of_an_account_is_mapped_by_itself_but_for_what_is_said() -> None:
    given = {**FACT, "inputs": [{"table": "ads/ads_daily", "values": {"channel": "amazon"}}], "rates": {"table": "a/b"}}
    [table] = MarketingSource.model_validate(given).inputs
    assert (table.columns["account"], table.columns["conversions"], "channel" in table.columns) == (
        "profile_id",
        "purchases",
        False,
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"values": {"channel": "tv"}}, "cost and sales are of a currency: map its column"),
        ({"values": {"channel": "tv", "currency": "USD"}}, "say under rates which table has rates"),
        ({"values": {"channel": "tv", "currency": "euro"}}, "currency 'euro' is none: three capital letters"),
        ({"values": {"currency": "EUR"}}, "say which column is the channel"),
        ({"columns": {"campaign": "ad"}}, "map a measure at least"),
        ({"columns": {"campaign": "ad", "cost": "c", "channel": "x"}}, "channel is in columns and in values"),
        ({"columns": {"campaign": "ad", "costs": "c"}}, "Input should be"),
        ({"table": "marketing/marketing_daily"}, "cannot be made of itself"),
        ({"table": "spend"}, "String should match pattern"),
    ],
)
def test_a_mapping_that_means_nothing_is_a_mistake_that_says_what_to_do(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        MarketingSource.model_validate({**FACT, "inputs": [{**INPUT, **change}]})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"inputs": [INPUT, INPUT]}, "acme/spend is listed twice"),
        ({"rates": {"table": "a/b", "at_most": "36h"}}, "give whole days, such as 7d"),
        ({"rates": {"table": "a/b", "rate": "r", "currencies": ["USD"]}}, "rate and currencies exclude each other"),
        ({"rates": {"table": "a/b", "currencies": ["USD"]}}, "is_of: fact as the European Central Bank quotes"),
        (
            {"rates": {"table": "a/b", "base": "USD", "is_of": "fact", "currencies": ["GBP"]}},
            "add EUR to currencies of rates: amounts come to it through USD",
        ),
        ({"currency": "Euro"}, "String should match pattern"),
        ({"inputs": []}, "at least 1 item"),
    ],
)
def test_a_fact_that_is_none_is_a_mistake(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        MarketingSource.model_validate({**FACT, **change})
