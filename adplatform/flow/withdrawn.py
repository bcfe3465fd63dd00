"""Files that their sender deleted from the landing zone before the delivery settled, of a feed that leaves such out."""

from collections.abc import Sequence
from typing import Any

from adplatform.files.arrivals import pending_objects, reopened
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import read_settlement
from adplatform.lake.zones import Zones
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import ObjectState, RawObject

REASON = "deleted by its sender before the delivery settled"


def leaves_out(flow: FeedFlow) -> bool:
    """Whether deleted files do not count. Where each version of a key is a file, deletion of the key says nothing."""
    return flow.feed.arrival.withdrawn == "leave_out" and not flow.every_version


def is_left(delivery: Delivery, objects: Sequence[RawObject]) -> bool:
    """Whether there is something to settle beside what was withdrawn."""
    return bool(pending_objects(delivery, objects)) or reopened(delivery, objects)


def mark_withdrawn(
    s3: Any, zones: Zones, ledger: Ledger, flow: FeedFlow, delivery: Delivery, objects: Sequence[RawObject]
) -> bool:
    """Mark the objects whose key stands for nothing by now, by one listing of the delivery's prefix; whether there are
    any. What the archive holds was moved by the platform; what readers see stays part of the delivery, whoever has
    deleted it.

    Every version of such a key is marked, so that none that was overwritten takes the place of the newest."""
    candidates = [o for o in objects if o.state is ObjectState.ARRIVED and not o.archived_key]
    if not candidates:
        return False
    prefix, there = flow.layout.day_prefix(delivery.day), set[str]()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=candidates[0].bucket, Prefix=prefix):
        there.update(each["Key"] for each in page.get("Contents", ()))
    gone = [o for o in candidates if o.key not in there]
    settled = {o.identity for o in gone if o.number <= delivery.settled_arrivals}
    if settled:
        seen = _seen_keys(s3, zones, ledger, flow, delivery)
        gone = [o for o in gone if o.identity not in settled or o.key not in seen]
    marked = [ledger.objects.withdraw(flow.name, obj, REASON) for obj in gone]
    return any(marked)


def _seen_keys(s3: Any, zones: Zones, ledger: Ledger, flow: FeedFlow, delivery: Delivery) -> set[str]:
    """The keys of the files of which readers see rows, also where the run that placed them died before it said so."""
    placement = ledger.placements.get(flow.name, delivery.day)
    versions = {delivery.published, placement.version if placement else 0}
    rows = [ledger.publications.get(flow.name, delivery.day, version) for version in versions if version]
    settlements = (read_settlement(s3, zones, row.manifest_key) for row in rows if row)
    return {entry["key"] for settlement in settlements for entry in settlement["objects"]}
