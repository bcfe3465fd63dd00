"""``python -m adplatform.local.world.saas``: a simulated CRM by itself, or the child of ``endpoint.ensure``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adplatform.local.world import running
from adplatform.local.world.saas.api import VERSION
from adplatform.local.world.saas.schema import OBJECTS
from adplatform.local.world.saas.server import serving
from adplatform.local.world.saas.world import World


@contextmanager
def _serving(world: World, port: int, alive: Callable[[], bool]) -> Iterator[str]:
    with serving(world, port, alive) as server:
        yield server.url


def _described(url: str, world: World) -> str:
    """What a person needs who starts the server."""
    lines = [
        f"A simulated CRM is at {url} until Ctrl-C.",
        f"Tokens: POST {url}/services/oauth2/token",
        f"Queries: GET {url}/services/data/{VERSION}/query?q=SELECT+Id,Email+FROM+Contact",
        f"Objects: {' '.join(OBJECTS)}",
        f"Clock, faults, fields, counters, truth: GET {url}/_admin",
        "Credentials:",
        f"  client_id      {world.app.client_id}",
        f"  client_secret  {world.app.client_secret}",
        f"  refresh_token  {world.app.refresh_token}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(
        running.main(
            running.Partner(
                "adplatform.local.world.saas",
                "Serves a simulated CRM on 127.0.0.1: OAuth tokens, queries and descriptions of objects. It needs no "
                "credentials but those that it prints. GET /_admin says how to move its clock and order faults.",
                lambda store: World(store=store),
                _serving,
                _described,
            )
        )
    )
