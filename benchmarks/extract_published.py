"""What it costs from a database to a published table, against the sum of its parts measured apart: 1 M rows of the
table of ``benchmarks.extract``. ``python -m benchmarks.extract_published [ROWS]``.

End to end a run is wanted, read, landed, settled, transformed and published, with the embedded AWS in a process of its
own. The parts are the reading alone, and settling and publishing copies of the files that it wrote as a partner's
delivery. The table has to have every row each time. Times are of the clock; CPU is that of this process.
"""

import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adplatform.contracts.database import DatabaseSource
from adplatform.contracts.feed import Feed
from adplatform.engines.databases import database_tables
from adplatform.extract.due import extracts_due
from adplatform.extract.extraction import extract
from adplatform.extract.table import Table
from adplatform.flow.arrivals import Arrivals
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import Source, make_source
from adplatform.lake.query import run_query
from adplatform.local.endpoint import ensure
from adplatform.local.world.postgres import PostgresServer, postgres_server
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from benchmarks.extract import TABLE
from benchmarks.parts_of_a_day import NoRuns

BAR = 1.5
ROUNDS = 3
FEED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2020-01-01",
    "columns": {
        "id": {"type": "bigint", "required": True},
        "customer_id": "int",
        "amount": "decimal(12,2)",
        "score": "double",
        "active": "boolean",
        "created_at": "timestamp",
        "updated_at": "timestamp",
        "day": "date",
        "name": "string",
        "ref": "string",
        "attrs": "string",
    },
    "key": "id",
}


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock, and of this process's CPU."""

    wall: float
    cpu: float


def cost(work: Callable[[], object]) -> Cost:
    began, used = time.monotonic(), time.process_time()
    work()
    return Cost(time.monotonic() - began, time.process_time() - used)


def declared(server: PostgresServer, services: Services) -> DatabaseSource:
    """A source of its own, whose connection is kept as a secret."""
    name = f"s{uuid.uuid4().hex[:8]}"
    services.secrets.create_secret(Name=f"{name}/database", SecretString=json.dumps(server.secret("postgres")))
    made = {"source": name, "connection": f"{name}/database", "tls": "off", "feeds": [{**FEED, "every": "1d"}]}
    return DatabaseSource.model_validate(made)


def publish(services: Services, source: Source, temp: Path) -> None:
    """Settle and publish until nothing is due."""
    arrivals = Arrivals(source, services.s3, services.ledger)
    settler = Settler(arrivals, services.zones)
    if source.takes_files:
        arrivals.reconcile()
    for due in settler.look(NoRuns()).due:
        with tempfile.TemporaryDirectory(dir=temp) as folder:
            publish_delivery(services, due.flow, due.day, "published", Path(folder))


def read(services: Services, source: DatabaseSource, temp: Path) -> None:
    """Read what a run is wanted of."""
    [due] = extracts_due(services.ledger, source.source, {"orders"}, NoRuns())
    claimed = services.ledger.extracts.claim(due, "read")
    assert claimed
    with tempfile.TemporaryDirectory(dir=temp) as folder:
        extract(services, Table(source, source.feeds[0]), claimed, None, Path(folder))


def rows_of(services: Services, source: str) -> int:
    prefix = services.settings.database_prefix
    return int(
        run_query(services.aws, services.glue, prefix, f"select count(*) from {prefix}{source}.orders", 1)[1][0][0]
    )


def main(rows: int) -> None:
    with (
        postgres_server(max_wal_size="4GB", synchronous_commit="off") as server,
        tempfile.TemporaryDirectory() as home,
        ensure(Path(home) / "aws") as endpoint,
    ):
        with server.connect() as connection:
            connection.execute(TABLE.format(rows=rows))
        services = Services(Settings(env="local", home=Path(home)), local_aws(endpoint.url))
        temp = Path(home) / "temp"
        temp.mkdir()
        print("| end to end: wall s, CPU s | reading alone | publishing alone | wall against the sum |", flush=True)
        for number in range(ROUNDS + 1):
            whole, parts = measured(services, server, rows, temp)
            ratio = whole.wall / sum(each.wall for each in parts)
            shown = " | ".join(f"{each.wall:.1f}, {each.cpu:.1f}" for each in (whole, *parts))
            # The first round pays for imports and caches.
            print(f"| {shown} | {ratio:.2f}{' (first)' if not number else ''} |", flush=True)
            if number and ratio > BAR:
                raise SystemExit(f"beyond the bar of {BAR}")


def measured(services: Services, server: PostgresServer, rows: int, temp: Path) -> tuple[Cost, tuple[Cost, Cost]]:
    source = declared(server, services)
    pattern = database_tables(source, services.settings)
    provision(services, [pattern.source])
    watch = pattern.watch(services)

    def end_to_end() -> None:
        watch.look()
        read(services, source, temp)
        watch.look()
        publish(services, pattern.source, temp)

    whole = cost(end_to_end)
    assert rows_of(services, source.source) == rows, "rows are missing"

    alone = declared(server, services)
    other = database_tables(alone, services.settings)
    provision(services, [other.source])
    other.watch(services).look()
    reading = cost(lambda: read(services, alone, temp))

    [done] = services.ledger.extracts.known(alone.source, "orders")
    chunks = services.ledger.extracts.chunks(done)
    arrival = {"complete_when": "count", "expected_files": len(chunks)}
    same = {**FEED, "format": source.feeds[0].format, "arrival": arrival}
    partner = make_source(f"p{uuid.uuid4().hex[:8]}", services.settings.raw_bucket, [Feed.model_validate(same)])
    provision(services, [partner])
    for chunk in chunks:
        copy(services, chunk.key, f"{partner.prefix}orders/dt={done.day}/{chunk.number}.csv.gz")
    publishing = cost(lambda: publish(services, partner, temp))
    assert rows_of(services, partner.name) == rows, "rows are missing"
    return whole, (reading, publishing)


def copy(services: Services, key: str, to: str) -> None:
    bucket = services.settings.raw_bucket
    services.s3.copy_object(Bucket=bucket, Key=to, CopySource={"Bucket": bucket, "Key": key})


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
