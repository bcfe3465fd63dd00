"""Writing immutable files to the zones: encrypted, checksummed, and verified before anyone relies on them."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from adplatform.failures import TransientFailure, naming
from adplatform.lake.zones import Zones
from adplatform.platform.at_once import Pool, at_once

_PART = 32 * 2**20
_CHUNK = 2**20
_PARTS_AT_ONCE = 4
_ALGORITHM = {"ChecksumAlgorithm": "SHA256"}
_NOT_THERE = (404, 405)  # S3 API reference, GetObject: 405 for a delete marker
_DELETE_BATCH = 1000  # S3 API reference, DeleteObjects: at most 1,000 keys


@cache
def _transfer() -> Any:
    from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - boto3 takes long to import

    return TransferConfig(multipart_threshold=_PART, multipart_chunksize=_PART, max_concurrency=4)


class Sized(Protocol):
    """An object of a bucket; ``size`` in bytes."""

    @property
    def key(self) -> str: ...

    @property
    def size(self) -> int: ...


@dataclass(frozen=True)
class Stored:
    """One object as the bucket lists it. ``size`` is in bytes."""

    key: str
    size: int
    last_modified: datetime


@dataclass(frozen=True)
class Uploaded:
    """What a bucket calls an object that was put there; ``version`` is empty where it keeps none."""

    version: str
    etag: str


@dataclass(frozen=True)
class Store:
    """The buckets of ``zones``. ``s3`` is a boto3 client."""

    s3: Any
    zones: Zones

    def upload(self, path: Path, bucket: str, key: str) -> Uploaded:
        """Stream a file to a key that nobody else writes meanwhile.

        Raises:
            TransientFailure: what the bucket holds afterwards is not the file.
        """
        size = path.stat().st_size
        whole = of_parts = ""
        said: dict[str, Any] = {}
        if size < _PART:
            whole = _of_whole(path)
            arguments = {**self.zones.arguments_of(bucket, key), **_ALGORITHM, "ChecksumSHA256": whole}
            with path.open("rb") as file:
                said = self.s3.put_object(Bucket=bucket, Key=key, Body=file, **arguments)
        else:
            of_parts = self._upload_parts(path, size, bucket, key)
        if said.get("ChecksumSHA256") is None:
            said = self.s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        stored = said.get("ChecksumSHA256")
        if said.get("ContentLength", size) != size or (stored and not _is_of(path, stored, whole, of_parts)):
            raise TransientFailure(f"s3://{bucket}/{key} does not hold what was uploaded; run the step again")
        return Uploaded(said.get("VersionId", ""), said.get("ETag", "").strip('"'))

    def _upload_parts(self, path: Path, size: int, bucket: str, key: str) -> str:
        """Upload a file in parts, each of which is hashed once. The digest of their digests, as S3 writes it."""
        arguments = {**self.zones.arguments_of(bucket, key), **_ALGORITHM}
        upload = {"Bucket": bucket, "Key": key}
        upload["UploadId"] = self.s3.create_multipart_upload(**upload, **arguments)["UploadId"]
        try:
            with Pool(max_workers=_PARTS_AT_ONCE, thread_name_prefix="parts") as pool:
                starts = enumerate(range(0, size, _PART), start=1)
                sent = list(pool.map(lambda each: self._upload_part(path, upload, *each), starts))
            self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
        except BaseException:
            # Its parts would be paid for until the bucket's lifecycle ends what was never completed.
            with suppress(ClientError, BotoCoreError):
                self.s3.abort_multipart_upload(**upload)
            raise
        digests = (base64.b64decode(part["ChecksumSHA256"]) for part in sent)
        return _encoded(hashlib.sha256(b"".join(digests)).digest())

    def _upload_part(self, path: Path, upload: Mapping[str, str], number: int, start: int) -> dict[str, Any]:
        from s3transfer.utils import ReadFileChunk  # noqa: PLC0415 - it comes with boto3, which takes long to import

        with ReadFileChunk.from_filename(str(path), start, _PART) as part:
            digest = hashlib.sha256()
            while chunk := part.read(_CHUNK):
                digest.update(chunk)
            part.seek(0)
            checksum = {"PartNumber": number, "ChecksumSHA256": _encoded(digest.digest())}
            return {**checksum, "ETag": self.s3.upload_part(**upload, **checksum, **_ALGORITHM, Body=part)["ETag"]}

    def copy(self, bucket: str, source: str, target: str) -> None:
        """Copy within a bucket, by the server."""
        extra = self.zones.arguments_of(bucket, target)
        self.s3.copy({"Bucket": bucket, "Key": source}, bucket, target, ExtraArgs=extra, Config=_transfer())

    def copy_from(self, source: Mapping[str, str], size: int, bucket: str, target: str, **arguments: str) -> str:
        """Have S3 copy an object of ``size`` bytes, by one call if it is no larger than a part. ``source`` names it by
        bucket, key and perhaps version, ``arguments`` are those of CopyObject. The ETag of the copy, "" of a large
        one."""
        extra = {**self.zones.arguments_of(bucket, target), **arguments}
        if size >= _PART:
            self.s3.copy(dict(source), bucket, target, ExtraArgs=extra, Config=_transfer())
            return ""
        copied = self.s3.copy_object(Bucket=bucket, Key=target, CopySource=dict(source), **extra)
        return str(copied["CopyObjectResult"].get("ETag", "")).strip('"')

    def copy_all(self, bucket: str, sources: Mapping[str, Sized]) -> None:
        """Copy several objects at once; ``sources`` maps each target to what it is copied from."""
        at_once(lambda target: self._copy(bucket, sources[target], target), sources)

    def _copy(self, bucket: str, source: Sized, target: str) -> None:
        self.copy_from({"Bucket": bucket, "Key": source.key}, source.size, bucket, target)

    def download(self, bucket: str, key: str, path: Path, size: int = _PART) -> None:
        """Fetch an object. One of less ``size``, in bytes, than a part is one call."""
        if size >= _PART:
            with naming(path):
                self.s3.download_file(bucket, key, str(path), Config=_transfer())
            return
        body = self.s3.get_object(Bucket=bucket, Key=key)["Body"]
        with naming(path), path.open("wb") as file:
            for chunk in body.iter_chunks(_CHUNK):
                file.write(chunk)

    def is_there(self, bucket: str, key: str) -> bool:
        """Whether there is an object; none is called ""."""
        return key != "" and self.head(bucket, key) is not None

    def head(self, bucket: str, key: str) -> Mapping[str, Any] | None:
        """What HeadObject says of an object; None where there is none."""
        try:
            found: Mapping[str, Any] = self.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as e:
            if not is_missing(e):
                raise
            return None
        return found

    def listing(self, bucket: str, prefix: str) -> Iterator[Stored]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                yield Stored(entry["Key"], entry["Size"], entry["LastModified"])

    def delete(self, bucket: str, keys: Iterable[str], check: Callable[[], None] = lambda: None) -> None:
        """Delete objects; one that is gone already is no error. ``check`` is called before each call.

        Raises:
            TransientFailure: the bucket refused some of them.
        """
        self._delete(bucket, [{"Key": key} for key in keys], check)

    def delete_versions(self, bucket: str, versions: Iterable[tuple[str, str]]) -> None:
        """Delete these versions of keys for good; one that is gone already is no error.

        Raises:
            TransientFailure: the bucket refused some of them.
        """
        self._delete(bucket, [{"Key": key, "VersionId": version} for key, version in versions], lambda: None)

    def _delete(self, bucket: str, objects: list[dict[str, str]], check: Callable[[], None]) -> None:
        for start in range(0, len(objects), _DELETE_BATCH):
            check()
            batch = objects[start : start + _DELETE_BATCH]
            answer = self.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise TransientFailure(f"s3://{bucket}/{first['Key']} was not deleted: {first['Code']}")


def is_missing(error: ClientError) -> bool:
    """Whether S3 says that there is no such object, or only a marker of its deletion."""
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] in _NOT_THERE)


def _is_of(path: Path, stored: str, whole: str, of_parts: str) -> bool:
    """Whether S3 says the digest of this file, or of the digests of its parts with ``-<parts>`` (S3 user guide,
    checking object integrity). Of one in parts some S3-compatible stores leave the suffix out, or give that of the
    whole."""
    digest, _, suffix = stored.partition("-")
    return digest == (of_parts or whole) or bool(of_parts and not suffix and digest == _of_whole(path))


def _encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _of_whole(path: Path) -> str:
    with path.open("rb") as file:
        return _encoded(hashlib.file_digest(file, "sha256").digest())
