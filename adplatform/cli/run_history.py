"""The history of runs that a process keeps in SQLite, at a third of what it costs Dagster.

Dagster makes an SQLAlchemy engine for each event: it connects anew, asks SQLite what it can, compiles the statement.
And it makes the tables of each run's file by way of its migrations, of which it reads all 75. Here engines stay, each
with its connection, and the file of a run is a copy of the first one's. The files are Dagster's: other processes read
and write them meanwhile.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import QueuePool

_ENGINES = 16


def keep_engines(instance: dg.DagsterInstance) -> None:
    """Of an instance on SQLite that this process has just opened; any other is left as it is. ``dispose`` ends them."""
    events, runs = instance.event_log_storage, instance.run_storage
    if type(events) is SqliteEventLogStorage:
        events.__class__ = _Events
    if type(runs) is SqliteRunStorage:
        runs.__class__ = _Runs


class _Engines:
    """Those used last."""

    def __init__(self) -> None:
        self._made: dict[str, Engine] = {}
        self._making = threading.Lock()

    def of(self, url: str) -> Engine:
        with self._making:
            engine = self._made.pop(url, None) or _engine(url)
            self._made[url] = engine
            if len(self._made) > _ENGINES:
                self._made.pop(next(iter(self._made))).dispose()
            return engine

    def dispose(self) -> None:
        with self._making:
            for engine in self._made.values():
                engine.dispose()
            self._made.clear()


def _engine(url: str) -> Engine:
    timeout = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
    engine = db.create_engine(url, connect_args=timeout, poolclass=QueuePool, pool_size=1, max_overflow=-1)
    db.event.listen(engine, "connect", _once_connected)
    return engine


def _once_connected(connection: sqlite3.Connection, _: Any) -> None:
    # Beside a write-ahead log, a process that is killed loses nothing by it; a machine whose power fails may lose the
    # last events, and no file.
    connection.execute("PRAGMA synchronous=NORMAL").close()


class _Events(SqliteEventLogStorage):
    """What has become one was Dagster's: there is no ``__init__``."""

    @cached_property
    def _engines(self) -> _Engines:
        return _Engines()

    @cached_property
    def _tables(self) -> set[str]:
        """What the index was seen to have."""
        return set()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engines.of(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._make(shard, engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def store_event(self, event: EventLogEntry) -> None:
        super().store_event(event)
        # Who watches a run is told by a change of its file, and an event is in the log beside it.
        os.utime(self.path_for_shard(event.run_id))

    def _make(self, shard: str, engine: Engine) -> None:
        path = Path(self.path_for_shard(shard))
        if shard == INDEX_SHARD_NAME or path.exists():
            self._initdb(engine)
        else:
            _put(path, self._empty_file)

    @cached_property
    def _empty_file(self) -> bytes:
        """Of a run without events."""
        path = Path(self._base_dir) / f"{os.getpid()}.empty"
        engine = _engine(f"sqlite:///{path}")
        try:
            self._initdb(engine)
            engine.dispose()
            with closing(sqlite3.connect(path)) as connection:
                return connection.serialize()
        finally:
            for left in path.parent.glob(f"{path.name}*"):
                left.unlink()

    def has_table(self, table_name: str) -> bool:
        # Also asked within a connection, while the lock is held; a table that there is stays.
        if table_name not in self._tables:
            engine = self._engines.of(self.conn_string_for_shard(INDEX_SHARD_NAME))
            with engine.connect() as connection:
                self._tables.update(db.inspect(connection).get_table_names())
        return table_name in self._tables

    def wipe(self) -> None:
        self._engines.dispose()
        super().wipe()

    def dispose(self) -> None:
        super().dispose()
        self._engines.dispose()


def _put(path: Path, content: bytes) -> None:
    """All of it at once, unless another process was first."""
    beside = path.with_suffix(f".{os.getpid()}.new")
    beside.write_bytes(content)
    with suppress(FileExistsError):
        os.link(beside, path)
    beside.unlink()


class _Runs(SqliteRunStorage):
    """What has become one was Dagster's: there is no ``__init__``."""

    @cached_property
    def _engines(self) -> _Engines:
        return _Engines()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._engines.of(self._conn_string).connect() as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        super().dispose()
        self._engines.dispose()
