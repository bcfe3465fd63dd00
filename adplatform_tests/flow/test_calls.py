"""How often a delivery asks AWS, which is most of what a small one costs."""

import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from adplatform.contracts.feed import Feed
from adplatform.flow.delivery import publish_delivery
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.plainly import NoRunIsAlive
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
