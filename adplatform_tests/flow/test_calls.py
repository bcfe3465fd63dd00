"""How often a delivery asks AWS, which is most of what a small one costs."""

import tempfile
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.settling import Due
from adplatform.flow.source import Source, make_source
from adplatform.platform.at_once import MOST
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.plainly import NoRunIsAlive, run
from adplatform_tests.support.platforms import TODAY

DAY = TODAY - timedelta(days=1)
OF_A_DELIVERY, OF_A_PART = 56, 53


@pytest.fixture
def counted(services: Services) -> tuple[Services, CountedAws]:
    aws = CountedAws(services.aws.region, services.aws.endpoint_url)
    return replace(services, aws=aws), aws


@pytest.fixture
def orders(services: Services) -> Source:
    declared = {
        "name": "orders",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "count", "expected_files": 1},
        "columns": {"order_id": "int", "email": {"pii": "email"}},
    }
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate(declared)])
    provision(services, [source])
    return source


def deliver(services: Services, source: Source, number: int) -> None:
    """From the object to what readers see."""
    settler = services.settler(source)
    settler.arrivals.reconcile(f"{source.prefix}orders/dt={DAY}/")
    [due], _ = settler.due(NoRunIsAlive())
    with tempfile.TemporaryDirectory() as folder:
        publish_delivery(services, due.flow, due.day, f"run-{number}", Path(folder))


def test_a_delivery_and_its_parts_ask_aws_no_more_often_than_they_need(
    services: Services, counted: tuple[Services, CountedAws], orders: Source
) -> None:
    asking, aws = counted
    for number in range(7):
        key = f"{orders.prefix}orders/dt={DAY}/{number}.csv"
        body = f"order_id,email\n{number},ann@example.com\n".encode()
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
        # Each file that is taken over is one copy more, until they are put together.
        with aws.most(OF_A_PART + number if number else OF_A_DELIVERY):
            deliver(asking, orders, number)


def settled(services: Services, files: int) -> tuple[Due, list[str]]:
    """A delivery of so many small files, and their keys."""
    declared = {
        "name": "events",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "count", "expected_files": files},
        "columns": {"event_id": "int"},
    }
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate(declared)])
    provision(services, [source])
    keys = [f"{source.prefix}events/dt={DAY}/{number}.csv" for number in range(files)]
    for number, key in enumerate(keys):
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=f"event_id\n{number}\n".encode())
    settler = services.settler(source)
    settler.arrivals.reconcile(source.prefix)
    [due], _ = settler.due(NoRunIsAlive())
    return due, keys


def test_small_files_are_looked_at_and_fetched_at_once(services: Services) -> None:
    due, keys = settled(services, MOST)
    asking, all_are, asked = replace(services), Barrier(MOST), list[str]()

    def together(params: dict[str, str], **_: object) -> None:
        if params["Key"] in keys:
            asked.append(params["Key"])
            all_are.wait(timeout=30)

    asking.s3.meta.events.register("before-parameter-build.s3.GetObject", together)
    run(asking, due, "run-1")
    assert Counter(asked) == dict.fromkeys(keys, 2)


def test_a_file_that_cannot_be_fetched_is_named(services: Services) -> None:
    due, keys = settled(services, 3)
    [version] = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix=keys[1])["Versions"]
    services.s3.delete_object(Bucket=services.zones.raw_bucket, Key=keys[1], VersionId=version["VersionId"])
    with pytest.raises(PermanentFailure, match=f"s3://{services.zones.raw_bucket}/{keys[1]}"):
        run(services, due, "run-1")
