"""S3 with bodies on disk, lazy ranged reads, and reads and writes of one object in a definite order.

moto keeps every body in memory or in an open temporary file each, reads the whole object for every range, and lets
several conditional writers win.
"""

import base64
import copy
import sys
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from xml.etree import ElementTree

from moto.s3 import models, notifications, responses
from moto.s3.exceptions import EntityTooSmall, InvalidContinuationToken, InvalidPart, MalformedXML, NoSuchUpload
from moto.s3.utils import compute_checksum
from moto.settings import S3_UPLOAD_PART_MIN_SIZE
from moto.utilities.utils import md5_hash

from adplatform.local.aws import s3_events
from adplatform.local.aws.bodies import Bodies, Body
from adplatform.local.aws.received import Received, is_received, received
from adplatform.local.aws.s3_listing import OrderedKeys, page
from adplatform.local.aws.state import LOCK

SENT_AT_ONCE = 1 << 20
# Sub-resources that moto does not know. It would take such a request for one about the bucket or object itself.
UNSUPPORTED_SUBRESOURCES = frozenset(
    {
        "abac",
        "analytics",
        "annotation",
        "encryption-configuration",
        "intelligent-tiering",
        "metadataConfiguration",
        "metadataInventoryTable",
        "metadataJournalTable",
        "metadataTable",
        "metrics",
        "renameObject",
        "requestPayment",
        "session",
        "torrent",
    }
)

_READS = frozenset({"GET", "HEAD", "OPTIONS"})

_bodies: Bodies
_written: Callable[[], AbstractContextManager[None]]


class DiskKey(models.FakeKey):
    """An object version or part whose body is a file, or of a copied part a slice of one. Only its name, size and MD5
    stay in memory."""

    _body: str | None = None
    _slice: tuple[int, int] | None = None
    _etag: str | None
    _digests: Mapping[str, bytes] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self._value_buffer, self.lock

    @property
    def value(self) -> memoryview:
        if self._body is None:
            return memoryview(b"")
        body = _bodies.read(self._body)
        return body if self._slice is None else body[slice(*self._slice)]

    @value.setter
    def value(self, new_value: bytes | memoryview | Body | Received) -> None:
        previous = self._body
        if isinstance(new_value, Received):
            self._digests = new_value.digests
            new_value = new_value.take()
        stored = new_value if isinstance(new_value, Body) else _bodies.write([new_value])
        self._body, self.contentsize, md5 = stored
        self._etag = self._etag or md5
        if previous is not None:
            _bodies.discard(previous)

    @property
    def etag(self) -> str:
        return f'"{self._etag}"'

    def dispose(self, garbage: bool = False) -> None:
        if not garbage and self._body is not None:
            _bodies.discard(self._body)
            self._body = None
        self.disposed = True

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


class DiskMultipart(models.FakeMultipart):
    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[Body, str, tuple[str, str, int] | None]:
        """The joined parts, the ETag and the checksum. moto joins the parts in memory, several times over, and forgets
        them before it stores the object, so that a client could not try again when the disk is full."""
        parts: list[DiskKey] = []
        for number, etag in body:
            part = self.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart
            if parts and parts[-1].contentsize < S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall
            parts.append(part)
        if not parts:
            raise MalformedXML
        etags = md5_hash(b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts))
        joined = _whole(parts)
        if joined is None:
            joined = _bodies.write((part.value for part in parts), hashed=False)
        return joined, f"{etags.hexdigest()}-{len(parts)}", self._checksum(parts)

    def _checksum(self, parts: list[DiskKey]) -> tuple[str, str, int] | None:
        algorithm = self.metadata.get("x-amz-checksum-algorithm")
        kind = self.metadata.get("x-amz-checksum-type", "COMPOSITE")
        if algorithm in {"CRC32", "SHA1", "SHA256"} and kind == "COMPOSITE":
            joined = b"".join(
                part._digests.get(algorithm) or compute_checksum(part.value, algorithm, encode_base64=False)
                for part in parts
            )
            return kind, compute_checksum(joined, algorithm).decode(), len(parts)
        if algorithm == "CRC32":
            crc = 0
            for part in parts:
                crc = zlib.crc32(part.value, crc)
            return kind, base64.b64encode(crc.to_bytes(4, "big")).decode(), 1
        # moto would answer with the CRC32 under the name of the algorithm asked for.
        return None


def _whole(parts: list[DiskKey]) -> Body | None:
    """What parts come to that are one body, copied slice by slice; None if they are something else."""
    end, first = 0, str(parts[0]._body)
    for part in parts:
        if part._slice is None or part._slice[0] != end or not _bodies.is_same(str(part._body), first):
            return None
        end = part._slice[1]
    return Body(_bodies.again(first), end, "") if end == len(_bodies.read(first)) else None


