"""Servers answer in any order, break off in mid-message, and sometimes speak something else; nothing of a session is
left running."""

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import AccessRefused, PermanentFailure, TransientFailure
from adplatform.sftp.connection import Credentials, connected
from adplatform.sftp.errors import NoSuchFile, escaped, sftp_failures
from adplatform.sftp.fetching import fetch_all
from adplatform.sftp.session import Sftp
from adplatform_tests.sftp.conftest import PASSWORD, faulty_host_of, put
from adplatform_tests.support.sftp_faults import FaultyHost

PARTNER = [Credentials("partner", password=PASSWORD)]
VERSION = b"\0\0\0\x05\x02\0\0\0\x03"
OK = struct.pack(">I", 0) + 8 * b"\0"


def message(kind: int, content: bytes) -> bytes:
    return struct.pack(">IB", len(content) + 1, kind) + content


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def asked(link: Any) -> tuple[int, bytes, bytes]:
    """Kind, number and rest of the next request."""
    content = taken(link, struct.unpack(">I", taken(link, 4))[0])
    return content[0], content[1:5], content[5:]


def taken(link: Any, length: int) -> bytes:
    found = b""
    while len(found) < length:
        some = link.recv(length - len(found))
        if not some:
            raise EOFError
        found += some
    return found


def begin(link: Any) -> None:
    asked(link)
    link.sendall(VERSION)


def opened(link: Any, size: int) -> None:
    """Answers the requests that come before bytes of a file are asked for."""
    _, number, _ = asked(link)
    link.sendall(message(102, number + text(b"h")))
    _, number, _ = asked(link)
    link.sendall(message(105, number + struct.pack(">IQ", 1, size)))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"Welcome to sftp.example.com!\r\n", "cannot be understood: it speaks no SFTP of version 3, or its log-in"),
        (message(2, b"\0\0\0\x02"), "cannot be understood: it speaks no SFTP of version 3"),
        (message(2, b"\0\0\0\x03\0\0\0\xff"), "cannot be understood"),
        (b"", "ended the connection"),
        (VERSION[:6], "ended the connection"),
    ],
    ids=["greeting", "old", "short", "nothing", "half"],
)
def test_what_is_no_sftp_is_told(faulty: FaultyHost, said: bytes, expected: str) -> None:
    faulty.faults.speaks = lambda link: (asked(link), link.sendall(said))
    kind = TransientFailure if "ended" in expected else PermanentFailure
    with pytest.raises(kind, match=expected), connected(faulty_host_of(faulty), PARTNER):
        pass


def test_answers_may_come_in_any_order(faulty: FaultyHost) -> None:
    content = bytes(range(256)) * 512

    def serve(link: Any) -> None:
        begin(link)
        opened(link, len(content))
        for _, number, rest in reversed([asked(link) for _ in range(8)]):
            offset, length = struct.unpack(">QI", rest[5:])
            link.sendall(message(103, number + text(content[offset : offset + length])))
        _, number, _ = asked(link)
        link.sendall(message(101, number + OK))

    faulty.faults.speaks = serve
    with connected(faulty_host_of(faulty), PARTNER) as sftp:
        assert b"".join(sftp.read("/file", 0, len(content))) == content


def test_more_bytes_than_were_asked_for_are_refused(faulty: FaultyHost) -> None:
    def serve(link: Any) -> None:
        begin(link)
        opened(link, 10)
        _, number, _ = asked(link)
        link.sendall(message(103, number + text(bytes(20))))
        asked(link)

    faulty.faults.speaks = serve
    with (
        connected(faulty_host_of(faulty), PARTNER) as sftp,
        pytest.raises(PermanentFailure, match="answers a request for 10 bytes with 20"),
        sftp_failures("file /a"),
    ):
        list(sftp.read("/a", 0, 10))


REFUSALS: list[tuple[int, type[Exception], str]] = [
    (2, NoSuchFile, "there is no such file or folder"),
    (3, AccessRefused, "the user may not do that"),
    (4, TransientFailure, "the server could not do it"),
    (5, PermanentFailure, "does not understand the request"),
    (8, PermanentFailure, "does not know that request"),
    (31, TransientFailure, "the server could not do it"),
    (99, TransientFailure, "the server could not do it"),
]


