"""A delivery whose versions alternate between two contents, and publishers that die before one of their writes."""

import json
import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from adplatform.lake.attempt import Published
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform.ledger.publications import Publication
from adplatform.platform.aws import local_aws
from adplatform.transform.values import Staged
from adplatform_tests.lake.support import contract, make_lake, spec_of, staged

DAY, OTHER_DAY = date(2026, 3, 1), date(2026, 3, 2)
WRITES = ("Put", "Create", "Update", "Delete", "Copy", "Upload", "Complete")
Places = Mapping[str, list[tuple[int, int]]]

ODD: Places = {"de": [(1, 1)], "fr": [(1, 1)]}
EVEN: Places = {"de": [(1, 3)], "it": [(1, 3)]}
OTHER: Places = {"de": [(2, 2)]}
SCOPE, OTHER_SCOPE = "1", "2"
SCOPED = ("scoped", "compacted")
"""Layouts whose tables have scopes."""


ICEBERG = "iceberg "
"""With what the kinds of Iceberg tables begin."""


def layout(kind: str) -> str:
    """The kind without its format."""
    return kind.removeprefix(ICEBERG)


def format_of(kind: str) -> str:
    return "iceberg" if kind.startswith(ICEBERG) else "parquet"


def table(kind: str, source: str) -> TableSpec:
    """Deliveries of a scoped table are of the scope ``SCOPE`` unless they say otherwise."""
    settings: dict[str, dict[str, Any]] = {
        "daily": {},
        "scoped": {},
        "compacted": {},
        "replaced": {"partition_by": None},
        "keyed": {"partition_by": "place", "key": ("place", "id"), "latest_by": ("seen",)},
    }
    rules = contract(
        {"place": "string", "id": "bigint", "seen": "bigint"}, **settings[layout(kind)], table_format=format_of(kind)
    )
    scope = "profile_id" if layout(kind) in SCOPED else None
    return spec_of(rules, source=source, scope=scope, compacted=layout(kind) == "compacted")


def stage(kind: str, source: str, temp: Path, places: Places) -> Staged:
    spec = table(kind, source)
    if layout(kind) == "keyed":
        parts = {place: [{"id": i, "seen": seen} for i, seen in rows] for place, rows in places.items()}
    else:
        parts = {"": [{"place": p, "id": i, "seen": seen} for p, rows in places.items() for i, seen in rows]}
    return staged(spec, temp, parts)


def stage_version(kind: str, source: str, temp: Path, version: int) -> Staged:
    return stage(kind, source, temp, ODD if version % 2 else EVEN)


def put(
    lake: Lake,
    kind: str,
    source: str,
    temp: Path,
    delivery: Staged,
    version: int,
    day: date = DAY,
    scope: str = SCOPE,
) -> Published:
    settle(lake, kind, source, version, day, scope)
    return show(lake, kind, source, temp, delivery, version, day, scope)


def settle(lake: Lake, kind: str, source: str, version: int, day: date = DAY, scope: str = SCOPE) -> None:
    """The ledger knows a version before anybody publishes it."""
    feed = table(kind, source).feed + (f"/{scope}" if layout(kind) in SCOPED else "")
    manifest = _manifest(source, day, version, scope)
    lake.ledger.publications.put(feed, Publication(day, version, 1, manifest, datetime.now(UTC), "test"))


def show(
    lake: Lake,
    kind: str,
    source: str,
    temp: Path,
    delivery: Staged,
    version: int,
    day: date = DAY,
    scope: str = SCOPE,
) -> Published:
    """Publish a version that has settled."""
    own = scope if layout(kind) in SCOPED else ""
    manifest = _manifest(source, day, version, scope)
    return publish(
        lake, table(kind, source), day, version, delivery, run_id="run", temp=temp, scope=own, manifest=manifest
    )


def _manifest(source: str, day: date, version: int, scope: str) -> str:
    return f"manifests/{source}/{scope}/{day}/v{version}"


def die_before_write(lake: Lake, which: str) -> list[str]:
    """Kill this process as the kernel would, just before a write that says more than "still here": the n-th one when
    ``which`` is a number, else the first of that operation. Returns what the operations of those that follow are put
    into."""
    writes: list[str] = []

    def watch(model: Any, params: dict[str, Any], **_: Any) -> None:
        if model.name.startswith(WRITES) and "lease#" not in str(params["body"]):
            writes.append(model.name)
        if which in (str(len(writes)), model.name):
            os.kill(os.getpid(), signal.SIGKILL)

    for client in (lake.store.s3, lake.catalog.glue, lake.ledger.client):
        client.meta.events.register("before-call", watch)
    return writes


def main(endpoint: str) -> None:
    """For each line of the input, ``[lake, kind, source, temp, which, version]``, publishes the version and dies before
    that write.

    The publisher is a fork of this process, which has opened no connection. Answers ``[how it ended, its writes]``:
    ``died`` and none, or the exit status and its operations.
    """
    aws = local_aws(endpoint)
    open_lake = cache(lambda name: make_lake(aws, name=name))
    for line in sys.stdin:
        name, kind, source, work, which, version = json.loads(line)
        lake, temp = open_lake(name), Path(work)
        delivery = stage_version(kind, source, temp, version)  # pyarrow imports pandas for it, here only once
        ours, its = os.pipe()
        child = os.fork()
        if child == 0:
            settle(lake, kind, source, version)
            writes = die_before_write(lake, which)
            show(lake, kind, source, temp, delivery, version)
            os.write(its, json.dumps(writes).encode())
            os._exit(0)
        os.close(its)
        status = os.waitpid(child, 0)[1]
        with os.fdopen(ours, "rb") as written:
            writes = json.loads(written.read() or b"[]")
        print(json.dumps(["died" if os.WIFSIGNALED(status) else str(status), writes]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
