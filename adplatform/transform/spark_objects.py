"""The objects that a job of Spark reads and writes itself, by boto3, or as files of this machine."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adplatform.failures import PermanentFailure, naming
from adplatform.platform.at_once import at_once
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_CHUNK = 1 << 20
_FOOTER = 64 << 10
_SCHEMES = ("s3", "s3a", "s3n")


@dataclass(frozen=True)
class Found:
    """An object below a prefix; ``size`` in bytes."""

    uri: str
    size: int


@dataclass(frozen=True)
class Objects:
    """Objects by their URIs, ``s3://bucket/key`` or a path of this machine with or without ``file://``.

    Raises of all methods:
        EnvironmentFailure, TransientFailure, PermanentFailure: the object cannot be had, or written, as
            :func:`adplatform.platform.aws_errors.aws_failures` has it.
    """

    region: str

    @property
    def _s3(self) -> Any:
        return _client(self.region)

    def read(self, uri: str) -> bytes:
        place = _place(uri)
        with aws_failures(uri):
            if isinstance(place, Path):
                return place.read_bytes()
            body: bytes = self._s3.get_object(Bucket=place[0], Key=place[1])["Body"].read()
            return body

    def write(self, uri: str, content: bytes) -> None:
        """Put an object that is there as a whole or not at all."""
        place = _place(uri)
        with aws_failures(uri):
            if isinstance(place, Path):
                place.parent.mkdir(parents=True, exist_ok=True)
                beside = place.with_name(f".{place.name}.part")
                beside.write_bytes(content)
                beside.replace(place)
            else:
                self._s3.put_object(Bucket=place[0], Key=place[1], Body=content)

    def put(self, path: Path, uri: str) -> None:
        """A file of this machine, as an object that is there as a whole or not at all."""
        place = _place(uri)
        with aws_failures(uri):
            if isinstance(place, Path):
                place.parent.mkdir(parents=True, exist_ok=True)
                beside = place.with_name(f".{place.name}.part")
                shutil.copyfile(path, beside)
                beside.replace(place)
            else:
                self._s3.upload_file(str(path), *place)

    def fetch(self, uri: str, version: str, target: Path) -> Path:
        """An object on the local disk: ``target``, or where it is already. ``version`` is which, "" the current one."""
        place = _place(uri)
        if isinstance(place, Path):
            return place
        which = {"VersionId": version} if version else {}
        with aws_failures(uri), naming(target), target.open("wb") as file:
            body = self._s3.get_object(Bucket=place[0], Key=place[1], **which)["Body"]
            for chunk in body.iter_chunks(_CHUNK):
                file.write(chunk)
        return target

    def below(self, prefix: str) -> list[Found]:
        """The objects below a prefix that ends with ``/``, in order of their names."""
        place = _place(prefix)
        with aws_failures(prefix):
            if isinstance(place, Path):
                files = [path for path in place.rglob("*") if path.is_file()]
                found = [Found(f"{prefix}{path.relative_to(place)}", path.stat().st_size) for path in files]
            else:
                pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=place[0], Prefix=place[1])
                listed = [entry for page in pages for entry in page.get("Contents", ())]
                start = len(place[1])
                found = [Found(f"{prefix}{entry['Key'][start:]}", entry["Size"]) for entry in listed]
        return sorted(found, key=lambda each: each.uri)

    def rows(self, files: list[Found]) -> Iterator[int]:
        """How many rows each of these Parquet files has, by its footer."""
        return iter(at_once(self._rows, files))

    def _rows(self, file: Found) -> int:
        place = _place(file.uri)
        if isinstance(place, Path):
            return int(pq.read_metadata(place).num_rows)
        end = self._range(place, max(file.size - _FOOTER, 0), file.size)
        footer = int.from_bytes(end[-8:-4], "little") + 8
        if footer > len(end):
            end = self._range(place, file.size - footer, file.size)
        # Of a Parquet file only its end is looked at for the metadata.
        return int(pq.read_metadata(pa.BufferReader(end)).num_rows)

    def _range(self, place: tuple[str, str], begin: int, end: int) -> bytes:
        with aws_failures(f"s3://{place[0]}/{place[1]}"):
            got = self._s3.get_object(Bucket=place[0], Key=place[1], Range=f"bytes={begin}-{end - 1}")
            body: bytes = got["Body"].read()
            return body


def _place(uri: str) -> Path | tuple[str, str]:
    """A path, or bucket and key.

    Raises:
        PermanentFailure: it is neither.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri)
    if scheme == "file":
        return Path(rest)
    if scheme not in _SCHEMES:
        raise PermanentFailure(f"{uri} is neither s3://bucket/key nor a path of this machine")
    bucket, _, key = rest.partition("/")
    return bucket, key


@cache
def _client(region: str) -> Any:
    return Aws(region, os.environ.get("AWS_ENDPOINT_URL")).client("s3")
