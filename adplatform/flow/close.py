"""The last step: source objects go to the archive, and only now; then the delivery counts as published."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import ClaimLost, PermanentFailure, TransientFailure
from adplatform.flow.cost_guard import used_writes
from adplatform.flow.lifecycle import claimed_by, no_longer_hindered
from adplatform.flow.publication_events import announce
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import emit_published
from adplatform.flow.version import located, read_settlement
from adplatform.flow.workloads import wanted
from adplatform.lake.zones import Zones, file_key
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import MOST_ARCHIVED, ObjectState, RawObject
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest
from adplatform.ledger.table import Write
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures

log = logging.getLogger(__name__)

_MOST_DELETED = 1000  # S3 API reference, DeleteObjects


def archive(
    services: Services,
    flow: FeedFlow,
    day: date,
    settled_arrivals: int,
    only: Collection[str] | None = None,
    closed: int = 0,
    objects: Iterable[RawObject] | None = None,
    remember: Callable[[Mapping[str, RawObject]], None] | None = None,
) -> int:
    """Move every object version that the delivery had when it settled to the archive, or ``only`` those with these
    keys; returns how many moved. Originals of a feed without an archive stay where they are. So many of the first
    objects as are ``closed`` were dealt with by an archiving that came to its end. ``objects`` are those that are left
    for who has just read them. ``remember`` notes where objects are that were copied, each under its key.

    Many together. Of each: copy, compare, remember, delete, in this order, so that at any moment the ledger names a
    place where the object is. Only the version that was settled is deleted, so a file that the sender overwrites
    meanwhile stays. What an earlier call has copied goes first, whatever becomes of the others.

    Raises:
        TransientFailure: an original is not there, or its copy is not of its size; the original stays.
    """
    if not flow.archive:
        return 0
    there: list[RawObject] = []
    before: list[RawObject] = []
    if objects is None:
        objects = services.ledger.objects.not_archived(flow.name, day, above=closed or -1)
    remember = remember or partial(_remember, services.ledger, flow, day)
    for obj in objects:
        excluded = obj.state is ObjectState.EXCLUDED
        settled = excluded or (obj.state is ObjectState.ARRIVED and obj.number <= settled_arrivals)
        if flow.layout.marked_load(obj.key):
            continue  # other feeds may wait for it
        if settled and (only is None or obj.key in only):
            (before if obj.archived_key else there).append(obj)
    moved = 0
    delete_originals(services.s3, before)
    for start in range(0, len(there), _MOST_DELETED):
        some = there[start : start + _MOST_DELETED]
        copied: list[RawObject] = []
        for first in range(0, len(some), MOST_ARCHIVED):
            copied += _copied_together(services, flow, some[first : first + MOST_ARCHIVED], remember)
        delete_originals(services.s3, copied)
        moved += len(copied)
    return moved


def is_there(s3: Any, obj: RawObject) -> bool:
    """Whether the object is where the ledger says."""
    try:
        s3.head_object(**located(obj))
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] in (404, 405):
            return False
        raise
    return True


def archive_key(zones: Zones, flow: FeedFlow, day: date, key: str, version: str) -> str:
    """Where the archive keeps an object version of the delivery."""
    return file_key(f"{zones.archive(flow.name, day, flow.archive)}{digest(key, version)}/", PurePosixPath(key).name)


def _copied_together(
    services: Services,
    flow: FeedFlow,
    objects: Sequence[RawObject],
    remember: Callable[[Mapping[str, RawObject]], None],
) -> list[RawObject]:
    """Copy the objects, and remember where they are, also of those that were copied before one failed; which were."""
    copied: dict[str, RawObject] = {}
    try:
        at_once(partial(_copied, services, flow, copied), objects)
    except (PermanentFailure, TransientFailure):
        _told(flow, copied, remember)
        raise
    _told(flow, copied, remember)
    return list(copied.values())


def _told(flow: FeedFlow, copied: Mapping[str, RawObject], remember: Callable[[Mapping[str, RawObject]], None]) -> None:
    if copied:
        with aws_failures(f"{flow.name}: the ledger"):
            remember(copied)


def _remember(ledger: Ledger, flow: FeedFlow, day: date, copied: Mapping[str, RawObject]) -> None:
    if not ledger.objects.archived(flow.name, copied):
        ledger.objects.archived_each(flow.name, day, copied)


def _copied(services: Services, flow: FeedFlow, copied: dict[str, RawObject], obj: RawObject) -> None:
    """Copy the object, and enter it under its key in the archive; an excluded one only where it is still there."""
    with aws_failures(obj.file_id):
        if obj.state is not ObjectState.EXCLUDED or is_there(services.s3, obj):
            copied[archive_copy(services, flow, obj)] = obj


def archive_copy(services: Services, flow: FeedFlow, obj: RawObject) -> str:
    """Copy an object to the archive, and compare; the key of the copy.

    Raises:
        TransientFailure: as :func:`archive`.
    """
    target = archive_key(services.zones, flow, obj.day, obj.key, obj.version)
    try:
        etag = services.store.copy_from(
            located(obj), obj.size, services.zones.raw_bucket, target, CopySourceIfMatch=f'"{obj.etag}"'
        )
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 412):
            raise
        raise TransientFailure(f"{obj.file_id} is not in the landing zone any more") from e
    # An ETag that is the same is a digest of the same bytes; under KMS, or of parts, it may be another.
    if etag != obj.etag:
        copied = services.s3.head_object(Bucket=services.zones.raw_bucket, Key=target)
        if copied["ContentLength"] != obj.size:
            raise TransientFailure(f"{obj.file_id}: its archive copy has {copied['ContentLength']} of {obj.size} bytes")
    return target


def delete_originals(s3: Any, objects: Sequence[RawObject]) -> None:
    """Those of objects that the archive has: versions by few calls, and again one by one where S3 refuses some, so that
    it says why. An object without one is looked at before."""
    versions = [obj for obj in objects if obj.version_id]
    again = [obj for obj in objects if not obj.version_id]
    for start in range(0, len(versions), _MOST_DELETED):
        batch = versions[start : start + _MOST_DELETED]
        keys = [{"Key": obj.key, "VersionId": str(obj.version_id)} for obj in batch]
        answer = s3.delete_objects(Bucket=batch[0].bucket, Delete={"Objects": keys, "Quiet": True})
        refused = {(each["Key"], each.get("VersionId")) for each in answer.get("Errors", ())}
        again += [obj for obj in batch if (obj.key, obj.version_id) in refused]
    at_once(partial(_delete_original, s3), again)


def _delete_original(s3: Any, obj: RawObject) -> None:
    with aws_failures(obj.file_id):
        _delete_version(s3, obj)


def _delete_version(s3: Any, obj: RawObject) -> None:
    original = {"Bucket": obj.bucket, "Key": obj.key}
    if obj.version_id:
        s3.delete_object(**original, VersionId=obj.version_id)
        return
    # Without versions the key may hold a newer object by now, which must stay.
    try:
        head = s3.head_object(**original)
    except ClientError as e:
        if e.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return
        raise
    if head["ETag"].strip('"') != obj.etag:
        return
    try:
        s3.delete_object(**original, IfMatch=head["ETag"])
    except ClientError as e:
        # 404: deleted by this call already, whose first answer was lost. 412: a newer object came meanwhile.
        if e.response["ResponseMetadata"]["HTTPStatusCode"] not in (404, 412):
            raise


def close(
    services: Services,
    flow: FeedFlow,
    delivery: Delivery,
    seconds: float,
    *,
    row: Publication | None = None,
    closed: int = 0,
    objects: Iterable[RawObject] | None = None,
    noted: Callable[[], None] = lambda: None,
    used: Mapping[str, Decimal | int] | None = None,
    others: Iterable[Write] = (),
) -> Publication:
    """Archive, notify, and mark the version as published. May run again after a crash at any point. ``row`` is that of
    the version for who has just shown it, which is written with the first objects that the archive has; ``noted`` is
    called then, unless somebody else has noted meanwhile that it is published. ``closed`` and ``objects`` are as in
    :func:`archive`. ``used`` is what the version has used of its source's budget, by unit. ``others`` are written with
    that it is published, unless it was before.

    Raises:
        ClaimLost: another run has taken the delivery.
        TransientFailure: the version is not in the ledger, or an original is not where it was.
    """
    ledger, day = services.ledger, delivery.day
    # What a run that goes on has written must stay where the engine says that it is.
    only = None
    if flow.by_runs and flow.archive:
        settlement = read_settlement(services.s3, services.zones, delivery.manifest_key)
        only = {entry["key"] for entry in settlement["objects"]}
    closing = _Closing(ledger, flow, delivery, row, noted)
    try:
        archive(services, flow, day, delivery.settled_arrivals, only, closed, objects, closing.remember)
    except (PermanentFailure, TransientFailure):
        # Readers see the version, whatever becomes of its originals.
        closing.note()
        raise
    row = closing.row or ledger.publications.get(flow.name, day, delivery.version)
    if row is None:
        raise TransientFailure(f"{flow.name} {day}: version {delivery.version} is not in the ledger")
    done = closed_row(ledger, row, seconds)
    # A second run of a version that is published and closed changes nothing, and nobody need hear of it.
    is_news = row.state is not DeliveryState.PUBLISHED or delivery.published != delivery.version
    writes = [ledger.publications.put_write(flow.name, done)]
    if is_news:
        writes += used_writes(services, flow.source, flow.budget, used or {})
        writes += [*announced(services, flow, day, done), *others]
    if ledger.deliveries.close(flow.name, day, delivery.run_id, delivery.version, delivery, *writes) is None:
        raise ClaimLost(f"{flow.name} {day} was taken by another run while this one closed it")
    closing.done()
    emit_published(services, flow, delivery, done)
    if delivery.hindered:
        no_longer_hindered(ledger, flow, day)
    if is_news:
        notify_published(services, [(flow, done)])
    return done


def closed_row(ledger: Ledger, row: Publication, seconds: float) -> Publication:
    """The row of a version that is published now, which took so long."""
    took = Decimal(str(round(seconds, 3)))
    return replace(row, state=DeliveryState.PUBLISHED, finished_at=ledger.now(), seconds=took, error="")


def announced(services: Services, flow: FeedFlow, day: date, done: Publication) -> list[Write]:
    """What is to be written with that a version is published: for other tools, and what services do with it."""
    scope, workloads = flow.scope.value if flow.scope else "", (*flow.workloads, *flow.awaited_by)
    return [
        *announce(services, flow.table, day, done.version, done.clean, done.run_id, scope),
        *wanted(services.ledger, workloads, flow.table, day, done.version, scope),
    ]


@dataclass
class _Closing:
    """What the ledger learns while a version is closed. ``row`` is noted once, by the first write."""

    ledger: Ledger
    flow: FeedFlow
    delivery: Delivery
    row: Publication | None
    noted: Callable[[], None]
    _told: bool = False

    def remember(self, copied: Mapping[str, RawObject]) -> None:
        """Where objects are that were copied, if the run still has the delivery; and the row, if that is not noted yet.

        Raises:
            ClaimLost: another run has taken it.
        """
        ledger, name, day, run_id = self.ledger, self.flow.name, self.delivery.day, self.delivery.run_id
        others = [ledger.deliveries.held_write(name, day, run_id)]
        if self.row is not None and not self._told:
            others.append(ledger.publications.note_write(name, self.row))
        if not ledger.objects.archived(name, copied, *others):
            claimed_by(ledger, self.flow, day, run_id)
            if self.row is not None and not self._told and not ledger.publications.note(name, self.row):
                self.row = None
            ledger.objects.archived_each(name, day, copied)
        self.done()

    def note(self) -> None:
        """The row alone, if it is not noted yet.

        Raises:
            ClaimLost: another run has taken the delivery.
        """
        if self.row is not None and not self._told:
            self.remember({})

    def done(self) -> None:
        """The row is written."""
        if self.row is not None and not self._told:
            self._told = True
            self.noted()


def notify_published(services: Services, published: Sequence[tuple[FeedFlow, Publication]]) -> None:
    """Readers see the versions of one source whether or not anybody can be notified, so a message that fails is logged,
    not raised."""
    if not published:
        return
    messages = [
        (f"{flow.name} {done.day}: published version {done.version}", facts(flow, done)) for flow, done in published
    ]
    services.notifier(published[0][0].topics).successes("delivery_published", messages)


def facts(flow: FeedFlow, publication: Publication) -> dict[str, Any]:
    """What a message says of a publication."""
    return {
        "feed": flow.name,
        "date": publication.day.isoformat(),
        "version": publication.version,
        "table": publication.table,
        "rows_in": publication.rows_in,
        "clean": publication.clean,
        "superseded": publication.superseded,
        "quarantined": publication.quarantined,
        "left_out": publication.left_out,
        "reasons": dict(publication.reasons),
        "run_id": publication.run_id,
    }
