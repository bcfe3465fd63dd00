"""The ledger as tables of the catalog: read whole, written below a location of its own, and shown by one change of each
table, so that readers see all rows of one time. A writer that dies has shown nothing, or some of the tables.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.lake.catalog import Catalog
from adplatform.lake.lake import random_token
from adplatform.lake.parquet import arrow_type
from adplatform.lake.store import Store
from adplatform.lake.table import TableSpec, table_name
from adplatform.ledger.rows import digest
from adplatform.operations.ledger_tables import AS_OF, READINGS, TABLES, LedgerTable, Rows, Values
from adplatform.platform import names
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

SHOWN_AS_OF = "adplatform.as_of"
"""The parameter of a table with when its rows were read."""
_TOGETHER = 32
"""Parts that are read before their rows are written."""
_GROUP = 50_000
_FILE = 1_000_000
"""Rows of a row group, and of a file, at least."""


@dataclass(frozen=True)
class Written:
    """A table as readers see it: its rows, their bytes as Parquet, and where they are."""

    table: str
    rows: int
    bytes: int
    location: str


def write_ledger(services: Services, patterns: Sequence[Pattern]) -> list[Written]:
    """Show the ledger of these sources as it is now. It may be done by several at once and again at any time; readers
    see what was read last.

    Raises:
        PermanentFailure: AWS does not allow it, or a table has another type for a column.
        TransientFailure: AWS did not answer, or others kept changing a table.
    """
    as_of = services.now()
    token = f"{_name_of(as_of)}-{random_token()}"
    services.settings.temp.mkdir(parents=True, exist_ok=True)
    with aws_failures("the ledger as tables"), ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory(dir=services.settings.temp)))
        files = {table.name: _Files(services.store, table, as_of, token, work) for table in TABLES}
        for rows in _read(services, patterns):
            for name, some in rows.items():
                files[name].add(some)
        for each in files.values():
            each.end()
        catalog = Catalog(services.glue)
        return [_show(services, catalog, each) for each in files.values()]


def _spec(table: LedgerTable, database_prefix: str) -> TableSpec:
    feed = f"{names.META}/{table.name}"
    named, columns = table_name(feed, database_prefix), (*table.columns, AS_OF)
    return TableSpec(
        feed=feed,
        database=named.database,
        name=named.name,
        description=table.description,
        columns=columns,
        partition=None,
        scope=None,
        key=(),
        latest_by=(),
        contract_hash=digest(*(f"{each.name} {each.type.hive}" for each in columns))[:16],
    )


def _read(services: Services, patterns: Sequence[Pattern]) -> Iterator[Rows]:
    for reading in READINGS:
        parts = iter(reading.parts(services, patterns))
        while some := list(islice(parts, _TOGETHER)):
            yield from at_once(partial(reading.rows, services), some)


@dataclass
class _Files:
    """The Parquet files of a table, which are uploaded as they fill."""

    store: Store
    table: LedgerTable
    as_of: datetime
    token: str
    work: Path
    rows: int = 0
    bytes: int = 0
    waiting: list[Values] = field(default_factory=list)
    writer: Any = None
    number: int = 0
    in_file: int = 0

    @property
    def schema(self) -> "pa.Schema":
        return pa.schema([(each.name, arrow_type(each.type)) for each in (*self.table.columns, AS_OF)])

    @property
    def prefix(self) -> str:
        return self.store.zones.version(f"{names.META}/{self.table.name}", self.token)

    @property
    def path(self) -> Path:
        return self.work / f"{self.table.name}-{self.number:05d}.parquet"

    def add(self, rows: Sequence[Values]) -> None:
        self.waiting += rows
        self.rows += len(rows)
        if len(self.waiting) >= _GROUP:
            self._write()
        if self.in_file >= _FILE:
            self._upload()

    def end(self) -> None:
        """A table without rows has a file, too: readers that look for the schema in a file find it."""
        if self.waiting or not self.rows:
            self._write()
        if self.writer is not None:
            self._upload()

    def _write(self) -> None:
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, self.schema, compression="snappy")
        rows = [{**row, AS_OF.name: self.as_of} for row in self.waiting]
        self.writer.write_table(pa.Table.from_pylist(rows, self.schema))
        self.in_file += len(rows)
        self.waiting = []

    def _upload(self) -> None:
        self.writer.close()
        self.bytes += self.path.stat().st_size
        self.store.upload(self.path, self.store.zones.clean_bucket, f"{self.prefix}{self.number:05d}.parquet")
        self.path.unlink()
        self.writer, self.in_file, self.number = None, 0, self.number + 1


def _show(services: Services, catalog: Catalog, made: _Files) -> Written:
    """Readers see it unless they see what was read later; what they saw long ago goes."""
    spec = _spec(made.table, services.settings.database_prefix)
    zones, at = services.zones, _name_of(made.as_of)
    shown = catalog.show(
        spec,
        zones.clean_uri(made.prefix),
        {SHOWN_AS_OF: at},
        over=lambda table: table.parameters.get(SHOWN_AS_OF, "") < at,
    )
    kept_since = made.as_of - timedelta(days=services.settings.keep_days)
    _forget(services.store, zones.versions(spec.feed), _name_of(kept_since), zones.clean_key(shown.location))
    return Written(spec.qualified, made.rows, made.bytes, shown.location)


def _forget(store: Store, root: str, since: str, shown: str) -> None:
    """Remove locations that were written before ``since``, but for the newest of them, which readers may have followed
    until the one after it was shown."""
    bucket = store.zones.clean_bucket
    old: dict[str, list[str]] = {}
    for each in store.listing(bucket, root):
        location = root + each.key.removeprefix(root).partition("/")[0] + "/"
        if location < root + since:
            old.setdefault(location, []).append(each.key)
    for location in sorted(old)[:-1]:
        if location != shown:
            store.delete(bucket, old[location])


def _name_of(at: datetime) -> str:
    """An instant so that texts sort as instants do."""
    return f"{at:%Y%m%dT%H%M%S}{at.microsecond:06d}Z"
