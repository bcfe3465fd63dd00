"""What the tests of DMS share: a table, connections to its database, and waiting."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adplatform_tests.support.databases import Database
from adplatform_tests.support.dms import DmsTask

ORDERS = "CREATE TABLE orders (id int PRIMARY KEY, name text, amount numeric(12,2))"


@contextmanager
def at_source(database: Database) -> Iterator[Any]:
    """A connection for transactions; what is outside of one is committed at once."""
    with database.server.connect(database.name) as connection:
        yield connection


def eventually(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def written(task: DmsTask, database: Database, *statements: str) -> None:
    """The load, and after it what the statements change."""
    task.start()
    task.wait_until_caught_up()
    database.execute(*statements)
    task.wait_until_caught_up()


def one_change(task: DmsTask) -> str:
    [key] = [key for key in task.keys("public/") if "LOAD" not in key]
    return key
