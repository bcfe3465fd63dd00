"""A proxy before an HTTP server on this machine, for tests that disturb what passes through it."""

import http.client
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_OF_THE_CONNECTION = ("connection", "content-length", "transfer-encoding")


@dataclass(frozen=True)
class Answer:
    """What a server says. ``length`` is that of the body, also where there is none because only its head was asked."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    length: int


class Exchange(BaseHTTPRequestHandler):
    """One request with its ``body``, and the connection it came on, which stays open until it is to be closed."""

    protocol_version = "HTTP/1.1"  # else a client that expects a 100 waits a second for it
    disable_nagle_algorithm = True
    serve: Callable[["Exchange"], None]
    server_host: str
    server_port: int
    body: bytes
    onward: http.client.HTTPConnection

    @property
    def operation(self) -> str:
        """Such as ``DynamoDB_20120810.PutItem``; of a REST service method and path."""
        return self.headers.get("X-Amz-Target") or f"{self.command} {self.path}"

    def setup(self) -> None:
        super().setup()
        self.onward = http.client.HTTPConnection(self.server_host, self.server_port, timeout=60)

    def finish(self) -> None:
        self.onward.close()
        super().finish()

    def _exchange(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        type(self).serve(self)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _exchange

    def forward(self) -> Answer:
        """Send the request to the server."""
        self.onward.request(self.command, self.path, self.body, dict(self.headers))
        answer = self.onward.getresponse()
        body = answer.read()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_THE_CONNECTION]
        return Answer(answer.status, kept, body, int(answer.getheader("Content-Length") or len(body)))

    def reply(self, answer: Answer, *, arrives: int | None = None) -> None:
        """Answer the client; only the first ``arrives`` bytes of the body reach it."""
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:arrives])

    def hang_up(self) -> None:
        """Close the connection instead of waiting for another request."""
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Writes no access log."""


@contextmanager
def proxied(url: str, serve: Callable[[Exchange], None]) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts. ``serve`` deals with each
    request, in a thread a connection."""
    target = urlsplit(url)
    settings = {"serve": serve, "server_host": target.hostname, "server_port": target.port}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Connection", (Exchange,), settings))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
