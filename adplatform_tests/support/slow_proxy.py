"""A network that holds back chosen calls of an AWS client: before the service has them, or before it answers."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Slow:
    """Holds the first ``times`` requests of an operation (the end of ``X-Amz-Target``) until it is let go.

    ``request`` holds what goes to the service, else its answer. ``reached`` is set by the first, ``landed`` counts
    those that the service has dealt with.
    """

    operation: str
    times: int
    request: bool
    go: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    held: int = 0
    landed: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def takes(self, target: str) -> bool:
        with self._lock:
            mine = target.endswith(f".{self.operation}") and self.held < self.times
            self.held += mine
        if mine:
            self.reached.set()
        return mine

    def let_go(self) -> None:
        """Let everything go that is held, and wait until the service has dealt with it."""
        self.go.set()
        for _ in range(self.held):
            assert self.landed.acquire(timeout=30)


@contextmanager
def slowed(url: str, slow: Slow) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""
    target = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            held = slow.takes(self.headers.get("X-Amz-Target", ""))
            if held and slow.request:
                slow.go.wait(60)
            status, headers, text = self._forward(body)
            if held:
                slow.landed.release()
                if not slow.request:
                    slow.go.wait(60)
            try:
                self._answer(status, headers, text)
            except OSError:  # the client has given up
                self.close_connection = True

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            onward = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
            try:
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                onward.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], text: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        slow.go.set()
        server.shutdown()
        server.server_close()
        thread.join()
