"""HTTP/1.1 before a WSGI application: one thread a connection, which stays open for as many requests as its client has.

A new connection and a new thread cost a client and the server more than most requests to the embedded AWS do, and
werkzeug's server closes each connection after one request.
"""

import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from typing import Any, BinaryIO, cast
from urllib.parse import unquote, urlsplit

from moto.core.request import (
    PRESERVED_HEADER_NAMES_ENVIRON_KEY,
    environ_key_for_header,
    should_preserve_original_header_name,
)
from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import DechunkedInput
from werkzeug.wsgi import LimitedStream

_LINE = 1 << 16
_HEADERS = 1000
_DRAINED_AT_ONCE = 1 << 20
_LINGER_PIECES, _LINGER_SECONDS = 8, 2.0
_WITHOUT_BODY = frozenset({"204", "304"})

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_environ_key: Callable[[str], str] = lru_cache(maxsize=1000)(environ_key_for_header)

log = logging.getLogger(__name__)


class _Malformed(Exception):
    """The message says what is wrong with a request."""


class Server:
    """Listens on ``host`` from the moment it is made. ``port`` 0 takes a free one; the attribute has it."""

    def __init__(self, host: str, port: int, application: Application) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        self._application = application
        self.host, self.port = self._socket.getsockname()[:2]

    def serve_forever(self) -> None:
        while True:
            connection, address = self._socket.accept()
            threading.Thread(target=self._converse, args=(connection, address), daemon=True).start()

    def _converse(self, connection: socket.socket, address: tuple[Any, ...]) -> None:
        # A small answer does not wait for the client's delayed acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        of_connection = {"REMOTE_ADDR": address[0], "REMOTE_PORT": address[1]}
        of_server = {"SERVER_NAME": self.host, "SERVER_PORT": str(self.port)}
        with connection, connection.makefile("rb") as stream:
            try:
                while (environ := _received(cast(BinaryIO, stream))) is not None:
                    environ |= of_connection | of_server
                    if not _answered(connection, environ, self._application):
                        return
            except _Malformed as e:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + str(e).encode())
            except (ConnectionError, TimeoutError):
                return  # the client has gone


def _received(stream: BinaryIO) -> Environ | None:
    """The next request up to its body; None when the client has closed the connection."""
    first = _line(stream) or _line(stream)  # a client may send an empty line after a body
    if not first:
        return None
    try:
        method, target, version = first.split(" ")
    except ValueError as e:
        raise _Malformed(f"no request line: {first[:100]!r}") from e
    return _environ(method, target, version, _headers(stream), stream)


def _line(stream: BinaryIO) -> str:
    line = stream.readline(_LINE)
    if len(line) == _LINE:
        raise _Malformed("a line is too long")
    return line.decode("latin-1").rstrip("\r\n")


def _headers(stream: BinaryIO) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    while line := _line(stream):
        name, colon, value = line.partition(":")
        if not colon or name != name.strip() or len(headers) == _HEADERS:
            raise _Malformed(f"no header: {line[:100]!r}")
        headers.append((name, value.strip(" \t")))
    return headers


def _environ(method: str, target: str, version: str, headers: list[tuple[str, str]], stream: BinaryIO) -> Environ:
    """As werkzeug's server and moto's handler make it."""
    if target.startswith("//"):
        target = f"/{target.lstrip('/')}"  # else a path would look like a host
    try:
        url = urlsplit(target)
    except ValueError as e:
        raise _Malformed(f"no target: {target[:100]!r}") from e
    environ: Environ = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(url.path).encode().decode("latin-1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": target,
        "RAW_URI": target,
        "SERVER_PROTOCOL": version,
    }
    preserved: dict[str, str] = {}
    if any("_" in name for name, _ in headers):
        headers = sorted(headers, key=lambda header: "_" in header[0])
    for name, value in headers:
        key = _environ_key(name)
        if "_" in name:
            # Never in the place of one that is spelt with dashes.
            if not should_preserve_original_header_name(name) or (key in environ and key not in preserved):
                continue
            preserved.setdefault(key, name)
        environ[key] = f"{environ[key]},{value}" if key in environ and key.startswith("HTTP_") else value
    environ[PRESERVED_HEADER_NAMES_ENVIRON_KEY] = preserved
    if url.scheme and url.netloc:
        environ["HTTP_HOST"] = url.netloc
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        environ["wsgi.input_terminated"] = True
        environ["wsgi.input"] = DechunkedInput(stream)
    else:
        environ["wsgi.input"] = LimitedStream(cast(Any, stream), _length(environ))
    return environ


def _length(environ: Environ) -> int:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdecimal():
        raise _Malformed(f"no length: {length[:100]!r}")
    return int(length)


def _answered(connection: socket.socket, environ: Environ, application: Application) -> bool:
    """Answers one request; whether the connection may carry another."""
    body = environ["wsgi.input"]
    if environ.get("HTTP_EXPECT", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    content = application(environ, lambda status, headers, *_: begun.append((status, headers)))
    try:
        pieces = iter(content)
        first = next(pieces, b"")
        status, headers = begun[-1]
        last = ("Connection", "close") in headers
        # Before the answer: a client that is still sending would not read it.
        while not last and body.read(_DRAINED_AT_ONCE):
            pass
        keep = not last and _stays_open(environ)
        silent = environ["REQUEST_METHOD"] == "HEAD" or status[:3] in _WITHOUT_BODY
        names = {name.lower() for name, _ in headers}
        chunked = not silent and "content-length" not in names
        if chunked and environ["SERVER_PROTOCOL"] != "HTTP/1.1":
            chunked = keep = False
        head = _head(status, headers, names, chunked=chunked, keep=keep)
        if silent:
            connection.sendall(head)
            return keep
        frame = _chunk if chunked else bytes
        connection.sendall(head + frame(first))
        for piece in pieces:
            connection.sendall(frame(piece))
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        if last:
            _see_off(connection, body)
        return keep
    except (ConnectionError, TimeoutError):
        raise
    except ClientDisconnected:
        return False
    except Exception:
        # Half an answer may be sent: the client is to see that it broke off.
        log.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
        return False
    finally:
        if hasattr(content, "close"):
            content.close()


def _see_off(connection: socket.socket, body: Any) -> None:
    """Reads on for a while, because a client that is reset while it sends does not see the answer."""
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_LINGER_SECONDS)
    for _ in range(_LINGER_PIECES):
        if not body.read(_DRAINED_AT_ONCE):
            return


def _stays_open(environ: Environ) -> bool:
    if environ["SERVER_PROTOCOL"] != "HTTP/1.1" or environ.get("HTTP_CONNECTION", "").lower() == "close":
        return False
    # Trailers of a chunked body are not read.
    return "wsgi.input_terminated" not in environ


def _head(status: str, headers: list[tuple[str, str]], names: set[str], *, chunked: bool, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    if "date" not in names:
        lines.append(f"Date: {_date(int(time.time()))}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    if not keep and ("Connection", "close") not in headers:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
