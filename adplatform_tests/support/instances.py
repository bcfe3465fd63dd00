"""Dagster instances in memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.defs_state.base import set_defs_state_storage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

_KEPT = "alembic_version"


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
