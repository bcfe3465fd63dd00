"""Glue crawlers that crawl: they list their S3 targets, read the Parquet footers and write tables and partitions.

moto's crawlers stay in the state RUNNING for ever and create nothing.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import Any
from urllib.parse import unquote, urlsplit

from moto.glue import models
from moto.s3.models import s3_backends

from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.reported_state import ReportedState
from adplatform.local.aws.state import LOCK

log = logging.getLogger(__name__)

PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
    "Compressed": False,
    "NumberOfBuckets": -1,
    "StoredAsSubDirectories": False,
}
# AWS names the states of a crawl and of a crawler's last crawl differently.
FAULTS = {
    "answer_lost": "StartCrawler starts a crawl, and answers with an internal error",
    "history_expired": "crawls that have ended are gone from the next ListCrawls on",
    "no_records": "the next ListCrawls shows none",
    "on_page_2": "the first page of the next ListCrawls is empty",
    "run_fails": "the next crawl fails, because its role may not read",
    "stuck": "the next crawl stays in progress, for ever or for `seconds`",
    "throttled": "the next call about the crawler is refused as one too many",
}
_LAST_CRAWL = {"COMPLETED": "SUCCEEDED", "FAILED": "FAILED", "STOPPED": "CANCELLED"}


class LocalCrawl(ReportedState, models.FakeCrawl):
    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), **self.told}


class LocalCrawler(models.FakeCrawler):
    def as_dict(self) -> dict[str, Any]:
        described: dict[str, Any] = super().as_dict()
        described.pop("LastCrawl", None)
        ended = [crawl for crawl in self.crawls if crawl.status in _LAST_CRAWL]
        if ended:
            last = ended[-1]
            described["LastCrawl"] = {
                "Status": _LAST_CRAWL[last.status],
                "StartTime": last.start_time,
                "LogGroup": last.log_group,
                "LogStream": last.log_stream,
                "MessagePrefix": last.message_prefix,
                **last.told,
            }
        return described


@dataclass
class CrawledTable:
    """What the files below one folder have in common. ``partitions`` maps values to locations."""

    location: str
    schemas: list[Any] = field(default_factory=list)
    keys: tuple[str, ...] | None = None
    partitions: dict[tuple[str, ...], str] = field(default_factory=dict)
    objects: int = 0
    bytes: int = 0
    rows: int = 0


def start(crawler: Any, changed: Callable[[], None]) -> None:
    """Begins a crawl in the background and calls ``changed``, under the lock, once it has ended. Callers hold the lock.

    Raises:
        CrawlerRunningException: the crawler already runs.
    """
    crawler.start_crawler()
    stuck, fails = (CONTROL.take("glue", name, crawler.name) for name in ("stuck", "run_fails"))
    work = (crawler, crawler.crawls[-1], changed, stuck, fails is not None)
    threading.Thread(target=_run, args=work, daemon=True).start()


def _run(crawler: Any, crawl: Any, changed: Callable[[], None], stuck: Fault | None, fails: bool) -> None:
    if stuck is not None:
        crawl.stay(stuck.seconds)
    try:
        if fails:
            raise PermissionError(f"{crawler.role} is not authorized to perform s3:GetObject")
        tables = [table for target in crawler.targets["S3Targets"] for table in _crawl(crawler.backend, target)]
        with LOCK:
            if crawl.status == "RUNNING":
                for table in tables:
                    _catalogue(crawler, table)
                crawl.finish("COMPLETED")
            else:
                crawl.finish("STOPPED")
            changed()
    except Exception as e:
        log.exception("crawler %s", crawler.name)
        with LOCK:
            crawl.finish("FAILED", f"{type(e).__name__}: {e}")
            changed()


def _crawl(backend: Any, target: dict[str, Any]) -> Iterable[CrawledTable]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - a third of a second that only crawls need

    bucket, prefix = urlsplit(target["Path"]).netloc, urlsplit(target["Path"]).path.strip("/")
    s3 = s3_backends[backend.account_id][backend.partition]
    with LOCK:
        names = sorted(name for name in s3.get_bucket(bucket).keys if name.startswith(f"{prefix}/" if prefix else ""))
    tables: dict[str, CrawledTable] = {}
    for name in names:
        relative = name.removeprefix(prefix).lstrip("/")
        if _ignored(relative, target.get("Exclusions", [])):
            continue
        with LOCK:
            key = s3.get_object(bucket, name)
            body = None if key is None else key.value
        if not body:
            continue
        if bytes(body[-4:]) != b"PAR1":
            raise ValueError(f"s3://{bucket}/{name} is no Parquet file, the only format the embedded crawler reads")
        footer = pq.read_metadata(_buffer(body))
        folders = relative.split("/")[:-1]
        above = list(takewhile(lambda folder: "=" not in folder, folders))
        root = "/".join(part for part in (bucket, prefix, *above) if part)
        table = tables.setdefault(root, CrawledTable(f"s3://{root}/"))
        _add(table, folders[len(above) :], footer, len(body))
    return tables.values()


def _buffer(body: memoryview) -> Any:
    import pyarrow as pa  # noqa: PLC0415

    return pa.BufferReader(pa.py_buffer(body))


def _ignored(relative: str, exclusions: list[str]) -> bool:
    hidden = any(part.startswith(("_", ".")) for part in relative.split("/"))
    return hidden or any(fnmatchcase(relative, exclusion) for exclusion in exclusions)


def _add(table: CrawledTable, folders: list[str], footer: Any, size: int) -> None:
    pairs = [folder.partition("=") for folder in folders]
    keys = tuple(name.lower() for name, _, _ in pairs)
    if table.keys not in (None, keys) or not all(separator for _, separator, _ in pairs):
        raise ValueError(f"{table.location} mixes partition folders: {'/'.join(folders)!r} does not fit {table.keys}")
    table.keys = keys
    if keys:
        location = table.location + "/".join(folders) + "/"
        table.partitions[tuple(unquote(value) for _, _, value in pairs)] = location
    table.schemas.append(footer.schema.to_arrow_schema())
    table.objects, table.bytes, table.rows = table.objects + 1, table.bytes + size, table.rows + footer.num_rows


def _catalogue(crawler: Any, crawled: CrawledTable) -> None:
    database = crawler.backend.get_database(crawler.database_name)
    name = _table_name(crawler.table_prefix or "", crawled.location)
    new = _table_input(crawler.name, name, crawled)
    policy = crawler.schema_change_policy or {}
    existing = database.tables.get(name)
    if existing is None:
        existing = crawler.backend.create_table(crawler.database_name, name, new)
    elif policy.get("UpdateBehavior") != "LOG" and _shape(existing.as_dict()) != _shape(new):
        existing.update(new)
    for values, location in crawled.partitions.items():
        if str(list(values)) not in existing.partitions:
            descriptor = {**new["StorageDescriptor"], "Location": location}
            existing.create_partition({"Values": list(values), "StorageDescriptor": descriptor})
    if policy.get("DeleteBehavior") == "DELETE_FROM_DATABASE":
        for partition in list(existing.partitions.values()):
            if tuple(partition.values) not in crawled.partitions:
                existing.delete_partition(partition.values)


def _table_name(prefix: str, location: str) -> str:
    last = location.rstrip("/").rsplit("/", 1)[-1]
    return (prefix + "".join(c if c.isalnum() else "_" for c in last)).lower()


def _table_input(crawler_name: str, name: str, crawled: CrawledTable) -> dict[str, Any]:
    import pyarrow as pa  # noqa: PLC0415

    from adplatform.local.aws.hive_types import hive_type  # noqa: PLC0415

    schema = pa.unify_schemas(crawled.schemas, promote_options="permissive")
    keys = crawled.keys or ()
    columns = [
        {"Name": column.name.lower(), "Type": hive_type(column.type)}
        for column in schema
        if column.name.lower() not in keys
    ]
    return {
        "Name": name,
        "Owner": "owner",
        "TableType": "EXTERNAL_TABLE",
        "Retention": 0,
        "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
        "StorageDescriptor": {"Columns": columns, "Location": crawled.location, **PARQUET},
        "Parameters": {
            "UPDATED_BY_CRAWLER": crawler_name,
            "classification": "parquet",
            "typeOfData": "file",
            "objectCount": str(crawled.objects),
            "recordCount": str(crawled.rows),
            "sizeKey": str(crawled.bytes),
        },
    }


def _shape(table: dict[str, Any]) -> tuple[Any, ...]:
    descriptor = table["StorageDescriptor"]
    return table.get("PartitionKeys"), descriptor["Columns"], descriptor.get("Location")


def install() -> None:
    models.FakeCrawl = LocalCrawl
    models.FakeCrawler = LocalCrawler


def after_load() -> None:
    """Fails the crawls that the end of the previous child interrupted."""
    for _, _, backend in models.glue_backends.iter_backends():
        for crawler in backend.crawlers.values():
            for crawl in crawler.crawls:
                if crawl.status not in _LAST_CRAWL:
                    crawl.finish("FAILED", "the embedded AWS ended during the crawl")
