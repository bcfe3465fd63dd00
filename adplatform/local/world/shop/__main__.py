"""``python -m adplatform.local.world.shop``: a simulated shop by itself, or the child of ``endpoint.ensure``."""

import sys

from adplatform.local.world import running
from adplatform.local.world.shop.contents import TABLES
from adplatform.local.world.shop.server import serving
from adplatform.local.world.shop.world import World


def _described(url: str, world: World) -> str:
    """What a person needs who starts the server."""
    to = world.connection()
    lines = [
        f"A simulated shop is at {url} until Ctrl-C.",
        f"Database: PostgreSQL at {to['host']}:{to['port']}, {to['dbname']}, wal_level logical",
        f"Tables: {' '.join(TABLES)}",
        f"Trade, truth, connection: GET {url}/_admin",
        "Credentials:",
        f"  username  {to['username']}",
        f"  password  {to['password']}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(
        running.main(
            running.Partner(
                "adplatform.local.world.shop",
                "Serves the database of a simulated shop on 127.0.0.1, by PostgreSQL. It needs no credentials but "
                "those that it prints. GET /_admin says how to let it trade.",
                World,
                serving,
                _described,
            )
        )
    )
