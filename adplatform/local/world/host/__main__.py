"""``python -m adplatform.local.world.host``: a simulated SFTP host by itself, or the child of ``endpoint.ensure``."""

import sys

from adplatform.local.world import running
from adplatform.local.world.host.server import serving
from adplatform.local.world.host.world import World


def _described(url: str, world: World) -> str:
    """What a person needs who starts the server."""
    to = world.connection()
    lines = [
        f"A simulated SFTP host is at {to['host']}:{to['port']} until Ctrl-C.",
        f"Host key: {to['host_keys'][0]}",
        f"Put files: POST {url}/_admin/files",
        "Credentials:",
        f"  username  {to['username']}",
        f"  password  {to['password']}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(
        running.main(
            running.Partner(
                "adplatform.local.world.host",
                "Serves the files of a simulated partner by SFTP on 127.0.0.1. It needs no credentials but those that "
                "it prints. GET /_admin says how to put files there.",
                World,
                serving,
                _described,
            )
        )
    )
