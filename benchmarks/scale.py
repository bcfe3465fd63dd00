"""What grows with what: ``python -m benchmarks.scale [PART...]`` prints the tables of docs/scale.md, of all parts or of
``files``, ``feeds``, ``partitions``, ``dagster``, ``definitions`` and ``deployment``.

Each part is measured at three sizes, in counts of calls, rows and bytes, and in CPU of this process and of the embedded
AWS, which stands for S3, SQS, DynamoDB and Glue; no figure is a time on the clock. The last column is what a unit costs
at the largest size against the middle one: 1.0 is linear, more is worse.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from adplatform.contracts.feed import Feed
from adplatform.contracts.model import Contract
from adplatform.flow.budget import Budget
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.looks import Progress, look_at
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.settling import Due
from adplatform.flow.source import Source, make_source
from adplatform.lake.catalog import Catalog, Partition
from adplatform.lake.table import table_spec
from adplatform.ledger.item_size import item_size
from adplatform.local.endpoint import ensure
from adplatform.platform.aws import local_aws
from adplatform.platform.settings import Settings
from adplatform.transform.compile import output_columns
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.plainly import NoRunIsAlive
from benchmarks.transform_jobs import cpu_of_tree

DAY = (datetime.now(UTC) - timedelta(days=1)).date()
ROWS = 20
COLUMNS = {"id": "int", "email": {"pii": "email"}, "spend": "decimal(12,2)"}
FILES, FEEDS, PARTITIONS, RUNS, DECLARED = (
    (10, 100, 1000),
    (1, 30, 300),
    (100, 1000, 10_000),
    (1, 10, 100),
    (10, 100, 300),
)
SOURCES = (3, 10, 30)
_PUT_AT_ONCE = 100  # Glue web API, BatchCreatePartition

Row = dict[str, float]


@dataclass(frozen=True)
class World:
    """An embedded AWS and what is asked of it."""

    services: Services
    aws: CountedAws
    server: int
    home: Path

    @contextmanager
    def measured(self, row: Row) -> Iterator[Counter[str]]:
        """Adds the calls and CPU of what is done within to ``row``; the calls are counted by name, too."""
        asked, before = Counter[str](), (len(self.aws.names), time.process_time(), cpu_of_tree(self.server))
        yield asked
        asked.update(self.aws.names[before[0] :])
        row["calls"] = row.get("calls", 0) + asked.total()
        row["CPU s"] = row.get("CPU s", 0) + time.process_time() - before[1]
        row["AWS CPU s"] = row.get("AWS CPU s", 0) + cpu_of_tree(self.server) - before[2]


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="scale-") as home, ensure(Path(home) / "aws") as endpoint:
        assert endpoint.process, "the embedded AWS is another process's"
        plain = local_aws(endpoint.url)
        aws = CountedAws(plain.region, plain.endpoint_url, places=[])
        services = Services(Settings(env="local", home=Path(home)), aws)
        yield World(services, aws, endpoint.process.pid, Path(home))


def feed(name: str, expected: int, **more: Any) -> dict[str, Any]:
    arrival = {"complete_when": "count", "expected_files": expected}
    return {"name": name, "start_date": "2026-01-01", "arrival": arrival, "columns": COLUMNS, **more}


def declared(world: World, feeds: list[dict[str, Any]]) -> Source:
    name = f"s{uuid.uuid4().hex[:8]}"
    source = make_source(name, world.services.settings.raw_bucket, [Feed.model_validate(each) for each in feeds])
    provision(world.services, [source])
    return source


def body(number: int) -> bytes:
    rows = (f"{number * ROWS + n},user{n}.{number}@example.com,{n}.25" for n in range(ROWS))
    return "\n".join(["id,email,spend", *rows, ""]).encode()


def put(world: World, source: Source, name: str, files: int) -> None:
    for number in range(files):
        key = f"{source.prefix}{name}/dt={DAY}/{number:05d}.csv"
        world.services.s3.put_object(Bucket=world.services.settings.raw_bucket, Key=key, Body=body(number))


def deliver(
    world: World, source: Source, budget: timedelta = timedelta(minutes=5), progress: Progress | None = None
) -> int:
    """From the events of one delivery to its published table; how many looks it took until it was due. ``progress`` is
    what the look before left."""
    due: tuple[Due, ...] = ()
    looks, progress = 0, progress or Progress()
    while not due:
        settler = world.services.settler(source)
        look, progress = look_at(settler, NoRunIsAlive(), Budget.of(budget.total_seconds()), progress)
        due, looks = look.due, looks + 1
    publish_delivery(world.services, due[0].flow, due[0].day, due[0].run_key, world.home)
    return looks


def rows_of(world: World, source: Source) -> list[dict[str, Any]]:
    """The ledger's items of a source."""
    pages = world.services.ledger.client.get_paginator("scan").paginate(TableName=world.services.settings.ledger_table)
    items = [_plain(item) for page in pages for item in page["Items"]]
    return [item for item in items if f"{item['pk']}/".startswith(f"feed#{source.name}/")]


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 - boto3 is imported where a client is made

    read = TypeDeserializer().deserialize
    return {
        name: value if not isinstance(value, dict) or len(value) != 1 else read(value) for name, value in item.items()
    }


