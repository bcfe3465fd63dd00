"""SFTP, version 3 (draft-ietf-secsh-filexfer-02), over a channel: the requests that fetching and archiving need.

paramiko's own client keeps what it read ahead without bound, or waits between its requests, and cannot list a folder
with a name that is not UTF-8. This one asks ahead a fixed number of bytes, and hands names on as bytes.
"""

import struct
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

_INIT, _VERSION, _OPEN, _CLOSE, _READ, _LSTAT, _FSTAT = 1, 2, 3, 4, 5, 7, 8
_OPENDIR, _READDIR, _REMOVE, _MKDIR, _REALPATH, _STAT, _RENAME = 11, 12, 13, 14, 16, 17, 18
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, UNSUPPORTED = range(9)
"""Codes of a :class:`StatusError`; the first two never come as one."""
POSIX_RENAME, LIMITS = "posix-rename@openssh.com", "limits@openssh.com"
_SIZE, _OWNER, _MODE, _TIMES = 1, 2, 4, 8
_UINT, _READING = struct.Struct(">I"), struct.Struct(">QI")
_MOST = 1 << 24
"""A longer message is none of SFTP: a log-in shell that prints a greeting, for instance."""
_READ_SIZE, _LARGEST_READ = 32 * 1024, 255 * 1024
AHEAD = 8 << 20
"""Bytes that are asked for before they are needed, which is what a connection holds in memory, twice at most."""
_MOST_READS = 128
_LISTINGS_AHEAD = 8


class Channel(Protocol):
    """What SFTP is spoken over."""

    def recv(self, nbytes: int, /) -> bytes: ...

    def sendall(self, data: bytes, /) -> object: ...


