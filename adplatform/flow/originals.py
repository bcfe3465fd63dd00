"""Originals that are kept for a while only: those of changes, once they are merged.

Merges read the table of changes and never the originals, so that nothing is made of these any more once they are in a
merge that readers see. A date gets no file later than itself, because it is the one on which files came.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from adplatform.contracts.model import DELIVERY_DATE
from adplatform.failures import TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import DeliveryState
from adplatform.platform.aws_errors import aws_failures

_MOST_DELETED = 1000  # S3 API reference, DeleteObjects


@dataclass(frozen=True)
class Expired:
    """What was removed, or would be: the dates, how many objects they had in the archive, and their bytes."""

    days: tuple[date, ...] = ()
    objects: int = 0
    bytes: int = 0


def expire_originals(services: Services, flow: FeedFlow, *, dry_run: bool = False) -> Expired:
    """Remove the archive of dates that ended longer ago than originals are kept, and that are merged as readers see
    them. Cut short, it is gone on with by the next call.

    Raises:
        TransientFailure: AWS did not answer.
        EnvironmentFailure: AWS does not allow it.
    """
    if flow.keep_originals is None or not flow.archive:
        return Expired()
    prefix = services.zones.archive_of(flow.name, flow.archive)
    days, objects, size = dict[date, None](), 0, 0
    with aws_failures(f"the archive of {flow.name}"):
        for day, versions in _archived(services, prefix):
            if not _has_ended(services, flow, day):
                continue
            days[day] = None
            objects += len(versions)
            size += sum(each.get("Size", 0) for each in versions)
            if not dry_run:
                _delete(services, versions)
    return Expired(tuple(days), objects, size)


def _has_ended(services: Services, flow: FeedFlow, day: date) -> bool:
    ledger = services.ledger
    kept = flow.keep_originals or timedelta(0)
    if ledger.now().date() - day <= kept:
        return False
    delivery, placement = ledger.deliveries.get(flow.name, day), ledger.placements.get(flow.name, day)
    if placement is None or delivery.state is not DeliveryState.PUBLISHED or delivery.published != placement.version:
        return False
    if not flow.merged_as:
        return True
    merged = ledger.folds.get(flow.source, flow.merged_as).merged
    return merged.versions.get(day.isoformat()) == placement.version


def _archived(services: Services, prefix: str) -> Iterator[tuple[date, list[dict[str, Any]]]]:
    """Every version below the prefix, by its date, the earliest first."""
    pages = services.s3.get_paginator("list_object_versions").paginate(Bucket=services.zones.raw_bucket, Prefix=prefix)
    day, found = "", list[dict[str, Any]]()
    for page in pages:
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            own = each["Key"].removeprefix(prefix).partition("/")[0].removeprefix(f"{DELIVERY_DATE}=")
            if own != day and found:
                yield date.fromisoformat(day), found
                found = []
            day = own
            found.append(each)
    if found:
        yield date.fromisoformat(day), found


def _delete(services: Services, versions: list[dict[str, Any]]) -> None:
    bucket = services.zones.raw_bucket
    for start in range(0, len(versions), _MOST_DELETED):
        keys = [
            {"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions[start : start + _MOST_DELETED]
        ]
        answer = services.s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if refused := answer.get("Errors", ()):
            first = refused[0]
            raise TransientFailure(
                f"{len(refused)} objects of the archive cannot be deleted, the first {first['Key']}: {first['Code']}"
            )
