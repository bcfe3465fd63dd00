"""Our own workers as an engine: a table is read by a run of this platform, chunk by chunk; the ledger is its record."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.contracts.types import DataType
from adplatform.engines.engine import Busy, Claim, Finding, Limits, Run, Started
from adplatform.extract.connection import database_failures
from adplatform.extract.described import DescribedColumn, described
from adplatform.extract.table import Table
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention, RunState
from adplatform.ledger.extracts import Extract
from adplatform.platform.aws_errors import aws_failures

Opened = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Extractor:
    """One table. ``connect`` opens the database. A reading does not begin while one of ``kin`` goes on, targets that
    read the same table."""

    services: Services
    table: Table
    connect: Opened
    kin: tuple[str, ...] = ()

    @property
    def limits(self) -> Limits:
        return Limits(
            token=32,
            token_life=EVER,
            history=EVER,
            # A view that is held for long keeps the server from cleaning up.
            patience={
                RunState.UNSEEN: timedelta(minutes=15),
                RunState.WAITING: timedelta(hours=1),
                RunState.RUNNING: timedelta(hours=1),
            },
            replaces=self.table.feed.incremental is None,
        )

    def check(self) -> Sequence[Finding]:
        """Whether the table is there and has what is declared."""
        name, feed = self.table.name, self.table.feed
        reading = self.table.reading()
        with self.connect() as engine, database_failures(name):
            there = {column.name: column for column in described(engine, reading.schema, reading.table)}
        missing = [column for column in reading.columns if column not in there]
        if missing:
            return [Finding(f"table {reading.name} has no column {listed(missing)}: correct `field`, or leave it out")]
        found = [
            Finding(f"column {c.name} is {there[c.field_name].said} there and declared as {c.type}", fatal=False)
            for c in feed.read_columns
            if not _fits(there[c.field_name], c.data_type)
        ]
        new = [column for column in there if column not in reading.columns]
        if new:
            text = f"table {reading.name} has {listed(new)}, which nobody declared: declare what you need"
            found.append(Finding(text, fatal=False))
        if self.table.cursor is not None and there[self.table.cursor].nullable:
            text = f"rows without {self.table.cursor} are never brought: make it NOT NULL there"
            found.append(Finding(text, fatal=False))
        return found

    def start(self, intention: Intention, *, others: Collection[str] = ()) -> Started | Busy:
        extracts, source, target = self.services.ledger.extracts, intention.source, intention.target
        id = intention.token(self.limits.token)
        if extracts.get(source, target, id) is not None:
            return Started(id, adopted=True)
        going = next(self._going(*self.kin), None)
        if going is not None:
            return Busy(going.id)
        extracts.want(source, target, id)
        return Started(id)

    def observe(self, run_ids: Collection[str]) -> Mapping[str, Run]:
        source, target = self.table.declared.source, self.table.feed.name
        found = (self.services.ledger.extracts.get(source, target, run_id) for run_id in run_ids)
        return {row.id: _run(row) for row in found if row is not None}

    def recent(self, since: datetime) -> Iterator[Run]:
        """Those that go on: nobody else starts readings, and each is asked about by its id until it has landed."""
        return map(_run, self._going())

    def claims(self, run: Run) -> Iterator[Claim]:
        """By the manifest.

        Raises:
            PermanentFailure: it is gone.
            TransientFailure: S3 does not answer at present.
        """
        row = self._row(run.run_id)
        if row is None or not row.manifest_key:
            return
        s3, bucket = self.services.s3, self.services.zones.raw_bucket
        with aws_failures(row.manifest_key):
            try:
                body = s3.get_object(Bucket=bucket, Key=row.manifest_key)["Body"].read()
            except s3.exceptions.NoSuchKey as e:
                place = f"s3://{bucket}/{row.manifest_key}"
                raise PermanentFailure(f"{row.name}: {place} is gone: restore it, or read the table again") from e
        for each in json.loads(body)["files"]:
            yield Claim(each["key"], each["version"], each["bytes"], rows=each["rows"])

    def cancel(self, run_id: str) -> bool:
        row = self._row(run_id)
        while row is not None and not row.ended and not row.stopping:
            if self.services.ledger.extracts.stop(row) is not None:
                return True
            row = self._row(run_id)
        return row is not None and not row.ended

    def _going(self, *kin: str) -> Iterator[Extract]:
        active = self.services.ledger.extracts.active(self.table.declared.source)
        return (row for row in active if row.target in (self.table.feed.name, *kin))

    def _row(self, run_id: str) -> Extract | None:
        return self.services.ledger.extracts.get(self.table.declared.source, self.table.feed.name, run_id)


def _run(row: Extract) -> Run:
    succeeded = row.state is RunState.SUCCEEDED
    return Run(
        run_id=row.id,
        state=row.state,
        said="stopping" if row.stopping and not row.ended else str(row.state),
        message=row.error,
        final=row.ended,
        started_at=row.started_at,
        ended_at=row.ended_at,
        records=row.rows if succeeded else None,
        files=row.files if succeeded else None,
        bytes=row.bytes if succeeded else None,
    )


EVER = timedelta(days=3650)
_WIDER: Mapping[str, tuple[str, ...]] = {
    "int": ("int",),
    "bigint": ("int", "bigint"),
    "decimal": ("int", "bigint", "decimal"),
    "double": ("int", "bigint", "decimal", "double"),
    "date": ("date",),
    "timestamp": ("timestamp",),
    "boolean": ("boolean", "int"),
}
"""Types of the database whose every value a declared type takes."""


def _fits(there: DescribedColumn, declared: DataType) -> bool:
    if declared.name == "string":
        return True
    if there.type is None or there.type.name not in _WIDER[declared.name]:
        return False
    if declared.name == "decimal" and there.type.name == "decimal":
        whole = there.type.precision - there.type.scale
        return there.type.scale <= declared.scale and whole <= declared.precision - declared.scale
    return True
