"""Files of a server onto this machine's disk: whole or not at all, and on from where they broke off."""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from adplatform.failures import PermanentFailure, TransientFailure, local_failure
from adplatform.files.budget import require_room
from adplatform.sftp.connection import Credentials, Host, opened
from adplatform.sftp.errors import Changed, called, sftp_failures
from adplatform.sftp.listing import RemoteFile, found, is_as_listed
from adplatform.sftp.loop import running_loop, waited_for
from adplatform.sftp.session import Sftp

if TYPE_CHECKING:
    import asyncssh

_STEP = 64 << 20
"""Bytes after which what came is noted."""
_NOTED_FROM = 1 << 20
"""What is smaller is sooner fetched again than noted."""
_BLOCK = 1 << 20
_ASKED_SECONDS = 1.0
_UNDER_WAY = 16
"""Files under way at once, over all connections: what one waits for, the others make use of."""


@dataclass(frozen=True)
class Fetched:
    """``sha256`` is of all bytes, in hexadecimal; ``resumed`` how many of them an earlier fetch had brought."""

    file: RemoteFile
    target: Path
    sha256: str
    resumed: int = 0


@dataclass(frozen=True)
class Failed:
    """A file that did not come, and why."""

    file: RemoteFile
    target: Path
    failure: PermanentFailure | TransientFailure


def fetch(sftp: Sftp, file: RemoteFile, target: Path, go_on: Callable[[], None] = lambda: None) -> Fetched:
    """Fetch a file as it was listed to ``target``, whose folder exists; what stood there is replaced. Of the same file,
    told by path, size and time, what an earlier fetch left beside the target is not fetched again. ``go_on``, which may
    raise, is asked between pieces. Nothing is at the target before the file is whole. One fetch at a time to a target.

    Servers tell times in whole seconds: a change within one that keeps the size is not seen.

    Raises:
        Changed: it is another than was listed, or was changed or taken away while it came.
        PermanentFailure: its size and time are not known.
        NoSuchFile: it was gone before anything came.
        AccessRefused, PermanentFailure, TransientFailure, EnvironmentFailure: as :func:`sftp_failures`, and for this
            machine's disk.
    """
    with _arriving(file, target) as arrival:
        arrival.digest_sure(go_on)
        with closing(sftp.read(file.path, arrival.start, arrival.size, arrival.accept)) as reading:
            for data in reading:
                go_on()
                arrival.add(data)
        arrival.settle(found(sftp, file.path))
        return arrival.publish()


async def _fetched(sftp: Sftp, file: RemoteFile, target: Path) -> Fetched:
    """As :func:`fetch`, on the loop, and to be cancelled."""
    with _arriving(file, target) as arrival:
        if arrival.start:
            await asyncio.to_thread(arrival.digest_sure)
        async with aclosing(sftp.pieces(file.path, arrival.start, arrival.size, arrival.accept)) as reading:
            async for data in reading:
                arrival.add(data)
        arrival.settle(await sftp.found(file.path))
        return arrival.publish()


def fetch_all(
    host: Host,
    credentials: Sequence[Credentials],
    files: Iterable[tuple[RemoteFile, Path]],
    connections: int = 4,
    go_on: Callable[[], None] = lambda: None,
) -> Generator[Fetched | Failed, None, None]:
    """Fetch each file to its target, over up to ``connections`` at once, or as many as the server allows; in the order
    in which they are done. One that fails ends no other: what was under way on a connection that ends is tried once
    more. ``files`` is drawn from little ahead, by the caller's thread, which also asks ``go_on``; when either raises,
    or the caller stops, the fetches under way are broken off.

    Raises:
        HostKeyRefused, CredentialsRefused, PermanentFailure, TransientFailure, EnvironmentFailure: no connection can be
            made to begin with, as :func:`connected`.
    """
    sessions = _Sessions(host, credentials, connections)

    async def one(file: RemoteFile, target: Path, is_last: bool = False) -> Fetched | Failed:
        has_ended = False
        try:
            async with sessions.one() as sftp:
                try:
                    return await _fetched(sftp, file, target)
                finally:
                    has_ended = not sftp.is_usable
        except (PermanentFailure, TransientFailure) as e:
            if is_last or not has_ended:
                return Failed(file, target, e)
        return await one(file, target, is_last=True)

    remaining = iter(files)
    under_way: set[Future[Fetched | Failed]] = set()
    done: deque[Future[Fetched | Failed]] = deque()
    some_done = Event()

    def ended(work: "Future[Fetched | Failed]") -> None:
        done.append(work)
        some_done.set()

    with running_loop() as loop:
        waited_for(loop, sessions.begin())
        try:
            while True:
                go_on()
                for each in islice(remaining, max(_UNDER_WAY, connections) - len(under_way)):
                    work = asyncio.run_coroutine_threadsafe(one(*each), loop)
                    under_way.add(work)
                    work.add_done_callback(ended)
                if not under_way:
                    return
                some_done.wait(_ASKED_SECONDS)
                some_done.clear()
                while done:
                    work = done.popleft()
                    under_way.remove(work)
                    yield work.result()
        finally:
            for work in under_way:
                work.cancel()
            waited_for(loop, sessions.end())


