"""HTTP to the embedded AWS that tests share, at a quarter of what botocore's session takes for a request.

That session goes through urllib3 and http.client, which is a third of what a call costs its client. Tests of what comes
of servers that are slow, killed or gone have servers and proxies of their own, and ask them by botocore's session.
"""

import socket
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import SplitResult, urlsplit

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

_SMALL_REQUEST = 1 << 16
_SMALL_CONTENT = 1 << 20
_RECEIVED_AT_ONCE = 1 << 16
_WITHOUT_BODY = frozenset({204, 304})


class QuickSession:
    """Stands for the session of an HTTP client of botocore. What is large, or comes from a file, goes the usual way."""

    def __init__(self, usual: URLLib3Session) -> None:
        self._usual = usual
        self._idle: deque[_Connection] = deque()

    def send(self, request: Any) -> AWSResponse:
        body = b"" if request.body is None else request.body
        if not isinstance(body, bytes | bytearray) or len(body) > _SMALL_REQUEST:
            return self._usual.send(request)
        at = urlsplit(request.url)
        connection = self._idle.pop() if self._idle else _Connection(at, self._usual._timeout)
        try:
            connection.send(_written(request, at, bytes(body)))
            answer = connection.receive(request.method)
        except TimeoutError as e:
            connection.close()
            raise ReadTimeoutError(endpoint_url=request.url, error=e) from e
        except ConnectionError as e:
            connection.close()
            raise ConnectionClosedError(endpoint_url=request.url, request=request, error=e) from e
        if answer is None:
            connection.close()
            return self._usual.send(request)
        status, headers, content = answer
        if headers.get("connection") == "close":
            connection.close()
        else:
            self._idle.append(connection)
        return AWSResponse(request.url, status, headers, _Content(content))

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._usual.close()


class _Content(BytesIO):
    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


class _Connection:
    def __init__(self, at: SplitResult, timeout: Any) -> None:
        self._socket = socket.create_connection((at.hostname, at.port), timeout.connect_timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(timeout.read_timeout)
        self._received = b""
        self.send, self.close = self._socket.sendall, self._socket.close

    def receive(self, method: str) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers with names in lower case, and content; None where that is large and is not read."""
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(first.split(" ", 2)[1])
        named = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in named}
        if method == "HEAD" or status in _WITHOUT_BODY:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, b"".join(self._chunks())
        size = int(headers["content-length"])
        return (status, headers, self._take(size)) if size <= _SMALL_CONTENT else None

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n"), 16):
            yield self._take(size)
            self._take(2)
        self._take(2)

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._received += self._more()
        found, _, self._received = self._received.partition(end)
        return found

    def _take(self, size: int) -> bytes:
        pieces, there = [self._received], len(self._received)
        while there < size:
            pieces.append(self._more())
            there += len(pieces[-1])
        content = b"".join(pieces)
        self._received = content[size:]
        return content[:size]

    def _more(self) -> bytes:
        if not (piece := self._socket.recv(_RECEIVED_AT_ONCE)):
            raise ConnectionError("the server closed the connection before its answer was whole")
        return piece


def _written(request: Any, at: SplitResult, body: bytes) -> bytes:
    """The request; without asking whether the server would like its body."""
    target = f"{at.path or '/'}{'?' if at.query else ''}{at.query}"
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {at.netloc}", "Accept-Encoding: identity"]
    lines += [f"{name}: {_text(value)}" for name, value in request.headers.items() if name != "Expect"]
    if "Content-Length" not in request.headers and request.method in {"PUT", "POST"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
