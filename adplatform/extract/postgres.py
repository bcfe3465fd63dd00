"""PostgreSQL at one moment: an exported snapshot, which several connections read in ranges of pages by ``COPY``.

COPY's text is exact for every value, where drivers' own types are not (infinity, NaN, years beyond 9999). Rows are
found by where they lie (``ctid``), which is good only within one snapshot: a row that is updated meanwhile moves.
Facts: PostgreSQL manual, "Snapshot Synchronization Functions", COPY, SET TRANSACTION.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from adplatform.extract.reading import Cursor, Pace, Piece, Reading, Sink, as_cursor, pieces_between
from adplatform.failures import PermanentFailure, listed
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import sqlalchemy as sa
    from psycopg import sql
else:
    sql = Late("psycopg.sql")

_SETTINGS = (
    "SET TIME ZONE 'UTC'",
    "SET DateStyle = 'ISO'",
    "SET IntervalStyle = 'iso_8601'",
    "SET bytea_output = 'hex'",
    "SET extra_float_digits = 1",
    "SET client_encoding = 'UTF8'",
    "SET idle_in_transaction_session_timeout = 0",
)
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TABLE, _PARTITIONED, _MATERIALIZED = "r", "p", "m"
_COUNTED = 5_000
"""Rows between two looks at the pace."""
_GUESSED_PAGES = 8_192
"""Pages of a piece where nothing is known of how many rows a page has."""


@dataclass(frozen=True)
class PostgresView:
    """As ``adplatform.extract.reading.View``. ``exporter`` holds the snapshot ``name`` as long as it is open."""

    engine: "sa.Engine"
    exporter: Any
    name: str
    workers: int
    known: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    """Of each table that was asked about: its id, its kind, and the types of its columns."""

    def newest(self, reading: Reading, column: str) -> Cursor | None:
        _, _, types = self._about(reading)
        conditions = [_where(reading), _within(column, types)]
        query = sql.SQL("SELECT max({}) FROM {}{}").format(
            sql.Identifier(column), _identifier(reading.schema, reading.table), _all_of(conditions)
        )
        found = self.exporter.execute(query).fetchone()
        return as_cursor(found[0] if found else None, column)

    def divide(self, reading: Reading) -> Sequence[Piece]:
        relation, kind, _ = self._about(reading)
        column = reading.window.column if reading.window else reading.chunk_column
        if column is not None:
            return self._ranges(reading, column)
        if kind == _PARTITIONED:
            leaves = self.exporter.execute(
                "SELECT n.nspname, c.relname, c.relkind, c.oid FROM pg_partition_tree(%s::oid) t"
                " JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE t.isleaf ORDER BY 1, 2",
                (relation,),
            ).fetchall()
            found = [(oid, (schema, name), kind) for schema, name, kind, oid in leaves]
        else:
            children = self.exporter.execute(
                "SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.inhparent = %s::oid",
                (relation,),
            ).fetchall()
            found = [(relation, (reading.schema, reading.table), kind)]
            if children:
                # What inherits has tables below it, whose rows it shows: they are not told apart by pages.
                found = [(relation, (reading.schema, reading.table), "")]
        pieces: list[Piece] = []
        for oid, name, each in found:
            pages = self._pages(oid, reading.chunk_rows) if each in (_TABLE, _MATERIALIZED) else [(None, None)]
            pieces += [Piece(len(pieces) + n, name, first, end) for n, (first, end) in enumerate(pages, start=1)]
        return pieces

    def read(self, reading: Reading, piece: Piece, sink: Sink, pace: Pace) -> int:
        with self.engine.connect() as connection:
            raw = _driver(connection)
            raw.autocommit = True
            for setting in _SETTINGS:
                raw.execute(setting)
            raw.execute(_BEGIN)
            raw.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(self.name)))
            cursor = raw.cursor()
            counted = 0
            with cursor.copy(self._copy(reading, piece)) as copied:
                for data in copied:
                    sink.write(data)
                    counted += 1
                    if counted % _COUNTED == 0:
                        pace.rows(_COUNTED)
            pace.rows(counted % _COUNTED)
            rows = int(cursor.rowcount)
            raw.execute("ROLLBACK")
            return rows

    @property
    def session(self) -> str:
        """What a session elsewhere has to begin its transaction with to see the same; its statements write values as
        ``read`` does."""
        begin = sql.SQL(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET TRANSACTION SNAPSHOT {}"
        ).format(sql.Literal(self.name))
        return "; ".join((begin.as_string(None), *_SETTINGS))

    def statement(self, reading: Reading, piece: Piece) -> str:
        """The query whose columns, ``c0`` and so on, are the texts that ``read`` writes.

        A cast to text is not always what COPY writes (it shortens ``char``, and lengthens ``inet``); ``format`` is.

        Raises:
            PermanentFailure: there is no such table or column.
        """
        _, _, types = self._about(reading)
        if missing := [name for name in reading.columns if name not in types]:
            raise PermanentFailure(
                f"table {reading.name} has no column {listed(missing)}: correct `field`, or leave it out"
            )
        columns = [
            sql.SQL(
                "{0}::text AS {1}"
                if types[name] == "boolean"
                else "CASE num_nulls({0}) WHEN 0 THEN format('%s', {0}) END AS {1}"
            ).format(sql.Identifier(name), sql.Identifier(f"c{number}"))
            for number, name in enumerate(reading.columns)
        ]
        return self._select(reading, piece, columns).as_string(None)

    def _copy(self, reading: Reading, piece: Piece) -> "sql.Composed":
        _, _, types = self._about(reading)
        columns = [
            sql.SQL("{0}::text AS {0}" if types.get(name) == "boolean" else "{0}").format(sql.Identifier(name))
            for name in reading.columns
        ]
        query = self._select(reading, piece, columns)
        return sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER true)").format(query)

    def _select(self, reading: Reading, piece: Piece, columns: "Sequence[sql.Composable]") -> "sql.Composed":
        schema, table = piece.relation or (reading.schema, reading.table)
        one = sql.SQL("ONLY ") if piece.first is not None else sql.SQL("")
        conditions = [_where(reading), _pages_of(piece), _range_of(piece)]
        return sql.SQL("SELECT {} FROM {}{}{}").format(
            sql.SQL(", ").join(columns), one, _identifier(schema, table), _all_of(conditions)
        )

    def _about(self, reading: Reading) -> tuple[int, str, dict[str, str]]:
        """
        Raises:
            PermanentFailure: there is no such table.
        """
        if reading.name not in self.known:
            name = _identifier(reading.schema, reading.table).as_string(None)
            query = "SELECT oid, relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
            found = self.exporter.execute(query, (name,)).fetchone()
            if found is None:
                raise PermanentFailure(
                    f"there is no table {reading.name}: correct `table`, or let the user see its schema"
                )
            types = self.exporter.execute(
                "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
                " WHERE attrelid = %s::oid AND attnum > 0 AND NOT attisdropped",
                (found[0],),
            ).fetchall()
            self.known[reading.name] = (int(found[0]), str(found[1]), dict(types))
        return self.known[reading.name]

    def _pages(self, relation: int, rows: int) -> Iterator[tuple[int, int | None]]:
        """Ranges of pages; the last has no end, as later pages hold nothing that the snapshot sees."""
        pages, tuples, counted = self.exporter.execute(
            "SELECT pg_relation_size(oid) / current_setting('block_size')::int, reltuples, relpages"
            " FROM pg_class WHERE oid = %s::oid",
            (relation,),
        ).fetchone()
        per_page = tuples / counted if tuples > 0 and counted > 0 else 0
        step = max(1, round(rows / per_page)) if per_page else _GUESSED_PAGES
        starts = range(0, max(int(pages), 1), step)
        for first in starts:
            yield first, first + step if first + step < pages else None

    def _ranges(self, reading: Reading, column: str) -> Sequence[Piece]:
        name, window = sql.Identifier(column), reading.window
        whole = Piece(0, column=column, after=window.after if window else None, until=window.until if window else None)
        conditions = [_where(reading), _range_of(whole)]
        numbered = sql.SQL("SELECT {0} AS c, row_number() OVER (ORDER BY {0}) AS n FROM {1}{2}").format(
            name, _identifier(reading.schema, reading.table), _all_of(conditions)
        )
        nth = sql.SQL("n % {} = 0").format(sql.Literal(reading.chunk_rows))
        _, _, types = self._about(reading)
        among = _all_of([nth, _within("c", {"c": types.get(column)})])
        query = sql.SQL("SELECT DISTINCT c FROM ({}) AS numbered{} ORDER BY c").format(numbered, among)
        bounds = [as_cursor(row[0], column) for row in self.exporter.execute(query).fetchall()]
        return pieces_between(column, whole.after, bounds, whole.until, absent=window is None)


_INSTANTS = ("0001-01-01", "9999-12-31 23:59:59.999999")
_CURSORS = {
    "date": _INSTANTS,
    "timestamp without time zone": _INSTANTS,
    "timestamp with time zone": _INSTANTS,
    "numeric": (f"-1{'0' * 38}", f"1{'0' * 38}"),
}
"""Of types with values that cannot bound a window or a piece (infinity, NaN, years beyond 9999): those that can."""


@contextmanager
def postgres_view(engine: "sa.Engine", workers: int) -> Iterator[PostgresView]:
    """The database as it is now, for as long as the block lasts."""
    with engine.connect() as connection:
        raw = _driver(connection)
        raw.autocommit = True
        for setting in _SETTINGS:
            raw.execute(setting)
        raw.execute(_BEGIN)
        name = raw.execute("SELECT pg_export_snapshot()").fetchone()[0]
        yield PostgresView(engine, raw, name, workers)


def _driver(connection: "sa.Connection") -> Any:
    """The connection of psycopg."""
    return connection.connection.driver_connection


def _identifier(schema: str | None, table: str) -> "sql.Identifier":
    return sql.Identifier(schema, table) if schema else sql.Identifier(table)


def _where(reading: Reading) -> "sql.SQL | None":
    return sql.SQL(f"({reading.where})") if reading.where else None


def _within(column: str, types: Mapping[str, str | None]) -> "sql.Composable | None":
    """That the value may be a bound; None where every value may."""
    found = _CURSORS.get(types.get(column) or "")
    if found is None:
        return None
    return sql.SQL("{} BETWEEN {} AND {}").format(sql.Identifier(column), *map(sql.Literal, found))


def _pages_of(piece: Piece) -> "sql.Composable | None":
    if piece.first is None:
        return None
    begin = sql.SQL("ctid >= {}::tid").format(sql.Literal(f"({piece.first},0)"))
    if piece.end is None:
        return begin
    return sql.SQL("{} AND ctid < {}::tid").format(begin, sql.Literal(f"({piece.end},0)"))


def _range_of(piece: Piece) -> "sql.Composable | None":
    if piece.column is None:
        return None
    name = sql.Identifier(piece.column)
    if piece.absent:
        return sql.SQL("{} IS NULL").format(name)
    found = []
    if piece.after is not None:
        found.append(sql.SQL("{} > {}").format(name, _literal(piece.after)))
    if piece.until is not None:
        found.append(sql.SQL("{} <= {}").format(name, _literal(piece.until)))
    return sql.SQL(" AND ").join(found) if found else sql.SQL("{} IS NOT NULL").format(name)


def _literal(value: Cursor) -> "sql.Composable":
    if isinstance(value, datetime):
        kind = "timestamptz" if value.tzinfo else "timestamp"
        return sql.SQL("{}::" + kind).format(sql.Literal(value.isoformat()))
    if isinstance(value, date):
        return sql.SQL("{}::date").format(sql.Literal(value.isoformat()))
    return sql.Literal(value)


def _all_of(conditions: Sequence["sql.Composable | None"]) -> "sql.Composable":
    there = [each for each in conditions if each is not None]
    return sql.SQL(" WHERE ") + sql.SQL(" AND ").join(there) if there else sql.SQL("")
