"""Any database that SQLAlchemy speaks to, at one moment: one connection, as strictly isolated as can be had.

Where the database can cast a value to text exactly, it does; otherwise the driver's value is written, which is exact
for what drivers have types for. Of the databases here, MariaDB and MySQL are tested against servers.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from adplatform.extract.reading import Cursor, Pace, Piece, Reading, Sink, as_cursor, pieces_between
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import sqlalchemy as sa
else:
    sa = Late("sqlalchemy")

_FETCHED = 5_000
"""Rows that are in memory at once."""
_BEGIN: Mapping[str, tuple[str, ...]] = {
    "mysql": (
        "SET SESSION time_zone = '+00:00'",
        # Zero dates are compared and shown as they are, also where the server would take no new ones.
        "SET SESSION sql_mode = ''",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ),
    "mssql": ("SET TRANSACTION ISOLATION LEVEL SNAPSHOT", "BEGIN TRANSACTION"),
    "oracle": ("SET TRANSACTION READ ONLY",),
}
"""What begins a view, by SQLAlchemy's name of the dialect; others show each statement a moment of its own."""
_MYSQL = ("mysql", "mariadb")


@dataclass(frozen=True)
class PortableView:
    """As ``adplatform.extract.reading.View``, for one reader."""

    connection: "sa.Connection"
    name: str = ""
    workers: int = 1

    def newest(self, reading: Reading, column: str) -> Cursor | None:
        table = _table(reading)
        query = sa.select(sa.func.max(table.c[column])).where(*_conditions(table, reading))
        return as_cursor(self.connection.execute(query).scalar(), column)

    def divide(self, reading: Reading) -> Sequence[Piece]:
        column = reading.window.column if reading.window else reading.chunk_column
        if column is None:
            return [Piece(1)]
        window, table = reading.window, _table(reading)
        whole = Piece(0, column=column, after=window.after if window else None, until=window.until if window else None)
        cursor = table.c[column]
        number = sa.func.row_number().over(order_by=cursor).label("n")
        rows = sa.select(cursor.label("c"), number).where(*_conditions(table, reading, whole)).subquery()
        query = sa.select(rows.c.c).where(rows.c.n % reading.chunk_rows == 0).distinct().order_by(rows.c.c)
        bounds = [as_cursor(value, column) for value in self.connection.execute(query).scalars()]
        return pieces_between(column, whole.after, bounds, whole.until, absent=window is None)

    def read(self, reading: Reading, piece: Piece, sink: Sink, pace: Pace) -> int:
        table, dialect, kinds = _table(reading), self.connection.dialect.name, self._kinds(reading)
        texts = (_as_text(table.c[name], kinds[name], dialect) for name in reading.columns)
        query = sa.select(*texts).where(*_conditions(table, reading, piece))
        sink.write(csv_line(reading.columns))
        counted = 0
        options = {"stream_results": True, "max_row_buffer": _FETCHED, "yield_per": _FETCHED}
        with self.connection.execute(query, execution_options=options) as found:
            for rows in found.partitions(_FETCHED):
                sink.write(b"".join(csv_line(map(_text, row)) for row in rows))
                counted += len(rows)
                pace.rows(len(rows))
        return counted

    def _kinds(self, reading: Reading) -> "dict[str, sa.types.TypeEngine[Any]]":
        columns = sa.inspect(self.connection).get_columns(reading.table, reading.schema)
        return {each["name"]: each["type"] for each in columns}


@contextmanager
def portable_view(engine: "sa.Engine") -> Iterator[PortableView]:
    """The database as it is now, for as long as the block lasts."""
    dialect = engine.dialect.name
    with engine.connect() as connection:
        cursor = connection.connection.cursor()
        for statement in _BEGIN.get("mysql" if dialect in _MYSQL else dialect, ()):
            cursor.execute(statement)
        cursor.close()
        yield PortableView(connection)


def _table(reading: Reading) -> "sa.TableClause":
    others = (reading.chunk_column, reading.window.column if reading.window else None)
    names = {*reading.columns, *(name for name in others if name)}
    return sa.table(reading.table, *(sa.column(name) for name in sorted(names)), schema=reading.schema)


def _conditions(
    table: "sa.TableClause", reading: Reading, piece: Piece | None = None
) -> "list[sa.ColumnElement[bool]]":
    found: list[sa.ColumnElement[bool]] = [sa.literal_column(f"({reading.where})")] if reading.where else []
    if piece is None or piece.column is None:
        return found
    column = table.c[piece.column]
    if piece.absent:
        return [*found, column.is_(None)]
    if piece.after is None and piece.until is None:
        return [*found, column.is_not(None)]
    if piece.after is not None:
        found.append(column > piece.after)
    if piece.until is not None:
        found.append(column <= piece.until)
    return found


def _as_text(column: "sa.ColumnClause[Any]", kind: "sa.types.TypeEngine[Any]", dialect: str) -> "sa.ColumnElement[Any]":
    """MySQL's drivers show zero dates as no value, and read bytes as text by guesses; the server writes them all."""
    if dialect not in _MYSQL:
        return column
    if isinstance(kind, sa.types._Binary):
        return sa.case((column.is_not(None), sa.func.concat("\\x", sa.func.lower(sa.func.hex(column)))))
    if type(kind).__name__ == "BIT":
        return sa.cast(column + 0, sa.CHAR)
    return sa.cast(column, sa.CHAR)


def _text(value: Any) -> str | None:
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}" if value.is_finite() else str(value)
        case bytes() | bytearray() | memoryview():
            return f"\\x{bytes(value).hex()}"
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


def csv_line(values: Iterable[str | None]) -> bytes:
    """A line of csv: what is there is quoted, what is not is nothing."""
    texts = ("" if value is None else '"' + value.replace('"', '""') + '"' for value in values)
    return (",".join(texts) + "\n").encode()
