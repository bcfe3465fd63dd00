"""What many small slices cost those who read them: ``python -m benchmarks.many_slices [PROFILES [DAYS [ROWS]]]``, by
default 300 profiles, 6 days and 40 rows a profile and day.

The same rows lie in two tables on the embedded AWS: ``per_scope`` with a partition and a file for each profile and day,
``compacted`` with one for each day. One day of each is published by the platform and copied to the others, because
only reading is compared. Every reader is a process of its own behind a proxy that counts what it asks for: DuckDB by
the catalog (`adplatform query`), and awswrangler by the paths below the table's location; each once for all rows and
once for those of one profile, where awswrangler chooses paths or, in ``compacted``, reads all and chooses rows. Calls
and files are exact, CPU is that of the reader without its imports. At last it is counted what one profile costs that
is published again.
"""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.contracts.model import Contract
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.catalog import Partition
from adplatform.lake.parquet import arrow_type
from adplatform.lake.publish import publish
from adplatform.lake.shared_dates import Share, publish_shares
from adplatform.lake.table import TableSpec, table_spec
from adplatform.lake.zones import JOINT, partition_folder
from adplatform.local.endpoint import ensure
from adplatform.platform.at_once import at_once
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform.transform.compile import output_columns
from adplatform.transform.values import FileCount, Staged, StagedFile
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.proxy import Exchange, proxied

FIRST = date(2026, 1, 1)
TEXTS, NUMBERS = ("campaign_name", "ad_group_name", "targeting", "match_type"), ("impressions", "clicks", "purchases")
COLUMNS = {
    "campaign_id": "bigint",
    "ad_group_id": "bigint",
    **dict.fromkeys(TEXTS, "string"),
    **dict.fromkeys(NUMBERS, "bigint"),
    "cost": "decimal(38,6)",
    "sales": "decimal(38,6)",
}
LAYOUTS = ("per_scope", "compacted")
_BATCH = 100  # Glue web API, BatchCreatePartition

_IMPORTS = """
import resource, sys
import awswrangler as wr, boto3
from adplatform.lake.query import run_query
from adplatform.platform.aws import local_aws
"""
_DUCKDB = """
aws = local_aws(url)
_, [(rows, clicks)] = run_query(
    aws, aws.client("glue"), database, f"select count(*), sum(clicks) from {database}.{table}{where}", 1
)
"""
_WRANGLER = """
wr.config.s3_endpoint_url = wr.config.glue_endpoint_url = wr.config.sts_endpoint_url = url
session = boto3.Session(region_name="us-east-1")
root = wr.catalog.get_table_location(database=database, table=table, boto3_session=session)
frame = wr.s3.read_parquet(root, dataset=True, boto3_session=session, **given)
frame = frame[frame["profile_id"] == one] if one else frame
rows, clicks = len(frame), frame["clicks"].sum()
"""
_MEASURED = """
url, database, table, one, partitioned = sys.argv[1:]
where = f" where profile_id = '{one}'" if one else ""
given = {"partition_filter": lambda found: found["profile_id"] == one} if one and partitioned else {}
before = resource.getrusage(resource.RUSAGE_SELF)
BODY
after = resource.getrusage(resource.RUSAGE_SELF)
print()
print(int(rows), int(clicks), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
"""
READERS = {"DuckDB": _DUCKDB, "awswrangler": _WRANGLER}


@dataclass
class Asked:
    """What went through the proxy."""

    calls: Counter[str] = field(default_factory=Counter)
    files: set[str] = field(default_factory=set)

    def serve(self, exchange: Exchange) -> None:
        target, path = exchange.headers.get("X-Amz-Target"), urlsplit(exchange.path)
        if target:
            self.calls[target.rpartition(".")[2]] += 1
        else:
            self.calls[f"S3 {exchange.command}"] += 1
            if path.path.endswith(".parquet") and exchange.command == "GET":
                self.files.add(path.path)
        exchange.reply(exchange.forward())


def contract() -> Contract:
    return Contract.model_validate({"columns": COLUMNS})


def rows_of(profile: int, rows: int) -> pa.Table:
    """A day of a profile; ids of profiles are numbers of 16 digits."""
    schema = pa.schema([(c.name, arrow_type(c.type)) for c in output_columns(contract())])
    found: list[dict[str, Any]] = [
        {
            "campaign_id": profile * 1000 + n // 8,
            "ad_group_id": profile * 100_000 + n,
            **{name: f"{name} {profile * 31 + n // 4}" for name in TEXTS},
            **dict.fromkeys(NUMBERS, n),
            **dict.fromkeys(("cost", "sales"), Decimal(n) / 8),
            "_source_file": f"reports/ads/sp/{profile}.json.gz#0123456789abcdef",
        }
        for n in range(rows)
    ]
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in found], schema=schema)


def staged(table: pa.Table, folder: Path) -> Staged:
    path = folder / f"{uuid.uuid4().hex}.parquet"
    pq.write_table(table, path, compression="snappy")
    counted = FileCount("s3://raw/file", table.num_rows, table.num_rows, 0, 0)
    return Staged(output_columns(contract()), (StagedFile(path, "", table.num_rows),), None, (counted,), {})


def name_of(profile: int) -> str:
    return f"{profile + 10**15}"


def publish_day(services: Services, spec: TableSpec, brought: list[Staged], temp: Path) -> None:
    if spec.compacted:
        shares = [Share(spec, name_of(n), 1, each) for n, each in enumerate(brought)]
        publish_shares(services.lake, FIRST, shares, run_id="r", temp=temp)
        return
    for n, each in enumerate(brought):
        publish(services.lake, spec, FIRST, 1, each, run_id="r", temp=temp, scope=name_of(n))


