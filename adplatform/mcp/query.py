"""Queries of the clean zone: what is personal is not there to be read, and answers are small."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import duckdb
from pydantic_core import to_json, to_jsonable_python

from adplatform.described.tables import Table
from adplatform.failures import PermanentFailure
from adplatform.mcp.known import Known
from adplatform.mcp.statement import Select, select_of
from adplatform.transform.rules import identifier

_SHOWN = "shown"
"""The catalog of DuckDB with what a query finds: it cannot name another."""
_AGAIN = 0.05
"""Seconds after which a query that should end is told so again, as one that begins forgets it."""


def answer_query(known: Known, sql: str, rows: int | None, stop: Event) -> Mapping[str, Any]:
    """Columns and at most ``rows`` rows of one SELECT, ended early by ``stop``. Columns with personal data, digests as
    well, are in no table unless the server lets them be read; ``left_out`` names them.

    Raises:
        PermanentFailure: it is no such query, names what is not there or is personal, takes too long, or its first row
            alone is larger than an answer may be.
        TransientFailure: S3 does not give a file, or not in time.
    """
    from adplatform.lake.query import opened_tables, query_failures  # noqa: PLC0415 - brings all of pandas

    select = select_of(sql)
    tables = _tables(known, select)
    services = known.services
    names = " ".join(f"{table.database}.{table.name}" for table in tables)
    with (
        opened_tables(
            services.aws, services.glue, services.settings.database_prefix, names, services.settings.memory_limit
        ) as con,
        _stopped_by(stop, con),
        query_failures(),
    ):
        left_out = {f"{each.database}.{each.name}": hidden for each in tables if (hidden := _show(known, con, each))}
        con.execute(f"use {_SHOWN}")
        try:
            most = min(rows or known.limits.rows, known.limits.rows)
            found = con.sql(select.sql)
            return {**_fetched(found, most, known.limits.bytes), **({"left_out": left_out} if left_out else {})}
        except duckdb.BinderException as e:
            raise _unbound(e, select, left_out) from e
        except duckdb.InterruptException as e:
            raise PermanentFailure("the query was ended before it was done: ask for less of the table") from e


def _tables(known: Known, select: Select) -> list[Table]:
    prefix = known.services.settings.database_prefix
    sources = {each.source.name for each in known.patterns}
    asked = {database.removeprefix(prefix) for database, _ in select.tables} & sources
    there = {
        (each.database, each.name): each for source in sorted(asked) for each in known.tables(source, select.tables)
    }
    if unknown := sorted(".".join(each) for each in select.tables - there.keys()):
        raise PermanentFailure(f"there is no table {', '.join(unknown)}; `tables` lists those there are")
    return [there[each] for each in sorted(select.tables)]


def _show(known: Known, con: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """Have a query find the table with the columns that may be read; the others, which nobody declared included."""
    name = f"{identifier(table.database)}.{identifier(table.name)}"
    try:
        there = [column[0] for column in con.execute(f"from memory.{name} limit 0").description or ()]
    except duckdb.CatalogException as e:
        raise PermanentFailure(f"{table.database}.{table.name}: nothing has been published to it") from e
    readable = {column.name for column in table.columns if known.personal or not column.pii}
    columns = ", ".join(identifier(column) for column in there if column in readable)
    if not columns:
        raise PermanentFailure(f"{table.database}.{table.name} has personal columns only, which are not read here")
    con.execute(f"attach if not exists ':memory:' as {_SHOWN}")
    con.execute(f"create schema if not exists {_SHOWN}.{identifier(table.database)}")
    con.execute(f"create view {_SHOWN}.{name} as select {columns} from memory.{name}")
    return [column for column in there if column not in readable]


def _fetched(found: duckdb.DuckDBPyRelation, most: int, size: int) -> dict[str, Any]:
    answer: dict[str, Any] = {"columns": list(found.columns), "rows": [], "complete": False}
    rows: list[Any] = answer["rows"]
    left = size
    for row in found.limit(most + 1).fetchall():
        values = to_jsonable_python(row, bytes_mode="base64", inf_nan_mode="strings")
        left -= len(to_json(values))
        if left < 0 and not rows:
            raise PermanentFailure(f"the first row alone has more than {size:,} bytes: ask for less of it")
        if left < 0 or len(rows) == most:
            return {**answer, "note": f"there are more rows; {_why(left, most, size)}"}
        rows.append(values)
    return {**answer, "complete": True}


def _why(left: int, most: int, size: int) -> str:
    return f"an answer has at most {size:,} bytes" if left < 0 else f"{most:,} were asked for"


def _unbound(error: duckdb.BinderException, select: Select, left_out: Mapping[str, Sequence[str]]) -> PermanentFailure:
    """A column that is not there, or that is not shown."""
    hidden = sorted(
        f"{table}.{column}"
        for table, columns in left_out.items()
        for column in columns
        if column.lower() in select.columns
    )
    if hidden:
        return PermanentFailure(
            f"{', '.join(hidden)}: personal data, of which digests are a form, is not read here; whoever runs the "
            "server may allow it with --personal"
        )
    return PermanentFailure(f"the query failed: {str(error).splitlines()[0]}")


@contextmanager
def _stopped_by(stop: Event, con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What is run within is interrupted once ``stop`` is set, which it is afterwards."""
    done = Event()

    def watch() -> None:
        stop.wait()
        while not done.wait(_AGAIN):
            con.interrupt()

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        stop.set()
        watcher.join()
