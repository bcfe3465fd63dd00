"""A source of changes on a platform of its own, whose files a test writes as AWS DMS would, processed without
Dagster."""

import io
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.changes.fold import Folded, fold
from adplatform.changes.folds_due import folds_due
from adplatform.changes.followed import Followed
from adplatform.contracts.changes import ChangesSource
from adplatform.engines.changes import ChangedFiles, database_changes
from adplatform.flow.engine_work import Given
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform_tests.support import plainly

START = datetime(2026, 11, 1, tzinfo=UTC)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "table": "public.orders",
    "start_date": "2026-01-01",
    "buckets": 3,
    "columns": {"id": {"type": "bigint", "required": True}, "status": "string", "amount": "decimal(10,2)"},
    "key": "id",
    "bounds": {"max_quarantined": 0.9},
}
SCHEMA = pa.schema(
    [
        ("Op", pa.string()),
        ("dms_ts", pa.string()),
        ("id", pa.int64()),
        ("status", pa.string()),
        ("amount", pa.decimal128(10, 2)),
        ("ar_h_change_seq", pa.string()),
    ]
)


def sequence(n: int) -> str:
    """That of the ``n``-th change."""
    return f"20261101000000{0:02}{n:019}"


@dataclass
class Changes:
    """One source. ``at`` counts the changes that a test has written."""

    services: Services
    declared: ChangesSource
    pattern: ChangedFiles
    at: int = 0
    runs: int = field(default=0)

    @property
    def followed(self) -> Followed:
        return self.pattern.followed[0]

    def load(self, *rows: dict[str, Any], number: int = 1, schema: pa.Schema = SCHEMA) -> str:
        """A file of a full load."""
        written = [{"Op": "I", "dms_ts": _text(START), "ar_h_change_seq": "", **row} for row in rows]
        return self.put(f"LOAD{number:08X}.parquet", written, schema)

    def change(self, op: str, **row: Any) -> dict[str, Any]:
        """The next change."""
        self.at += 1
        at = START + timedelta(seconds=self.at)
        return {"Op": op, "dms_ts": _text(at), "ar_h_change_seq": sequence(self.at), **row}

    def file(self, *changes: dict[str, Any], name: str = "", schema: pa.Schema = SCHEMA) -> str:
        """A file of changes."""
        self.runs += 1
        return self.put(name or f"20261101-{self.runs:09}.parquet", list(changes), schema)

    def put(self, name: str, rows: Sequence[dict[str, Any]], schema: pa.Schema = SCHEMA) -> str:
        body = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), schema), body)
        return self.put_bytes(name, body.getvalue())

    def put_bytes(self, name: str, body: bytes) -> str:
        key = f"{self.pattern.source.prefix}{self.followed.declared.table.replace('.', '/')}/{name}"
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body)
        return key

    def process(self) -> None:
        """Publish the changes that have come."""
        plainly.process(self.services, self.pattern.source, f"run-{uuid.uuid4().hex[:6]}")

    def fold(self) -> Folded | None:
        """Merge the changes that were published; None when there are none."""
        done = self.step()
        assert not isinstance(done, Given)
        return done

    def step(self) -> Folded | Given | None:
        """What a run does: it merges, or gives the merge to an engine."""
        due = folds_due(self.services, [self.followed], plainly.NoRunIsAlive(), everything=True)
        if not due:
            return None
        run_id = f"fold-{uuid.uuid4().hex[:6]}"
        claimed = self.services.ledger.folds.claim(due[0].fold, run_id)
        assert claimed
        with TemporaryDirectory() as work:
            return fold(self.services, self.followed, claimed, run_id, Path(work))

    def merge(self) -> Folded | None:
        self.process()
        return self.fold()

    def table(self, ending: str = "") -> str:
        settings = self.services.settings
        return f"{settings.database_prefix}{self.pattern.source.name}.{self.followed.declared.name}{ending}"

    def rows(self, ending: str = "", columns: str = "id, status, amount") -> list[tuple[Any, ...]]:
        """What readers see, in order of the first column."""
        sql = f"select {columns} from {self.table(ending)} order by all"
        return self._query(sql)

    def seen(self, **columns: str) -> list[list[tuple[Any, ...]]]:
        """As ``rows``, of several tables in one query, by their endings; ``_`` is the one without."""
        asked = ((self.table("" if ending == "_" else ending), of) for ending, of in columns.items())
        rows = (f"(select list(r order by r) from (select row({of}) as r from {table}))" for table, of in asked)
        [found] = self._query(f"select {', '.join(rows)}")
        return [each or [] for each in found]

    def _query(self, sql: str) -> list[tuple[Any, ...]]:
        prefix = self.services.settings.database_prefix
        return run_query(self.services.aws, self.services.glue, prefix, sql, 1_000_000)[1]


class Killed(BaseException):
    """In the place of a run that dies."""


def followed_source(services: Services, feeds: Iterable[dict[str, Any]] = (ORDERS,), **settings: Any) -> Changes:
    made = changes_of(services, _declared(f"s{uuid.uuid4().hex[:8]}", feeds, settings))
    provision(services, [made.pattern.source])
    return made


def followed_as(of: Changes, feeds: Iterable[dict[str, Any]]) -> Changes:
    """The same source by another declaration."""
    made = changes_of(of.services, _declared(of.declared.source, feeds, {}))
    return replace(made, at=of.at, runs=of.runs)


def changes_of(services: Services, declared: ChangesSource) -> Changes:
    return Changes(services, declared, database_changes(declared, services.settings))


def _declared(source: str, feeds: Iterable[dict[str, Any]], settings: dict[str, Any]) -> ChangesSource:
    quick = {"arrival": {"quiet_period": "0s"}}
    return ChangesSource.model_validate({"source": source, "feeds": [{**quick, **feed} for feed in feeds], **settings})


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"
