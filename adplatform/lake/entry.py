"""What an entry of the catalog shows, and whether the ledger knows it.

An entry, which is a partition or a table without partitions, names every settlement that readers see through it: date,
version and manifest, which is unique. A partition of a table partitioned by a column shows slices of many deliveries,
so it names an immutable object that lists them. Before an entry is replaced, the ledger must know all it shows: a
ledger that was lost, or restored from an older backup, would take rows away that nobody gave back.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from adplatform.failures import PermanentFailure
from adplatform.lake.catalog import Partition, Table
from adplatform.lake.store import Store
from adplatform.lake.table import Named
from adplatform.lake.zones import JOINT
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.placements import Placement, Slice
from adplatform.ledger.rows import digest, plain

FEED = "adplatform.feed"
DAY, VERSION, MANIFEST, ROWS = "adplatform.day", "adplatform.version", "adplatform.manifest", "adplatform.rows"
SLICES, SLICE_LIST = "adplatform.slices", "adplatform.slice_list"
RUN, PUBLISHED_AT, KEY = "adplatform.run", "adplatform.published_at", "adplatform.hash_key"
DOCTOR = "`adplatform doctor` compares them, and restores the ledger with --repair"

Entry = Partition | Table


@dataclass(frozen=True)
class Settled:
    """One settled version of a delivery. ``feed`` is what the ledger calls it; ``manifest`` is "" where an entry was
    made before entries named it."""

    feed: str
    day: date
    version: int
    manifest: str = ""

    def __str__(self) -> str:
        return f"version {self.version} of the delivery of {self.day}"

    def is_same(self, version: int, manifest: str) -> bool:
        """Whether this is the settlement; where one side names no manifest, the version decides."""
        return self.version == version and (not self.manifest or not manifest or self.manifest == manifest)


def delivery_feed(feed: str, value: str) -> str:
    """What the ledger calls the deliveries of a partition by date, and by scope where there are any."""
    scope = value.partition(JOINT)[2]
    return f"{feed}/{scope}" if scope else feed


def settled(feed: str, shown: Entry) -> Settled | None:
    """What an entry shows that one delivery fills; None when somebody else registered it."""
    if VERSION not in shown.parameters:
        return None
    value = shown.value if isinstance(shown, Partition) else ""
    return Settled(
        delivery_feed(feed, value),
        date.fromisoformat(shown.parameters[DAY]),
        int(shown.parameters[VERSION]),
        shown.parameters.get(MANIFEST, ""),
    )


def placement_of(shown: Settled, entry: Entry, now: datetime) -> Placement:
    """What the ledger is to remember of an entry that one delivery fills."""
    found = entry.parameters
    rows, key_id = int(found.get(ROWS, 0)), found.get(KEY, "")
    return Placement(shown.day, shown.version, shown.manifest, entry.location, rows, key_id, now)


def provenance(placement: Placement, run_id: str, published_at: str) -> dict[str, str]:
    """The parameters of an entry that one delivery fills."""
    return {
        DAY: placement.day.isoformat(),
        VERSION: str(placement.version),
        MANIFEST: placement.manifest,
        ROWS: str(placement.rows),
        KEY: placement.key_id,
        RUN: run_id,
        PUBLISHED_AT: published_at,
    }


def is_known(ledger: Ledger, shown: Settled) -> bool:
    """Whether the ledger remembers this settlement, and not another one under its number.

    Nothing is placed over what the ledger does not know, so what is older than the placed version came late.
    """
    placement = ledger.placements.get(shown.feed, shown.day)
    if placement is not None and (
        placement.version > shown.version or shown.is_same(placement.version, placement.manifest)
    ):
        return True
    publication = ledger.publications.get(shown.feed, shown.day, shown.version)
    return publication is not None and shown.is_same(publication.version, publication.manifest_key)


def unknown(table: Named, value: str, shown: Settled) -> str:
    where = f"table {table.database}.{table.name}" + (f", partition {value.replace(JOINT, '/')!r}" if value else "")
    manifest = f" ({shown.manifest})" if shown.manifest else ""
    return f"{where}: readers see {shown}{manifest}, which the ledger does not know; {DOCTOR}"


def require_known(ledger: Ledger, table: Named, value: str, shown: Iterable[Settled]) -> None:
    """Refuse to replace what the ledger could not give back.

    Raises:
        PermanentFailure: the ledger does not know a settlement that readers see.
    """
    for each in shown:
        if not is_known(ledger, each):
            raise PermanentFailure(f"{unknown(table, value, each)}. Nothing was replaced")


# -- slices


def list_key(store: Store, feed: str, slices: Sequence[Slice]) -> str:
    """Where the list of these slices is, whatever else is known of them; "" for none."""
    return f"{store.zones.slice_lists(feed)}{digest(*(s.location for s in slices))}.json" if slices else ""


def write_list(store: Store, feed: str, slices: Sequence[Slice]) -> str:
    """Keep the list of a partition's slices before an entry names it; returns its key."""
    key = list_key(store, feed, slices)
    document = {"slices": [{name: plain(value) for name, value in asdict(part).items()} for part in slices]}
    body = json.dumps(document, indent=1, ensure_ascii=False).encode()
    store.s3.put_object(Bucket=store.zones.clean_bucket, Key=key, Body=body, **store.zones.put_arguments)
    return key


def read_list(store: Store, shown: Partition) -> list[Slice] | None:
    """The slices that a partition shows; None when it names no list, or the list is gone."""
    key = shown.parameters.get(SLICE_LIST, "")
    if not key:
        return None
    try:
        body = store.s3.get_object(Bucket=store.zones.clean_bucket, Key=key)["Body"].read()
    except store.s3.exceptions.NoSuchKey:
        return None
    return [_slice(part) for part in json.loads(body)["slices"]]


def _slice(part: Mapping[str, Any]) -> Slice:
    return Slice(**{**part, "day": date.fromisoformat(part["day"])})


def made_of(key: Iterable[str], latest_by: Iterable[str], slices: Iterable[Slice]) -> str:
    """Names the content of a partition: which slices, merged by which rules."""
    return digest(",".join(key), ",".join(latest_by), *(s.location for s in slices))
