"""A network that kills a client in the middle of a call: before the service sees it, or after it was done."""

import http.client
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Fate:
    """``meets`` looks at target and body of each request; the first that it meets is the last of the process."""

    meets: Callable[[str, str], bool]
    after: bool = False
    pid: int = 0
    met: threading.Event = field(default_factory=threading.Event)

    def strike(self) -> None:
        self.met.set()
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def deadly(url: str, fate: Fate) -> Iterator[str]:
    """The URL of a proxy before the server at ``url``, for as long as the context lasts."""
    target = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # else a client that expects a 100 waits a second for it

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            name = self.headers.get("X-Amz-Target") or f"{self.command} {self.path}"
            struck = not fate.met.is_set() and fate.meets(name, body.decode("utf-8", "replace"))
            if struck and not fate.after:
                fate.strike()
            else:
                onward = http.client.HTTPConnection(str(target.hostname), target.port, timeout=60)
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                text = answer.read()
                onward.close()
                if struck:
                    fate.strike()
                else:
                    self.send_response(answer.status)
                    for header, value in answer.getheaders():
                        if header.lower() not in ("content-length", "connection", "transfer-encoding"):
                            self.send_header(header, value)
                    self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(text)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(text)
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

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
