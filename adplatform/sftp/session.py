"""A session of SFTP as a caller uses that is not asynchronous: asyncssh speaks, on the event loop of another thread."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, suppress
from threading import Event
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from adplatform.platform.late import Late
from adplatform.sftp.loop import waited_for

if TYPE_CHECKING:
    import asyncssh
else:
    asyncssh = Late("asyncssh")

AHEAD = 4 << 20
"""Bytes of a file that are asked for before they are taken, twice at most what its reading holds in memory."""
_LARGEST_READ, _LEAST_READ, _MOST_READS = 255 * 1024, 4096, 64
_ENTRIES = 100
"""Entries of a folder that are handed over at once."""
_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


class Sftp:
    """One session. Several threads may use it at a time, but not the loop's own. Each method raises
    ``asyncssh.SFTPError`` where the server refuses, ``asyncssh.Error`` or EOFError where the connection ends, and
    TimeoutError where nothing comes for ``silent_seconds`` though something is due, which ends the connection, too.

    ``stage`` says which version of a secret let it in."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: "asyncssh.SSHClientConnection",
        client: "asyncssh.SFTPClient",
        silent_seconds: float,
        stage: str = "",
    ) -> None:
        self.stage = stage
        self._loop, self._connection, self._client = loop, connection, client
        self._silent_seconds = silent_seconds
        self._ended = self._is_silent = False
        self._heard = 0.0
        self._asking: set[asyncio.Task[object]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_usable(self) -> bool:
        """False once the connection has ended."""
        return not self._ended and not self._connection.is_closed()

    def close(self) -> None:
        """Ends the connection, and with it what others wait for."""
        waited_for(self._loop, self.end())

    def stat(self, path: str) -> "asyncssh.SFTPAttrs":
        """Of what a link leads to."""
        return waited_for(self._loop, self._answer(self._client.stat, path))

    def lstat(self, path: str) -> "asyncssh.SFTPAttrs":
        """Of a link itself."""
        return waited_for(self._loop, self._answer(self._client.lstat, path))

    def real_path(self, path: str) -> bytes:
        """As the server knows it, links resolved where it does so."""
        try:
            return waited_for(self._loop, self._answer(self._client.realpath, path.encode()))
        except IndexError as e:
            raise asyncssh.SFTPBadMessage("it has no real path for a path") from e

    def rename(self, source: str, target: str) -> None:
        """Where there is a file at ``target``, servers refuse it."""
        waited_for(self._loop, self._answer(self._client.rename, source, target))

    def posix_rename(self, source: str, target: str) -> None:
        """A file at ``target`` is replaced. ``asyncssh.SFTPOpUnsupported`` is raised where the server cannot."""
        waited_for(self._loop, self._answer(self._client.posix_rename, source, target))

    def remove(self, path: str) -> None:
        waited_for(self._loop, self._answer(self._client.remove, path))

    def make_folder(self, path: str) -> None:
        waited_for(self._loop, self._answer(self._client.mkdir, path))

    def entries(self, folder: str) -> "Generator[tuple[bytes, asyncssh.SFTPAttrs], None, None]":
        """Names below a folder, with what a server tells of each, links not followed; "." and ".." are left out."""
        scan = cast("AsyncGenerator[asyncssh.SFTPName, None]", self._client.scandir(folder.encode()))
        try:
            while some := waited_for(self._loop, self._answer(self._next_entries, scan)):
                yield from ((name, told) for name, told in some if name not in (b".", b".."))
        finally:
            if self.is_usable:
                # Not waited for: this may run anywhere, where the caller has forgotten the rest.
                asyncio.run_coroutine_threadsafe(scan.aclose(), self._loop)

    def read(
        self, path: str, start: int, end: int, accept: "Callable[[asyncssh.SFTPAttrs], None]" = lambda _: None
    ) -> Generator[bytes, None, None]:
        """The bytes of a file from ``start`` and before ``end``, in order. They end early where the file does.
        ``accept``, which may raise, is given what the server tells of the file that it opened."""
        came = _Came()

        async def bring() -> None:
            missing = end - start
            async with aclosing(self.pieces(path, start, end, accept)) as pieces:
                async for piece in pieces:
                    missing -= len(piece)
                    # The last is told of with the end: a small file is one wake-up of its reader.
                    await came.put(piece, is_last=missing == 0)

        work = asyncio.run_coroutine_threadsafe(bring(), self._loop)
        work.add_done_callback(lambda _: came.told.set())
        try:
            while True:
                came.told.wait()
                came.told.clear()
                is_whole = work.done()
                taken = 0
                while came.pieces:
                    piece = came.pieces.popleft()
                    taken += len(piece)
                    yield piece
                if is_whole:
                    work.result()
                    return
                self._loop.call_soon_threadsafe(came.make_room, taken)
        finally:
            work.cancel()

    async def pieces(
        self, path: str, start: int, end: int, accept: "Callable[[asyncssh.SFTPAttrs], None]"
    ) -> AsyncGenerator[bytes, None]:
        """As :meth:`read`, on the loop."""
        # Without a size of its own asyncssh sends each request as it is; with one it takes answers in any order.
        file = await self._answer(self._client.open, path, "rb", block_size=0)
        read: Callable[[int, int], Awaitable[bytes]] = file.read
        waiting: deque[tuple[int, int, asyncio.Task[bytes]]] = deque()

        def ask(offset: int, length: int) -> None:
            waiting.append((offset, length, asyncio.ensure_future(self._answer(read, length, offset))))

        told = asyncio.ensure_future(self._answer(file.stat))
        try:
            most = min(self._client.limits.max_read_len, _LARGEST_READ)
            given = asked = start
            while given < end:
                while len(waiting) < _MOST_READS and (length := min(most, end - asked, given + AHEAD - asked)):
                    ask(asked, length)
                    asked += length
                if given == start:
                    accept(await told)
                offset, length, task = waiting.popleft()
                data = await task
                if not data:
                    return
                if len(data) > length:
                    raise asyncssh.SFTPBadMessage(f"it answers a request for {length:,} bytes with {len(data):,}")
                if len(data) < length:
                    # The file's end, or a server that gives less at once: then asking for more only leaves gaps.
                    most = min(most, max(len(data), _LEAST_READ))
                    ask(offset + len(data), length - len(data))
                    waiting.rotate(1)
                given += len(data)
                yield data
            if start == end:
                accept(await told)
        finally:
            if waiting or not told.done():
                for _offset, _length, task in waiting:
                    task.cancel()
                told.cancel()
                await asyncio.gather(told, *(task for _offset, _length, task in waiting), return_exceptions=True)
            # Not waited for: what is asked next goes with it.
            closing = asyncio.ensure_future(self._closed(file))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _closed(self, file: "asyncssh.SFTPClientFile") -> None:
        # Of a session that has ended, the server closes what was open.
        with suppress(asyncssh.Error, EOFError, OSError):
            await self._answer(file.close)

    async def found(self, path: str) -> "asyncssh.SFTPAttrs | None":
        """What is at a path, links followed; None where nothing is. On the loop."""
        try:
            return await self._answer(self._client.stat, path)
        except asyncssh.SFTPNoSuchFile:
            return None

    async def end(self) -> None:
        """As :meth:`close`, on the loop."""
        self._ended = True
        self._connection.close()
        await self._connection.wait_closed()

    async def _next_entries(self, scan: "AsyncIterator[asyncssh.SFTPName]") -> "list[tuple[bytes, asyncssh.SFTPAttrs]]":
        some: list[tuple[bytes, asyncssh.SFTPAttrs]] = []
        async for entry in scan:
            self._heard = self._loop.time()
            name = entry.filename
            some.append((name if isinstance(name, bytes) else name.encode(), entry.attrs))
            if len(some) == _ENTRIES:
                break
        return some

    async def _answer(
        self, request: Callable[_Asked, Awaitable[_Answer]], *arguments: _Asked.args, **more: _Asked.kwargs
    ) -> _Answer:
        """What comes of a request, of which asyncssh itself would wait for ever."""
        if self._ended:
            raise asyncssh.SFTPNoConnection("the session has ended")
        task = cast("asyncio.Task[object]", asyncio.current_task())
        if not self._asking:
            self._heard = self._loop.time()
        self._asking.add(task)
        if self._watch is None:
            self._watch = self._loop.call_later(self._silent_seconds, self._listen)
        try:
            answer = await request(*arguments, **more)
        except asyncio.CancelledError:
            if self._is_silent:
                task.uncancel()
                raise TimeoutError from None
            raise
        except (EOFError, asyncssh.DisconnectError, asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost):
            self._ended = True
            raise
        except asyncssh.SFTPError:
            self._heard = self._loop.time()
            raise
        finally:
            self._asking.discard(task)
        self._heard = self._loop.time()
        return answer

    def _listen(self) -> None:
        """Ends the connection, and every request, once the server has been silent for too long."""
        self._watch = None
        if not self._asking:
            return
        left = self._heard + self._silent_seconds - self._loop.time()
        if left <= 0:
            self._is_silent = self._ended = True
            self._connection.abort()
            for task in self._asking:
                task.cancel()
        self._watch = self._loop.call_later(max(left, 1), self._listen)


class _Came:
    """Bytes of a file from the loop's thread to the reader's, as many as are asked for ahead."""

    def __init__(self) -> None:
        self.pieces: deque[bytes] = deque()
        self.told = Event()
        self._room = AHEAD
        self._roomy = asyncio.Event()

    async def put(self, piece: bytes, is_last: bool) -> None:
        self.pieces.append(piece)
        self._room -= len(piece)
        if not is_last:
            self.told.set()
        while self._room <= 0:
            self._roomy.clear()
            await self._roomy.wait()

    def make_room(self, taken: int) -> None:
        self._room += taken
        self._roomy.set()
