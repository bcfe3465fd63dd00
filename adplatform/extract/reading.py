"""What is read of a database: a table, its columns, a window of its cursor; and a view of all at one moment."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from threading import Lock
from typing import Protocol

from adplatform.failures import PermanentFailure

Cursor = int | date | datetime
_NUMBER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class Window:
    """The part of a table whose ``column`` is greater than ``after`` and not greater than ``until``."""

    column: str
    after: Cursor | None
    until: Cursor


@dataclass(frozen=True)
class Reading:
    """One table, and what of it. Names are the database's own; ``where`` is its SQL."""

    schema: str | None
    table: str
    columns: tuple[str, ...]
    where: str | None = None
    window: Window | None = None
    chunk_rows: int = 500_000
    chunk_column: str | None = None

    @property
    def name(self) -> str:
        return f"{self.schema}.{self.table}" if self.schema else self.table


@dataclass(frozen=True)
class Piece:
    """A part of a reading. Of ``relation``, the table itself or one of its partitions, the pages from ``first`` and
    before ``end``; or the rows whose ``column`` is greater than ``after`` and not greater than ``until``, where None is
    no bound for values; or those without a value."""

    number: int
    relation: tuple[str | None, str] | None = None
    first: int | None = None
    end: int | None = None
    column: str | None = None
    after: Cursor | None = None
    until: Cursor | None = None
    absent: bool = False


class Sink(Protocol):
    """Where the text of a piece goes."""

    def write(self, data: bytes, /) -> object: ...


class View(Protocol):
    """A database at one moment. ``name`` is what the database calls it; ``workers`` how many may read it at once."""

    @property
    def name(self) -> str: ...

    @property
    def workers(self) -> int: ...

    def newest(self, reading: Reading, column: str) -> Cursor | None:
        """The greatest value of a column, None when the table has none."""

    def divide(self, reading: Reading) -> Sequence[Piece]:
        """The table in pieces: each row is in one of them."""

    def read(self, reading: Reading, piece: Piece, sink: Sink, pace: "Pace") -> int:
        """Write the rows of a piece as csv with a header, no value unquoted and empty, text as the database writes it;
        how many rows they were. Several threads may call it, each for another piece."""


@dataclass
class Pace:
    """Keeps several readers together to ``rows_per_second``, and asks ``go_on``, which may raise, between rows."""

    rows_per_second: int | None = None
    go_on: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def rows(self, count: int) -> None:
        """So many rows were read."""
        self.go_on()
        if self.rows_per_second is None:
            return
        with self._lock:
            now = self.clock()
            begin = max(self._next, now)
            self._next = begin + count / self.rows_per_second
        if begin > now:
            self.sleep(begin - now)


def split_name(name: str) -> tuple[str | None, str]:
    """``schema.table`` to its two parts; a table alone is of the connection's own schema."""
    schema, _, table = name.rpartition(".")
    return schema or None, table


def write_cursor(value: Cursor | None) -> str:
    """A value of a cursor as text that :func:`read_cursor` reads."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)


def read_cursor(text: str) -> Cursor | None:
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        return int(text)
    return date.fromisoformat(text) if len(text) == len("2026-01-01") else datetime.fromisoformat(text)


def back(value: Cursor | None, lag: timedelta, count: int) -> Cursor | None:
    """The value that lies ``lag``, or for a number ``count``, before."""
    if value is None:
        return None
    if isinstance(value, int):
        return value - count
    return value - lag if isinstance(value, datetime) else value - timedelta(days=-(-lag // timedelta(days=1)))


def next_window(
    seen: View, whole: Reading, column: str, stopped: Cursor | None, lag: timedelta, lag_count: int
) -> Window | None:
    """What is to be read after a reading that ``stopped`` there: empty, ``after`` being ``until``, when nothing is new,
    and None when the table never had a row."""
    until, after = seen.newest(whole, column), back(stopped, lag, lag_count)
    if until is None or (stopped == until and after == stopped):
        # It says where the last one stopped, for the next.
        return Window(column, stopped, stopped) if stopped is not None else None
    return Window(column, after, until)


def as_cursor(value: object, column: str) -> Cursor | None:
    """What a driver returned for a cursor.

    Raises:
        PermanentFailure: it is no number, date or instant.
    """
    if value is None or (isinstance(value, (int, date, datetime)) and not isinstance(value, bool)):
        return value
    if hasattr(value, "to_integral_value") and value == value.to_integral_value():
        return int(str(value.to_integral_value()))
    raise PermanentFailure(f"column {column} is a {type(value).__name__} there, which cannot be a cursor")


def pieces_between(
    column: str, after: Cursor | None, bounds: Sequence[Cursor | None], until: Cursor | None, *, absent: bool
) -> list[Piece]:
    """Ranges of a column that meet at ``bounds``; ``absent`` when rows without a value are a piece, too."""
    edges = [after, *bounds, until]
    pairs = [(low, high) for low, high in pairwise(edges) if low is None or low != high]
    pieces = [Piece(n, column=column, after=low, until=high) for n, (low, high) in enumerate(pairs, start=1)]
    return [*pieces, Piece(len(pieces) + 1, column=column, absent=True)] if absent else pieces