def of_files(world: World) -> dict[int, Row]:
    """A delivery from its events to its published table, archive included."""
    found = {}
    for files in FILES:
        source, row = declared(world, [feed("tiny", files)]), Row()
        put(world, source, "tiny", files)
        with world.measured(row) as asked:
            deliver(world, source)
        items = rows_of(world, source)
        row["ledger items"], row["ledger bytes"] = len(items), sum(map(item_size, items))
        row["largest item"] = max(map(item_size, items))
        zones, store = world.services.zones, world.services.store
        named = source.feeds[0].name
        row["manifest bytes"] = sum(o.size for o in store.listing(zones.raw_bucket, zones.manifests(named, DAY)))
        found[files] = row
        told = ", ".join(f"{name} {count:,}" for name, count in asked.most_common(9))
        print(f"{files:,} files: {told}")
    return found


def of_feeds(world: World) -> dict[int, Row]:
    """A look at a source of which nothing has come, once with a listing of each feed's folder and once without."""
    found = {}
    for feeds in FEEDS:
        source, row = declared(world, [feed(f"f{number:03d}", 1) for number in range(feeds)]), Row()
        budget = timedelta(minutes=5).total_seconds()
        first, quiet = Row(), Row()
        with world.measured(first):
            _, progress = look_at(world.services.settler(source), NoRunIsAlive(), Budget.of(budget), Progress())
        with world.measured(quiet):
            look_at(world.services.settler(source), NoRunIsAlive(), Budget.of(budget), progress)
        for name, each in (("with listing", first), ("quiet", quiet)):
            row |= {f"{what}, {name}": value for what, value in each.items()}
        found[feeds] = row
    return found


