"""The files of a settled version: its manifest, the objects that it names, and their bytes from where they are now."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure, TransientFailure, naming
from adplatform.files.budget import require_room
from adplatform.flow.source import FeedFlow
from adplatform.lake.store import is_missing
from adplatform.lake.zones import Zones
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import RawObject, id_of
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest
from adplatform.ledger.table import MOST_READ
from adplatform.platform.ahead import ahead

_CHUNK = 1 << 20
_WORTH_A_THREAD = 16 << 20
"""Bytes of an object."""
_MANIFEST = re.compile(r"dt=(\d{4}-\d{2}-\d{2})/v(\d+)-[0-9a-f]+\.json")


@dataclass(frozen=True)
class VersionObject:
    """One object of a version, with what the sender's manifest says of it. ``origin`` is what the ledger calls it among
    the files of the version, by its name; when it is ``overwritten``, one under the same key is newer."""

    object: RawObject
    sha256: str | None
    rows: int | None
    origin: str
    overwritten: bool


def version_objects(
    s3: Any, zones: Zones, ledger: Ledger, flow: FeedFlow, day: date, version: int
) -> list[VersionObject]:
    """The objects of a settled version, at their present places.

    Raises:
        PermanentFailure: the version was never settled, or its manifest names an object that the ledger does not know.
    """
    publication = ledger.publications.get(flow.name, day, version)
    if publication is None:
        raise PermanentFailure(f"{flow.name} {day}: version {version} was never settled")
    return objects_of(ledger, flow, publication, read_settlement(s3, zones, publication.manifest_key)["objects"])


def objects_of(
    ledger: Ledger,
    flow: FeedFlow,
    publication: Publication,
    entries: Sequence[Mapping[str, Any]],
    known: Mapping[str, RawObject] = MappingProxyType({}),
) -> list[VersionObject]:
    """The objects of these entries of the version's manifest, at their present places; ``known`` has those that were
    read a moment ago, by their identity.

    Raises:
        PermanentFailure: the ledger does not know one of them.
    """
    day = publication.day
    identities = set(map(identity_of, entries))
    if not identities <= known.keys():
        few = len(entries) <= MOST_READ
        rows = ledger.objects.named(flow.name, day, identities) if few else ledger.objects.of_day(flow.name, day)
        known = {o.identity: o for o in rows}
    found = []
    for entry in entries:
        obj = known.get(identity_of(entry))
        if obj is None:
            raise PermanentFailure(
                f"{flow.name} {day}: {publication.manifest_key} names {file_id_of(entry)}, not in the ledger"
            )
        promised = {} if obj.edited else entry
        found.append(
            VersionObject(
                obj,
                promised.get("sha256"),
                promised.get("rows"),
                origin_of(entry),
                entry.get("overwritten", False),
            )
        )
    return found


def origin_of(entry: Mapping[str, Any]) -> str:
    """What an object is called among the files of a settled version, by its entry in the manifest: its URI, and
    behind it the version where there are several of its key."""
    return str(entry.get("origin") or f"s3://{entry['bucket']}/{entry['key']}")


def file_id_of(entry: Mapping[str, Any]) -> str:
    """What tables call the same object, by its entry."""
    return id_of(identity_of(entry))


def identity_of(entry: Mapping[str, Any]) -> str:
    """What the ledger knows the same object by, also where an erasure has changed its name."""
    return str(entry.get("known_as") or digest(entry["bucket"], entry["key"], entry["version"]))


def manifests_of(
    s3: Any, zones: Zones, feed: str, day: date | None = None, after: int = 0
) -> dict[date, list[tuple[int, str]]]:
    """Number and key of every manifest of a delivery, or of all of a feed, by date and lowest number first. Of a
    delivery those up to number ``after`` need not be among them."""
    prefix = zones.manifests_of(feed)
    below = prefix if day is None else zones.manifests(feed, day)
    # From number 1000 on texts sort as numbers do, also those with more digits.
    behind = {} if day is None or not after else {"StartAfter": f"{below}v{min(after, 999):04d}-~"}
    found: dict[date, list[tuple[int, str]]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=zones.raw_bucket, Prefix=below, **behind):
        for entry in page.get("Contents", ()):
            if named := _MANIFEST.fullmatch(entry["Key"].removeprefix(prefix)):
                found.setdefault(date.fromisoformat(named[1]), []).append((int(named[2]), entry["Key"]))
    return {each: sorted(manifests) for each, manifests in found.items()}


def highest_manifests(s3: Any, zones: Zones, feed: str, first: date, last: date) -> dict[date, int]:
    """The highest number of a manifest of each delivery of a feed between two dates, both included, that has one; by
    one listing."""
    prefix = zones.manifests_of(feed)
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=zones.raw_bucket, Prefix=prefix, StartAfter=zones.manifests(feed, first)
    )
    highest: dict[date, int] = {}
    for page in pages:
        for entry in page.get("Contents", ()):
            if not (named := _MANIFEST.fullmatch(entry["Key"].removeprefix(prefix))):
                continue
            day = date.fromisoformat(named[1])
            if day > last:
                return highest
            highest[day] = max(int(named[2]), highest.get(day, 0))
    return highest


def read_settlement(s3: Any, zones: Zones, key: str) -> dict[str, Any]:
    """The manifest of a settled version."""
    document: dict[str, Any] = json.loads(s3.get_object(Bucket=zones.raw_bucket, Key=key)["Body"].read())
    return document


def download(s3: Any, obj: RawObject, target: Path) -> str:
    """Fetch exactly this object version and return its SHA-256.

    Raises:
        EnvironmentFailure, TransientFailure: as :func:`save`.
    """
    with original(obj):
        body = s3.get_object(**located(obj))["Body"]
    return save(body, target, obj.stored_size, obj.file_id)


def digested(s3: Any, obj: RawObject, head: int) -> tuple[str, bytes]:
    """The SHA-256 of exactly this object version, and its first bytes, of which nothing is kept.

    Raises:
        TransientFailure: fewer bytes came than it has.
    """
    digest, begin, read = sha256(), b"", 0
    with original(obj):
        body = s3.get_object(**located(obj))["Body"]
    for chunk in body.iter_chunks(1 << 20):
        digest.update(chunk)
        begin += chunk[: max(0, head - len(begin))]
        read += len(chunk)
    if read != obj.stored_size:
        raise TransientFailure(f"{obj.file_id}: {read} of {obj.stored_size} bytes came")
    return digest.hexdigest(), begin


def save(body: Any, target: Path, size: int, called: str) -> str:
    """Stream a response body to ``target``; its SHA-256.

    Raises:
        EnvironmentFailure: the disk has no room for it; nothing is written then.
        TransientFailure: fewer bytes came than ``size``.
    """
    require_room(target.parent, size, called)
    digest, written = sha256(), 0
    with naming(target), target.open("wb") as out, _coming(body, size) as chunks:
        for chunk in chunks:
            out.write(chunk)
            digest.update(chunk)
            written += len(chunk)
    if written != size:
        raise TransientFailure(f"{called}: {written} of {size} bytes came")
    return digest.hexdigest()


def _coming(body: Any, size: int) -> AbstractContextManager[Iterator[bytes]]:
    """The chunks of a body; of a large one the next come while those before are hashed and written."""
    chunks = iter(body.iter_chunks(_CHUNK))
    return ahead(chunks) if size >= _WORTH_A_THREAD else nullcontext(chunks)


def read_object(s3: Any, obj: RawObject) -> bytes:
    """The bytes of an object from where it is now, landing or archive."""
    with original(obj):
        body: bytes = s3.get_object(**located(obj))["Body"].read()
    return body


def read_whole(s3: Any, obj: RawObject) -> bytes:
    """The same, of which all bytes must come.

    Raises:
        TransientFailure: fewer or more came than the object has.
    """
    body = read_object(s3, obj)
    if len(body) != obj.stored_size:
        raise TransientFailure(f"{obj.file_id}: {len(body)} of {obj.stored_size} bytes came")
    return body


@contextmanager
def original(obj: RawObject) -> Iterator[None]:
    """Read an object from where it is now.

    Raises:
        PermanentFailure: it was in the archive for as long as its source keeps originals.
    """
    try:
        yield
    except ClientError as e:
        if not obj.archived_key or not is_missing(e):
            raise
        raise PermanentFailure(
            f"{obj.file_id}: its original has expired, the archive does not have it any more (`retention` of the "
            "source), so this date cannot be made again; what readers see stays as it is"
        ) from e


def located(obj: RawObject) -> dict[str, str]:
    """Bucket, key and, in the landing zone, version id: the S3 arguments that name exactly this object."""
    if obj.archived_key:
        return {"Bucket": obj.bucket, "Key": obj.archived_key}
    version = {"VersionId": obj.version_id} if obj.version_id else {}
    return {"Bucket": obj.bucket, "Key": obj.key, **version}
