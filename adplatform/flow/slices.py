"""Files that the platform itself puts into the raw zone, below ``slices/``: deliveries that nobody announces, and that
the run which puts them publishes."""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from adplatform.failures import TransientFailure
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.listing import list_between
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.audit import AuditFinding
from adplatform.lake.zones import Zones
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.leases import Lease
from adplatform.ledger.objects import MOST_RECORDED_APART, ObjectState, RawObject
from adplatform.ledger.publications import Publication
from adplatform.platform.at_once import at_once
from adplatform.platform.aws import longest_call
from adplatform.transform.values import OutputColumn

Audited = Callable[[Iterable[AuditFinding]], None]
MADE_FILE = "rows.parquet"
"""One name for every version of a date that is made of tables: a new one replaces the older."""
_LEASE = timedelta(minutes=2)
_MOST_PAGES = 3
"""Pages of a listing of many slices; behind more of them each is listed by itself."""


def slice_settler(services: Services, flows: tuple[FeedFlow, ...]) -> Settler:
    """The arrival side of slices: what lands is recorded here at once, so there is no queue of events."""
    first = flows[0]
    source = Source(first.source, services.zones.raw_bucket, Zones.slices(first.source), flows, takes_files=False)
    return Settler(Arrivals(source, services.s3, services.ledger), services.zones)


@dataclass(frozen=True)
class Slice:
    """A file that is to be in the place of what there is of a date; called ``name`` in the raw zone."""

    flow: FeedFlow
    day: date
    name: str
    path: Path

    @property
    def key(self) -> str:
        return self.flow.layout.key(self.day, self.name)


@dataclass(frozen=True)
class Brought:
    """A slice that was put and recorded a moment ago, and its delivery, of which nothing else waits."""

    slice: Slice
    object: RawObject
    delivery: Delivery


def put_slices(services: Services, slices: Sequence[Slice]) -> list[Brought | None]:
    """Put slices of one feed, each of another date, into the raw zone and record them. None of one whose delivery is
    not as it is on ordinary days, or beside which others lie: it is recorded all the same."""
    uploaded = at_once(lambda each: services.store.upload(each.path, services.zones.raw_bucket, each.key), slices)
    arrivals = slice_settler(services, (slices[0].flow,)).arrivals
    alone = _alone(services, slices)
    known = services.ledger.deliveries.of_days((each.flow.name, each.day) for each in slices)
    found: dict[str, tuple[Slice, Delivery, RawObject]] = {}
    for each, put in zip(slices, uploaded, strict=True):
        version, seen = alone.get(each.key), known.get((each.flow.name, each.day), Delivery(each.day))
        if version is None or not put.version or put.version != version.get("VersionId") or not _is_at_rest(seen):
            continue
        feed, obj = arrivals.object_of(version, "run")
        if feed == each.flow.name and obj.state is ObjectState.ARRIVED:
            found[each.key] = each, seen, obj
    brought: dict[str, Brought] = {}
    keys = list(found)
    for start in range(0, len(keys), MOST_RECORDED_APART):
        some = keys[start : start + MOST_RECORDED_APART]
        recorded = services.ledger.objects.record_next(
            [(found[key][0].flow.name, found[key][1], found[key][2]) for key in some]
        )
        for key, (delivery, obj) in zip(some, recorded or (), strict=False):
            brought[key] = Brought(found[key][0], obj, delivery)
    for each in slices:
        if each.key not in brought:
            arrivals.reconcile(each.flow.layout.day_prefix(each.day))
    return [brought.get(each.key) for each in slices]


def _alone(services: Services, slices: Sequence[Slice]) -> dict[str, dict[str, Any]]:
    """What S3 lists of those slices beside which there is no other version."""
    keys = sorted(each.key for each in slices)
    prefix = slices[0].flow.layout.prefix
    listed = list_between(services.s3, services.zones.raw_bucket, prefix, keys[0], keys[-1], _MOST_PAGES) or []
    versions: dict[str, list[dict[str, Any]]] = {}
    for version in listed:
        versions.setdefault(version["Key"], []).append(version)
    return {key: versions[key][0] for key in keys if len(versions.get(key, ())) == 1}


def _is_at_rest(seen: Delivery) -> bool:
    """Whether all that has come of a date is published and closed, or nothing has come."""
    closed = seen.state is DeliveryState.PUBLISHED and seen.published == seen.version and not seen.pending
    return closed or not seen.revision


def publish_slice(
    services: Services, flow: FeedFlow, day: date, run_id: str, work: Path, audited: Audited = lambda _: None
) -> tuple[Publication, tuple[OutputColumn, ...]] | None:
    """Settle and publish the newest slice of a date; None when readers see it already.

    Raises:
        PermanentFailure, ClaimLost, TransientFailure: as :func:`adplatform.flow.delivery.publish_delivery`.
    """
    if not settle_slice(services, flow, day):
        return None
    return publish_delivery(services, flow, day, run_id, work, audited)


def settle_slice(services: Services, flow: FeedFlow, day: date) -> bool:
    """Settle the newest slice of a date; whether there is one that readers do not see."""
    delivery = services.ledger.deliveries.get(flow.name, day)
    if delivery.pending:
        slice_settler(services, (flow,)).settle(flow, delivery)
    settled = services.ledger.deliveries.get(flow.name, day)
    return settled.state not in (DeliveryState.PUBLISHED, DeliveryState.OPEN)


def build_lease(
    services: Services, flow: FeedFlow, day: date, run_id: str, sleep: Callable[[float], None] = time.sleep
) -> AbstractContextManager[Lease]:
    """Hold a table that is made of others alone, to build one of its dates.

    Raises:
        LeaseHeld: another run is at it.
    """
    return services.ledger.lease(f"build/{flow.name}", f"{run_id}/{day}", ttl=_LEASE, wait=_LEASE * 3, sleep=sleep)


def publish_made(
    services: Services,
    flow: FeedFlow,
    day: date,
    file: Path,
    lease: Lease,
    run_id: str,
    work: Path,
    audited: Audited = lambda _: None,
) -> Publication:
    """Publish a Parquet ``file`` as all rows of a date, under the lease of :func:`build_lease`, after what a killed run
    left settled. The publication is an older one when readers see the same file already.

    Raises: as :func:`publish_slice`.
    """
    # Whoever lost the lease may have read older rows than those that are published by now.
    call = longest_call(services.s3)
    lease.check(call)
    with lease.kept(call):
        services.store.upload(file, services.zones.raw_bucket, flow.layout.key(day, MADE_FILE))
    slice_settler(services, (flow,)).arrivals.reconcile(flow.layout.day_prefix(day))
    while publish_slice(services, flow, day, run_id, work, audited) is not None:
        continue
    delivery = services.ledger.deliveries.get(flow.name, day)
    publication = services.ledger.publications.get(flow.name, day, delivery.published)
    if publication is None or delivery.pending or delivery.state is not DeliveryState.PUBLISHED:
        raise TransientFailure(f"{flow.name} {day} changed while it was published; it is built again")
    return publication
