"""What `adplatform ledger` says of deliveries and of ignored objects, and that one source's flood delays no other's."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from adplatform.cli.history import of_file
from adplatform.cli.standing import MOST_LISTED, ignored_of, ignored_table, verdict, what_lacks
from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.flow.provision import provision
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.flow.standing import waits
from adplatform.ledger.delivery import DeliveryState
from adplatform.patterns import declared_patterns
from adplatform_tests.support.platforms import TODAY, YESTERDAY


def source(services: Services, **changes: Any) -> Source:
    declared = {"name": "orders", "start_date": str(YESTERDAY), "columns": {"id": "string"}, **changes}
    return make_source("acme", services.zones.raw_bucket, [Feed.model_validate(declared)])


def put(services: Services, key: str, body: bytes = b"1") -> None:
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=f"landing/acme/{key}", Body=body)


def test_a_file_that_messages_call_by_its_id_is_told_by_name(services: Services) -> None:
    present = source(services)
    provision(services, [present])
    put(services, key := f"orders/dt={YESTERDAY}/ann@example.com.csv")
    services.settler(present).arrivals.reconcile()
    [obj] = services.ledger.objects.of_day("acme/orders", YESTERDAY)
    patterns = [PushedFiles(present)]
    first, member, what, place = of_file(services, patterns, f"{obj.file_id}#2")
    assert first == f"acme/orders {YESTERDAY}: s3://{services.zones.raw_bucket}/landing/acme/{key}"
    assert member == "the row is of data file 2 by name in this archive"
    assert (what, place) == (f"version {obj.version}, 1 bytes, arrived", f"now at landing/acme/{key}")
    services.s3.delete_object(Bucket=obj.bucket, Key=obj.key)
    assert of_file(services, patterns, obj.file_id)[-1] == "expired: the bucket has it no more"
    with pytest.raises(PermanentFailure, match=f"file:{'0' * 32}: no declared source has such a file"):
        of_file(services, patterns, f"file:{'0' * 32}")


def test_ignored_objects_say_why_and_what_the_present_declaration_makes_of_them(services: Services) -> None:
    present = source(services)
    provision(services, [present])
    old = YESTERDAY - timedelta(days=9)
    for key in (f"orders/dt={old}/a.csv", f"in/{YESTERDAY}.csv", f"orders/dt={YESTERDAY}/a.tmp"):
        put(services, key)
    services.settler(present).arrivals.reconcile()

    def shown(now: Source) -> dict[str, str]:
        return {
            o.key.removeprefix("landing/acme/"): verdict(now, o)
            for o in ignored_of(services.ledger, now, "acme/orders")
        }

    assert shown(present) == {
        f"orders/dt={old}/a.csv": "ignored; lower start_date to take it",
        f"orders/dt={YESTERDAY}/a.tmp": "ignored, as nobody means to deliver it",
    }
    taken = "taken, if it is still there, by the next listing, within 5 minutes, or by `adplatform process`"
    assert shown(source(services, start_date=str(old)))[f"orders/dt={old}/a.csv"] == taken
    moved = source(services, landing="in/{date}.csv")
    assert shown(moved)[f"in/{YESTERDAY}.csv"] == taken
    assert shown(moved)[f"orders/dt={old}/a.csv"].startswith("ignored: it fits no feed's landing layout")
    assert len(ignored_of(services.ledger, present, "acme/_unplaced")) == 1
    table = ignored_table(present, ignored_of(services.ledger, present, "acme/orders") * MOST_LISTED)
    assert table is not None
    assert (table.row_count, table.caption) == (MOST_LISTED, f"and {MOST_LISTED} more")
    assert ignored_table(present, []) is None


def test_what_a_delivery_lacks_is_judged_now_without_a_queue(services: Services) -> None:
    listed = source(services, arrival={"complete_when": "manifest"})
    provision(services, [listed])
    put(services, f"orders/dt={YESTERDAY}/manifest.json", json.dumps({"files": [{"name": "a.csv"}]}).encode())
    services.settler(listed).arrivals.reconcile()
    flow = listed.feeds[0]
    wait = what_lacks(services, PushedFiles(listed), flow, services.ledger.deliveries.get(flow.name, YESTERDAY))
    assert wait is not None
    assert waits(wait) == "waits: 1 of 1 listed files are missing, the first is number 1"
    put(services, f"orders/dt={YESTERDAY}/manifest.json", b"{")
    services.settler(listed).arrivals.reconcile()
    broken = services.ledger.objects.of_day(flow.name, YESTERDAY)[0]
    services.ledger.objects.exclude(flow.name, broken, "dropped")
    wait = what_lacks(services, PushedFiles(listed), flow, services.ledger.deliveries.get(flow.name, YESTERDAY))
    assert wait is not None
    assert "not a manifest" in waits(wait)


PROCESS = """
import itertools
import dagster as dg
from adplatform.cli.headless import declared_automations, process
from adplatform.resources.connection import open_services
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import read_settings
with dg.DagsterInstance.ephemeral() as instance:
    services = open_services(read_settings())
    slow = itertools.count(0, 0.1).__next__
    files = [each for each in declared_automations() if each.source in ("northwind", "clubcard")]
    for finished in process(services, instance, files, patience=0, watch=lambda _: None, clock=slow):
        print("published" if finished.success else finished.error, finished.feed, finished.dates)
