"""Originals that are kept for a while only: those of changes, once they are merged.

Merges read the table of changes and never the originals, so that nothing is made of these any more once they are in a
merge that readers see. A date gets no file later than itself, because it is the one on which files came.
"""

from collections.abc import Iterator, Mapping
from datetime import date

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import DeliveryState
from adplatform.platform.aws_errors import aws_failures


def expire_originals(services: Services, flow: FeedFlow, *, dry_run: bool = False) -> int:
    """Remove the archive of dates that ended longer ago than originals are kept, and that are merged as readers see
    them; how many objects that were, or would be. Cut short, it is gone on with by the next call.

    Raises:
        TransientFailure: AWS did not answer, or refused to delete some.
        EnvironmentFailure: AWS does not allow it.
    """
    if flow.keep_originals is None or not flow.archive:
        return 0
    ledger, objects = services.ledger, 0
    last = ledger.now().date() - flow.keep_originals
    merged = ledger.folds.get(flow.source, flow.merged_as).merged.versions if flow.merged_as else None
    with aws_failures(f"the archive of {flow.name}"):
        for day, versions in _archived(services, services.zones.archive_of(flow.name, flow.archive)):
            if day >= last or not _is_done_with(services, flow, day, merged):
                continue
            objects += len(versions)
            if not dry_run:
                services.store.delete_versions(services.zones.raw_bucket, versions)
    return objects


def _is_done_with(services: Services, flow: FeedFlow, day: date, merged: Mapping[str, int] | None) -> bool:
    """Whether nothing waits on the date, and what readers see of it is ``merged``, where there are merges."""
    delivery = services.ledger.deliveries.get(flow.name, day)
    placement = services.ledger.placements.get(flow.name, day)
    if placement is None or delivery.state is not DeliveryState.PUBLISHED or delivery.published != placement.version:
        return False
    return merged is None or merged.get(day.isoformat()) == placement.version


def _archived(services: Services, prefix: str) -> Iterator[tuple[date, list[tuple[str, str]]]]:
    """Every version below the prefix, as key and id, by its date."""
    pages = services.s3.get_paginator("list_object_versions").paginate(Bucket=services.zones.raw_bucket, Prefix=prefix)
    day, found = "", list[tuple[str, str]]()
    for page in pages:
        for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
            own = each["Key"].removeprefix(prefix).partition("/")[0].removeprefix(f"{DELIVERY_DATE}=")
            if own != day and found:
                yield date.fromisoformat(day), found
                found = []
            day = own
            found.append((each["Key"], each["VersionId"]))
    if found:
        yield date.fromisoformat(day), found
