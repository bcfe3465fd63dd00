"""What is kept in clear for a while only: the rules of the bucket, what they remove, and what is said of it then."""

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.source import FileSource
from adplatform.failures import PermanentFailure
from adplatform.flow.collection import collect_source
from adplatform.flow.decisions import try_again
from adplatform.flow.provision import provision
from adplatform.flow.retention import archived_now, expire, has_expired
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, declared_source
from adplatform.lake.quarantine import entries
from adplatform.lake.query import run_query
from adplatform.platform.aws import Aws
from adplatform_tests.support import plainly
from adplatform_tests.support.clocks import Clock
from adplatform_tests.support.platforms import TODAY, make_services

DAY = TODAY - timedelta(days=1)
ORDERS: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"id": {"type": "int", "required": True}, "email": {"pii": "email"}},
    "bounds": {"max_quarantined": 0.9},
}


@dataclass(frozen=True)
class Shop:
    """A source whose clock can be set."""

    services: Services
    source: Source
    clock: Clock

    @property
    def flow(self) -> FeedFlow:
        return self.source.feeds[0]

    def deliver(self, name: str, *rows: str) -> None:
        key = f"landing/{self.source.name}/orders/dt={DAY}/{name}"
        body = "\n".join(["id,email", *rows, ""]).encode()
        self.services.s3.put_object(Bucket=self.services.zones.raw_bucket, Key=key, Body=body)
        self.process()

    def process(self) -> None:
        plainly.process(self.services, self.source, f"run-{uuid.uuid4().hex[:6]}")

    def collect(self, days: int) -> None:
        """The daily collection, so many days from now."""
        self.clock.ahead += timedelta(days=days)
        list(collect_source(self.services, self.source, "collect"))

    def versions(self, below: str) -> list[str]:
        found = self.services.s3.list_object_versions(Bucket=self.services.zones.raw_bucket, Prefix=below)
        return [each["Key"] for each in (*found.get("Versions", ()), *found.get("DeleteMarkers", ()))]

    @property
    def rows(self) -> list[int]:
        prefix = self.services.settings.database_prefix
        sql = f"select id from {prefix}{self.source.name}.orders order by 1"
        return [row[0] for row in run_query(self.services.aws, self.services.glue, prefix, sql, 100)[1]]


def declared(bucket: str, name: str = "", **settings: Any) -> Source:
    source = {"source": name or f"s{uuid.uuid4().hex[:8]}", "feeds": [ORDERS], **settings}
    return declared_source(FileSource.model_validate(source), bucket)


@pytest.fixture
def services(aws: Aws, tmp_path: Path) -> Services:
    return make_services(aws, tmp_path / "home")


def shop(services: Services, **retention: Any) -> Shop:
    clock = Clock(timedelta())
    timed = replace(services, now=clock)
    source = declared(timed.zones.raw_bucket, retention=retention)
    provision(timed, [source])
    return Shop(timed, source, clock)


def rules(services: Services) -> dict[str, int | None]:
    """The days after which rules that have any remove what is below their prefixes."""
    found = services.s3.get_bucket_lifecycle_configuration(Bucket=services.zones.raw_bucket)["Rules"]
    return {rule["Filter"]["Prefix"]: rule.get("Expiration", {}).get("Days") for rule in found}


def test_every_source_has_rules_for_what_it_keeps_for_a_while(services: Services) -> None:
    bucket = services.zones.raw_bucket
    acme = declared(bucket, "acme", retention={"quarantine": "30d", "archive": "400d"}, archive="archive/eu/")
    usual, forever = declared(bucket, "usual"), declared(bucket, "forever", retention={"quarantine": None})
    assert provision(services, [acme, usual, forever]) == []
    own = {"prepared/": 7, "quarantine/acme/": 30, "archive/eu/acme/": 400, "quarantine/usual/": 90}
    assert {prefix: days for prefix, days in rules(services).items() if prefix in own} == own
    assert not any("forever" in prefix or prefix == "archive/usual/" for prefix in rules(services))
    # Who provides for one source takes nothing from the others, and what is not declared any more goes.
    later = declared(bucket, "acme", retention={"quarantine": None, "archive": "400d"}, archive="archive/eu/")
    assert provision(services, [later]) == [
        "lifecycle rule retention-quarantine/acme/ is removed: nothing declares it any more"
    ]
    assert {p: d for p, d in rules(services).items() if p in own} == {p: d for p, d in own.items() if "e/acme" not in p}