"""


def ledger(services: Services, endpoint: str, *arguments: str) -> str:
    """The command as people call it, on the sources of this repository."""
    return elsewhere(services, endpoint, "-m", "adplatform.cli", "ledger", *arguments)


def elsewhere(services: Services, endpoint: str, *arguments: str, **settings: str) -> str:
    """Python in a process of its own that has these services."""
    names = services.settings
    reported = {
        "HOME": str(names.home),
        "RAW_BUCKET": names.raw_bucket,
        "CLEAN_BUCKET": names.clean_bucket,
        "LEDGER_TABLE": names.ledger_table,
        "DATABASE_PREFIX": names.database_prefix,
        "QUEUE_PREFIX": names.queue_prefix,
        "SUCCESS_TOPIC": names.success_topic,
        "FAILURE_TOPIC": names.failure_topic,
        "HASH_KEY_SECRET": names.hash_key_secret,
        **settings,
    }
    environment = {**os.environ, **{f"ADPLATFORM_{k}": v for k, v in reported.items()}, "AWS_ENDPOINT_URL": endpoint}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, env={**environment, "COLUMNS": "300"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def purchase(number: int) -> bytes:
    row = {
        "purchase_id": number,
        "member_id": "m1",
        "purchased_on": str(YESTERDAY),
        "amount": "1.00",
        "currency": "EUR",
    }
    return json.dumps(row).encode() + b"\n"


@pytest.mark.slow
def test_the_ledger_command_shows_the_delivery_and_what_was_ignored(aws_endpoint: str, services: Services) -> None:
    sources = [pattern.source for pattern in declared_patterns(services.settings)]
    clubcard = next(each for each in sources if each.name == "clubcard")
    provision(services, [clubcard])
    bucket = services.zones.raw_bucket
    for key in (f"dt={YESTERDAY}/a.json", "dt=2025-12-31/a.json", f"dt={YESTERDAY}/_tmp"):
        services.s3.put_object(Bucket=bucket, Key=f"landing/clubcard/purchases/{key}", Body=purchase(1))
    services.settler(clubcard).arrivals.reconcile()
    lines = " ".join(ledger(services, aws_endpoint, "clubcard/purchases").split())
    assert "waits: 1 of 2 files" in lines
    assert "ignored objects" in lines
    detail = " ".join(ledger(services, aws_endpoint, "clubcard/purchases", str(YESTERDAY)).split())
    assert f"delivery clubcard/purchases {YESTERDAY}" in detail
    assert "open" in detail
    assert "waits: 1 of 2 files" in detail
    source = ledger(services, aws_endpoint, "clubcard")
    assert "clubcard/purchases: 2 ignored objects; `adplatform ledger clubcard/purchases` says why" in source


@pytest.mark.slow
def test_a_flood_of_one_source_delays_no_other(aws_endpoint: str, services: Services) -> None:
    provision(services, [make_source(name, services.zones.raw_bucket, []) for name in ("northwind", "clubcard")])
    bucket, far = services.zones.raw_bucket, TODAY + timedelta(days=300)
    flood = [f"landing/northwind/campaign_daily/dt={far + timedelta(days=n)}/a.csv" for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: services.s3.put_object(Bucket=bucket, Key=key, Body=b"1"), flood))
    for n in (1, 2):
        key = f"landing/clubcard/purchases/dt={YESTERDAY}/{n}.json"
        services.s3.put_object(Bucket=bucket, Key=key, Body=purchase(n))
    assert f"published clubcard/purchases {YESTERDAY}" in elsewhere(
        services, aws_endpoint, "-c", PROCESS, TICK_SECONDS="2"
    )
    delivery = services.ledger.deliveries.get("clubcard/purchases", YESTERDAY)
    assert delivery.state is DeliveryState.PUBLISHED
    ignored = services.ledger.objects.ignored_of_feed("northwind/campaign_daily")
    assert len(ignored) == len(flood), "the flood was dealt with to its end"
    assert delivery.settled_at is not None
    assert sum(o.seen_at is not None and o.seen_at > delivery.settled_at for o in ignored) > len(flood) / 2
