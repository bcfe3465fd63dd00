"""Staged files that an engine wrote into the raw bucket: read by ranges, and copied by the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from adplatform.files.budget import require_room
from adplatform.lake.remote_file import RemoteFile
from adplatform.lake.store import Store
from adplatform.transform.values import Shelf


@dataclass(frozen=True)
class StagedObject:
    """As ``adplatform.transform.values.StagedParquet``: the object ``key`` of the raw bucket, of ``size`` bytes, which
    nobody changes. ``addresses`` are those of ``adplatform.transform.job_plan.WrittenFile``."""

    store: Store
    key: str
    size: int
    partition: str
    rows: int
    addresses: Mapping[str, int] | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    def opened(self) -> RemoteFile:
        return RemoteFile(self.store.s3, self.store.zones.raw_bucket, self.key, self.size)

    @contextmanager
    def on_disk(self, directory: Path) -> Iterator[Path]:
        require_room(directory, self.size, self.name)
        path = directory / self.name
        try:
            self.store.download(self.store.zones.raw_bucket, self.key, path, self.size)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def put(self, shelf: Shelf, bucket: str, key: str) -> None:
        shelf.copy_from({"Bucket": self.store.zones.raw_bucket, "Key": self.key}, self.size, bucket, key)
