"""Servers answer in any order, break off in mid-message, and sometimes speak something else."""

import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from adplatform.failures import AccessRefused, PermanentFailure, TransientFailure
from adplatform.sftp.errors import NoSuchFile, escaped, sftp_failures
from adplatform.sftp.protocol import Sftp, StatusError

VERSION = b"\0\0\0\x05\x02\0\0\0\x03"


def message(kind: int, content: bytes) -> bytes:
    return struct.pack(">IB", len(content) + 1, kind) + content


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


@contextmanager
def answered(serve: Callable[[socket.socket], object]) -> Iterator[socket.socket]:
    """A channel to a server that does that, then closes."""
    ours, theirs = socket.socketpair()

    def run() -> None:
        with theirs:
            serve(theirs)

    thread = threading.Thread(target=run)
    thread.start()
    with ours:
        yield ours
    thread.join(20)


def asked(link: socket.socket) -> tuple[int, bytes, bytes]:
    """Kind, number and rest of the next request."""
    length = struct.unpack(">I", link.recv(4, socket.MSG_WAITALL))[0]
    content = link.recv(length, socket.MSG_WAITALL)
    return content[0], content[1:5], content[5:]


def begin(link: socket.socket, extensions: bytes = b"") -> None:
    asked(link)
    link.sendall(message(2, b"\0\0\0\x03" + extensions))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"Welcome to sftp.example.com!\r\n", "cannot be understood: it speaks no SFTP: its log-in may print"),
        (message(2, b"\0\0\0\x02"), "cannot be understood: it speaks no SFTP of version 3"),
        (message(2, b"\0\0\0\x03\0\0\0\xff"), "cannot be understood: one of its messages is shorter than it says"),
        (b"", "ended the connection"),
        (VERSION[:6], "ended the connection"),
    ],
    ids=["greeting", "old", "short", "nothing", "half"],
)
def test_what_is_no_sftp_is_told(said: bytes, expected: str) -> None:
    kind = TransientFailure if "ended" in expected else PermanentFailure
    with (
        answered(lambda link: (asked(link), link.send(said))) as channel,
        pytest.raises(kind, match=expected),
        sftp_failures("sftp://h:22"),
    ):
        Sftp(channel)


def test_answers_may_come_in_any_order() -> None:
    content = bytes(range(256)) * 1024

    def serve(link: socket.socket) -> None:
        begin(link)
        waiting = [asked(link) for _ in range(8)]
        for _, number, rest in reversed(waiting):
            offset, length = struct.unpack(">QI", rest[5:])
            link.sendall(message(103, number + text(content[offset : offset + length])))

    with answered(serve) as channel:
        assert b"".join(Sftp(channel).read(b"h", 0, len(content))) == content


def test_answers_that_nobody_waits_for_are_passed_over_and_not_kept() -> None:
    def serve(link: socket.socket) -> None:
        begin(link)
        reads = [asked(link) for _ in range(100)]
        link.sendall(message(103, reads[0][1] + text(bytes(32768))))
        _, number, _ = asked(link)
        for read in reads[1:]:
            link.sendall(message(103, read[1] + text(bytes(32768))))
        link.sendall(message(105, number + struct.pack(">IQ", 1, 42)))

    with answered(serve) as channel:
        sftp = Sftp(channel)
        reading = sftp.read(b"h", 0, 100 * 32768)
        next(reading)
        reading.close()
        tracemalloc.start()
        try:
            assert sftp.stat("/file").size == 42
            assert tracemalloc.get_traced_memory()[0] < 1_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (2, NoSuchFile, "there is no such file or folder"),
        (3, AccessRefused, "the user may not do that"),
        (4, TransientFailure, "the server could not do it"),
        (5, PermanentFailure, "does not understand the request"),
        (7, TransientFailure, "the server could not do it"),
        (8, PermanentFailure, "does not know that request"),
        (31, TransientFailure, "the server could not do it"),
    ],
)
@pytest.mark.parametrize("words", [b"disk\nquota \xff", b"", None])
def test_refusals_are_told_in_one_line(code: int, kind: type[Exception], said: str, words: bytes | None) -> None:
    def serve(link: socket.socket) -> None:
        begin(link)
        _, number, _ = asked(link)
        rest = b"" if words is None else text(words) + text(b"")
        link.sendall(message(101, number + struct.pack(">I", code) + rest))

    with answered(serve) as channel, pytest.raises(kind) as refused, sftp_failures("file /a"):
        Sftp(channel).stat("/a")
    assert str(refused.value).startswith("file /a: ")
    assert said in str(refused.value)
    assert ("disk\\nquota" in str(refused.value)) == bool(words)
    assert "\n" not in str(refused.value)


def test_a_session_that_broke_in_mid_message_is_not_used_again() -> None:
    def serve(link: socket.socket) -> None:
        begin(link)
        _, number, _ = asked(link)
        link.sendall(message(105, number + struct.pack(">IQ", 1, 42))[:-3])

    with answered(serve) as channel:
        sftp = Sftp(channel)
        assert sftp.is_usable
        with pytest.raises(EOFError):
            sftp.stat("/a")
        assert not sftp.is_usable


def test_a_refusal_leaves_the_session_usable() -> None:
    def serve(link: socket.socket) -> None:
        begin(link)
        _, number, _ = asked(link)
        link.sendall(message(101, number + struct.pack(">I", 2)))

    with answered(serve) as channel:
        sftp = Sftp(channel)
        with pytest.raises(StatusError):
            sftp.stat("/a")
        assert sftp.is_usable


def test_more_bytes_than_were_asked_for_are_refused() -> None:
    def serve(link: socket.socket) -> None:
        begin(link)
        _, number, _ = asked(link)
        link.sendall(message(103, number + text(bytes(20))))

    with (
        answered(serve) as channel,
        pytest.raises(PermanentFailure, match="answers a request for 10 bytes with 20"),
        sftp_failures("file /a"),
    ):
        list(Sftp(channel).read(b"h", 0, 10))


def test_names_are_shown_on_one_line() -> None:
    assert escaped("Zürich 東京.csv") == "Zürich 東京.csv"
    assert escaped(b"a\n\x1b[31m\xe9") == r"a\n\x1b[31m\xe9"
    assert escaped("\u202ecsv.exe") == r"\u202ecsv.exe"
