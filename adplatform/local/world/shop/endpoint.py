"""Finds or starts the simulated shop of a data directory, so that all processes of one machine share it."""

import http.client
import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adplatform.local import endpoint
from adplatform.local.endpoint import Child, Endpoint
from adplatform.local.world.postgres import PASSWORD_NAME

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


def place_of(data: Path) -> Path:
    """The folder of the PostgreSQL server of the shop that keeps its state in ``data``: in there, and for root below
    the system's temporary directory, because its server runs as ``nobody``, who may enter neither ``/root`` nor what
    ``endpoint.ensure`` makes."""
    if os.geteuid() != 0:
        return data / "postgres"
    return Path(tempfile.gettempdir()) / f"adplatform-shop-{sha256(str(data.resolve()).encode()).hexdigest()[:16]}"


def connection(url: str) -> dict[str, Any]:
    """Where the database of the shop at ``url`` is and how to log in as ``reader``, as a secret says it.

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


def superuser(data: Path) -> dict[str, Any]:
    """As :func:`connection` of the shop that keeps its state in ``data``, started if it does not run, but as
    ``postgres``. Its password lies in a file that only whoever runs the shop can read: a superuser of PostgreSQL may
    run any command as the one whom the server runs as.

    Raises:
        OSError: it does not answer.
        PermanentFailure, TransientFailure: it does not start.
    """
    found = connection(ensure(data).url)
    return {**found, "username": "postgres", "password": (place_of(data) / PASSWORD_NAME).read_text(encoding="ascii")}
