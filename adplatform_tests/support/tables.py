"""Tables of a source, published as any delivery is, without a landing zone or Dagster."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

from adplatform.contracts.feed import Arrival, Feed
from adplatform.files.landing import layout_of
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice, slice_settler
from adplatform.flow.source import FeedFlow, ScopeKey, scoped
from adplatform.lake.zones import Zones

ARRIVAL = Arrival(complete_when="count", expected_files=1, accept_early=None)


def table_flow(declared: Mapping[str, Any], *, scope: str = "", source: str = "acme") -> FeedFlow:
    """The feed of a table, of one profile where a ``scope`` is given."""
    landing = "{feed}/dt={date}/profile={scope}/{file}" if scope else "{feed}/dt={date}/{file}"
    feed = Feed.model_validate({"start_date": "2026-01-01", "landing": landing, **declared, "arrival": ARRIVAL})
    prefix = Zones.slices(source)
    flow = FeedFlow(
        source, feed, layout_of(prefix, feed.model_copy(update={"landing": landing.replace("{scope}", "*")}))
    )
    return scoped(flow, prefix, ScopeKey("profile_id", scope)) if scope else flow


def publish_rows(services: Services, flow: FeedFlow, day: date, rows: Iterable[str], work: Path) -> None:
    """Publish rows of CSV, without their header, as the delivery of a date."""
    publish_text(
        services, flow, day, "\n".join([",".join(c.field_name for c in flow.feed.read_columns), *rows, ""]), work
    )


def publish_text(services: Services, flow: FeedFlow, day: date, body: str, work: Path) -> None:
    """Publish a file as the delivery of a date."""
    key = flow.layout.key(day, "a.csv")
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body.encode())
    slice_settler(services, (flow,)).arrivals.reconcile(flow.layout.day_prefix(day))
    publish_slice(services, flow, day, f"run-{uuid4().hex}", work)


def corrupt_shown(services: Services, table: str, day: date) -> None:
    """Overwrite the file of a date of a table with what is no Parquet."""
    placement = services.ledger.placements.get(table, day)
    assert placement is not None
    zones = services.zones
    for stored in services.store.listing(zones.clean_bucket, zones.clean_key(placement.location)):
        services.s3.put_object(Bucket=zones.clean_bucket, Key=stored.key, Body=b"PAR1 and nothing else")
