"""The state of the simulated SFTP host: the key that it shows, and the partner's files."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from adplatform.local.world import stored
from adplatform.local.world.host.endpoint import PASSWORD, USER
from adplatform.local.world.host.sftp import make_key, public_line, sftp_server

_OUT = "out"
"""The folder that is there from the beginning."""


class World:
    """``store`` is the file that keeps its key; the files lie beside it, or nowhere for long without."""

    def __init__(self, store: Path | None = None) -> None:
        kept = stored.read(store)
        self.store = store
        self.key = str(kept["key"]) if kept else make_key()
        self.changed = False
        self.folder = Path()
        self.port = 0
        self._served = 0
        if store is not None and kept is None:
            self.save()

    @contextmanager
    def open(self) -> Iterator[None]:
        """It listens for as long as the block lasts."""
        with self._folder() as folder, sftp_server(folder, self.key, USER, PASSWORD) as port:
            self.folder, self.port = folder, port
            (folder / _OUT).mkdir(exist_ok=True)
            yield

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        if self.store is None:
            with tempfile.TemporaryDirectory() as made:
                yield Path(made)
            return
        folder = self.store.with_name("files")
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder

    def connection(self) -> dict[str, Any]:
        """How to connect."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "host_keys": [public_line(self.key)],
            "username": USER,
            "password": PASSWORD,
        }

    def put(self, path: str, content: bytes) -> dict[str, Any]:
        """Write a file as a partner does who is careful: under another name first.

        Raises:
            ValueError: the path leads out of the host's folder.
        """
        parts = PurePosixPath(path.lstrip("/")).parts
        if not parts or ".." in parts:
            raise ValueError(f"{path!r} is no path below /")
        target = self.folder.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        writing = target.with_name(f"{target.name}.part")
        writing.write_bytes(content)
        writing.replace(target)
        return {"path": f"/{'/'.join(parts)}", "bytes": target.stat().st_size}

    def files(self) -> list[str]:
        """The paths of all files."""
        found = (each for each in self.folder.rglob("*") if each.is_file())
        return sorted(f"/{each.relative_to(self.folder)}" for each in found)

    def served(self) -> int:
        return self._served

    def count(self) -> None:
        self._served += 1

    def save(self) -> None:
        """Raises: OSError: the disk does not take it."""
        if self.store is not None:
            stored.write(self.store, {"key": self.key})