class Multiparts(models.MultipartDict):
    def __missing__(self, upload_id: str) -> Any:
        """moto fails on parts of unknown uploads with a KeyError."""
        raise NoSuchUpload(upload_id=upload_id)


class LocalS3Backend(models.S3Backend):
    def upload_part_copy(
        self,
        dest_bucket_name: str,
        multipart_id: str,
        part_id: int,
        src_bucket_name: str,
        src_key_name: str,
        src_version_id: str | None,
        start_byte: int | None,
        end_byte: int | None,
    ) -> Any:
        """The ETag names what was copied: nobody has the bytes to hash, and S3 promises no MD5 of copied parts."""
        multipart = self.get_bucket(dest_bucket_name).multiparts[multipart_id]
        source: Any = self.get_object(src_bucket_name, src_key_name, version_id=src_version_id)
        start, end = (0, source.size) if start_byte is None or end_byte is None else (start_byte, end_byte + 1)
        end = max(start, min(end, source.size))
        named = md5_hash(f"{source.etag}:{start}-{end}".encode()).hexdigest()
        part = multipart.set_part(part_id, Body(_bodies.again(source._body), end - start, named))
        part._slice = start, end
        return part

    def delete_object(
        self, bucket_name: str, key_name: str, version_id: str | None = None, bypass: bool = False
    ) -> tuple[bool, dict[str, Any]]:
        """In a versioned bucket moto only announces the deletion of an object's last version."""
        bucket = self.get_bucket(bucket_name)
        doomed = [v for v in bucket.keys.getlist(key_name, []) if v.version_id == version_id]
        success, headers = super().delete_object(bucket_name, key_name, version_id, bypass)
        if success and bucket.is_versioned and key_name in bucket.keys:
            events = notifications.S3NotificationEvent
            if version_id is None:
                marker = events.OBJECT_REMOVED_DELETE_MARKER_CREATED_EVENT
                notifications.send_event(self.account_id, marker, bucket, bucket.keys[key_name])
            for version in doomed:
                notifications.send_event(self.account_id, events.OBJECT_REMOVED_DELETE_EVENT, bucket, version)
        return success, headers

    def list_objects(
        self,
        bucket: models.FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        marker: str | None,
        max_keys: int | None,
    ) -> tuple[list[Any], list[str], bool, str | None]:
        most = sys.maxsize if max_keys is None else max_keys
        found, more = page(bucket.keys, prefix or "", delimiter or "", marker or "", most)
        groups = [entry for entry in found if isinstance(entry, str)]
        keys = [entry for entry in found if not isinstance(entry, str)]
        return keys, groups, more, _name_of(found[-1]) if more else None

    def list_objects_v2(
        self,
        bucket: models.FakeBucket,
        prefix: str | None,
        delimiter: str | None,
        continuation_token: str | None,
        start_after: str | None,
        max_keys: int,
    ) -> tuple[list[Any], bool, str | None]:
        after = _name_in(continuation_token) if continuation_token else start_after
        found, more = page(bucket.keys, prefix or "", delimiter or "", after or "", max_keys)
        return found, more, _token_of(found[-1]) if more else None

    def list_object_versions(
        self,
        bucket_name: str,
        delimiter: str | None = None,
        key_marker: str | None = None,
        max_keys: int | None = 1000,
        prefix: str = "",
        version_id_marker: str | None = None,
    ) -> tuple[list[Any], list[str], list[Any], str | None, str | None]:
        """moto copies every version of the bucket for every page, begins a page one version too late when its marker is
        no key, and answers nothing at all when its version was deleted meanwhile."""
        kept = self.get_bucket(bucket_name).keys
        found: list[tuple[str, Any]] = []
        prefixes: list[str] = []
        for name in kept.names[bisect_left(kept.names, max(prefix, key_marker or "")) :]:
            if not name.startswith(prefix):
                break
            newest_first = [_marked_latest(v, n == 0) for n, v in enumerate(reversed(kept.getlist(name)))]
            if key_marker and name == key_marker:
                ids = [v.version_id for v in newest_first]
                gone = len(ids) if not version_id_marker else 0
                behind = ids.index(version_id_marker) + 1 if version_id_marker in ids else gone
                newest_first = newest_first[behind:]
            group = prefix + name[len(prefix) :].partition(delimiter)[0] + delimiter if delimiter else ""
            if delimiter and name.startswith(group):
                if group != key_marker and not (key_marker or "").startswith(group) and group not in prefixes:
                    prefixes.append(group)
                    found.append((group, None))
            else:
                found += [(name, version) for version in newest_first]
            if max_keys is not None and len(found) > max_keys:
                break
        page = found[:max_keys]
        more = len(found) > len(page)
        versions = [v for _, v in page if isinstance(v, models.FakeKey)]
        deleted = [v for _, v in page if isinstance(v, models.FakeDeleteMarker)]
        last_name, last = page[-1] if page else ("", None)
        groups = [name for name, v in page if v is None]
        return versions, groups, deleted, last_name if more else None, last.version_id if more and last else None


