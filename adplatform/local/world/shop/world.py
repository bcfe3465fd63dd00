"""The state of the simulated shop, all of which is in its database; and where the files of that are."""

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from typing import Any

from adplatform.failures import PermanentFailure
from adplatform.local.child import alone_in
from adplatform.local.world import stored
from adplatform.local.world.postgres import NOBODY, PostgresServer, postgres_server
from adplatform.local.world.shop.contents import TABLES, fill
from adplatform.local.world.shop.endpoint import DATABASE, READER, READER_PASSWORD, place_of
from adplatform.local.world.shop.trade import trade
from adplatform.platform.clock import utc_now

_SUMS = {"products": "price", "orders": "amount", "order_lines": "quantity * price"}
_IDENTITY = "identity"


def forget(data: Path) -> None:
    """Remove all that the shop keeps in ``data`` and elsewhere, once one that is still ending has ended.

    Raises:
        PermanentFailure: it is being served.
    """
    if data.exists():
        with alone_in(data):
            rmtree(place_of(data), ignore_errors=True)
            rmtree(data)
    else:
        rmtree(place_of(data), ignore_errors=True)


class World:
    """``store`` is the file that tells this shop from one before it in the same directory. There is a ``server`` while
    it is ``open``."""

    def __init__(self, store: Path | None = None, *, now: Callable[[], datetime] = utc_now) -> None:
        kept = stored.read(store)
        self.store = store
        self.now = now
        self.identity = str(kept[_IDENTITY]) if kept else secrets.token_hex(16)
        self.changed = False
        self.lock = threading.Lock()
        self.server: PostgresServer | None = None
        self._served = 0
        if store is not None and kept is None:
            self.save()

    @contextmanager
    def open(self) -> Iterator[None]:
        """PostgreSQL runs, and has the tables, for as long as the block lasts.

        Raises:
            PermanentFailure: none is installed, it does not start, or its folder is somebody else's.
        """
        with postgres_server(self._place()) as server:
            self._prepare(server)
            self.server = server
            yield
        self.server = None

    def connection(self) -> dict[str, Any]:
        """How to connect as ``reader``, who may read the tables, as a secret says it."""
        return self._server.secret(DATABASE, READER, READER_PASSWORD)

    def trade(self, orders: int) -> dict[str, int]:
        """As :func:`~adplatform.local.world.shop.trade.trade`, now."""
        with self.lock, self._server.connect(DATABASE) as connection:
            return trade(connection, orders, self.now())

    def truth(self, table: str) -> dict[str, Any]:
        """How many rows a table has, when the last change of one was, and what its amounts or prices add up to; NaN
        counts for nothing.

        Raises:
            ValueError: there is no such table.
        """
        if table not in TABLES:
            raise ValueError(f"there is no table {table!r}; there are {', '.join(TABLES)}")
        number, newest = _SUMS.get(table), "updated_at" if "updated_at" in TABLES[table] else "NULL::timestamptz"
        total = f"sum({number}) FILTER (WHERE {number} <> 'NaN')" if number else "NULL"
        with self._server.connect(DATABASE) as connection:
            rows, at, found = connection.execute(
                f"SELECT count(*), max({newest}), {total}::text FROM {table}"
            ).fetchone()
        return {"rows": rows, "newest": at.isoformat() if at else None, "sum": found}

    def served(self) -> int:
        return self._served

    def count(self) -> None:
        """A request was answered."""
        self._served += 1

    def save(self) -> None:
        """
        Raises:
            OSError: the disk does not take it.
        """
        if self.store is not None:
            stored.write(self.store, {_IDENTITY: self.identity})

    @property
    def _server(self) -> PostgresServer:
        if self.server is None:
            raise RuntimeError("the shop is not open")
        return self.server

    def _place(self) -> Path | None:
        """The folder of the server, without what an earlier shop left there."""
        if self.store is None:
            return None
        place = place_of(self.store.parent)
        mark = place / _IDENTITY
        if place.is_symlink() or (place.exists() and not _trusted(place)):
            raise PermanentFailure(f"{place} is somebody else's: remove it")
        if place.exists() and (not mark.exists() or mark.read_text(encoding="ascii") != self.identity):
            rmtree(place)
        place.mkdir(mode=0o700, exist_ok=True)
        mark.write_text(self.identity, encoding="ascii")
        return place

    def _prepare(self, server: PostgresServer) -> None:
        """The database with its tables and their reader, whole or not at all."""
        making = f"{DATABASE}_in_the_making"
        with server.connect() as connection:
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is not None:
                return
            connection.execute(f"DROP DATABASE IF EXISTS {making} WITH (FORCE)")
            connection.execute(f"DROP ROLE IF EXISTS {READER}")
            connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{READER_PASSWORD}'")
            connection.execute(f"CREATE DATABASE {making}")
        with server.connect(making) as connection, connection.transaction():
            fill(connection, self.now().date())
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        with server.connect(making) as connection:
            connection.execute("ANALYZE")
        with server.connect() as connection:
            connection.execute(f"ALTER DATABASE {making} RENAME TO {DATABASE}")


def _trusted(place: Path) -> bool:
    """Whether a folder below the temporary directory is ours, or of the user of our server."""
    return place.stat().st_uid in {os.geteuid(), NOBODY}
