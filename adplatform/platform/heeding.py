"""Statements of DuckDB that a signal ends.

Python runs the handler of a signal between two of its own instructions, and a statement is one call: without this, a
process that is told to stop would go on until the statement ends, and be killed before.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import duckdb

_STOPS = (signal.SIGINT, signal.SIGTERM)
_READ_WITHIN = 1.0
_AGAIN = 0.1
"""Seconds between two interruptions: one that comes before the statement begins has no effect."""


@contextmanager
def heeding(connection: "duckdb.DuckDBPyConnection") -> "Iterator[duckdb.DuckDBPyConnection]":
    """The connection, whose statements end as soon as SIGINT or SIGTERM comes and raise what the handler of the process
    raises. Only the main thread runs handlers; on another this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield connection
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    heard = _Heard()
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(reading, connection, heard), name="signals", daemon=True)
    watcher.start()
    try:
        yield cast("duckdb.DuckDBPyConnection", _Heeding(connection, heard))
    finally:
        heard.over.set()
        signal.set_wakeup_fd(before)
        os.close(writing)
        watcher.join()
        os.close(reading)


@dataclass
class _Heard:
    """The signal that came, 0 for none; ``over`` when nothing more is to be interrupted."""

    number: int = 0
    came: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


def _watch(reading: int, connection: "duckdb.DuckDBPyConnection", heard: _Heard) -> None:
    while received := os.read(reading, 1):
        if received[0] in _STOPS:
            heard.number = received[0]
            heard.came.set()
            while not heard.over.wait(_AGAIN):
                connection.interrupt()


@dataclass(frozen=True)
class _Heeding:
    """Stands for a connection. DuckDB 2.0 runs the handler itself in the middle of a statement, and puts a RuntimeError
    in the place of what that raises; here the handler is run once more, and whoever called sees what it raises."""

    connection: "duckdb.DuckDBPyConnection"
    heard: _Heard

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.connection, name)
        return partial(self._call, found) if callable(found) else found

    def _call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            result = function(*arguments, **named)
        except Exception as e:
            # The watcher may still be about to read of the signal that DuckDB has seen.
            if self.heard.came.wait(_READ_WITHIN if "nterrupted" in str(e) else 0):
                signal.raise_signal(self.heard.number)
            raise
        return self if result is self.connection else result
