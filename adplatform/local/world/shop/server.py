"""Serves the simulated shop: its database by PostgreSQL, and its own API below ``/_admin`` over HTTP on loopback.

``GET /_admin`` lists every call with its parameters. GET takes parameters in the query, POST a JSON object. Answers are
JSON; what cannot be done is 400 with the reason.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adplatform.local.world.administration import Administered, Calls, listed
from adplatform.local.world.http import served
from adplatform.local.world.shop.contents import TABLES
from adplatform.local.world.shop.world import World

MOST_ORDERS = 100_000


@contextmanager
def serving(world: World, port: int = 0, alive: Callable[[], bool] = lambda: True) -> Iterator[str]:
    """Serves the world on 127.0.0.1 in a thread until the end of the context, which gets its URL; port 0 takes a free
    one. A server that is not ``alive`` any more tells those who look for one to wait for the next."""
    with world.open(), served(Administered(world, _CALLS, "shop", alive), port) as url:
        yield url


def _index(world: World) -> dict[str, Any]:
    """This list, and how to connect."""
    return {"calls": listed(_CALLS), "connection": world.connection(), "tables": TABLES}


def _connection(world: World) -> dict[str, Any]:
    """How to connect as reader."""
    return world.connection()


def _trade(world: World, orders: int = 20) -> dict[str, int]:
    """Let so many orders come, and with them new customers, changes, corrections and deletes."""
    if not isinstance(orders, int) or not 1 <= orders <= MOST_ORDERS:
        raise ValueError(f"orders is a number from 1 to {MOST_ORDERS:,}")
    return world.trade(orders)


def _truth(world: World, table: str) -> dict[str, Any]:
    """How many rows a table has now, its newest change, and the sum of its amounts or prices."""
    return world.truth(table)


_CALLS: Calls = {
    ("GET", ""): _index,
    ("GET", "connection"): _connection,
    ("POST", "trade"): _trade,
    ("GET", "truth"): _truth,
}
