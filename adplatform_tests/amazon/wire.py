"""A server on loopback that sends any bytes, for the answers that no well-behaved server gives."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

RESET = b""
"""In the place of an answer: the connection is reset."""


@dataclass(frozen=True)
class Seen:
    """A request as it came; names of headers in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """Answers each request with the bytes that ``answer`` gives for it, and then hangs up."""

    url: str
    answer: Callable[[Seen], bytes]
    seen: list[Seen] = field(default_factory=list)

    def paths(self, method: str) -> list[str]:
        return [s.path for s in self.seen if s.method == method]


def reply(status: int, body: bytes | str | Any = b"", **headers: str) -> bytes:
    """A whole answer. What is neither bytes nor text is sent as JSON; a header that is given wins."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    sent = {"content-length": str(len(body)), "connection": "close", **named}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    return f"HTTP/1.1 {status} Something\r\n{head}\r\n".encode() + body


def in_turn(*answers: bytes) -> Callable[[Seen], bytes]:
    """The answers one after the other, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def serving_bytes(answer: Callable[[Seen], bytes]) -> Iterator[Wire]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}", answer)
        threading.Thread(target=_accept, args=(listener, wire), daemon=True).start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, wire: Wire) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_converse, args=(connection, wire), daemon=True).start()


def _converse(connection: socket.socket, wire: Wire) -> None:
    with connection, connection.makefile("rb") as stream:
        line = stream.readline().decode("latin-1").split()
        if len(line) != 3:
            return
        headers = {}
        while header := stream.readline().strip():
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        seen = Seen(line[0], line[1], headers, stream.read(int(headers.get("content-length", 0))))
        wire.seen.append(seen)
        sent = wire.answer(seen)
        if not sent:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(sent)
