"""Serves the simulated SFTP host: its files by SFTP, and its own API below ``/_admin`` over HTTP on loopback.

``GET /_admin`` lists every call with its parameters. GET takes parameters in the query, POST a JSON object. Answers are
JSON; what cannot be done is 400 with the reason.
"""

from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from adplatform.local.world.administration import Administered, Calls, listed
from adplatform.local.world.host.world import World
from adplatform.local.world.http import served


@contextmanager
def serving(world: World, port: int = 0, alive: Callable[[], bool] = lambda: True) -> Iterator[str]:
    """Serves the world on 127.0.0.1 in a thread until the end of the context, which gets its URL; port 0 takes a free
    one. A server that is not ``alive`` any more tells those who look for one to wait for the next."""
    with world.open(), served(Administered(world, _CALLS, "host", alive), port) as url:
        yield url


def _index(world: World) -> dict[str, Any]:
    """This list, and how to connect."""
    return {"calls": listed(_CALLS), "connection": world.connection()}


def _connection(world: World) -> dict[str, Any]:
    """How to connect."""
    return world.connection()


def _put(world: World, path: str, text: str = "", base64: str = "") -> dict[str, Any]:
    """Write a file, as the partner does: of a text, or of bytes in base64."""
    return world.put(path, b64decode(base64, validate=True) if base64 else text.encode())


def _files(world: World) -> list[str]:
    """The paths of all files."""
    return world.files()


_CALLS: Calls = {
    ("GET", ""): _index,
    ("GET", "connection"): _connection,
    ("POST", "files"): _put,
    ("GET", "files"): _files,
}
