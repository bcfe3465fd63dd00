"""Reading an object of a bucket as a file, without fetching all of it."""

import io
from typing import Any

_TAIL = 64 * 2**10


class RemoteFile(io.RawIOBase):
    """An object of a bucket, read by ranges. Its end is fetched with the first read and kept, because a Parquet file
    begins there; small objects are one call."""

    def __init__(self, s3: Any, bucket: str, key: str, size: int) -> None:
        self._s3, self._size = s3, size
        self._where = {"Bucket": bucket, "Key": key}
        self._position, self._begin = 0, max(0, size - _TAIL)
        self._tail: bytes | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._tail = None
        super().close()

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        begin = self._position
        end = min(begin + len(buffer), self._size)
        if begin >= end:
            return 0
        inside = begin >= self._begin
        if self._tail is None:
            self._tail = self._range(self._begin, self._size)
        found = self._tail[begin - self._begin : end - self._begin] if inside else self._range(begin, end)
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def _range(self, begin: int, end: int) -> bytes:
        body: bytes = self._s3.get_object(**self._where, Range=f"bytes={begin}-{end - 1}")["Body"].read()
        return body
