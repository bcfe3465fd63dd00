"""The process is killed with SIGKILL at every write it makes to AWS. Whatever the moment, the next run ends with the
same table, each file archived once, and one published version."""

import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.feed import Feed
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import DeliveryState
from adplatform.platform.aws import Aws, local_aws
from adplatform_tests.support import plainly
from adplatform_tests.support.platforms import YESTERDAY, make_services

GROUPS = 24
"""Each group kills at every twenty-fourth write. The quick one is part of every run, the others of ``make slow``."""
QUICK = (("day", 7),)

ORDERS = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {
        "order_id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "day": {"type": "date", "required": True},
    },
    "key": ["order_id", "day"],
    "bounds": {"max_quarantined": 1},
}
BODY = b"""order_id,email,day
1,a@example.com,2026-01-01
2,b@example.com,2026-01-02
x,c@example.com,2026-01-02
1,z@example.com,2026-01-01
"""


def _deliver(aws: Aws, home: Path, feed: dict[str, Any]) -> tuple[Services, Source]:
    services = make_services(aws, home)
    source = make_source("acme", services.settings.raw_bucket, [Feed.model_validate(feed)])
    provision(services, [source])
    for name, body in (("orders.csv", BODY), ("_SUCCESS", b"")):
        key = f"landing/acme/orders/dt={YESTERDAY}/{name}"
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
    return services, source


def _process_later(services: Services, source: Source, by: timedelta) -> None:
    later = Services(services.settings, services.aws)
    ledger = later.ledger
    later.__dict__["ledger"] = replace(ledger, now=lambda: ledger.now() + by)
    plainly.process(later, source, f"recovered-after-{by}")


def _outcome(services: Services) -> tuple[Any, ...]:
    """What a reader and an auditor see: the rows, the ledger's counts, what is where."""
    database = services.settings.database_prefix + "acme"
    sql = f"select order_id, email_lake is not null, day from {database}.orders order by order_id"
    _, rows = run_query(services.aws, services.glue, services.settings.database_prefix, sql, 100)
    delivery = services.ledger.deliveries.get("acme/orders", YESTERDAY)
    [version] = services.ledger.publications.of_feed("acme/orders", YESTERDAY)
    listed = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket)["Contents"]
    zones = sorted(o["Key"].split("/")[0] for o in listed if not o["Key"].startswith(("manifests/", "quarantine/")))
    counts = (version.rows_in, version.clean, version.superseded, version.quarantined, version.state)
    return rows, counts, zones, delivery.state, delivery.published, delivery.pending


@pytest.mark.parametrize(
    ("partition_by", "group"),
    [
        pytest.param(by, group, marks=() if (by, group) in QUICK else pytest.mark.slow)
        for by in ("dt", "day")
        for group in range(GROUPS)
    ],
)
def test_a_kill_at_any_write_loses_nothing_and_doubles_nothing(
    aws_endpoint: str, tmp_path: Path, partition_by: str, group: int
) -> None:
    key = ["order_id", "day"] if partition_by == "day" else ["order_id"]
    feed = {**ORDERS, "partition_by": partition_by, "key": key}
    aws = local_aws(aws_endpoint)
    services, source = _deliver(aws, tmp_path / "whole", feed)
    code, writes = plainly.process_killed_at(services, source, writes=0)
    assert code == 0
    expected = _outcome(services)
    assert expected[1:] == (
        (4, 2, 1, 1, DeliveryState.PUBLISHED),
        ["archive", "archive"],
        DeliveryState.PUBLISHED,
        1,
        0,
    )
    for moment in range(1 + group, writes + 1, GROUPS):
        services, source = _deliver(aws, tmp_path / str(moment), feed)
        code, _ = plainly.process_killed_at(services, source, moment)
        assert code == -signal.SIGKILL
        for hours in (1, 2):  # the first tick finds the dead run, the next retries it
            _process_later(services, source, timedelta(hours=hours))
        assert _outcome(services) == expected, f"killed before write {moment} of {writes}"
