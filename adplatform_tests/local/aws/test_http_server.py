"""The HTTP server before moto, asked over plain sockets as clients of other makes would."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from adplatform.local.aws.http_server import Server


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says what it was asked; the path decides about the form of the answer."""
    path = environ["PATH_INFO"]
    body = b"" if path == "/unread" else environ["wsgi.input"].read()
    line = f"{environ['REQUEST_METHOD']} {path} {environ['QUERY_STRING']} {environ.get('HTTP_X_A', '-')} "
    text = line.encode("latin-1")
    answer = [text + body]
    headers = [("Content-Length", str(len(answer[0])))]
    if path == "/pieces":
        answer, headers = [text, b"", body], []
    if path == "/empty":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", headers)
    return broken() if path == "/broken" else answer


def broken() -> Iterator[bytes]:
    yield b"half"
    raise RuntimeError("the other half is lost")


@pytest.fixture(scope="module")
def server() -> Server:
    made = Server("127.0.0.1", 0, application)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made


@pytest.fixture
def connection(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection((server.host, server.port), timeout=10) as opened:
        yield opened


def exchange(connection: socket.socket, *requests: bytes) -> bytes:
    """All that comes back until the server closes the connection, which the last of the requests asks it to."""
    for request in requests:
        connection.sendall(request)
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"


def bodies(received: bytes) -> list[bytes]:
    """The bodies of answers that state their length."""
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields.get(b"Content-Length", 0))
        found.append(received[:length])
        received = received[length:]
    return found


def test_one_connection_carries_many_requests_also_when_they_come_at_once(connection: socket.socket) -> None:
    requests = [b"POST /%d HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(3)]
    answers = bodies(exchange(connection, b"".join(requests), LAST))
    assert answers == [b"POST /0  - 0", b"POST /1  - 1", b"POST /2  - 2", b"GET /last  - "]


def test_a_body_that_the_application_leaves_is_not_taken_for_the_next_request(connection: socket.socket) -> None:
    body = b"GET /forged HTTP/1.1\r\n\r\n" * 100_000
    request = b"PUT /unread HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert bodies(exchange(connection, request, body, LAST)) == [b"PUT /unread  - ", b"GET /last  - "]


def test_a_client_that_waits_for_leave_to_send_gets_it(connection: socket.socket) -> None:
    connection.sendall(b"PUT /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n")
    assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert bodies(exchange(connection, b"ab", LAST)) == [b"PUT /a  - ab", b"GET /last  - "]


def test_a_chunked_body_arrives_whole_and_ends_the_connection(connection: socket.socket) -> None:
    request = b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    received = exchange(connection, request)
    assert bodies(received) == [b"PUT /a  - abc"]
    assert b"\r\nConnection: close\r\n" in received


def test_an_answer_of_unknown_length_is_chunked_or_ends_with_the_connection(server: Server) -> None:
    with socket.create_connection((server.host, server.port), timeout=10) as new:
        chunked = exchange(new, b"POST /pieces HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", LAST)
    assert b"Transfer-Encoding: chunked\r\n\r\n10\r\nPOST /pieces  - \r\n1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK" in chunked
    with socket.create_connection((server.host, server.port), timeout=10) as old:
        plain = exchange(old, b"POST /pieces HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
    assert plain.endswith(b"Connection: close\r\n\r\nPOST /pieces  - x")


@pytest.mark.parametrize("request_line", [b"HEAD /a", b"GET /empty"])
def test_an_answer_without_a_body_has_none(connection: socket.socket, request_line: bytes) -> None:
    received = exchange(connection, request_line + b" HTTP/1.1\r\n\r\n", LAST)
    first, second, rest = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 20")
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest == b"GET /last  - "


def test_an_answer_that_breaks_off_is_seen_to_break_off(connection: socket.socket) -> None:
    received = exchange(connection, b"GET /broken HTTP/1.1\r\n\r\n")
    assert received.endswith(b"\r\n\r\nhalf")
    assert b"Content-Length: 15\r\n" in received


def test_names_and_paths_are_those_of_the_client(connection: socket.socket) -> None:
    request = b"GET //a%2Fb/%C3%A4?q=%20 HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nX_A: forged\r\n\r\n"
    assert bodies(exchange(connection, request, LAST))[0] == "GET /a/b/ä q=%20 1,2 ".encode()


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-A : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /".ljust(1 << 16, b"a"),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(connection: socket.socket, request_: bytes) -> None:
    assert exchange(connection, request_).startswith(b"HTTP/1.1 400 Bad Request\r\n")
