"""The sessions of a connector: no more at a time than it may have, the others wait."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer import sftp
from adplatform.local.aws.transfer.connectors import trusted
from adplatform.local.aws.transfer.credentials import login
from adplatform.local.aws.transfer.state import Connector, ConnectorBackend

if TYPE_CHECKING:
    import paramiko

_PORT = 22
_FREED = threading.Condition(LOCK)
_OPEN: Counter[str] = Counter()


def server(connector: Connector) -> sftp.Server:
    """Callers hold the lock."""
    url = urlsplit(connector.asked["Url"])
    return sftp.Server(str(url.hostname), url.port or _PORT, trusted(connector))


def look() -> None:
    """Lets those that wait see that a connector has changed. Callers hold the lock."""
    _FREED.notify_all()


@contextmanager
def session(backend: ConnectorBackend, name: str) -> Iterator["paramiko.SFTPClient"]:
    """Callers do not hold the lock.

    Raises:
        Failed: there is no such connector any more, or no session comes about.
    """
    with _turn(backend, name) as connector:
        with LOCK:
            where, who = server(connector), login(backend, connector)
        with sftp.connected(where, who) as client:
            yield client


@contextmanager
def _turn(backend: ConnectorBackend, name: str) -> Iterator[Connector]:
    with LOCK:
        _FREED.wait_for(lambda: name not in backend.connectors or _OPEN[name] < backend.connectors[name].connections)
        connector = backend.connectors.get(name)
        if connector is None:
            raise sftp.Failed("CONNECTOR_NOT_FOUND", f"The connector {name} was deleted.")
        _OPEN[name] += 1
    try:
        yield connector
    finally:
        with LOCK:
            _OPEN[name] -= 1
            look()
