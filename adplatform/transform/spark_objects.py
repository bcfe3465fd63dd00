"""The objects that a job of Spark reads and writes itself, by boto3, or as files of this machine."""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adplatform.failures import PermanentFailure, naming
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures

_CHUNK = 1 << 20
_SCHEMES = ("s3", "s3a", "s3n")


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
        with aws_failures(uri), naming(target), target.open("wb") as file:
            for chunk in self.chunks(uri, version):
                file.write(chunk)
        return target

    def chunks(self, uri: str, version: str, first: int = 0, behind: int | None = None) -> Iterator[bytes]:
        """The bytes of an object, or those from ``first`` on up to, and without, ``behind``."""
        place = _place(uri)
        with aws_failures(uri):
            if isinstance(place, Path):
                with place.open("rb") as file:
                    file.seek(first)
                    left = place.stat().st_size - first if behind is None else behind - first
                    while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                        left -= len(chunk)
                        yield chunk
                return
            which = {"VersionId": version} if version else {}
            if behind is not None:
                which["Range"] = f"bytes={first}-{behind - 1}"
            body = self._s3.get_object(Bucket=place[0], Key=place[1], **which)["Body"]
            yield from body.iter_chunks(_CHUNK)

    def begun(self, uri: str, target: Path, size: int) -> Path:
        """``target`` with so many bytes, none of which is there yet, or where the object is already."""
        place = _place(uri)
        if isinstance(place, Path):
            return place
        with aws_failures(uri), naming(target), target.open("wb") as file:
            file.truncate(size)
        return target

    def fetch_ranges(
        self, uri: str, version: str, target: Path, ranges: Iterable[tuple[int, int]], *, joined: bool = False
    ) -> None:
        """Some bytes of an object, each range up to and without its second, to where they stand in ``target``, which is
        begun, or ``joined`` one behind the other."""
        with aws_failures(uri), naming(target), target.open("wb" if joined else "r+b") as file:
            for first, behind in ranges:
                if first < behind:
                    if not joined:
                        file.seek(first)
                    for chunk in self.chunks(uri, version, first, behind):
                        file.write(chunk)


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


def aws_of(region: str) -> Aws:
    """AWS, or what stands for it on this machine, for the job and for its workers, which inherit the environment."""
    return Aws(region, os.environ.get("AWS_ENDPOINT_URL"))


@cache
def _client(region: str) -> Any:
    return aws_of(region).client("s3")
