"""Finds or starts the simulated shop of a data directory, so that all processes of one machine share it."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adplatform.local import endpoint
from adplatform.local.endpoint import Child, Endpoint

SIMULATED_HOST = "shop.simulated"
"""The host in a secret that stands for the simulated shop: whoever reads the secret from the embedded AWS is given its
true address, and the shop is started if it does not run."""
READER, READER_PASSWORD = "reader", "reads-the-simulated-shop"
"""The user that may read the tables. It opens nothing but that database."""
DATABASE = "shop"
SHOP = Child("adplatform.local.world.shop", "simulated shop")


def ensure(data: Path) -> Endpoint:
    """The simulated shop that keeps its state in ``data``, a directory of its own; as ``local.endpoint.ensure``."""
    return endpoint.ensure(data, child=SHOP)


def connection(url: str, user: str = READER) -> dict[str, Any]:
    """Where the database of the shop at ``url`` is and how to log in, as a secret says it; ``postgres`` may do
    anything there.

    Raises:
        OSError: it does not answer.
    """
    asked = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        asked.request("GET", f"/_admin/connection?user={user}")
        found: dict[str, Any] = json.loads(asked.getresponse().read())
        return found
    finally:
        asked.close()
