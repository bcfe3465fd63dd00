"""Rates of exchange: of each currency the last that is known on a date, also through a third currency."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from adplatform.contracts.marketing import Rates
from adplatform.marketing.fact import OWN_SOURCE
from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    import duckdb

_PLACES = Decimal(1).scaleb(-18)
_PRECISE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_ONE = Decimal(1)


@dataclass(frozen=True)
class Rate:
    """What one unit of a currency is worth in that of the fact, to 18 decimal places, half to even, as of ``day`` and
    as ``source`` says. A ``problem`` says why the rate of that date cannot be used; there is no ``factor`` then."""

    currency: str
    day: date
    factor: Decimal | None = None
    problem: str = ""
    source: str = ""


@dataclass(frozen=True)
class _Quote:
    """What a table says of a currency on a date. It says two things where ``low`` is not ``high``."""

    low: Decimal
    high: Decimal


def own_rate(currency: str, day: date) -> Rate:
    """That of the fact's currency."""
    return Rate(currency, day, _ONE, source=OWN_SOURCE)


def rates_on(
    con: "duckdb.DuckDBPyConnection", relation: str, declared: Rates, currency: str, day: date
) -> Mapping[str, Rate]:
    """What currencies are worth in ``currency``: of each the newest rate of the date or of the days before that count,
    from the rows of ``relation``. Where the table quotes against another currency both are taken from one date, the
    newest that has both."""
    base = declared.base or currency
    found: dict[str, Rate] = {}
    for on, quotes in sorted(_quotes(con, relation, declared, day).items()):
        quoted = {**quotes, base: _Quote(_ONE, _ONE)}
        if currency in quoted:
            found |= {each: _rate(declared, each, currency, on, quoted) for each in quoted}
    return found


def _quotes(
    con: "duckdb.DuckDBPyConnection", relation: str, declared: Rates, day: date
) -> Mapping[date, Mapping[str, _Quote]]:
    """What the table says on the date and on the days before that count."""
    rows = con.execute(
        f"select day, currency, min(rate), max(rate) from ({_long(con, relation, declared)})"
        f" where rate is not null and day between date {literal(str(day - declared.at_most))}"
        f" and date {literal(str(day))} group by all"
    ).fetchall()
    quotes: dict[date, dict[str, _Quote]] = defaultdict(dict)
    for on, currency, low, high in rows:
        quotes[on][currency] = _Quote(low, high)
    return quotes


def _long(con: "duckdb.DuckDBPyConnection", relation: str, declared: Rates) -> str:
    """A query with a row for each date and currency."""
    day = f"cast({identifier(declared.date)} as date) as day"
    if not declared.currencies:
        currency = f"upper(trim(cast({identifier(declared.currency)} as varchar))) as currency"
        return f"select {day}, {currency}, cast({identifier(declared.rate)} as decimal(38,18)) as rate from {relation}"
    # Files may be older than a column of the table.
    present = {name for name, *_ in con.execute(f"describe select * from {relation}").fetchall()}
    columns = (
        (code, identifier(name) if name in present else "null") for code, name in declared.columns_of_rates.items()
    )
    return " union all ".join(
        f"select {day}, {literal(code)} as currency, cast({column} as decimal(38,18)) as rate from {relation}"
        for code, column in columns
    )


def _rate(declared: Rates, currency: str, to: str, on: date, quoted: Mapping[str, _Quote]) -> Rate:
    for each in (currency, to):
        if quoted[each].low != quoted[each].high:
            return Rate(currency, on, problem=f"{declared.table} has different rates of {each} on {on}")
        if quoted[each].low <= 0:
            return Rate(currency, on, problem=_not_above_zero(declared, each, on))
    above, below = quoted[currency].low, quoted[to].low
    if declared.is_of == "fact":
        above, below = below, above
    factor = _PRECISE.divide(above, below).quantize(_PLACES, context=_PRECISE)
    if factor <= 0:
        return Rate(currency, on, problem=_not_above_zero(declared, currency, on))
    return Rate(currency, on, factor, source=declared.table)


def _not_above_zero(declared: Rates, currency: str, on: date) -> str:
    return f"the rate of {currency} on {on} in {declared.table} is not above zero"
