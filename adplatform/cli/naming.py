"""The command that lists the names of a table that do not conform to their conventions."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from adplatform.cli.context import connect, console, parse_day
from adplatform.cli.standing import long
from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.feed import Feed
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.naming import Naming, named_columns
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.pattern import Pattern
from adplatform.lake.table import table_name
from adplatform.patterns import declared_patterns
from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    from adplatform.flow.services import Services

_CURRENCIES = ("currency_code", "currency")
"""What columns are called that say of which currency amounts are."""


@dataclass(frozen=True)
class Offender:
    """A name that does not conform, in how many rows, and what they cost, of each currency apart where the table says
    of which."""

    name: str
    rows: int
    spend: float | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Offenders:
    """The ``names`` in ``column`` that do not conform, those first of which most was paid, and of how many rows of all
    with a name: ``names`` may be the first of more."""

    column: str
    rows: int
    of_rows: int
    spend: str | None
    names: tuple[Offender, ...]


def naming(
    table: Annotated[str, typer.Argument(help="A clean table, as source/feed.", show_default=False)],
    day: Annotated[
        str | None, typer.Option("--date", help="Of this date alone; by default of all that the table shows.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Names of a column to show at most.", min=1)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print them for a program.")] = False,
) -> None:
    """List names that do not conform to their naming conventions, by what was paid for them."""
    services = connect()
    feed = named_table(declared_patterns(services.settings), table)
    found = offenders(services, table, feed, limit, parse_day(day) if day else None)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=1))
        return
    for each in found:
        _show(each)


def named_table(patterns: Iterable[Pattern], table: str) -> Feed:
    """The feed of a clean table (``"<source>/<feed>"``) with conventions.

    Raises:
        PermanentFailure: there is none; lists those there are.
    """
    flows = (flow for each in patterns for flow in (*each.source.feeds, *each.source.derived))
    known = {flow.table: flow.feed for flow in flows if flow.feed.naming}
    if table not in known:
        there = f"there are {wrapped(known)}" if known else "none has any; declare them under naming of its feed"
        raise PermanentFailure(f"no table {table!r} with naming conventions{did_you_mean(table, known)}; {there}")
    return known[table]


def offenders(services: "Services", table: str, feed: Feed, limit: int, day: date | None = None) -> list[Offenders]:
    """What does not conform in the clean ``table`` of a feed (``"<source>/<feed>"``), by column.

    Raises:
        PermanentFailure: the table has nothing yet that was made by conventions, or no dates.
        TransientFailure: S3 does not give a file, or not in time.
    """
    from adplatform.lake.query import opened_tables, query_failures  # noqa: PLC0415 - brings all of pandas

    prefix, memory_limit = services.settings.database_prefix, services.settings.memory_limit
    name = table_name(table, prefix)
    asked, qualified = f"{name.database}.{name.name}", f"{identifier(name.database)}.{identifier(name.name)}"
    with opened_tables(services.aws, services.glue, prefix, asked, memory_limit) as con, query_failures():
        known = con.execute(
            f"select column_name from information_schema.columns where table_schema = {literal(name.database)}"
            f" and table_name = {literal(name.name)}"
        ).fetchall()
        columns = [column for (column,) in known]
        require_made(table, feed.naming, columns, day)
        spend = feed.naming.spend(feed.columns) if feed.naming else None
        of = (spend if spend in columns else None, next((each for each in _CURRENCIES if each in columns), None))
        where = f" and {DELIVERY_DATE} = '{day}'" if day else ""
        return [
            _offenders(con.execute, qualified, each.column, each.name, of, where, limit)
            for each in named_columns(feed.naming)
            if not each.field
        ]


def require_made(table: str, declared: Naming | None, columns: Collection[str], day: date | None) -> None:
    """
    Raises:
        PermanentFailure: a table with these columns lacks some that naming makes, or the dates of one.
    """
    if not columns:
        raise PermanentFailure(f"{table}: nothing has been published to it")
    if missing := [each.name for each in named_columns(declared) if each.name not in columns]:
        raise PermanentFailure(
            f"{table} has no {wrapped(missing)} yet: no date has been made since its naming was declared; "
            f"`adplatform backfill {table} --changed` makes those before again"
        )
    if day is not None and DELIVERY_DATE not in columns:
        raise PermanentFailure(f"{table} has no dates ({DELIVERY_DATE}); leave --date out")


def _offenders(
    ask: Any, table: str, column: str, conforms: str, of: tuple[str | None, str | None], where: str, limit: int
) -> Offenders:
    spend, currency = of
    paid = f"cast(sum({identifier(spend)}) as double)" if spend else "null"
    money = identifier(currency) if spend and currency else "null"
    bad = f"not {identifier(conforms)}"
    [[every, rows]] = ask(
        f"select count({identifier(column)}), count(*) filter ({bad}) from {table} where true{where}"
    ).fetchall()
    found = ask(
        f"select {identifier(column)}, count(*) as rows, {paid} as spend, {money} from {table}"
        f" where {bad}{where} group by all order by spend desc nulls last, rows desc, 1 limit {limit}"
    ).fetchall()
    return Offenders(column, rows, every, spend, tuple(Offender(*each) for each in found))


def _show(found: Offenders) -> None:
    share = f" ({found.rows / found.of_rows:.1%})" if found.of_rows else ""
    console.print(f"{found.column}: {found.rows:,} of {found.of_rows:,} rows{share} do not conform", highlight=False)
    if not found.names:
        return
    spent = (found.spend,) if found.spend else ()
    money = ("currency",) if any(each.currency for each in found.names) else ()
    shown = Table(long("name"), "rows", *spent, *money)
    for each in found.names:
        shown.add_row(*_cells(each, spent, money))
    console.print(shown)


def _cells(offender: Offender, spent: Sequence[str], money: Sequence[str]) -> list[str]:
    paid = "" if offender.spend is None else f"{offender.spend:,.2f}"
    return [
        offender.name,
        f"{offender.rows:,}",
        *([paid] if spent else []),
        *([offender.currency or ""] if money else []),
    ]
