"""HTTP on loopback for simulated partners: serving in a thread, and ends of connections in the place of answers."""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    """Logs no request: URLs are secrets."""

    disable_nagle_algorithm = True

    def log_request(self, *_: Any) -> None:
        pass


@contextmanager
def served(application: Callable[..., Iterable[bytes]], port: int) -> Iterator[str]:
    """Serves a WSGI application on 127.0.0.1 in a thread until the end of the context, which gets its URL; port 0 takes
    a free one."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def cut(pieces: Iterable[bytes], environ: dict[str, Any]) -> Iterator[bytes]:
    """The first half of a body, then the end of the connection."""
    body = b"".join(pieces)
    yield body[: len(body) // 2]
    raise hung_up(environ)


def hung_up(environ: dict[str, Any]) -> ConnectionAbortedError:
    """Ends the connection of a request, so that its client reads no further byte."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return ConnectionAbortedError("dropped by a fault")
