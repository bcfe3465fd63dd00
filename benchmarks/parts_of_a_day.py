"""What a day costs that comes in parts: 24 hourly and 288 five-minute files against one delivery of the same rows, and
against reading the whole date again for each file. ``python -m benchmarks.parts_of_a_day [MEGABYTES] [PARTS,PARTS]
[AGAIN]``, where AGAIN is how many files the date is read again for, 0 for none.

Every table is held against that of the one delivery, so a wrong contender has no figures. CPU is that of the platform's
process and that of the embedded AWS, which stands for S3, Glue and DynamoDB.
"""

import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adplatform.contracts.feed import Feed
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.lake.query import run_query
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.plainly import NoRunIsAlive
from benchmarks.transform_data import BYTES_A_ROW, COLUMNS, KEY, make
from benchmarks.transform_jobs import cpu_of_tree

MOST = 288
DAY = (datetime.now(UTC) - timedelta(days=1)).date()
FEED: dict[str, Any] = {
    "name": "ads",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": COLUMNS,
}
KEYED = {**FEED, "key": list(KEY), "latest_by": "updated_at"}
CHECK = "select count(*), sum(impressions), sum(clicks), sum(hash(email_lake)) from {}"


@dataclass(frozen=True)
class Cost:
    """``read`` and ``written`` are bytes of raw files and of Parquet, CPU in seconds."""

    own: float
    served: float
    calls: int
    read: int
    written: int
    most_files: int
    files: int

    @property
    def cpu(self) -> float:
        return self.own + self.served


def pieces(source: Path, parts: int) -> list[bytes]:
    """The files of a directory as so many files, each with the header."""
    files = [path.read_bytes() for path in sorted(source.glob("*.csv"))]
    header = files[0][: files[0].index(b"\n") + 1]
    share = -(-len(files) // parts)
    groups = [files[first : first + share] for first in range(0, len(files), share)]
    return [header + b"".join(body[len(header) :] for body in group) for group in groups]


def deliver(services: Services, source: Source, run_id: str, temp: Path) -> None:
    """Settle and publish until nothing is due."""
    settler = services.settler(source)
    settler.arrivals.reconcile(f"{source.prefix}ads/dt={DAY}/")
    for due in settler.look(NoRunIsAlive()).due:
        with tempfile.TemporaryDirectory(dir=temp) as folder:
            publish_delivery(services, due.flow, due.day, run_id, Path(folder))


def cost(
    services: Services, server: int, declared: dict[str, Any], files: list[bytes], temp: Path, *, again: bool = False
) -> tuple[Cost, tuple[Any, ...]]:
    """What it costs to deliver the files one after the other, and what readers see in the end. With ``again`` the whole
    date is read for each."""
    source = make_source(f"s{uuid.uuid4().hex[:8]}", services.settings.raw_bucket, [Feed.model_validate(declared)])
    provision(services, [source])
    flow, counted = source.feeds[0], services.aws.names  # type: ignore[attr-defined]  # CountedAws
    own = served = 0.0
    calls = read = written = most = seen = 0
    for number, body in enumerate(files):
        key = f"{source.prefix}ads/dt={DAY}/{number:04d}.csv"
        services.s3.put_object(Bucket=services.settings.raw_bucket, Key=key, Body=body)
        if again and number:
            services.ledger.deliveries.reopen(flow.name, DAY)
        before = time.process_time(), cpu_of_tree(server), len(counted)
        deliver(services, source, f"run-{number}", temp)
        own, served = own + time.process_time() - before[0], served + cpu_of_tree(server) - before[1]
        calls += len(counted) - before[2]
        seen += len(body)
        read += seen if again else len(body)
        placement = services.ledger.placements.get(flow.name, DAY)
        assert placement, "nothing was published"
        prefix = services.zones.clean_key(placement.location)
        found = list(services.store.listing(services.zones.clean_bucket, prefix))
        written += sum(each.size for each in found if each.key.rpartition("/")[2].startswith("part-"))
        most = max(most, len(found))
    table = f"{services.settings.database_prefix}{source.name}.ads"
    [row] = run_query(services.aws, services.glue, services.settings.database_prefix, CHECK.format(table), 10)[1]
    return Cost(own, served, calls, read, written, most, len(found)), row


def main(megabytes: str = "300", parts: str = "24,288", again: str = "24") -> None:
    with tempfile.TemporaryDirectory() as home, ensure(Path(home) / "aws") as endpoint:
        assert endpoint.process, "the embedded AWS is another process's"
        server = endpoint.process.pid
        plain = local_aws(endpoint.url)
        aws = CountedAws(plain.region, plain.endpoint_url)
        services = Services(Settings(env="local", home=Path(home)), aws)
        data, temp = Path(home) / "data", Path(home) / "temp"
        temp.mkdir()
        truth = make(data, int(megabytes) * 2**20, MOST)
        print(f"{truth.rows:,} rows, about {truth.rows * BYTES_A_ROW / 2**20:,.0f} MB of CSV")
        print("| feed | files | CPU s: own, AWS | against one | calls | bytes read | written | files: most, last |")
        for name, declared in (("without a key", FEED), ("keyed", KEYED)):
            cost(services, server, declared, pieces(data, MOST)[:1], temp)
            one, wanted = cost(services, server, declared, pieces(data, 1), temp)
            show(name, "1", one, one)
            for count in map(int, parts.split(",")):
                found, rows = cost(services, server, declared, pieces(data, count), temp)
                assert rows == wanted, (name, count, rows, wanted)
                show(name, str(count), found, one)
            if count := int(again):
                found, rows = cost(services, server, declared, pieces(data, count), temp, again=True)
                assert rows == wanted
                show(name, f"{count}, all again", found, one)


def show(name: str, files: str, found: Cost, one: Cost) -> None:
    print(
        f"| {name} | {files} | {found.own:.1f}, {found.served:.1f} | {found.cpu / one.cpu:.2f} | {found.calls:,} |"
        f" {found.read / one.read:.2f} | {found.written / one.written:.2f} | {found.most_files}, {found.files} |",
        flush=True,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
