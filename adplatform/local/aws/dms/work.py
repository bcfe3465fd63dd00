"""What the work of one run of a task has at hand: its settings, whether it is to go on, and where its files go."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from adplatform.local.aws.dms import objects, source
from adplatform.local.aws.dms.files import Field, Row, encoded
from adplatform.local.aws.dms.mappings import Mappings, Unmappable, read
from adplatform.local.aws.dms.pgoutput import Column
from adplatform.local.aws.dms.settings import Options, Source, Target, options
from adplatform.local.aws.dms.settings import source as source_settings
from adplatform.local.aws.dms.settings import target as target_settings
from adplatform.local.aws.dms.source import Address
from adplatform.local.aws.dms.state import DmsBackend, Replication, Table
from adplatform.local.aws.dms.values import Truncated, written
from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.state import LOCK

WOKEN = threading.Condition(LOCK)
"""Notified of whatever the work of a task may wait for; waiting frees the lock."""
_POSITIONS = ("CdcStartPosition", "CdcStartTime")
_POLL = 0.05  # seconds of the real clock, between looks at the one that can be moved


class Stopped(Exception):
    """Somebody stopped the task, or started it anew."""


class Fatal(Exception):
    """The task cannot go on; the message says why."""


@dataclass(frozen=True)
class Work:
    """Of one run of a replication. ``address`` says where the source is now: that of the simulated shop may change."""

    backend: DmsBackend
    replication: Replication
    run: int
    address: Callable[[], Address]
    source: Source
    target: Target
    options: Options
    mappings: Mappings

    def check(self) -> None:
        """
        Raises:
            Stopped: the run is to end.
        """
        replication = self.replication
        if replication.stop_asked or replication.run != self.run:
            raise Stopped

    def wait(self, over: Callable[[], bool]) -> None:
        """Until it is over; callers do not hold the lock.

        Raises:
            Stopped: the run is to end.
        """
        with LOCK:
            while True:
                self.check()
                if over():
                    return
                WOKEN.wait(_POLL)

    def stay(self, fault: Fault | None) -> None:
        """For the seconds of a fault by the engines' clock; of 0 until the run is to end.

        Raises:
            Stopped: the run is to end.
        """
        if fault is not None:
            until = CONTROL.now() + timedelta(seconds=fault.seconds)
            self.wait(lambda: fault.seconds > 0 and CONTROL.now() >= until)

    def take(self, name: str, table: Table | None = None) -> Fault | None:
        """A fault that was ordered for the replication, or for this table of it."""
        arn = self.replication.arn
        with LOCK:
            found = CONTROL.take("dms", name, arn)
            if found is None and table is not None:
                found = CONTROL.take("dms", name, f"{arn}/{table.schema}.{table.name}")
        return found

    def written(self, column: Column, text: str) -> str | None:
        """Raises: Fatal: a large object is too long, and the source endpoint wants the task to fail then."""
        try:
            return written(
                column,
                text,
                trims=self.source.trims,
                lob_bytes=self.options.lob_bytes,
                refuses=self.source.fails_on_truncation,
            )
        except Truncated as e:
            raise Fatal(f"LOB truncation: {e}") from e

    def folder(self, table: Table) -> str:
        return f"{self.target.folder}{table.schema}/{table.name}/"

    def next_name(self) -> str:
        """A name of a file of changes without its suffix: the time, and greater than all before it."""
        replication = self.replication
        with LOCK:
            now = int(CONTROL.now().timestamp() * 1000)
            replication.last_name = max(now, replication.last_name + 1)
            named = datetime.fromtimestamp(replication.last_name / 1000, UTC)
        return f"{named:%Y%m%d-%H%M%S}{replication.last_name % 1000:03}"

    def put(self, key: str, body: bytes) -> None:
        """Raises: ClientError: S3 refuses it."""
        objects.put(self.target.bucket, key, body)

    def put_rows(self, key: str, fields: Sequence[Field], rows: Sequence[Row]) -> None:
        """Raises: ClientError: S3 refuses it."""
        self.put(key, encoded(self.target, fields, rows))


def work_of(backend: DmsBackend, replication: Replication, run: int) -> Work:
    """Callers do not hold the lock.

    Raises:
        Fatal: an endpoint, the settings or the mappings are not usable.
    """
    asked = replication.asked
    with LOCK:
        start = backend.endpoint(asked["SourceEndpointArn"])
        end = backend.endpoint(asked["TargetEndpointArn"])
    if start.engine_name not in ("postgres", "aurora-postgresql") or end.engine_name != "s3":
        raise Fatal(f"the embedded AWS replicates from PostgreSQL to S3, not {start.engine_name} to {end.engine_name}")
    if any(replication.started_with.get(name) or asked.get(name) for name in _POSITIONS):
        raise Fatal("the embedded AWS knows no start position: changes begin with the start")
    address = partial(source.address, backend, start)
    try:
        address()
        return Work(
            backend,
            replication,
            run,
            address,
            source_settings(start.postgre_sql_settings, start.extra_connection_attributes),
            target_settings(end.s3_settings, end.extra_connection_attributes),
            options(replication.settings),
            read(asked["TableMappings"]),
        )
    except (Unmappable, source.Unreachable, ValueError) as e:
        raise Fatal(str(e)) from e
