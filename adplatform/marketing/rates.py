"""Rates of exchange: of each currency the last that is known on a date."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from adplatform.contracts.marketing import Rates
from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    import duckdb

_PLACES = Decimal(1).scaleb(-18)
_PRECISE = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True)
class Rate:
    """What one unit of a currency is worth in that of the fact, to 18 decimal places, as of ``day``. A ``problem`` says
    why the rate of that date cannot be used; there is no ``factor`` then."""

    currency: str
    day: date
    factor: Decimal | None = None
    problem: str = ""


def own_rate(currency: str, day: date) -> Rate:
    """That of the fact's currency."""
    return Rate(currency, day, Decimal(1))


def rates_on(con: "duckdb.DuckDBPyConnection", relation: str, declared: Rates, day: date) -> Mapping[str, Rate]:
    """Of each currency the newest rate of the date or of the days before that count, from the rows of ``relation``."""
    rows = con.execute(
        f"select upper(trim(cast({identifier(declared.currency)} as varchar))) as currency,"
        f" cast({identifier(declared.date)} as date) as day,"
        f" min(cast({identifier(declared.rate)} as decimal(38,18))) as low,"
        f" max(cast({identifier(declared.rate)} as decimal(38,18))) as high"
        f" from {relation} where {identifier(declared.rate)} is not null"
        f" and cast({identifier(declared.date)} as date) between date {literal(str(day - declared.at_most))}"
        f" and date {literal(str(day))} group by all order by day"
    ).fetchall()
    return {currency: _rate(declared, currency, on, low, high) for currency, on, low, high in rows}


def _rate(declared: Rates, currency: str, on: date, low: Decimal, high: Decimal) -> Rate:
    if low != high:
        return Rate(currency, on, problem=f"{declared.table} has different rates of {currency} on {on}")
    factor = low if declared.is_of == "currency" or low <= 0 else _PRECISE.divide(Decimal(1), low)
    factor = factor.quantize(_PLACES, context=_PRECISE)
    if factor <= 0:
        return Rate(currency, on, problem=f"the rate of {currency} on {on} in {declared.table} is not above zero")
    return Rate(currency, on, factor)