def test_rules_that_somebody_changed_are_put_right_and_those_of_other_people_stay_and_are_judged(
    services: Services,
) -> None:
    bucket = services.zones.raw_bucket
    acme = declared(bucket, "acme")
    provision(services, [acme])
    found = services.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    own = next(rule for rule in found if rule["Filter"]["Prefix"] == "quarantine/acme/")
    own["Expiration"] = {"Days": 9000}
    theirs = {"ID": "cheap", "Status": "Enabled", "Filter": {"Prefix": "archive/"}, "Expiration": {"Days": 20}}
    configuration = {"Rules": [*found, theirs]}
    services.s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=configuration)
    judged = (
        "lifecycle rule 'cheap', which is not the platform's, removes what is below 'archive/' after 20 days; "
        "source acme keeps archive/acme/ for ever"
    )
    assert provision(services, [acme]) == [
        "lifecycle rule retention-quarantine/acme/ was another than declared; it is put",
        judged,
    ]
    assert (rules(services)["quarantine/acme/"], rules(services)["archive/"]) == (90, 20)
    assert provision(services, [acme]) == [judged]


def test_a_source_whose_archive_lies_below_that_of_another_is_refused(services: Services) -> None:
    bucket = services.zones.raw_bucket
    outer = declared(bucket, "acme", retention={"archive": "30d"})
    inner = declared(bucket, "other", archive="archive/acme/")
    with pytest.raises(PermanentFailure, match="source other keeps archive/acme/other/, below archive/acme/ of source"):
        provision(services, [outer, inner])


def test_quarantined_rows_are_removed_in_every_version_and_the_delivery_goes_on_without_them(
    services: Services,
) -> None:
    kept = shop(services, quarantine="30d")
    kept.deliver("a.csv", "1,ann@example.com", "x,eve@example.com")
    [entry] = entries(services.ledger, kept.flow.name, DAY)
    place = f"quarantine/{kept.source.name}/"
    kept.collect(29)
    assert kept.versions(place) == [entry.key]
    assert not has_expired(kept.flow, entry, kept.services.now())
    kept.collect(2)
    assert (kept.versions(place), len(kept.versions(f"archive/{kept.source.name}/"))) == ([], 1)
    assert has_expired(kept.flow, entry, kept.services.now())
    # What was taken over counts on, though its rows are gone.
    kept.deliver("b.csv", "2,bob@example.com", "y,eve@example.com")
    kept.deliver("c.csv", "3,cat@example.com")
    published = services.ledger.publications.of_feed(kept.flow.name, DAY)[-1]
    assert (published.version, published.rows_in, published.clean, published.quarantined) == (3, 5, 3, 2)
    assert kept.rows == [1, 2, 3]
    # The originals are there, so that the rows can be had again.
    try_again(services.ledger, kept.flow, DAY)
    kept.process()
    again = entries(services.ledger, kept.flow.name, DAY)[-1]
    assert kept.versions(again.key) == [again.key]


def test_an_expired_original_is_no_loss_for_readers_and_said_to_whoever_needs_it(services: Services) -> None:
    kept = shop(services, archive="30d")
    kept.deliver("a.csv", "1,ann@example.com")
    kept.collect(31)
    [obj] = services.ledger.objects.of_day(kept.flow.name, DAY)
    assert obj.archived_key
    assert archived_now(services.store, kept.flow, DAY) == set()
    kept.deliver("b.csv", "2,bob@example.com")
    assert kept.rows == [1, 2]
    try_again(services.ledger, kept.flow, DAY)
    with pytest.raises(PermanentFailure, match=rf"{obj.file_id}: its original has expired.*`retention`"):
        kept.process()
    assert kept.rows == [1, 2]


def test_a_dry_run_says_how_much_would_go_and_removes_nothing(services: Services) -> None:
    kept = shop(services, archive="30d", quarantine=None)
    kept.deliver("a.csv", "1,ann@example.com", "x,eve@example.com")
    kept.clock.ahead += timedelta(days=31)
    assert expire(kept.services, kept.source, dry_run=True) == 1
    assert expire(kept.services, kept.source) == 1
    assert expire(kept.services, kept.source) == 0


@pytest.mark.parametrize("keep", ["12h", "0d", "36h"])
def test_less_than_whole_days_are_refused(keep: str) -> None:
    with pytest.raises(ValidationError, match="give whole days, 1d at least"):
        declared("b", retention={"archive": keep})


def test_originals_that_stay_in_the_landing_zone_have_no_archive_to_expire_from() -> None:
    feed = {name: setting for name, setting in ORDERS.items() if name != "arrival"}
    with pytest.raises(ValidationError, match="retention: archive does not go with DataSync"):
        ReplicatedSource.model_validate({"source": "gcs", "feeds": [feed], "retention": {"archive": "30d"}})
