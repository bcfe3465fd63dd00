"""Rows of the fact from those of its tables: sums by campaign and currency, and what they are worth.

An amount is worth its sum times the rate, which is exact until it is rounded once, to 6 decimal places.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from adplatform.contracts.marketing import Mapped
from adplatform.marketing.fact import Fact, worth_of
from adplatform.marketing.rates import Rate
from adplatform.transform.rules import sql_type

if TYPE_CHECKING:
    import duckdb

MONEY = "decimal(38,6)"
SUMS: Mapping[Mapped, str] = {
    "impressions": "impressions",
    "clicks": "clicks",
    "cost": "cost_original",
    "conversions": "conversions",
    "sales": "sales_original",
}
"""The column of the fact in which each measure is added up as the source has it."""


def rates_table(con: "duckdb.DuckDBPyConnection", rates: Iterable[Rate]) -> None:
    """Make the rates of a date the table ``rates``; one that cannot be used is NULL."""
    con.execute(
        "create table rates"
        " (currency varchar, fx_rate decimal(38,18), fx_date date, fx_source varchar, problem varchar)"
    )
    con.executemany(
        "insert into rates values (?, ?, ?, ?, ?)",
        [
            (each.currency, *((each.factor, each.day, each.source) if each.factor else (None,) * 3), each.problem)
            for each in rates
        ],
    )


def converted(fact: Fact) -> str:
    """A query of the rows of the fact: sums of the rows of ``mapped`` of the same input, campaign and currency, and
    their worth at the rates of :func:`rates_table`."""
    types = {c.name: sql_type(c.data_type) for c in fact.flow.feed.columns}
    sums = ", ".join(f"cast(sum({name}) as {types[own]}) as {own}" for name, own in SUMS.items())
    grouped = (
        "select input, channel, account, campaign, max(campaign_name) as campaign_name, currency,"
        f" {sums}, count(*) as source_rows from mapped group by input, channel, account, campaign, currency"
    )
    worths = (
        f"{_worth(amount)} as {name}"
        for amount in ("cost", "sales")
        for name in (amount, worth_of(amount, fact.declared.currency))
    )
    return (
        f"select g.*, fx_rate, fx_date, fx_source, fx_rate as rate, fx_date as rate_date, {', '.join(worths)}"
        f" from ({grouped}) g left join rates using (currency)"
    )


def _worth(name: str) -> str:
    """An amount in the currency of the fact, to 6 decimal places, half away from zero. Nothing is worth nothing in
    every currency."""
    own = f"{name}_original"
    return f"case when {own} = 0 then 0 else cast({own} * fx_rate as {MONEY}) end"
