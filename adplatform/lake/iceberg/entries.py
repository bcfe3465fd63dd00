"""What the partitions of an Iceberg table show: the deliveries, by value, as the catalog's partitions say of a Parquet
table.

Snapshots name what they published, too, but they expire. So the table has properties that name immutable lists of its
entries, one for each month of dates and one for each sixteenth of all other values: a property changes in the commit
that changes the rows, and Glue shows it as a parameter of the table.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from adplatform.lake.catalog import Partition
from adplatform.lake.store import Store
from adplatform.ledger.rows import digest

POINTER = "adplatform.entries."
"""With what the properties begin whose values are keys of lists in the clean bucket."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?![^\x1f])")


def share_of(value: str) -> str:
    """The list that has the entry of a partition."""
    if _DATE.match(value):
        return value[:7]
    return digest(value)[:1] if value else "all"


def pointers(properties: Mapping[str, str], shares: Iterable[str] | None = None) -> dict[str, str]:
    """The keys of lists by the property that names each; of some ``shares``, or of all."""
    found = {name: key for name, key in properties.items() if name.startswith(POINTER)}
    if shares is None:
        return found
    return {name: found.get(name, "") for name in (f"{POINTER}{share}" for share in shares)}


def entries(store: Store, properties: Mapping[str, str], values: Iterable[str] | None = None) -> dict[str, Partition]:
    """What the table with these properties shows, by partition; of some ``values``, or of all. A table without
    partitions has one entry, whose value is ""."""
    wanted = None if values is None else set(values)
    keys = pointers(properties, None if wanted is None else {share_of(value) for value in wanted})
    return {
        entry.value: entry
        for key in keys.values()
        for entry in _read(store, key)
        if wanted is None or entry.value in wanted
    }


def write(
    store: Store, feed: str, before: Mapping[str, str], changes: Mapping[str, Partition | None]
) -> dict[str, str]:
    """Keep the lists with ``changes``, an entry or None for one that goes, over those that the properties ``before``
    name. The properties that name them."""
    shares: dict[str, dict[str, Partition | None]] = {}
    for value, entry in changes.items():
        shares.setdefault(share_of(value), {})[value] = entry
    named = {}
    for share, changed in shares.items():
        name = f"{POINTER}{share}"
        present: dict[str, Partition | None] = {entry.value: entry for entry in _read(store, before.get(name, ""))}
        listed = [entry for _, entry in sorted({**present, **changed}.items()) if entry is not None]
        document = [{"value": e.value, "location": e.location, "parameters": dict(e.parameters)} for e in listed]
        body = json.dumps(document, ensure_ascii=False, indent=0)
        named[name] = f"{store.zones.entries(feed)}{share}-{digest(body)}.json"
        store.s3.put_object(
            Bucket=store.zones.clean_bucket, Key=named[name], Body=body.encode(), **store.zones.put_arguments
        )
    return named


def _read(store: Store, key: str) -> Iterator[Partition]:
    if key:
        body = store.s3.get_object(Bucket=store.zones.clean_bucket, Key=key)["Body"].read()
        for entry in json.loads(body):
            yield Partition(entry["value"], entry["location"], entry["parameters"])
