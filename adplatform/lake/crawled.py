"""What a Glue crawler made of a table's files, in a database that is for crawlers alone, against what is registered."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from adplatform.lake.catalog import Partition, Table
from adplatform.lake.zones import Zones, partition_folder

_DROPPED_AT_ONCE = 100  # Glue web API, BatchDeleteTable


@dataclass(frozen=True)
class CrawledTable:
    """A table that a crawler made. ``columns`` are (name, Glue type) without those of ``keys``, ``locations`` the
    folders of its partitions, or its own where it has none."""

    name: str
    location: str
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    locations: frozenset[str]


def crawled_tables(glue: Any, database: str, root: str) -> list[CrawledTable]:
    """The tables that crawls made of the files below ``root``."""
    found = []
    for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
        for table in page["TableList"]:
            descriptor = table["StorageDescriptor"]
            location = _folder(descriptor["Location"])
            if not location.startswith(root):
                continue
            pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=table["Name"])
            partitions = [p["StorageDescriptor"]["Location"] for p_page in pages for p in p_page["Partitions"]]
            found.append(
                CrawledTable(
                    table["Name"],
                    location,
                    columns=tuple((c["Name"], c["Type"]) for c in descriptor["Columns"]),
                    keys=tuple(key["Name"] for key in table.get("PartitionKeys", ())),
                    locations=frozenset(map(_folder, partitions or [location])),
                )
            )
    return found


def drop_tables(glue: Any, database: str, tables: Iterable[CrawledTable]) -> None:
    names = [table.name for table in tables]
    for start in range(0, len(names), _DROPPED_AT_ONCE):
        glue.batch_delete_table(DatabaseName=database, TablesToDelete=names[start : start + _DROPPED_AT_ONCE])


def database_input(database: str) -> dict[str, str]:
    """What CreateDatabase is asked for."""
    return {"Name": database, "Description": "What crawlers find; emptied after use."}


def ensure_database(glue: Any, database: str) -> None:
    try:
        glue.create_database(DatabaseInput=database_input(database))
    except glue.exceptions.AlreadyExistsException:
        return


def root_of(zones: Zones, feed: str, *, partitioned: bool) -> str:
    """Below which a crawler finds a table: the copies of what its partitions show, or the versions of a table that has
    no partitions, of which there are no copies."""
    return zones.clean_uri(zones.clean(feed) if partitioned else zones.versions(feed))


def disagreements(
    zones: Zones,
    feed: str,
    shown: Table,
    registered: Iterable[Partition],
    found: Iterable[CrawledTable],
    declared: Collection[str],
) -> Iterator[str]:
    """What a crawl of :func:`root_of` says otherwise than the catalog, a sentence each; ``declared`` are the names of
    columns that files have now. Of a table without partitions earlier versions are there, too, which are left out."""
    if not shown.partitions:
        current = [table for table in found if table.location == _folder(shown.location)]
        yield from missing({_folder(shown.location)}, current)
        yield from column_differences(shown, current, declared)
        return
    tables, root = list(found), root_of(zones, feed, partitioned=True)
    if len(tables) > 1:
        yield f"the files below {root} are {len(tables)} tables to the crawler, so their columns or folders differ"
    if _folder(shown.location) != root:
        yield f"the table is registered at {shown.location}, and the crawler found its files below {root}"
    for keys in sorted({table.keys for table in tables} - {shown.partitions}):
        yield f"the files are partitioned by {', '.join(keys) or 'nothing'}, the table by {', '.join(shown.partitions)}"
    wanted = set()
    for partition in registered:
        wanted.add(root + partition_folder(shown.partitions, partition.value))
        if not partition.location.startswith(zones.clean_uri(zones.versions(feed))):
            yield f"partition {partition.value!r} is registered at {partition.location}, where nothing was published"
    yield from missing(wanted, tables)
    yield from unregistered(wanted, tables)
    yield from column_differences(shown, tables, declared)


def missing(wanted: set[str], found: Iterable[CrawledTable]) -> Iterator[str]:
    crawled = {location for table in found for location in table.locations}
    yield from (f"{location} is registered and the crawler did not find it" for location in sorted(wanted - crawled))


def unregistered(wanted: set[str], found: Iterable[CrawledTable]) -> Iterator[str]:
    crawled = {location for table in found for location in table.locations}
    yield from (f"{location} was found and is not registered" for location in sorted(crawled - wanted))


def column_differences(shown: Table, found: Iterable[CrawledTable], declared: Collection[str]) -> Iterator[str]:
    """A table keeps the columns that are ``declared`` no more, which files may lack."""
    registered = dict(shown.columns)
    types = {(name, hive) for table in found for name, hive in table.columns}
    for name, hive in sorted(types):
        if registered.get(name) != hive:
            yield f"column {name} is {hive} in the files and {registered.get(name, 'missing')} in the catalog"
    if types:
        for name in sorted(registered.keys() & set(declared) - {name for name, _ in types}):
            yield f"column {name} is in the catalog and in no file"


def _folder(location: str) -> str:
    return location if location.endswith("/") else location + "/"