def _name_of(entry: Any) -> str:
    return entry if isinstance(entry, str) else str(entry.name)


def _token_of(entry: Any) -> str:
    return base64.urlsafe_b64encode(_name_of(entry).encode()).decode()


def _name_in(token: str) -> str:
    """
    Raises:
        InvalidContinuationToken: no listing has given it.
    """
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError as e:
        raise InvalidContinuationToken from e


def _marked_latest(version: Any, latest: bool) -> Any:
    shown = copy.copy(version)
    shown.is_latest = latest
    return shown


class LocalS3Response(responses.S3Response):
    def setup_class(self, request: Any, full_url: str | None = None, headers: Any = None) -> None:
        came = received(request, _bodies) if is_received(request) else None
        super().setup_class(request, full_url, headers)
        if came is not None:
            self.body = came

    def _bucket_response(self, request: Any, full_url: str) -> Any:
        _refuse_unsupported(request)
        with _locked(request):
            return super()._bucket_response(request, full_url)

    def _key_response(self, request: Any, full_url: str) -> Any:
        try:
            _refuse_unsupported(request)
            if isinstance(self.body, Received):
                self.body.require_stated()
            with _locked(request):
                return super()._key_response(request, full_url)
        finally:
            if isinstance(self.body, Received) and not self.body.taken:
                _bodies.drop(self.body.body)

    def get_bucket_notification(self) -> Any:
        """moto leaves out whether events go to EventBridge."""
        status, headers, body = super().get_bucket_notification()
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configuration is not None and configuration.event_bridge is not None:
            root = ElementTree.fromstring(body)  # noqa: S314 - written by moto
            ElementTree.SubElement(root, "EventBridgeConfiguration")
            body = ElementTree.tostring(root)
        return status, headers, body

    def key_response(self, request: Any, full_url: str, headers: Any) -> Any:
        status, response_headers, body = super().key_response(request, full_url, headers)
        if isinstance(body, memoryview):
            body = bytes(body) if len(body) <= SENT_AT_ONCE else _in_pieces(body)
        return status, response_headers, body


def _in_pieces(body: memoryview) -> Iterator[bytes]:
    for start in range(0, len(body), SENT_AT_ONCE):
        yield bytes(body[start : start + SENT_AT_ONCE])


@contextmanager
def _locked(request: Any) -> Iterator[None]:
    with LOCK if request.method in _READS else _written():
        yield


def _refuse_unsupported(request: Any) -> None:
    unsupported = UNSUPPORTED_SUBRESOURCES.intersection(request.args)
    if unsupported:
        raise NotImplementedError(f"S3 {request.method} ?{min(unsupported)}")


_restored_versions = OrderedKeys  # what snapshots of earlier releases call it by


def install(bodies: Bodies, written: Callable[[], AbstractContextManager[None]]) -> None:
    """``written`` surrounds each write, holds the lock, and may refuse it by raising ``NotSaved``."""
    global _bodies, _written
    _bodies, _written = bodies, written
    models.FakeKey = DiskKey
    models.FakeMultipart = DiskMultipart
    models.MultipartDict = Multiparts
    models._VersionedKeyStore = OrderedKeys
    models.s3_backends.backend = LocalS3Backend
    responses.S3Response = LocalS3Response
    s3_events.install()


def after_load() -> None:
    """Rebuilds what moto keeps outside of its backends, and deletes the bodies that no key refers to."""
    referenced: set[str] = set()
    for account, partition, backend in models.s3_backends.iter_backends():
        for bucket in backend.buckets.values():
            models.s3_backends.bucket_accounts[bucket.name] = (partition, account)
            for versions in dict.values(bucket.keys):
                referenced.update(v._body for v in versions if isinstance(v, DiskKey) and v._body is not None)
            for multipart in bucket.multiparts.values():
                referenced.update(part._body for part in multipart.parts.values() if part._body is not None)
    _bodies.delete_all_but(referenced)
