"""Serves the simulated shop: its database by PostgreSQL, and its own API below ``/_admin`` over HTTP on loopback.

``GET /_admin`` lists every call with its parameters. GET takes parameters in the query, POST a JSON object. Answers are
JSON; what cannot be done is 400 with the reason.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.wrappers import Request, Response

from adplatform.local.endpoint import HEALTH_PATH
from adplatform.local.world.administration import Calls, listed, respond
from adplatform.local.world.http import served, to_loopback
from adplatform.local.world.shop.contents import TABLES
from adplatform.local.world.shop.endpoint import READER
from adplatform.local.world.shop.world import World

MOST_ORDERS = 100_000

log = logging.getLogger(__name__)


@contextmanager
def serving(world: World, port: int = 0, alive: Callable[[], bool] = lambda: True) -> Iterator[str]:
    """Serves the world on 127.0.0.1 in a thread until the end of the context, which gets its URL; port 0 takes a free
    one. A server that is not ``alive`` any more tells those who look for one to wait for the next."""
    with world.open(), served(Application(world, alive), port) as url:
        yield url


class Application:
    """The WSGI application of one world."""

    def __init__(self, world: World, alive: Callable[[], bool] = lambda: True) -> None:
        self._world = world
        self._alive = alive

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, body = self._respond(Request(environ))
        except Exception:
            log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            status, body = 500, {"error": "the shop failed; its log says why"}
        response: Iterable[bytes] = Response(json.dumps(body), status, content_type="application/json")(
            environ, start_response
        )
        return response

    def _respond(self, request: Request) -> tuple[int, Any]:
        if not to_loopback(request):
            return 403, {"error": "only loopback host names are served"}
        if request.path == HEALTH_PATH:
            return 200 if self._alive() else 503, {}
        if not f"{request.path}/".startswith("/_admin/"):
            return 404, {"error": "everything is below /_admin"}
        self._world.count()
        return respond(_CALLS, self._world, request.path[8:].strip("/"), request)


def _index(world: World) -> dict[str, Any]:
    """This list, and how to connect."""
    return {"calls": listed(_CALLS), "connection": world.connection(), "tables": TABLES}


def _connection(world: World, user: str = READER) -> dict[str, Any]:
    """How to connect as reader, or as postgres, who may do anything."""
    return world.connection(user)


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
