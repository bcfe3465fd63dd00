"""One answer of AWS is lost after the service has done what was asked, and the SDK asks again. Whichever write it was,
the delivery and its correction end as if nothing had happened."""

import re
from collections import Counter
from dataclasses import dataclass, field
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
from adplatform_tests.support.deadly_proxy import Fate, deadly
from adplatform_tests.support.platforms import YESTERDAY, make_services

GROUPS = 80
"""Each group loses the answer to every eightieth write. The quick one is part of every run, the others of
``make slow``."""
QUICK = (("region", 30),)
READ = re.compile(r"(Get|List|Describe|Query|Scan|BatchGet)")
FIRST = b"order_id,email,region\n1,a@example.com,A\n2,b@example.com,B\nx,c@example.com,B\n1,z@example.com,A\n"
SECOND = b"order_id,email,region\n3,d@example.com,B\n4,e@example.com,C\n"
FEED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "done_file"},
    "columns": {
        "order_id": {"type": "bigint", "required": True},
        "email": {"pii": "email"},
        "region": {"type": "string", "required": True},
    },
    "bounds": {"max_quarantined": 1},
}


@dataclass
class Loss(Fate):
    """Loses the answer to the ``number``-th write, 0 for none, and counts the writes by kind."""

    number: int = 0
    sequence: list[str] = field(default_factory=list)

    def strike(self) -> None:
        self.met.set()


def loss_of(number: int) -> Loss:
    def meets(name: str, _: str) -> bool:
        method, _, path = name.partition(" ")
        kind = f"{method} {'?' + path.partition('?')[2].partition('=')[0] if '?' in path else ''}" if path else name
        if method in ("GET", "HEAD") or READ.match(name.rpartition(".")[2]):
            return False
        loss.sequence.append(kind.strip())
        return len(loss.sequence) == loss.number

    loss = Loss(meets, after=True, number=number)
    return loss


def deliver(services: Services, body: bytes) -> None:
    for name, content in (("orders.csv", body), ("_SUCCESS", b"")):
        key = f"landing/acme/orders/dt={YESTERDAY}/{name}"
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=content)


def lived_through(
    aws: Aws, home: Path, feed: dict[str, Any], number: int, *, versioned: bool = True
) -> tuple[Any, Loss]:
    """What a delivery and its correction have come to, with one answer lost on the way."""
    services = make_services(aws, home)
    source = make_source("acme", services.settings.raw_bucket, [Feed.model_validate(feed)])
    loss = loss_of(number)
    with deadly(str(aws.endpoint_url), loss) as url:
        disturbed = Services(services.settings, local_aws(url))
        provision(disturbed, [source])
        if not versioned:
            suspended = {"Status": "Suspended"}
            bucket = services.zones.raw_bucket
            services.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended)
        for body in (FIRST, SECOND):
            deliver(services, body)
            plainly.process(disturbed, source, f"run-{len(body)}")
    return outcome(services, source), loss


def outcome(services: Services, source: Source) -> tuple[Any, ...]:
    """What a reader and an auditor see: the rows, the ledger's counts, what is where."""
    database = services.settings.database_prefix + "acme"
    sql = f"select order_id, email_lake, region from {database}.orders order by order_id"
    _, rows = run_query(services.aws, services.glue, services.settings.database_prefix, sql, 100)
    delivery = services.ledger.deliveries.get("acme/orders", YESTERDAY)
    versions = [
        (v.version, v.rows_in, v.clean, v.superseded, v.quarantined, v.state)
        for v in services.ledger.publications.of_feed("acme/orders", YESTERDAY)
    ]
    listed = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket)["Contents"]
    zones = Counter(entry["Key"].split("/")[0] for entry in listed)
    return [row[0::2] for row in rows], versions, zones, delivery.state, delivery.published, delivery.pending


@pytest.mark.parametrize(
    ("partition_by", "group"),
    [
        pytest.param(by, group, marks=() if (by, group) in QUICK else pytest.mark.slow)
        for by in ("dt", "region")
        for group in range(GROUPS)
    ],
)
def test_a_lost_answer_changes_nothing(aws: Aws, tmp_path: Path, partition_by: str, group: int) -> None:
    key = "order_id" if partition_by == "dt" else ["order_id", "region"]
    feed = {**FEED, "partition_by": partition_by, "key": key}
    expected, undisturbed = lived_through(aws, tmp_path / "whole", feed, 0)
    assert expected[3:] == (DeliveryState.PUBLISHED, 2, 0)
    assert len(expected[0]) == 2
    for number in range(1 + group, len(undisturbed.sequence) + 1, GROUPS):
        seen, loss = lived_through(aws, tmp_path / str(number), feed, number)
        assert loss.met.is_set()
        assert seen == expected, f"the answer to write {number} was lost"


def test_a_lost_answer_to_the_removal_of_an_original_without_versions_changes_nothing(aws: Aws, tmp_path: Path) -> None:
    expected, undisturbed = lived_through(aws, tmp_path / "whole", FEED, 0, versioned=False)
    removals = [n for n, kind in enumerate(undisturbed.sequence, start=1) if kind.startswith("DELETE")]
    assert removals
    seen, loss = lived_through(aws, tmp_path / "lost", FEED, removals[0], versioned=False)
    assert loss.sequence[removals[0] - 1].startswith("DELETE")
    assert seen == expected
