"""S3 object bodies as files, one per stored version or part, named at random and never changed once written.

The key index that refers to them is saved up to two seconds later. A body that the index no longer needs is therefore
deleted only after the next saved index, so that a killed process finds every body its last saved index names.
"""

import hashlib
import mmap
import uuid
from collections.abc import Iterable
from pathlib import Path


class Bodies:
    """The body files below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._discarded: list[str] = []

    def write(self, chunks: Iterable[bytes | memoryview]) -> tuple[str, int, str]:
        """Stores the chunks as one body; returns its name, its size in bytes and its MD5 as hexadecimal digits."""
        name = uuid.uuid4().hex
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        md5 = hashlib.md5(usedforsecurity=False)
        with path.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
                md5.update(chunk)
                size += len(chunk)
        return name, size, md5.hexdigest()

    def read(self, name: str) -> memoryview:
        """The body mapped into memory: slices read only what they cover, also after the body was discarded."""
        with self._path(name).open("rb") as file:
            if file.seek(0, 2) == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def discard(self, name: str) -> None:
        """Marks a body as no longer referenced by the index in memory."""
        self._discarded.append(name)

    def take_discarded(self) -> list[str]:
        """The bodies discarded since the last call, to be deleted once an index without them has been saved."""
        taken, self._discarded = self._discarded, []
        return taken

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def delete_all_but(self, referenced: set[str]) -> None:
        """Removes what a killed process left behind: bodies written after its last saved index."""
        self.delete(path.name for path in self._root.glob("??/*") if path.name not in referenced)

    def _path(self, name: str) -> Path:
        return self._root / name[:2] / name