def repeat_day(services: Services, spec: TableSpec, days: int) -> None:
    """The files and partitions of the first day as those of the others: its path copies, which both readers can use."""
    lake, zones = services.lake, services.zones
    [*first] = lake.catalog.partitions(spec)
    table = lake.catalog.table(spec)
    assert table is not None
    root, copied, made = zones.clean(spec.feed), [], []
    for part in first:
        values = part.value.split(JOINT)
        [stored] = lake.store.listing(zones.clean_bucket, root + partition_folder(spec.partition_names, part.value))
        for n in range(1, days):
            value = JOINT.join([str(FIRST + timedelta(days=n)), *values[1:]])
            folder = root + partition_folder(spec.partition_names, value)
            copied.append((stored, f"{folder}{Path(stored.key).name}"))
            made.append(Partition(value, zones.clean_uri(folder), part.parameters))
    at_once(lambda each: lake.store.copy(zones.clean_bucket, each[0].key, each[1]), copied)
    where = {"DatabaseName": spec.database, "TableName": spec.name}
    given = lake.catalog.glue.get_partition(**where, PartitionValues=first[0].value.split(JOINT))["Partition"]
    inputs = [
        {
            "Values": each.value.split(JOINT),
            "StorageDescriptor": {**given["StorageDescriptor"], "Location": each.location},
            "Parameters": dict(each.parameters),
        }
        for each in made
    ]
    for start in range(0, len(inputs), _BATCH):
        lake.catalog.glue.batch_create_partition(**where, PartitionInputList=inputs[start : start + _BATCH])


def read(endpoint: str, spec: TableSpec, reader: str, one: str) -> tuple[tuple[int, int], Asked, float]:
    """What a reader found, asked for, and used."""
    asked = Asked()
    script = _IMPORTS + _MEASURED.replace("BODY", READERS[reader].strip())
    with proxied(endpoint, asked.serve) as url:
        command = [sys.executable, "-W", "ignore", "-c", script, url, spec.database, spec.name, one]
        found = subprocess.run(
            [*command, "" if spec.compacted else "partitioned"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"AWS_ENDPOINT_URL": url},
        )
    rows, clicks, cpu = found.stdout.splitlines()[-1].split()  # behind DuckDB's bar of progress
    return (int(rows), int(clicks)), asked, float(cpu)


def main(profiles: int = 300, days: int = 6, rows: int = 40) -> None:
    with tempfile.TemporaryDirectory(prefix="slices-") as home, ensure(Path(home) / "aws") as endpoint:
        plain = local_aws(endpoint.url)
        assert plain.key, "the embedded AWS has a key"
        os.environ |= {"AWS_ACCESS_KEY_ID": plain.key.id, "AWS_SECRET_ACCESS_KEY": plain.key.secret}
        aws, temp = CountedAws(plain.region, plain.endpoint_url), Path(home) / "work"
        temp.mkdir()
        services = Services(Settings(env="local", home=Path(home)), aws)
        provision(services, [])
        tables = {
            layout: table_spec(
                f"ads/{layout}",
                contract(),
                output_columns(contract()),
                database_prefix="clean_",
                scope="profile_id",
                compacted=layout == "compacted",
            )
            for layout in LAYOUTS
        }
        brought = [staged(rows_of(n, rows), temp) for n in range(profiles)]
        print(
            f"{profiles} profiles, {days} days, {rows} rows each\n\n| publishing | calls | CPU s | |\n|---|---|---|---|"
        )
        for layout, spec in tables.items():
            before = len(aws.names), time.process_time()
            publish_day(services, spec, brought, temp)
            _told(f"a day of all profiles, {layout}", aws.names, before)
            repeat_day(services, spec, days)
        restated = staged(rows_of(0, rows + 1), temp)
        truth = {"": profiles * days * rows, name_of(1): days * rows}
        print("\n| reader | rows | layout | files | S3 calls | Glue calls | CPU s |\n|---|---|---|---|---|---|---|")
        for reader in READERS:
            for one, expected in truth.items():
                figures = {}
                for layout, spec in tables.items():
                    (found, _), asked, cpu = read(endpoint.url, spec, reader, one)
                    assert found == expected, f"{reader} found {found} rows of {layout} instead of {expected}"
                    s3 = sum(n for name, n in asked.calls.items() if name.startswith("S3 "))
                    figures[layout] = [len(asked.files), s3, asked.calls.total() - s3, round(cpu, 2)]
                    what = "one profile" if one else "all"
                    print(f"| {reader} | {what} | {layout} | {' | '.join(f'{n:,}' for n in figures[layout])} |")
                ratios = (a / max(b, 0.01) for a, b in zip(*(figures[layout] for layout in LAYOUTS), strict=True))
                print(f"| | | ratio | {' | '.join(f'{ratio:.1f}' for ratio in ratios)} |", flush=True)
        print("\n| publishing again | calls | CPU s | |\n|---|---|---|---|")
        for layout, spec in tables.items():
            before = len(aws.names), time.process_time()
            publish(services.lake, spec, FIRST, 2, restated, run_id="r", temp=temp, scope=name_of(0))
            _told(f"one profile of a day, {layout}", aws.names, before)


def _told(what: str, names: list[str], before: tuple[int, float]) -> None:
    asked, cpu = Counter(names[before[0] :]), time.process_time() - before[1]
    named = ", ".join(f"{name} {count:,}" for name, count in asked.most_common(8))
    print(f"| {what} | {asked.total():,} | {cpu:.2f} | {named} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