def test_refusals_are_told_in_one_line_and_leave_the_session_usable(faulty: FaultyHost) -> None:
    words = (b"disk\nquota \xff", b"", None)

    def serve(link: Any) -> None:
        begin(link)
        for code, _kind, _said in REFUSALS:
            for each in words:
                _, number, _ = asked(link)
                rest = b"" if each is None else text(each) + text(b"")
                link.sendall(message(101, number + struct.pack(">I", code) + rest))

    faulty.faults.speaks = serve
    with connected(faulty_host_of(faulty), PARTNER) as sftp:
        for _code, kind, said in REFUSALS:
            for each in words:
                with pytest.raises(kind) as refused, sftp_failures("file /a"):
                    sftp.stat("/a")
                assert str(refused.value).startswith("file /a: ")
                assert said in str(refused.value)
                assert ("disk\\nquota" in str(refused.value)) == bool(each)
                assert "\n" not in str(refused.value)
                assert sftp.is_usable


@pytest.mark.parametrize("cut", [3, 12, 20])
def test_a_session_that_broke_in_mid_message_is_not_used_again(faulty: FaultyHost, cut: int) -> None:
    def serve(link: Any) -> None:
        begin(link)
        _, number, _ = asked(link)
        link.sendall(message(105, number + struct.pack(">IQ", 1, 42))[:-cut])

    faulty.faults.speaks = serve
    with connected(faulty_host_of(faulty), PARTNER) as sftp:
        assert sftp.is_usable
        for _ in range(2):
            with pytest.raises(TransientFailure, match="ended the connection"), sftp_failures("file"):
                sftp.stat("/a")
            assert not sftp.is_usable


@pytest.mark.parametrize(
    "said",
    [
        message(105, b"\0\0\0\x09" + struct.pack(">IQ", 1, 42)),
        message(103, b"\0\0\0\0" + text(b"data")),
        message(105, b"\0\0\0\0" + struct.pack(">IH", 1, 42)),
        message(105, b"\0\0"),
        b"\xff" * 20,
    ],
    ids=["of no request", "of another kind", "too short", "without a number", "too long"],
)
def test_an_answer_that_is_none_is_not_waited_for(faulty: FaultyHost, said: bytes) -> None:
    def serve(link: Any) -> None:
        begin(link)
        asked(link)
        link.sendall(said)
        link.recv(1)

    faulty.faults.speaks = serve
    with (
        connected(faulty_host_of(faulty), PARTNER) as sftp,
        pytest.raises(PermanentFailure, match=r"file /a: the server .*(not|cannot be) understood"),
        sftp_failures("file /a"),
    ):
        sftp.stat("/a")


def loops() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sftp"]


def breaks(_: Sftp) -> None:
    raise KeyboardInterrupt


def lists_in_part(sftp: Sftp) -> None:
    next(sftp.entries("/"))


@pytest.mark.parametrize("use", [breaks, lists_in_part, Sftp.close])
def test_no_loop_is_left_running(
    faulty: FaultyHost, use: Callable[[Sftp], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        with connected(faulty_host_of(faulty), PARTNER) as sftp:
            assert len(loops()) == 1
            use(sftp)
    except KeyboardInterrupt:
        assert use is breaks
    assert loops() == []
    files = [(put(faulty.folder / f"{number}", bytes(1 << 20)), tmp_path / f"{number}") for number in range(8)]
    fetches = fetch_all(faulty_host_of(faulty), PARTNER, files, 2)
    next(fetches)
    assert len(loops()) == 1
    fetches.close()
    assert loops() == []
    assert [record.getMessage() for record in caplog.records if record.name.startswith("asyncio")] == []


def test_names_are_shown_on_one_line() -> None:
    assert escaped("Zürich 東京.csv") == "Zürich 東京.csv"
    assert escaped(b"a\n\x1b[31m\xe9") == r"a\n\x1b[31m\xe9"
    assert escaped("\u202ecsv.exe") == r"\u202ecsv.exe"
