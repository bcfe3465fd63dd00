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
from adplatform.flow.small_files import SMALL
from adplatform.flow.source import Source, make_source
from adplatform.ledger.objects import MOST_RECORDED, file_id
from adplatform.platform.at_once import MOST
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.plainly import NoRunIsAlive, run
from adplatform_tests.support.platforms import TODAY

DAY = TODAY - timedelta(days=1)
OF_A_DELIVERY, OF_A_PART = 34, 37


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
    for number in range(4):
        key = f"{orders.prefix}orders/dt={DAY}/{number}.csv"
        body = f"order_id,email\n{number},ann@example.com\n".encode()
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)
        # Each file that is taken over is one copy more, until they are put together.
        with aws.most(OF_A_PART + number if number else OF_A_DELIVERY):
            deliver(asking, orders, number)


EVENTS = {"name": "events", "start_date": "2026-01-01", "columns": {"event_id": "int"}}


def landed(services: Services, files: int, more: bytes = b"") -> tuple[Source, list[str]]:
    """A source with so many files, and their keys."""
    arrival = {"complete_when": "count", "expected_files": files}
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate({**EVENTS, "arrival": arrival})])
    provision(services, [source])
    keys = [f"{source.prefix}events/dt={DAY}/{number}.csv" for number in range(files)]
    for number, key in enumerate(keys):
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=f"event_id\n{number}\n".encode() + more)
    return source, keys


def settled(services: Services, files: int, more: bytes = b"") -> tuple[Due, list[str]]:
    """A delivery of so many files, and their keys."""
    source, keys = landed(services, files, more)
    settler = services.settler(source)
    settler.arrivals.reconcile(source.prefix)
    [due], _ = settler.due(NoRunIsAlive())
    return due, keys


@pytest.mark.parametrize(("more", "times"), [(b"", 1), (b"7\n" * (SMALL // 2), 2)], ids=["small", "large"])
def test_files_are_looked_at_and_fetched_at_once_and_small_ones_by_one_call(
    services: Services, more: bytes, times: int
) -> None:
    due, keys = settled(services, MOST, more)
    asking, all_are, asked = replace(services), Barrier(MOST), list[str]()

    def together(params: dict[str, str], **_: object) -> None:
        if params["Key"] in keys:
            asked.append(params["Key"])
            all_are.wait(timeout=30)

    asking.s3.meta.events.register("before-parameter-build.s3.GetObject", together)
    run(asking, due, "run-1")
    assert Counter(asked) == dict.fromkeys(keys, times)


def test_a_file_that_cannot_be_fetched_is_named(services: Services) -> None:
    due, keys = settled(services, 3)
    raw = services.zones.raw_bucket
    [version] = services.s3.list_object_versions(Bucket=raw, Prefix=keys[1])["Versions"]
    services.s3.delete_object(Bucket=raw, Key=keys[1], VersionId=version["VersionId"])
    with pytest.raises(PermanentFailure, match=file_id(raw, keys[1], version["VersionId"])):
        run(services, due, "run-1")


def test_many_objects_are_recorded_by_few_writes_in_the_order_in_which_they_were_written(
    services: Services, counted: tuple[Services, CountedAws]
) -> None:
    asking, aws = counted
    source, keys = landed(services, MOST_RECORDED + 2)
    with aws.most(10):
        assert asking.settler(source).arrivals.reconcile(source.prefix) == len(keys)
    recorded = services.ledger.objects.of_day(source.feeds[0].name, DAY)
    assert [obj.number for obj in recorded] == list(range(1, len(keys) + 1))
    assert {obj.key for obj in recorded} == set(keys)
    assert recorded == sorted(recorded, key=lambda obj: obj.last_modified)
    assert services.ledger.deliveries.get(source.feeds[0].name, DAY).arrivals == len(keys)
    assert asking.settler(source).arrivals.reconcile(source.prefix) == 0


def test_objects_that_somebody_else_records_meanwhile_are_recorded_once(services: Services) -> None:
    source, keys = landed(services, 4)
    asking, others = replace(services), services.settler(source).arrivals
    events, write = asking.ledger.objects.table.client.meta.events, "before-call.dynamodb.TransactWriteItems"

    def meanwhile(**_: object) -> None:
        events.unregister(write, meanwhile)
        found = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix=keys[2])["Versions"]
        assert others.record(found) == 1

    events.register(write, meanwhile)
    assert asking.settler(source).arrivals.reconcile(source.prefix) == 3
    recorded = services.ledger.objects.of_day(source.feeds[0].name, DAY)
    assert [obj.number for obj in recorded] == [1, 2, 3, 4]
    assert (recorded[0].key, {obj.key for obj in recorded}) == (keys[2], set(keys))
    assert services.ledger.deliveries.get(source.feeds[0].name, DAY).arrivals == 4


def test_an_object_that_was_ignored_arrives_among_others(services: Services) -> None:
    source, keys = landed(services, 3)
    late = Feed.model_validate({**EVENTS, "start_date": TODAY})
    ignoring = make_source("shop", services.zones.raw_bucket, [late])
    [first] = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix=keys[0])["Versions"]
    services.settler(ignoring).arrivals.record([first])
    assert services.ledger.deliveries.get(source.feeds[0].name, DAY).arrivals == 0
    assert services.settler(source).arrivals.reconcile(source.prefix) == 3
    assert [obj.number for obj in services.ledger.objects.of_day(source.feeds[0].name, DAY)] == [1, 2, 3]
    assert services.ledger.objects.ignored("shop") == []