class StatusError(Exception):
    """The server answers that it does not do it. ``code`` is that of the draft, ``said`` its words."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(code, said)
        self.code, self.said = code, said


class ProtocolError(Exception):
    """What the server answers is not SFTP."""


@dataclass(frozen=True)
class Attributes:
    """What a server tells of a file: bytes, bits of type and permission, seconds since 1970. None is not told."""

    size: int | None = None
    mode: int | None = None
    modified: int | None = None


class Sftp:
    """One session. Not for several threads at a time. Each method raises :class:`StatusError` where the server refuses,
    EOFError where the connection ends, and what the channel raises.

    ``stage`` says which version of a secret let it in, where one did."""

    def __init__(self, channel: Channel, stage: str = "") -> None:
        self.stage = stage
        self._channel = channel
        self._received = bytearray()
        self._last = 0
        self._early: dict[int, tuple[int, bytes]] = {}
        self._given_up: set[int] = set()
        self._ended = False
        self._read_size = _READ_SIZE
        self.extensions = self._begin()
        if LIMITS in self.extensions:
            self._read_size = self._allowed_read_size()

    @property
    def is_usable(self) -> bool:
        """False once the connection has ended, or was left in the middle of a message."""
        return not self._ended

    def stat(self, path: str) -> Attributes:
        """Of what a link leads to."""
        return _Body(self._expect(_ATTRS, _STAT, _text(path))).attributes()

    def lstat(self, path: str) -> Attributes:
        """Of a link itself."""
        return _Body(self._expect(_ATTRS, _LSTAT, _text(path))).attributes()

    def real_path(self, path: str) -> bytes:
        """As the server knows it, links resolved where it does so."""
        body = _Body(self._expect(_NAME, _REALPATH, _text(path)))
        if body.number() != 1:
            raise ProtocolError("it has not one real path for a path")
        return body.string()

    @contextmanager
    def opened(self, path: str) -> Iterator[bytes]:
        """The handle of a file that can be read."""
        handle = self._expect_handle(_OPEN, _text(path) + _UINT.pack(1) + _UINT.pack(0))
        try:
            yield handle
        finally:
            self._close(handle)

    def stat_open(self, handle: bytes) -> Attributes:
        return _Body(self._expect(_ATTRS, _FSTAT, _string(handle))).attributes()

    def read(self, handle: bytes, start: int, end: int) -> Generator[bytes, None, None]:
        """The bytes from ``start`` and before ``end``, in order. They end early where the file does."""
        asked = start
        waiting: deque[tuple[int, int, int]] = deque()

        def ask(offset: int, length: int) -> tuple[int, int, int]:
            return self._send(_READ, _string(handle) + _READING.pack(offset, length)), offset, length

        try:
            while True:
                ahead = min(_MOST_READS, AHEAD // self._read_size)
                while asked < end and len(waiting) < ahead:
                    waiting.append(ask(asked, min(self._read_size, end - asked)))
                    asked += waiting[-1][2]
                if not waiting:
                    return
                number, offset, length = waiting.popleft()
                kind, body = self._answer(number)
                if kind == _STATUS and _status(body).code == EOF:
                    return
                data = _Body(_of(_DATA, kind, body)).string()
                if not data or len(data) > length:
                    raise ProtocolError(f"it answers a request for {length:,} bytes with {len(data):,}")
                if len(data) < length:
                    # The file's end, or a server that gives less at once: then asking for more only leaves gaps.
                    self._read_size = min(self._read_size, max(len(data), 4096))
                    waiting.appendleft(ask(offset + len(data), length - len(data)))
                yield data
        finally:
            self._give_up(number for number, _, _ in waiting)

    def entries(self, folder: str) -> Generator[tuple[bytes, Attributes], None, None]:
        """Names below a folder, with what a server tells of each, links not followed; "." and ".." are left out."""
        handle = self._expect_handle(_OPENDIR, _text(folder))
        waiting: deque[int] = deque()
        try:
            while True:
                waiting.extend(self._send(_READDIR, _string(handle)) for _ in range(_LISTINGS_AHEAD - len(waiting)))
                kind, answer = self._answer(waiting.popleft())
                if kind == _STATUS and _status(answer).code == EOF:
                    return
                body = _Body(_of(_NAME, kind, answer))
                for _ in range(body.number()):
                    name, _long, attributes = body.string(), body.string(), body.attributes()
                    if name not in (b".", b".."):
                        yield name, attributes
        finally:
            self._give_up(waiting)
            self._close(handle)

    def rename(self, source: str, target: str) -> None:
        """Where there is a file at ``target``, servers refuse it."""
        self._do(_RENAME, _text(source) + _text(target))

    def posix_rename(self, source: str, target: str) -> None:
        """A file at ``target`` is replaced. For servers with POSIX_RENAME among their extensions."""
        self._do(_EXTENDED, _text(POSIX_RENAME) + _text(source) + _text(target))

    def remove(self, path: str) -> None:
        self._do(_REMOVE, _text(path))

    def make_folder(self, path: str) -> None:
        self._do(_MKDIR, _text(path) + _UINT.pack(0))

    def _begin(self) -> Mapping[str, bytes]:
        self._channel.sendall(_message(_INIT, _UINT.pack(3)))
        kind, content = self._next()
        body = _Body(content)
        if kind != _VERSION or body.number() < 3:
            raise ProtocolError("it speaks no SFTP of version 3")
        extensions = {}
        while body.is_left:
            name, value = body.string(), body.string()
            extensions[name.decode("utf-8", "replace")] = value
        return extensions

    def _allowed_read_size(self) -> int:
        body = _Body(self._expect(_EXTENDED_REPLY, _EXTENDED, _text(LIMITS)))
        _packet, allowed = body.long(), body.long()
        return min(allowed, _LARGEST_READ) or _READ_SIZE

    def _do(self, kind: int, content: bytes) -> None:
        found, body = self._answer(self._send(kind, content))
        error = _status(_of(_STATUS, found, body))
        if error.code != OK:
            raise error

    def _expect(self, wanted: int, kind: int, content: bytes) -> bytes:
        return _of(wanted, *self._answer(self._send(kind, content)))

    def _expect_handle(self, kind: int, content: bytes) -> bytes:
        return _Body(self._expect(_HANDLE, kind, content)).string()

    def _close(self, handle: bytes) -> None:
        if self.is_usable:
            self._answer(self._send(_CLOSE, _string(handle)))

    def _send(self, kind: int, content: bytes) -> int:
        self._last = (self._last + 1) & 0xFFFFFFFF
        ended, self._ended = self._ended, True
        self._channel.sendall(_message(kind, _UINT.pack(self._last) + content))
        self._ended = ended
        return self._last

    def _answer(self, number: int) -> tuple[int, bytes]:
        """The kind and content of the answer to a request; others that come before it are kept for who waits."""
        while number not in self._early:
            kind, content = self._next()
            found = _Body(content).number()
            if found in self._given_up:
                self._given_up.remove(found)
            else:
                self._early[found] = kind, content[4:]
        return self._early.pop(number)

    def _give_up(self, numbers: Iterable[int]) -> None:
        """Answers that nobody waits for any more."""
        for number in numbers:
            if self._early.pop(number, None) is None:
                self._given_up.add(number)

    def _next(self) -> tuple[int, bytes]:
        ended, self._ended = self._ended, True
        self._receive(4)
        length = _UINT.unpack_from(self._received)[0]
        if not 1 <= length <= _MOST:
            raise ProtocolError("it speaks no SFTP: its log-in may print a greeting")
        self._receive(4 + length)
        with memoryview(self._received) as view:
            kind, content = view[4], bytes(view[5 : 4 + length])
        del self._received[: 4 + length]
        self._ended = ended
        return kind, content

    def _receive(self, length: int) -> None:
        while len(self._received) < length:
            # All there is: what paramiko keeps is moved in memory by each piece that is taken.
            data = self._channel.recv(AHEAD)
            if not data:
                raise EOFError("the server ended the connection")
            self._received += data


class _Body:
    """The content of a message, taken from its front."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def is_left(self) -> bool:
        return self._at < len(self._content)

    def number(self) -> int:
        return int.from_bytes(self._take(4))

    def long(self) -> int:
        return int.from_bytes(self._take(8))

    def string(self) -> bytes:
        return self._take(self.number())

    def attributes(self) -> Attributes:
        flags = self.number()
        size = self.long() if flags & _SIZE else None
        if flags & _OWNER:
            self._take(8)
        mode = self.number() if flags & _MODE else None
        modified = None
        if flags & _TIMES:
            _accessed, modified = self.number(), self.number()
        if flags & 0x80000000:
            for _ in range(self.number()):
                self.string(), self.string()
        return Attributes(size, mode, modified)

    def _take(self, length: int) -> bytes:
        taken = self._content[self._at : self._at + length]
        if len(taken) < length:
            raise ProtocolError("one of its messages is shorter than it says")
        self._at += length
        return taken


def _message(kind: int, content: bytes) -> bytes:
    return _UINT.pack(len(content) + 1) + bytes([kind]) + content


def _string(value: bytes) -> bytes:
    return _UINT.pack(len(value)) + value


def _text(value: str) -> bytes:
    return _string(value.encode())


def _of(wanted: int, kind: int, body: bytes) -> bytes:
    if kind == wanted:
        return body
    if kind == _STATUS:
        raise _status(body)
    raise ProtocolError(f"it answers with a message of kind {kind} where {wanted} is due")


def _status(content: bytes) -> StatusError:
    body = _Body(content)
    code = body.number()
    # Servers of older drafts say nothing more.
    return StatusError(code, body.string().decode("utf-8", "replace") if body.is_left else "")
