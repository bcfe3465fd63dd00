"""What the stand-in of DataSync reads and writes: buckets of any S3-compatible server, and directories of this machine.

File times travel as DataSync's own metadata of objects (user guide, "Understanding how DataSync handles file and object
metadata"): ``file-mtime`` and so on, in nanoseconds.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Protocol
from urllib.parse import urlencode

from adplatform.local.aws.managed import own_s3

MTIME = "file-mtime"
_IN_MEMORY = 8 << 20
_SYSTEM = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")


@dataclass(frozen=True)
class Item:
    """An object, a file or a folder of a location. ``path`` is relative to the location and has no leading slash; that
    of a folder ends in one. ``size`` is in bytes; ``etag`` is empty where the store has none, ``version`` where nobody
    asked for a certain one."""

    path: str
    size: int
    modified: datetime
    etag: str = ""
    storage_class: str = "STANDARD"
    version: str = ""

    @property
    def is_folder(self) -> bool:
        return self.path.endswith("/")

    @property
    def mtime(self) -> str:
        return f"{int(self.modified.timestamp() * 1000)}000000ns"


@dataclass(frozen=True)
class About:
    """What goes with the bytes of an item. ``system`` is named as in S3's requests."""

    system: Mapping[str, str] = field(default_factory=dict)
    etag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Its methods raise ClientError, BotoCoreError and OSError where the store cannot be read."""

    def items(self) -> Iterator[Item]:
        """Everything, folders included, in no definite order."""

    def find(self, path: str, version: str = "") -> Item | None: ...

    def read(self, item: Item, *, tags: bool) -> tuple[IO[bytes], About]:
        """The bytes, which the caller closes, and what goes with them."""


@dataclass(frozen=True)
class Bucket:
    """The objects of a bucket whose keys begin with ``prefix``, which is empty or ends in a slash."""

    client: Any
    name: str
    prefix: str
    storage_class: str = "STANDARD"

    def items(self) -> Iterator[Item]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=self.prefix)
        for found in (each for page in pages for each in page.get("Contents", [])):
            path = found["Key"].removeprefix(self.prefix)
            if path:
                etag, of_class = found["ETag"].strip('"'), found.get("StorageClass", "STANDARD")
                yield Item(path, found["Size"], found["LastModified"], etag, of_class)

    def find(self, path: str, version: str = "") -> Item | None:
        from botocore.exceptions import ClientError  # noqa: PLC0415

        asked = {"VersionId": version} if version else {}
        try:
            found = self.client.head_object(Bucket=self.name, Key=self.prefix + path, **asked)
        except ClientError as e:
            if e.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 404, 405}:  # 400: no version id, 405: a marker
                return None
            raise
        of_class = found.get("StorageClass", "STANDARD")
        return Item(path, found["ContentLength"], found["LastModified"], found["ETag"].strip('"'), of_class, version)

    def metadata(self, path: str) -> Mapping[str, str]:
        found: Mapping[str, str] = self.client.head_object(Bucket=self.name, Key=self.prefix + path)["Metadata"]
        return found

    def read(self, item: Item, *, tags: bool) -> tuple[IO[bytes], About]:
        asked = {"Bucket": self.name, "Key": self.prefix + item.path}
        if item.version:
            asked["VersionId"] = item.version
        found = self.client.get_object(**asked)
        tagged = self.client.get_object_tagging(**asked)["TagSet"] if tags else []
        about = About(
            {name: found[name] for name in _SYSTEM if found.get(name)},
            found["ETag"].strip('"'),
            found["Metadata"],
            {tag["Key"]: tag["Value"] for tag in tagged},
        )
        return found["Body"], about

    def write(self, path: str, body: IO[bytes], about: About) -> str:
        """The version id of the new object; empty if the bucket keeps no versions."""
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as spooled:
            shutil.copyfileobj(body, spooled)
            spooled.seek(0)
            written = self.client.put_object(
                Bucket=self.name,
                Key=self.prefix + path,
                Body=spooled,
                **about.system,
                Metadata=dict(about.metadata),
                StorageClass=self.storage_class,
                **({"Tagging": urlencode(about.tags)} if about.tags else {}),
            )
        return str(written.get("VersionId", ""))

    def delete(self, path: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=self.prefix + path)


@dataclass(frozen=True)
class Directory:
    """The files below a directory. ``posix`` is whether folders count and owners and modes are known: as of a file
    server, not of a store of objects."""

    root: Path
    posix: bool = True

    def items(self) -> Iterator[Item]:
        for path in sorted(self.root.rglob("*")):
            if not path.is_symlink() and (path.is_file() or (path.is_dir() and self.posix)):
                yield self._item(path)

    def find(self, path: str, version: str = "") -> Item | None:
        found = self.root / path
        return self._item(found) if found.exists() and self._inside(found) and not version else None

    def read(self, item: Item, *, tags: bool) -> tuple[IO[bytes], About]:
        path = self.root / item.path
        status = path.stat()
        metadata = {MTIME: item.mtime}
        if self.posix:
            metadata |= {
                "file-atime": f"{int(status.st_atime * 1000)}000000ns",
                "file-owner": str(status.st_uid),
                "file-group": str(status.st_gid),
                "file-permissions": f"{status.st_mode & 0o7777:04o}",
            }
        return BytesIO() if item.is_folder else path.open("rb"), About(metadata=metadata)

    def _item(self, path: Path) -> Item:
        status = path.stat()
        name = path.relative_to(self.root).as_posix()
        changed = datetime.fromtimestamp(status.st_mtime, UTC)
        return Item(f"{name}/", 0, changed) if path.is_dir() else Item(name, status.st_size, changed)

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.root.resolve())


def own_bucket(name: str, subdirectory: str, storage_class: str = "STANDARD") -> Bucket:
    """A bucket of the embedded AWS itself."""
    return Bucket(own_s3(), name, prefix_of(subdirectory), storage_class)


def foreign_bucket(url: str, name: str, subdirectory: str, access_key: str, secret_key: str) -> Bucket:
    """A bucket of the S3-compatible server at ``url``, read without a signature where there is no access key."""
    import boto3  # noqa: PLC0415
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        signature_version="s3v4" if access_key else UNSIGNED,
        s3={"addressing_style": "path"},
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 2},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.Session(access_key or None, secret_key or None, region_name="us-east-1")
    return Bucket(session.client("s3", endpoint_url=url, config=config), name, prefix_of(subdirectory))


def prefix_of(subdirectory: str) -> str:
    """The keys' prefix of a subdirectory, which users write with and without slashes around it."""
    inner = subdirectory.strip("/")
    return f"{inner}/" if inner else ""
