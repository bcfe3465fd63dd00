"""Dagster instances in memory."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster._core.storage.event_log.in_memory import InMemoryEventLogStorage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.in_memory import InMemoryRunStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy.engine import Connection

_KEPT = "alembic_version"


@contextmanager
def in_memory() -> Iterator[dg.DagsterInstance]:
    """An ephemeral instance of which the events of a run cost a third less."""
    with dg.DagsterInstance.ephemeral() as instance:
        events, runs = instance.event_log_storage, instance.run_storage
        assert type(events) is InMemoryEventLogStorage
        assert type(runs) is InMemoryRunStorage
        events.__class__, runs.__class__ = _Events, _Runs
        assert events._maker == runs._maker
        yield instance


class _Events(InMemoryEventLogStorage):
    """Uses the connection that keeps its database in memory, in the thread that made it; Dagster makes another one for
    each event."""

    @cached_property
    def _maker(self) -> int:
        return threading.get_ident()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        if threading.get_ident() == self._maker:
            with self._db_lock, self._held_conn.begin():
                yield self._held_conn
        else:
            with super()._connect() as connection:
                yield connection


class _Runs(InMemoryRunStorage):
    """As the events do."""

    @cached_property
    def _maker(self) -> int:
        return threading.get_ident()

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        if threading.get_ident() == self._maker and not self._held_conn.in_transaction():
            with self._held_conn.begin():
                yield self._held_conn
        else:
            with super().connect() as connection:
                yield connection


@contextmanager
def as_if_new(instance: dg.DagsterInstance) -> Iterator[None]:
    """Empty every table but the one that says at which revision the others are; an instance's own ``wipe`` leaves some
    of them, and the id of its run storage. Definitions look for state where the newest instance has it: there."""
    runs, events = instance.run_storage, instance.event_log_storage
    assert isinstance(runs, SqlRunStorage)
    assert isinstance(events, SqlEventLogStorage)
    _empty(runs.connect())
    _empty(events.index_connection())
    with set_defs_state_storage(instance.defs_state_storage):
        yield


def _empty(connecting: AbstractContextManager[Any]) -> None:
    with connecting as connection:
        names = db.inspect(connection).get_table_names()
        for name in names:
            if name != _KEPT:
                connection.execute(db.table(name).delete())