def of_partitions(world: World) -> dict[int, Row]:
    """What a reader gets of the catalog who asks for a week: by its filter, and where all partitions are listed."""
    glue, found = world.services.glue, {}
    contract = Contract.model_validate({"columns": COLUMNS})
    for count in PARTITIONS:
        spec = table_spec(f"p{uuid.uuid4().hex[:8]}/daily", contract, output_columns(contract))
        catalog = Catalog(glue)
        table = catalog.ensure(spec, "s3://clean/daily/")
        days = [date(2000, 1, 1) + timedelta(days=number) for number in range(count)]
        _put_partitions(catalog, spec, table, days)
        row, where = Row(), {"DatabaseName": spec.database, "TableName": spec.name}
        week = f"dt >= '{days[-7]}'"
        for name, given in (
            ("all", {}),
            ("without columns", {"ExcludeColumnSchema": True}),
            ("a week", {"Expression": week}),
        ):
            answers, got = 0, 0
            with world.measured(part := Row()):
                for page in glue.get_paginator("get_partitions").paginate(**where, **given):
                    got += len(page["Partitions"])
                    answers += len(json.dumps(page["Partitions"], default=str))
            wanted = 7 if name == "a week" else count
            assert got == wanted, f"{got} partitions instead of {wanted}"
            row |= {f"bytes, {name}": answers, f"AWS CPU s, {name}": part["AWS CPU s"]}
            row[f"pages of 1,000, {name}"] = -(-got // 1000)
        found[count] = row
    return found


def _put_partitions(catalog: Catalog, spec: Any, table: Any, days: list[date]) -> None:
    columns = [{"Name": name, "Type": kind} for name, kind in table.columns]
    first = Partition(days[0].isoformat(), "s3://clean/daily/0/", {"adplatform.version": "1"})
    catalog.put_partition(spec, table, first, exists=False)
    made = catalog.glue.get_partition(DatabaseName=spec.database, TableName=spec.name, PartitionValues=[first.value])
    descriptor = made["Partition"]["StorageDescriptor"] | {"Columns": columns}
    inputs = [
        {
            "Values": [day.isoformat()],
            "StorageDescriptor": {
                **descriptor,
                "Location": f"s3://clean/table-versions/p/daily/{uuid.uuid4().hex}/dt={day}/",
            },
            "Parameters": made["Partition"]["Parameters"],
        }
        for day in days[1:]
    ]
    for start in range(0, len(inputs), _PUT_AT_ONCE):
        catalog.glue.batch_create_partition(
            DatabaseName=spec.database,
            TableName=spec.name,
            PartitionInputList=inputs[start : start + _PUT_AT_ONCE],
        )


def of_dagster(world: World) -> dict[int, Row]:
    """A run of both steps of a delivery through Dagster, and a tick of its sensor."""
    import dagster as dg  # noqa: PLC0415 - imports count in no other part

    from adplatform.components import PartnerPush  # noqa: PLC0415
    from adplatform_tests.support.platforms import make_platform  # noqa: PLC0415

    found = {}
    with dg.DagsterInstance.ephemeral() as instance:  # one for all, because a ledger takes the runs of one only
        for files in RUNS:
            given = {"source": f"d{uuid.uuid4().hex[:8]}", "feeds": [feed("tiny", files)]}
            platform, row = make_platform(world.services, given, instance, PartnerPush), Row()
            put(world, platform.source, "tiny", files)
            with world.measured(row):
                [result] = platform.process()
            assert result.success, "the run failed"
            logs = instance.all_logs(result.run_id)
            row["events of the run"] = len(logs)
            row["bytes of events"] = sum(len(dg.serialize_value(each)) for each in logs)
            row["bytes of the run"] = len(dg.serialize_value(instance.get_run_by_id(result.run_id)))
            found[files] = row
    return found


_LOAD = """
import json, resource, time
import adplatform.components, dagster as dg
from adplatform.definitions import defs
before = time.process_time()
repository = defs().get_repository_def()
loaded = time.process_time()
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster import serialize_value
snapshot = serialize_value(RepositorySnap.from_def(repository))
print(json.dumps({
    "CPU s to load": loaded - before,
    "CPU s of its snapshot": time.process_time() - loaded,
    "MB of its snapshot": len(snapshot) / 1e6,
    "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "assets": len(list(repository.asset_graph.get_all_asset_keys())),
    "sensors": len(repository.sensor_defs),
}))
"""


def of_definitions(world: World) -> dict[int, Row]:
    """The code location with ten feeds a source, in a process of its own."""
    from adplatform_tests.support.projects import copy_project  # noqa: PLC0415 - only a part needs it

    found = {}
    for feeds in DECLARED:
        project = copy_project(world.home / f"project-{feeds}")
        declarations = project / "adplatform" / "defs"
        for each in declarations.iterdir():
            if each.is_dir():
                shutil.rmtree(each)
        declare(declarations / "partners", feeds // 10)
        environment = os.environ | {"PYTHONPATH": str(project), "ADPLATFORM_HOME": str(world.home)}
        ran = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _LOAD],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        found[feeds] = json.loads(ran.stdout.splitlines()[-1])
    return found


_DEPLOY = """
import collections, json, sys, tempfile
from pathlib import Path
from deploy.app import build
from deploy.config import read_config
from deploy.estate import read_estate
from deploy.resources import ResourceStack
config = read_config(Path("deploy/tests/config.yaml")).model_copy(update={"sources": sys.argv[1]})
app = build(read_estate(config), tempfile.mkdtemp())
made = [each for each in app.node.children if isinstance(each, ResourceStack)]
stacks = {each.node.id.removeprefix("adplatform-"): each._resources for each in made}
found = collections.Counter()
for name, resources in stacks.items():
    of_sources = name.partition("-")[0] + " of sources"
    found["resources of " + (of_sources if name.startswith(("alarms-", "dashboard-")) else name)] += len(resources)
kinds = collections.Counter(each["Type"] for resources in stacks.values() for each in resources.values())
sizes = [len(json.dumps(resources)) for resources in stacks.values()]
found |= {"stacks": len(stacks), "resources of the largest stack": max(map(len, stacks.values()))}
found["kB of the largest template"] = max(sizes) / 1000
for kind in ("IAM::Role", "Events::Rule", "SQS::Queue", "CloudWatch::Alarm"):
    found[kind] = kinds["AWS::" + kind]
print(json.dumps(found))
"""


def of_deployment(world: World) -> dict[int, Row]:
    """What CloudFormation gets, of ten feeds a source; by the Python of ``deploy/.venv``, as ``make synth`` has it."""
    found = {}
    for sources in SOURCES:
        folder = world.home / f"sources-{sources}"
        declare(folder / "partners", sources)
        ran = subprocess.run(
            ["deploy/.venv/bin/python", "-W", "ignore", "-c", _DEPLOY, str(folder)],
            env=os.environ | {"PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        found[sources] = json.loads(ran.stdout.splitlines()[-1])
    return found


def declare(folder: Path, sources: int) -> None:
    """So many partners with ten feeds each."""
    for number in range(sources):
        place = folder / f"partner{number:03d}"
        place.mkdir(parents=True)
        attributes = {"source": place.name, "feeds": [feed(f"f{n}", 1) for n in range(10)]}
        text = yaml.safe_dump({"type": "adplatform.components.PartnerPush", "attributes": attributes})
        (place / "defs.yaml").write_text(text, encoding="utf-8")


PARTS: Mapping[str, tuple[str, Callable[[World], dict[int, Row]]]] = {
    "files": ("files of a delivery", of_files),
    "feeds": ("feeds of a source", of_feeds),
    "partitions": ("partitions of a table", of_partitions),
    "dagster": ("files of a run", of_dagster),
    "definitions": ("feeds", of_definitions),
    "deployment": ("sources", of_deployment),
}


def table(unit: str, found: Mapping[int, Row]) -> str:
    sizes = list(found)
    lines = [
        f"| {unit} | " + " | ".join(f"{size:,}" for size in sizes) + " | growth |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for name in found[sizes[0]]:
        values = [found[size][name] for size in sizes]
        shown = [f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}" for value in values]
        growth = f"{values[-1] / values[-2] / (sizes[-1] / sizes[-2]):.2f}" if values[-2] else "-"
        lines.append(f"| {name} | " + " | ".join(shown) + f" | {growth} |")
    return "\n".join(lines)


def main(*parts: str) -> None:
    for part in parts or PARTS:
        unit, measure = PARTS[part]
        with world() as made:
            text = table(unit, measure(made))
        print(f"\n{text}\n", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
