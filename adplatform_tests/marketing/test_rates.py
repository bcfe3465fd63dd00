"""What amounts are worth, against fractions: over any rates, with gaps of weekends and holidays, and none."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.marketing import MarketingSource, Rates
from adplatform.marketing.converted import converted, rates_table
from adplatform.marketing.fact import fact_of, worth_of
from adplatform.marketing.rates import own_rate, rates_on
from adplatform_tests.marketing.world import FACT

DAY = date(2026, 4, 6)
"""A holiday: Easter Monday."""
CODES = ("USD", "GBP", "JPY")
Quotes = Mapping[tuple[int, str], Decimal]
"""By how many days ago, and of what."""

prices = st.decimals("0.0001", "20000", places=4)
quotes = st.dictionaries(st.tuples(st.integers(0, 12), st.sampled_from(CODES)), prices, max_size=12)
amounts = st.decimals("-99999999.99", "99999999.99", places=2)


def expected(rates: Rates, to: str, given_quotes: Quotes, currency: str) -> tuple[Fraction, int] | None:
    """What a unit is worth, rounded, and of how many days ago that is."""
    if currency == to:
        return Fraction(1), 0
    for ago in range(rates.at_most.days + 1):
        quoted = {code: Fraction(price) for (n, code), price in given_quotes.items() if n == ago}
        quoted[rates.base or to] = Fraction(1)
        if currency in quoted and to in quoted:
            above, below = (quoted[currency], quoted[to])
            exact = above / below if rates.is_of == "currency" else below / above
            return Fraction(round(exact * 10**18), 10**18), ago
    return None


def table_of(con: duckdb.DuckDBPyConnection, given_quotes: Quotes, *, wide: bool) -> None:
    if not wide:
        con.execute("create table t (dt varchar, currency varchar, rate decimal(18,6))")
        rows: list[tuple[Any, ...]] = [(str(DAY - timedelta(days=n)), c, p) for (n, c), p in given_quotes.items()]
    else:
        con.execute("create table t (dt varchar, usd decimal(18,6), gbp decimal(18,6), jpy decimal(18,6))")
        days = sorted({n for n, _ in given_quotes})
        rows = [(str(DAY - timedelta(days=n)), *(given_quotes.get((n, c)) for c in CODES)) for n in days]
    for row in rows:
        con.execute(f"insert into t values ({', '.join('?' * len(row))})", row)


@settings(max_examples=15, deadline=None)
@given(
    quotes,
    st.lists(st.tuples(st.sampled_from((*CODES, "EUR", "CHF")), st.integers(1, 3), amounts), min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from(("currency", "fact")),
    st.sampled_from(((None, "EUR"), ("EUR", "EUR"), ("EUR", "USD"))),
)
def test_a_sum_that_is_converted_is_the_sum_at_its_rate_in_exact_decimals_or_nothing(
    given_quotes: Quotes, costs: list[tuple[str, int, Decimal]], wide: bool, is_of: str, of: tuple[str | None, str]
) -> None:
    base, to = of
    declared = {"table": "a/b", "base": base, "is_of": is_of, **({"currencies": CODES} if wide else {})}
    fact = fact_of(MarketingSource.model_validate({**FACT, "currency": to, "rates": declared}))
    rates = fact.declared.rates
    assert rates
    with duckdb.connect() as con:
        table_of(con, given_quotes, wide=wide)
        own = own_rate(to, DAY)
        rates_table(con, {**rates_on(con, "t", rates, to, DAY), to: own}.values())
        con.execute(
            "create table mapped (input varchar, channel varchar, account varchar, campaign varchar, campaign_name"
            " varchar, currency varchar, impressions bigint, clicks bigint, cost decimal(38,6), conversions bigint,"
            " sales decimal(38,6))"
        )
        for currency, campaign, cost in costs:
            con.execute(
                "insert into mapped by name select ? as campaign, ? as currency, ? as cost", (campaign, currency, cost)
            )
        worth = worth_of("cost", to)
        found = con.execute(
            f"select currency, sum({worth}), count({worth}), count(*), any_value(fx_rate), any_value(fx_date),"
            f" any_value(fx_source) from ({converted(fact)}) group by 1"
        ).fetchall()
    sums: dict[str, dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for currency, campaign, cost in costs:
        sums[currency][campaign] += cost
    assert {row[0] for row in found} == sums.keys()
    for currency, total, worths, rows, rate, on, source in found:
        known = expected(rates, to, given_quotes, currency)
        if known is None or known[0] == 0:
            assert (rate, on, source) == (None, None, None)
            assert worths == sum(cost == 0 for cost in sums[currency].values())
            continue
        assert (Fraction(rate), on) == (known[0], DAY - timedelta(days=known[1]))
        assert source == ("base" if currency == to else "a/b")
        exact = [Fraction(cost) * known[0] for cost in sums[currency].values()]
        assert Fraction(total) == sum(map(rounded, exact))
        assert abs(Fraction(total) - Fraction(sum(sums[currency].values())) * known[0]) <= Fraction(rows, 2 * 10**6)


def rounded(exact: Fraction) -> Fraction:
    """To 6 places, half away from zero."""
    millionths = int(abs(exact) * 10**6 + Fraction(1, 2))
    return Fraction(millionths if exact >= 0 else -millionths, 10**6)
