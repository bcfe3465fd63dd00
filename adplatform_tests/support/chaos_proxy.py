"""A network that misbehaves between a client and an HTTP server on this machine, the same way for the same seed."""

import http.client
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KINDS = ("lost_request", "lost_answer", "cut_answer", "twice", "throttled", "throttled_silently", "failed", "page")
_ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "throttled": (429, {"Retry-After": "3"}, b'{"code": "429", "detail": "Too Many Requests"}'),
    "throttled_silently": (429, {}, b""),
    "failed": (500, {}, b'{"code": "500", "detail": "Internal Server Error"}'),
    "page": (200, {"Content-Type": "text/html"}, b"<html><body>please log in to this network</body></html>"),
}


@dataclass
class Chaos:
    """What happens to requests: a fault to each with ``probability``, while ``on``. ``spared`` are paths that no fault
    sends twice, because their server has no way to tell."""

    seed: int
    probability: float
    spared: tuple[str, ...] = ()
    on: bool = True
    happened: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random, self.lock = random.Random(self.seed), threading.Lock()

    def draw(self, path: str) -> tuple[str, float]:
        """A fault, "" for none, and the share of an answer's body that arrives if it is cut."""
        with self.lock:
            hit, kind, share = self.random.random(), self.random.choice(KINDS), self.random.random()
            if not self.on or hit >= self.probability or (kind == "twice" and path.endswith(self.spared)):
                return "", share
            self.happened.append(kind)
            return kind, share


@contextmanager
def disturbed(url: str, chaos: Chaos) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""
    target = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind, share = chaos.draw(self.path)
            if kind in _ANSWERS:
                status, headers, text = _ANSWERS[kind]
                self._answer(status, headers, text, len(text))
            elif kind != "lost_request":
                for _ in range(2 if kind == "twice" else 1):
                    answer, text = self._forward(body)
                if kind != "lost_answer":
                    kept = {k: v for k, v in answer.getheaders() if k.lower() not in ("content-length", "connection")}
                    self._answer(
                        answer.status, kept, text, int(len(text) * share) if kind == "cut_answer" else len(text)
                    )
            self.close_connection = True

        do_GET = do_POST = do_DELETE = _serve

        def _forward(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
            onward = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
            try:
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                return answer, answer.read()
            finally:
                onward.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes, arrives: int) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:arrives])

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
