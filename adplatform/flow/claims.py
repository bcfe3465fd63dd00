"""What ended runs of a managed engine say that they wrote for a delivery: an object of the raw zone for each run."""

import json
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from adplatform.files.arrivals import ClaimedFile
from adplatform.flow.version import read_settlement
from adplatform.lake.zones import Zones
from adplatform.ledger.engine_run import EngineRun, Landed
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.rows import digest

_SAID = ("version", "bytes", "rows")
_KEPT = 4_000
"""Characters of a list that the ledger has as well, so that a date of many small runs is read by one query."""


def write_claims(
    s3: Any, zones: Zones, ledger: Ledger, feed: str, day: date, run: EngineRun, files: Iterable[ClaimedFile]
) -> Landed:
    """List what the run brought to the delivery in an object of its own. Each file has its full key as name."""
    key = f"{zones.claims(feed, day)}{digest(run.run_id)}.json"
    entries = [{"key": f.name, **{name: getattr(f, name) for name in _SAID}} for f in files]
    body = json.dumps({"run": run.run_id, "files": entries}, indent=1).encode()
    s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=body, **zones.put_arguments)
    listed = json.dumps(entries, separators=(",", ":"))
    return Landed(
        day=day,
        run_id=run.run_id,
        claims_key=key,
        objects=len(entries),
        landed_at=ledger.now(),
        ended_at=run.ended_at,
        files=listed if len(listed) <= _KEPT else "",
    )


def claims_of(
    s3: Any, zones: Zones, ledger: Ledger, feed: str, day: date
) -> Iterator[tuple[Landed, list[ClaimedFile]]]:
    """What each run brought to the delivery, in the order in which the runs ended, from the last one on that replaced
    what was there."""
    landed = ledger.engine_runs.landed_on(feed, day)
    in_order = sorted(landed, key=lambda run: (run.ended_at or run.landed_at, run.run_id))
    begin = max((n for n, run in enumerate(in_order) if run.replaces), default=0)
    for each in in_order[begin:]:
        yield each, claims_in(s3, zones, each)


def claims_in(s3: Any, zones: Zones, landed: Landed) -> list[ClaimedFile]:
    """The files of one list."""
    entries = json.loads(landed.files) if landed.files else read_settlement(s3, zones, landed.claims_key)["files"]
    return [ClaimedFile(name=e["key"], **{name: e.get(name) for name in _SAID}) for e in entries]


def claimed_files(s3: Any, zones: Zones, ledger: Ledger, feed: str, day: date) -> dict[str, ClaimedFile] | None:
    """The files of all runs by their full key, of each the one that was written last; None when no run has ended."""
    runs = list(claims_of(s3, zones, ledger, feed, day))
    return {file.name: file for _, files in runs for file in files} if runs else None
