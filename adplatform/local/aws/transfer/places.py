"""Places in S3, which Transfer Family writes as ``/bucket/prefix``, and objects that are read and written in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adplatform.local.aws.managed import own_s3
from adplatform.local.aws.transfer.sftp import Failed

_PART = 8 << 20
_MOST_PARTS = 10_000


@dataclass(frozen=True)
class Place:
    """An object."""

    bucket: str
    key: str

    @property
    def location(self) -> dict[str, str]:
        """As events say it."""
        return {"domain": "S3", "bucket": self.bucket, "key": self.key}


def place(path: str) -> Place:
    """The object at ``/bucket/key``."""
    bucket, _, key = path.lstrip("/").partition("/")
    return Place(bucket, key)


def within(directory: str, path: str) -> Place:
    """The object that the last name of ``path`` has in a directory."""
    return place(f"{directory.rstrip('/')}/{path.rstrip('/').rpartition('/')[2]}")


def part_size(size: int) -> int:
    """For an object of ``size`` bytes."""
    return max(_PART, -(-size // _MOST_PARTS))


def write(target: Place, parts: Iterator[bytes]) -> int:
    """Writes parts of at least 5 MiB, but for the last, of which one at a time is in memory; how many bytes they had.
    There is no object before the last part is written.

    Raises:
        Failed: S3 refuses it.
    """
    with _refused(target):
        first = next(parts)
        second = next(parts, None)
        if second is None:
            own_s3().put_object(Bucket=target.bucket, Key=target.key, Body=first)
            return len(first)
        return _write_parts(target, _chained(first, second, parts))


def read(source: Place) -> Iterator[bytes]:
    """
    Raises:
        Failed: there is no such object, or S3 refuses it.
    """
    with _refused(source):
        body = own_s3().get_object(Bucket=source.bucket, Key=source.key)["Body"]
        yield from body.iter_chunks(1 << 20)


def _chained(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _write_parts(target: Place, parts: Iterator[bytes]) -> int:
    s3, where, size = own_s3(), {"Bucket": target.bucket, "Key": target.key}, 0
    where["UploadId"] = s3.create_multipart_upload(**where)["UploadId"]
    try:
        written = []
        for number, part in enumerate(parts, 1):
            etag = s3.upload_part(**where, PartNumber=number, Body=part)["ETag"]
            written.append({"PartNumber": number, "ETag": etag})
            size += len(part)
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": written})
    except BaseException:
        s3.abort_multipart_upload(**where)
        raise
    return size


@contextmanager
def _refused(what: Place) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - a connector that never moves needs none

    try:
        yield
    except ClientError as e:
        error = e.response["Error"]
        code = "SEND_FILE_NOT_FOUND" if error["Code"] == "NoSuchKey" else "S3_ERROR"
        raise Failed(code, f"S3 refuses /{what.bucket}/{what.key}: {error['Code']}: {error.get('Message', '')}") from e
    except BotoCoreError as e:
        raise Failed("S3_ERROR", f"S3 does not take or give /{what.bucket}/{what.key}: {type(e).__name__}") from e
