"""Files of a server onto this machine's disk: whole or not at all, and on from where they broke off."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Condition, Event
from typing import IO, TYPE_CHECKING, Any

from adplatform.failures import PermanentFailure, TransientFailure, local_failure
from adplatform.sftp.connection import Credentials, Host, opened
from adplatform.sftp.errors import Changed, escaped, sftp_failures
from adplatform.sftp.listing import RemoteFile, found, is_as_listed
from adplatform.sftp.loop import running_loop
from adplatform.sftp.session import Sftp

if TYPE_CHECKING:
    import asyncssh

_STEP = 64 << 20
"""Bytes after which what came is made to last, and noted."""
_NOTED_FROM = 1 << 20
"""What is smaller is sooner fetched again than noted."""
_BLOCK = 1 << 20
_ASKED_SECONDS = 1.0
_TOGETHER = 2
"""Files under way on one connection: what one waits for, the other makes use of."""


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
    what = f"file {escaped(file.path)}"
    if file.size is None or file.modified is None:
        raise PermanentFailure(f"{what} was listed without its size and time, so that no change of it could be seen")
    partial = _Partial(file, file.size, target, what)
    with sftp_failures(what):
        fetched = _copied(sftp, partial, go_on)
        if not is_as_listed(file, found(sftp, file.path)):
            partial.forget()
            raise Changed(f"{what} was changed or taken away while it was fetched: list it again")
        if partial.length < partial.size:
            raise TransientFailure(f"{what} ended after {partial.length:,} of its {partial.size:,} bytes")
    partial.publish()
    return fetched


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
    stopped = Event()

    def unless_stopped() -> None:
        if stopped.is_set():
            raise TransientFailure("the fetch was broken off")

    def one(file: RemoteFile, target: Path, is_last: bool = False) -> Fetched | Failed:
        has_ended = False
        try:
            with sessions.one() as sftp:
                try:
                    return fetch(sftp, file, target, unless_stopped)
                finally:
                    has_ended = not sftp.is_usable
        except (PermanentFailure, TransientFailure) as e:
            if is_last or not has_ended or stopped.is_set():
                return Failed(file, target, e)
        return one(file, target, is_last=True)

    remaining = iter(files)
    under_way: set[Future[Fetched | Failed]] = set()
    most = _TOGETHER * connections
    with (
        running_loop() as loop,
        _Sessions(loop, host, credentials, connections) as sessions,
        ThreadPoolExecutor(most) as pool,
    ):
        try:
            while True:
                go_on()
                ahead = islice(remaining, most - len(under_way))
                under_way |= {pool.submit(one, file, target) for file, target in ahead}
                if not under_way:
                    return
                done, under_way = wait(under_way, timeout=_ASKED_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            stopped.set()
            sessions.close()
            pool.shutdown(cancel_futures=True)


class _Sessions:
    """Connections as one user, for several threads; the first is made with it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, host: Host, credentials: Sequence[Credentials], most: int
    ) -> None:
        self._loop, self._host, self._credentials, self._most = loop, host, credentials, most
        self._users: dict[Sftp, int] = {}
        self._being_made = 0
        self._together = _TOGETHER
        self._is_closed = False
        self._changed = Condition()

    def __enter__(self) -> "_Sessions":
        first = opened(self._loop, self._host, self._credentials)
        # Others are not to try what was refused: servers count that, and shut out.
        self._credentials = [tried for tried in self._credentials if tried.stage == first.stage]
        self._users[first] = 0
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every session, and what is under way on it."""
        with self._changed:
            self._is_closed = True
            ended = list(self._users)
            self._users.clear()
            self._changed.notify_all()
        for sftp in ended:
            sftp.close()

    @contextmanager
    def one(self) -> Iterator[Sftp]:
        """A session for as long as the block lasts, which others may use, too."""
        sftp = self._taken()
        try:
            yield sftp
        finally:
            with self._changed:
                if sftp in self._users:
                    self._users[sftp] -= 1
                if not sftp.is_usable:
                    # One of the files may be what the server breaks at: from now on it ends no connection of others.
                    self._users.pop(sftp, None)
                    self._together = 1
                self._changed.notify_all()

    def _taken(self) -> Sftp:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closed or self._has_room() or self._least_used())
                if self._is_closed:
                    raise TransientFailure(f"{self._host.place}: the fetch was broken off")
                least = self._least_used()
                if least and (self._users[least] == 0 or not self._has_room()):
                    self._users[least] += 1
                    return least
                self._being_made += 1
            made = self._made()
            if made:
                return made

    def _made(self) -> Sftp | None:
        """None where the server allows no more at once."""
        made: Sftp | None = None
        try:
            made = opened(self._loop, self._host, self._credentials)
        except (PermanentFailure, TransientFailure):
            with self._changed:
                if not self._users and self._being_made == 1:
                    raise
                self._most = len(self._users) + self._being_made - 1
        finally:
            with self._changed:
                self._being_made -= 1
                is_late = self._is_closed
                if made and not is_late:
                    self._users[made] = 1
                self._changed.notify_all()
        if made and is_late:
            made.close()
            return None
        return made

    def _has_room(self) -> bool:
        return len(self._users) + self._being_made < self._most

    def _least_used(self) -> Sftp | None:
        """Of the sessions that may take one more."""
        free = [sftp for sftp, users in self._users.items() if users < self._together and sftp.is_usable]
        return min(free, key=lambda sftp: self._users[sftp], default=None)


class _Partial:
    """What came of a file, beside its target, and a note of which file that is and how many bytes are sure to last."""

    def __init__(self, file: RemoteFile, size: int, target: Path, what: str) -> None:
        self.file, self.size, self.target, self._what = file, size, target, what
        self._path = target.with_name(f".{target.name}.partial")
        self._note = target.with_name(f".{target.name}.partial.json")
        self.length = 0

    def sure(self) -> int:
        """Bytes of this very file that need not come again."""
        with _disk(self._what):
            if not self._note.exists() or not self._path.exists():
                return 0
            noted = _read_note(self._note)
            length = noted.pop("sure", 0)
            same = noted == self._identity() and isinstance(length, int) and 0 <= length <= self.size
            return length if same and length <= self._path.stat().st_size else 0

    @contextmanager
    def open(self, start: int) -> Iterator[IO[bytes]]:
        """For writing after the first ``start`` bytes, which can be read before. What a failure leaves is noted, or
        deleted where it is too little."""
        with _disk(self._what):
            if start == 0:
                self._note.unlink(missing_ok=True)
            out = self._path.open("r+b" if start else "wb")
        with out:
            try:
                yield out
            except BaseException:
                with suppress(OSError):
                    if self.length >= max(start, _NOTED_FROM):
                        self.keep(out)
                    elif start == 0:
                        self._path.unlink()
                raise
            with _disk(self._what):
                out.flush()
                os.fsync(out.fileno())

    def keep(self, out: IO[bytes]) -> None:
        """Make what came last, and note it."""
        out.flush()
        os.fsync(out.fileno())
        self._note.write_text(json.dumps({**self._identity(), "sure": self.length}), encoding="utf-8")

    def forget(self) -> None:
        with _disk(self._what):
            self._note.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)

    def publish(self) -> None:
        with _disk(self._what):
            self._path.replace(self.target)
            self._note.unlink(missing_ok=True)
            folder = os.open(self.target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _identity(self) -> dict[str, Any]:
        return {"path": self.file.path, "size": self.size, "modified": str(self.file.modified)}


def _copied(sftp: Sftp, partial: _Partial, go_on: Callable[[], None]) -> Fetched:
    file = partial.file
    what = f"file {escaped(file.path)}"

    def accept(told: "asyncssh.SFTPAttrs") -> None:
        if not is_as_listed(file, told):
            raise Changed(f"{what} is another than was listed: list it again")

    start = partial.sure()
    digest = hashlib.sha256()
    with partial.open(start) as out, closing(sftp.read(file.path, start, partial.size, accept)) as reading:
        while partial.length < start:
            go_on()
            with _disk(what):
                block = out.read(min(_BLOCK, start - partial.length))
            if not block:
                raise TransientFailure(f"{what}: what had come of it was taken away; run the step again")
            digest.update(block)
            partial.length += len(block)
        if start:
            with _disk(what):
                out.seek(start)
                out.truncate()
        kept = start
        for data in reading:
            go_on()
            digest.update(data)
            with _disk(what):
                out.write(data)
                partial.length += len(data)
                if partial.length - kept >= _STEP:
                    partial.keep(out)
                    kept = partial.length
    return Fetched(file, partial.target, digest.hexdigest(), start)


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