class _Sessions:
    """Connections as one user that files share, all on one loop."""

    def __init__(self, host: Host, credentials: Sequence[Credentials], most: int) -> None:
        self._host, self._credentials, self._most = host, credentials, most
        self._files: dict[Sftp, int] = {}
        self._being_made = 0
        self._together = max(_UNDER_WAY // most, 1)
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        first = await opened(self._host, self._credentials)
        # Others are not to try what was refused: servers count that, and shut out.
        self._credentials = [tried for tried in self._credentials if tried.stage == first.stage]
        self._files[first] = 0

    async def end(self) -> None:
        for sftp in list(self._files):
            await sftp.end()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Sftp]:
        """A session for as long as the block lasts, which other files may use, too."""
        sftp = await self._taken()
        try:
            yield sftp
        finally:
            self._files[sftp] -= 1
            if not sftp.is_usable:
                # One of its files may be what the server breaks at: from now on none takes others with it.
                self._together = 1
            self._changed.set()

    async def _taken(self) -> Sftp:
        while True:
            least = min(self._usable(), key=self._files.__getitem__, default=None)
            has_room = len(self._usable()) + self._being_made < self._most
            if least and self._files[least] < (1 if has_room else self._together):
                self._files[least] += 1
                return least
            if has_room:
                made = await self._made()
                if made:
                    self._files[made] = 1
                    return made
            else:
                self._changed.clear()
                await self._changed.wait()

    def _usable(self) -> list[Sftp]:
        return [sftp for sftp in self._files if sftp.is_usable]

    async def _made(self) -> Sftp | None:
        """None where the server allows no more at once."""
        self._being_made += 1
        try:
            return await opened(self._host, self._credentials)
        except (PermanentFailure, TransientFailure):
            others = len(self._usable()) + self._being_made - 1
            if not others:
                raise
            self._most = others
            return None
        finally:
            self._being_made -= 1
            self._changed.set()


class _Arrival:
    """What came of a file, beside its target, with a note of which file that is and how many bytes are sure to last."""

    def __init__(self, file: RemoteFile, size: int, target: Path, what: str) -> None:
        self.file, self.size, self.target, self._what = file, size, target, what
        self._path = target.with_name(f".{target.name}.partial")
        self._note = target.with_name(f".{target.name}.partial.json")
        self._digest = hashlib.sha256()
        self._length = self._kept = self.start = self._sure()
        self._is_published = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        """For bytes after those that are sure. What a failure leaves is noted, or deleted where it is too little."""
        with _disk(self._what):
            if self.start == 0:
                self._note.unlink(missing_ok=True)
            self._out = self._path.open("r+b" if self.start else "wb")
        with self._out:
            try:
                yield
            except BaseException:
                with suppress(OSError):
                    if self._is_published:
                        self._note.unlink(missing_ok=True)
                    elif self._length >= max(self.start, _NOTED_FROM):
                        self._keep()
                    elif self.start == 0:
                        self._path.unlink(missing_ok=True)
                raise

    def accept(self, told: "asyncssh.SFTPAttrs") -> None:
        """Refuse what is opened on the server where it is another file."""
        if not is_as_listed(self.file, told):
            raise Changed(f"{self._what} is another than was listed: list it again")

    def digest_sure(self, go_on: Callable[[], None] = lambda: None) -> None:
        """Take up where the bytes that are sure end."""
        if not self.start:
            return
        left = self.start
        while left:
            go_on()
            with _disk(self._what):
                block = self._out.read(min(_BLOCK, left))
            if not block:
                raise TransientFailure(f"{self._what}: what had come of it was taken away; run the step again")
            self._digest.update(block)
            left -= len(block)
        with _disk(self._what):
            self._out.seek(self.start)
            self._out.truncate()

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        with _disk(self._what):
            self._out.write(data)
            self._length += len(data)
            if self._length - self._kept >= _STEP:
                self._keep()

    def settle(self, told: "asyncssh.SFTPAttrs | None") -> None:
        """Say what is wrong with what came, given what the server tells of the file afterwards."""
        if not is_as_listed(self.file, told):
            self._length = 0
            with _disk(self._what):
                self._note.unlink(missing_ok=True)
                self._path.unlink(missing_ok=True)
            raise Changed(f"{self._what} was changed or taken away while it was fetched: list it again")
        if self._length < self.size:
            raise TransientFailure(f"{self._what} ended after {self._length:,} of its {self.size:,} bytes")

    def publish(self) -> Fetched:
        with _disk(self._what):
            self._out.flush()
            self._path.replace(self.target)
            self._is_published = True
            self._note.unlink(missing_ok=True)
        return Fetched(self.file, self.target, self._digest.hexdigest(), self.start)

    def _sure(self) -> int:
        """Bytes of this very file that need not come again."""
        with _disk(self._what):
            if not self._note.exists() or not self._path.exists():
                return 0
            noted = _read_note(self._note)
            length = noted.pop("sure", 0)
            same = noted == self._identity() and isinstance(length, int) and 0 <= length <= self.size
            return length if same and length <= self._path.stat().st_size else 0

    def _keep(self) -> None:
        """Note what came."""
        self._out.flush()
        self._note.write_text(json.dumps({**self._identity(), "sure": self._length}), encoding="utf-8")
        self._kept = self._length

    def _identity(self) -> dict[str, Any]:
        return {"path": self.file.path, "size": self.size, "modified": str(self.file.modified)}


@contextmanager
def _arriving(file: RemoteFile, target: Path) -> Iterator[_Arrival]:
    """For as long as a file comes, and what its server tells of it afterwards."""
    what = f"file {called(file.path)}"
    if file.size is None or file.modified is None:
        raise PermanentFailure(f"{what} was listed without its size and time, so that no change of it could be seen")
    arrival = _Arrival(file, file.size, target, what)
    with sftp_failures(what), arrival.opened():
        require_room(target.parent, file.size - arrival.start, what)
        yield arrival


def _read_note(path: Path) -> dict[str, Any]:
    """Empty where it is not whole."""
    try:
        noted = json.loads(path.read_bytes())
    except ValueError:
        return {}
    return noted if isinstance(noted, dict) else {}


@contextmanager
def _disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise local_failure(what, e) from e
