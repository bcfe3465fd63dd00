"""The files of an Iceberg table through the lake's own client, so with its endpoint, encryption and limits of time."""

import io
from types import TracebackType
from typing import Any

from botocore.exceptions import ClientError
from pyiceberg.io import FileIO, InputFile, InputStream, OutputFile, OutputStream

from adplatform.lake.remote_file import RemoteFile
from adplatform.lake.store import Store

_NOT_FOUND = 404


class Files(FileIO):
    """What PyIceberg reads and writes: metadata, manifests and footers. Data files are written by ``upload``."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def new_input(self, location: str) -> InputFile:
        return _Input(self._store, location)

    def new_output(self, location: str) -> OutputFile:
        return _Output(self._store, location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        uri = location if isinstance(location, str) else location.location
        bucket, key = _place(uri)
        self._store.delete(bucket, [key])


class _Input(InputFile):
    def __init__(self, store: Store, location: str) -> None:
        super().__init__(location)
        self._store = store

    def __len__(self) -> int:
        bucket, key = _place(self.location)
        return int(self._store.s3.head_object(Bucket=bucket, Key=key)["ContentLength"])

    def exists(self) -> bool:
        return _exists(self._store, self.location)

    def open(self, seekable: bool = True) -> InputStream:
        bucket, key = _place(self.location)
        if key.endswith(".parquet"):
            return RemoteFile(self._store.s3, bucket, key, len(self))
        try:
            body: bytes = self._store.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self._store.s3.exceptions.NoSuchKey as e:
            raise FileNotFoundError(self.location) from e
        return io.BytesIO(body)


class _Output(OutputFile):
    def __init__(self, store: Store, location: str) -> None:
        super().__init__(location)
        self._store = store

    def __len__(self) -> int:
        return len(_Input(self._store, self.location))

    def exists(self) -> bool:
        return _exists(self._store, self.location)

    def to_input_file(self) -> InputFile:
        return _Input(self._store, self.location)

    def create(self, overwrite: bool = False) -> OutputStream:
        """Every name has a UUID, so none is written twice."""
        return _Written(self._store, self.location)


class _Written:
    """Collects what is written and stores it once it is closed, unless writing it failed."""

    def __init__(self, store: Store, location: str) -> None:
        self._store, self._location = store, location
        self._buffer = io.BytesIO()
        self._open = True

    def write(self, b: bytes) -> int:
        return self._buffer.write(b)

    def tell(self) -> int:
        return self._buffer.tell()

    def close(self) -> None:
        if self._open:
            self._open = False
            bucket, key = _place(self._location)
            arguments: dict[str, Any] = self._store.zones.put_arguments
            self._store.s3.put_object(Bucket=bucket, Key=key, Body=self._buffer.getvalue(), **arguments)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(
        self, exctype: type[BaseException] | None, excinst: BaseException | None, exctb: TracebackType | None
    ) -> None:
        if exctype is None:
            self.close()


def _exists(store: Store, location: str) -> bool:
    bucket, key = _place(location)
    try:
        store.s3.head_object(Bucket=bucket, Key=key)
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] != _NOT_FOUND:
            raise
        return False
    return True


def _place(location: str) -> tuple[str, str]:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return bucket, key
