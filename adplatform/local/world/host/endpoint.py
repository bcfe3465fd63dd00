"""Finds or starts the simulated SFTP host of a data directory, so that all processes of one machine share it."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adplatform.local import endpoint
from adplatform.local.endpoint import Child, Endpoint

SIMULATED_HOST = "sftp.simulated"
"""The host in a secret that stands for the simulated one: whoever reads the secret from the embedded AWS is given its
true address, and it is started if it does not run."""
USER, PASSWORD = "adplatform", "fetches-from-the-simulated-host"
"""Who may fetch and move files. It opens nothing but that host."""
HOST = Child("adplatform.local.world.host", "simulated SFTP host")


def ensure(data: Path) -> Endpoint:
    """The simulated host that keeps its files in ``data``, a directory of its own; as ``local.endpoint.ensure``."""
    return endpoint.ensure(data, child=HOST)


def connection(url: str) -> dict[str, Any]:
    """Where the host at ``url`` listens, what key it shows and how to log in.

    Raises:
        OSError: it does not answer.
    """
    asked = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        asked.request("GET", "/_admin/connection")
        found: dict[str, Any] = json.loads(asked.getresponse().read())
        return found
    finally:
        asked.close()
