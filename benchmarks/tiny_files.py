"""What 5,000 tiny files of one feed cost from their events to published rows, and how long others wait meanwhile: a
feed of the same source and one of another source, each with one file that came in the midst of them.
``python -m benchmarks.tiny_files [FILES]``.

All files are there and all their events wait before the clock starts, which is the worst for the others. Then the
sensors of both sources look in turns, as a daemon without threads has them, and what is due is run at once in this
process. Beside it what one would write by hand for the one feed: boto3 lists, eight threads fetch, DuckDB writes one
Parquet file, which is put; nothing is noted, checked, archived or catalogued. Both tables are held against what was
sent. CPU is that of this process and that of the embedded AWS.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from adplatform.contracts.feed import Feed
from adplatform.flow.budget import Budget
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.looks import Progress, look_at
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.lake.query import run_query
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.plainly import NoRunIsAlive
from benchmarks.transform_jobs import cpu_of_tree

ROWS = 20
BAR_SECONDS = 120
DAY = (datetime.now(UTC) - timedelta(days=1)).date()
COLUMNS = {"id": "int", "email": {"pii": "email"}, "spend": "decimal(12,2)"}
CHECK = "select count(*), sum(id), sum(spend) from {}"


@dataclass
class Phases:
    """What was asked and used by phase."""

    calls: list[str]
    server: int
    found: dict[str, tuple[float, float, float, Counter[str]]] = field(default_factory=dict)

    @contextmanager
    def of(self, phase: str) -> Iterator[None]:
        before, own, served, began = len(self.calls), time.process_time(), cpu_of_tree(self.server), time.monotonic()
        yield
        spent = (time.monotonic() - began, time.process_time() - own, cpu_of_tree(self.server) - served)
        wall, used, theirs, asked = self.found.get(phase, (0.0, 0.0, 0.0, Counter[str]()))
        asked.update(self.calls[before:])
        self.found[phase] = (wall + spent[0], used + spent[1], theirs + spent[2], asked)


def feed(name: str, arrival: dict[str, Any]) -> Feed:
    return Feed.model_validate({"name": name, "start_date": "2026-01-01", "arrival": arrival, "columns": COLUMNS})


def body(number: int) -> bytes:
    rows = (f"{number * ROWS + n},user{n}.{number}@example.com,{n}.25" for n in range(ROWS))
    return "\n".join(["id,email,spend", *rows, ""]).encode()


def truth(numbers: range) -> tuple[int, int, float]:
    ids = range(numbers.start * ROWS, numbers.stop * ROWS)
    return len(ids), sum(ids), len(numbers) * sum(n + 0.25 for n in range(ROWS))


def put_all(services: Services, source: Source, other: Source, files: int) -> None:
    """The files, those of the others in the midst."""
    bucket = services.zones.raw_bucket

    def put(named: tuple[str, int]) -> None:
        services.s3.put_object(Bucket=bucket, Key=named[0], Body=body(named[1]))

    tiny = [(f"{source.prefix}tiny/dt={DAY}/{number:05d}.csv", number) for number in range(files)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, tiny[: files // 2]))
        for each in (source, other):
            put((f"{each.prefix}single/dt={DAY}/one.csv", files))
        list(pool.map(put, tiny[files // 2 :]))
    services.s3.put_object(Bucket=bucket, Key=f"{source.prefix}tiny/dt={DAY}/_SUCCESS", Body=b"")


def by_platform(services: Services, sources: tuple[Source, ...], temp: Path, phases: Phases) -> dict[str, float]:
    """Seconds from the first look to published, by feed."""
    began, published = time.monotonic(), dict[str, float]()
    progress = {each.name: Progress() for each in sources}
    wanted = sum(len(each.feeds) for each in sources)
    while len(published) < wanted:
        for source in sources:
            budget = Budget.of(services.settings.tick_seconds)
            with phases.of(f"looks at {source.name}"):
                found, progress[source.name] = look_at(
                    services.settler(source), NoRunIsAlive(), budget, progress[source.name]
                )
            for due in found.due:
                with phases.of(f"run of {due.flow.name}"):
                    publish_delivery(services, due.flow, due.day, due.run_key, temp)
                published[due.flow.name] = time.monotonic() - began
    return published


def by_hand(services: Services, prefix: str, temp: Path) -> Callable[[], tuple[Any, ...]]:
    bucket, folder = services.zones.raw_bucket, temp / "by-hand"
    folder.mkdir()
    pages = services.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ()) if each["Key"].endswith(".csv")]

    def fetch(key: str) -> None:
        (folder / key.rpartition("/")[2]).write_bytes(services.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, keys))
    target = temp / "by-hand.parquet"
    types = "{'id': 'BIGINT', 'email': 'VARCHAR', 'spend': 'DECIMAL(12,2)'}"
    duckdb.sql(
        f"copy (select id, sha256(lower(trim(email))) as email, spend from read_csv('{folder}/*.csv', header=true,"
        f" columns={types})) to '{target}'"
    )
    services.s3.put_object(Bucket=services.zones.clean_bucket, Key="by-hand.parquet", Body=target.read_bytes())
    return lambda: duckdb.sql(CHECK.format(f"'{target}'")).fetchall()[0]


def main(files: int = 5000) -> None:
    with tempfile.TemporaryDirectory() as home, ensure(Path(home) / "aws") as endpoint:
        assert endpoint.process, "the embedded AWS is another process's"
        plain = local_aws(endpoint.url)
        aws = CountedAws(plain.region, plain.endpoint_url)
        services = Services(Settings(env="local", home=Path(home)), aws)
        temp, phases = Path(home) / "temp", Phases(aws.names, endpoint.process.pid)
        temp.mkdir()
        done, one = {"complete_when": "done_file"}, {"complete_when": "count", "expected_files": 1}
        source = make_source("many", services.settings.raw_bucket, [feed("tiny", done), feed("single", one)])
        other = make_source("few", services.settings.raw_bucket, [feed("single", one)])
        provision(services, [source, other])
        put_all(services, source, other, files)
        with phases.of("by hand"):
            peer = by_hand(services, f"{source.prefix}tiny/", temp)
        published = by_platform(services, (source, other), temp, phases)
        expected = truth(range(files))
        table = f"{services.settings.database_prefix}many.tiny"
        [row] = run_query(services.aws, services.glue, services.settings.database_prefix, CHECK.format(table), 10)[1]
        for found in (row, peer()):
            assert tuple(map(float, found)) == tuple(map(float, expected)), (found, expected)
        kept = services.ledger.objects.of_day("many/tiny", DAY)
        assert sum(bool(each.archived_key) for each in kept) == files + 1
    print(f"{files:,} files of {ROWS} rows, on a machine that may be busy")
    print("| phase | s | CPU s: own, AWS | calls | a file |")
    for phase, (wall, own, served, asked) in phases.found.items():
        print(f"| {phase} | {wall:.1f} | {own:.1f}, {served:.1f} | {asked.total():,} | {asked.total() / files:.2f} |")
    for phase, (_, _, _, asked) in phases.found.items():
        print(f"{phase}: {', '.join(f'{name} {count:,}' for name, count in asked.most_common())}")
    for name, seconds in published.items():
        print(f"{name}: published after {seconds:.1f} s" + (f" (bar {BAR_SECONDS})" if name == "many/tiny" else ""))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
