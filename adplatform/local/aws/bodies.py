"""S3 object bodies as files, one per stored version or part, named at random and never changed once written.

The key index that refers to them is saved up to two seconds later. A body that the index no longer needs is therefore
deleted only after the next saved index, so that a killed process finds every body its last saved index names.
"""

import hashlib
import mmap
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from adplatform.local.aws.errors import NotSaved


class Body(NamedTuple):
    """A stored body: its name, its size in bytes and its MD5 as hexadecimal digits, "" where nobody asked for that."""

    name: str
    size: int
    md5: str


class Bodies:
    """The body files below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._discarded: list[str] = []

    def write(self, chunks: Iterable[bytes | memoryview], *, hashed: bool = True) -> Body:
        """Stores the chunks as one body, of which the MD5 is known when it is ``hashed``.

        Raises:
            NotSaved: the disk does not take it all; nothing of it stays.
        """
        name = uuid.uuid4().hex
        path = self._path(name)
        size = 0
        md5 = hashlib.md5(usedforsecurity=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    if hashed:
                        md5.update(chunk)
                    size += len(chunk)
        except BaseException as e:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if not isinstance(e, OSError):
                raise
            raise NotSaved(f"the body cannot be written below {self._root}: {e.strerror}") from e
        return Body(name, size, md5.hexdigest() if hashed else "")

    def again(self, name: str) -> str:
        """The same body under another name, as a second entry of its file; a copy where the disk has no such entries.

        Raises:
            NotSaved: the disk does not take it.
        """
        other = uuid.uuid4().hex
        path = self._path(other)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(self._path(name))
        except OSError:
            return self.write([self.read(name)], hashed=False).name
        return other

    def is_same(self, one: str, other: str) -> bool:
        """Whether two names are entries of one file."""
        return self._path(one).samefile(self._path(other))

    def read(self, name: str) -> memoryview:
        """The body mapped into memory: slices read only what they cover, also after the body was discarded."""
        with self._path(name).open("rb") as file:
            if file.seek(0, 2) == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def drop(self, body: Body) -> None:
        """Deletes a body that no index has ever referred to."""
        self._path(body.name).unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Marks a body as no longer referenced by the index in memory."""
        self._discarded.append(name)

    def discarded(self) -> int:
        """How many bodies the index in memory no longer refers to."""
        return len(self._discarded)

    def delete_discarded(self, count: int) -> None:
        """Deletes the ``count`` bodies that were discarded first: an index without them has been saved."""
        for name in self._discarded[:count]:
            self._path(name).unlink(missing_ok=True)
        del self._discarded[:count]

    def delete_all_but(self, referenced: set[str]) -> None:
        """Removes what a killed process left behind: bodies written after its last saved index."""
        for path in self._root.glob("??/*"):
            if path.name not in referenced:
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / name
