"""Files that the platform itself puts into the raw zone, below ``slices/``: deliveries that nobody announces, and that
the run which puts them publishes."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from pathlib import Path

from adplatform.failures import TransientFailure
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.audit import AuditFinding
from adplatform.lake.zones import Zones
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.leases import Lease
from adplatform.ledger.publications import Publication
from adplatform.platform.aws import longest_call
from adplatform.transform.values import OutputColumn

Audited = Callable[[Iterable[AuditFinding]], None]
MADE_FILE = "rows.parquet"
"""One name for every version of a date that is made of tables: a new one replaces the older."""
_LEASE = timedelta(minutes=2)


def slice_settler(services: Services, flows: tuple[FeedFlow, ...]) -> Settler:
    """The arrival side of slices: what lands is recorded here at once, so there is no queue of events."""
    first = flows[0]
    source = Source(first.source, services.zones.raw_bucket, Zones.slices(first.source), flows, takes_files=False)
    return Settler(Arrivals(source, services.s3, services.ledger), services.zones)


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
