"""The rows of deliveries in their metrics are those in the ledger, whatever comes and wherever a process is killed."""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adplatform.contracts.feed import Feed
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.ledger.publications import Publication
from adplatform.platform.aws import Aws
from adplatform.platform.metrics import Metrics
from adplatform_tests.support import plainly
from adplatform_tests.support.measured import Value, values_of
from adplatform_tests.support.platforms import TODAY, forget_services, make_services

ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "format": {"comment": "#"},
    "columns": {"order_id": {"type": "int", "required": True}, "amount": "decimal(10,2)"},
    "key": "order_id",
    "bounds": {"max_quarantined": 1.0},
}
DAYS = (TODAY - timedelta(days=2), TODAY - timedelta(days=1))
ROWS = {"rows_in": "rows_in", "rows_clean": "clean", "rows_superseded": "superseded"} | {
    "rows_quarantined": "quarantined",
    "rows_left_out": "left_out",
}
LINES = st.lists(st.sampled_from(["1,1.00", "1,2.00", "2,3.00", "3,oops", "x,4.00", "# a comment"]), max_size=8)
File = tuple[date, list[str], int]
FILES = st.lists(st.tuples(st.sampled_from(DAYS), LINES, st.integers(0, 16)), min_size=1, max_size=3)
"""Files of these dates, one after the other; at each a process is killed before a write, 0 for none."""


def processed(services: Services, source: Source, told: Path) -> None:
    """All that is due, with metrics written to a file."""
    with told.open("a", encoding="utf-8", buffering=1) as file:
        services.__dict__["metrics"] = Metrics(True, write=file.write)
        plainly.process(services, source, f"run-{uuid.uuid4().hex[:6]}")


def by_version(values: list[Value]) -> dict[tuple[date, int], Counter[str]]:
    """What was counted of each version."""
    found: dict[tuple[date, int], Counter[str]] = {}
    for each in values:
        if each.name in ROWS:
            place = (date.fromisoformat(each["day"]), each["version"])
            counts = found.setdefault(place, Counter())
            assert each.name not in counts, "a version is counted once"
            counts[each.name] = int(each.value)
    return found


def test_the_rows_of_metrics_are_those_of_the_ledger_though_processes_die(aws: Aws) -> None:
    rows = ["1,1.00", "1,2.00", "3,oops", "# a comment"]
    compare(aws, [(DAYS[0], rows, 4), (DAYS[0], ["1,3.00", "x,1"], 11), (DAYS[1], rows, 0)])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(files=FILES)
def test_the_rows_of_any_history_are_those_of_the_ledger(aws: Aws, files: list[File]) -> None:
    compare(aws, files)


def compare(aws: Aws, files: Sequence[File]) -> None:
    """Deliver them one after the other, and hold metrics against the ledger."""
    with TemporaryDirectory() as folder:
        services, told = make_services(aws, Path(folder)), Path(folder) / "told"
        source = make_source("acme", services.zones.raw_bucket, [Feed.model_validate(ORDERS)])
        provision(services, [source])
        killed = 0
        for number, (day, lines, writes) in enumerate(files):
            key = f"landing/acme/orders/dt={day}/{number}.csv"
            body = "\n".join(["order_id,amount", *lines, ""]).encode()
            services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
            if writes:
                code, _ = plainly.killed_at(services, partial(processed, source=source, told=told), writes)
                killed += code != 0
            processed(services, source, told)
        counted = by_version(values_of(told.read_text(encoding="utf-8")))
        versions = {
            (row.day, row.version): row
            for day in DAYS
            for row in services.ledger.publications.of_feed(source.feeds[0].name, day)
        }
        assert len(versions.keys() - counted.keys()) <= killed, "only a death leaves a version uncounted"
        before: dict[date, Publication] = {}
        for (day, version), row in sorted(versions.items()):
            assert row.rows_in == row.clean + row.superseded + row.quarantined + row.left_out
            counts, base = counted.get((day, version)), before.get(day)
            if counts is not None:
                assert counts["rows_in"] == sum(counts[name] for name in ROWS if name != "rows_in")
                whole = {name: getattr(row, attribute) for name, attribute in ROWS.items()}
                added = {n: whole[n] - (getattr(base, ROWS[n]) if base else 0) for n in whole}
                assert dict(counts) in (added, whole), "what a part brought, or all that was read anew"
            before[day] = row
        forget_services(services)
