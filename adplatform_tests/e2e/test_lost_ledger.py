"""The ledger is lost, or an older backup of it is put back: nothing that readers see is replaced, and after the doctor
every row is there once, what came since beside what was published before."""

from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from adplatform.flow.decisions import leave_out
from adplatform.flow.doctor import Difference, ExaminedTable, examine
from adplatform.flow.services import Services
from adplatform.ledger.ledger import table_definition
from adplatform.ledger.rows import DeliveryState
from adplatform_tests.support.platforms import YESTERDAY, Platform, make_platform

BEFORE = YESTERDAY - timedelta(days=1)
KINDS = ("dt", "region", None)
Rows = list[tuple[int, str]]


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, services: Services, instance: dg.DagsterInstance) -> Platform:
    feed = {
        "name": "orders",
        "start_date": "2026-01-01",
        "arrival": {"complete_when": "done_file"},
        "columns": {"id": {"type": "bigint", "required": True}, "region": {"type": "string", "required": True}},
        "key": ["id", "region"],
        "partition_by": request.param,
        "bounds": {"max_quarantined": 1, "min_rows": 0},
    }
    return make_platform(services, {"source": "shop", "feeds": [feed]}, instance)


def deliver(shop: Platform, rows: Rows, day: date = YESTERDAY, name: str = "orders.csv") -> None:
    body = "id,region\n" + "".join(f"{number},{region}\n" for number, region in rows)
    shop.put(f"orders/dt={day}/{name}", body.encode())
    shop.put(f"orders/dt={day}/_SUCCESS", name.encode())


def published(shop: Platform, rows: Rows, day: date = YESTERDAY, name: str = "orders.csv") -> None:
    deliver(shop, rows, day, name)
    assert [result.success for result in shop.process()] == [True]


def visible(shop: Platform) -> Rows:
    return [(int(number), str(region)) for number, region in shop.query("select id, region from {orders} order by all")]


def kept_rows(shop: Platform) -> list[dict[str, Any]]:
    pages = client(shop).get_paginator("scan").paginate(TableName=shop.services.settings.ledger_table)
    return [item for page in pages for item in page["Items"]]


def put_back(shop: Platform, items: list[dict[str, Any]]) -> None:
    """The ledger is what it was, or empty."""
    table = shop.services.settings.ledger_table
    client(shop).delete_table(TableName=table)
    client(shop).create_table(**table_definition(table))
    for item in items:
        client(shop).put_item(TableName=table, Item=item)


def client(shop: Platform) -> Any:
    return shop.services.aws.client("dynamodb")


def doctor(shop: Platform, *, repair: bool = True) -> list[Difference]:
    return examine(shop.services, ExaminedTable(shop.flow("orders")), "doctor", repair=repair)


def shown_of(shop: Platform, earlier: Rows, yesterday: Rows) -> Rows:
    """A table that each delivery replaces shows the newest date alone."""
    whole = shop.flow("orders").feed.contract.partition_by is None
    return sorted(yesterday if whole else [*earlier, *yesterday])


@pytest.mark.parametrize("backup", [False, True], ids=["lost", "older backup"])
def test_what_came_after_the_loss_is_published_beside_what_was_there_before(shop: Platform, backup: bool) -> None:
    published(shop, [(1, "A"), (2, "B")])
    published(shop, [(9, "A")], BEFORE)
    older = kept_rows(shop) if backup else []
    published(shop, [(3, "A"), (4, "C")], name="more.csv")
    seen = visible(shop)
    put_back(shop, older)
    deliver(shop, [(1, "A"), (2, "Z")])
    [result] = shop.process()
    assert not result.success
    assert "adplatform doctor" in shop.delivery("orders").error
    assert visible(shop) == seen
    assert {difference.repaired for difference in doctor(shop, repair=False)} == {False}
    assert visible(shop) == seen
    assert {difference.repaired for difference in doctor(shop)} == {True}
    assert visible(shop) == seen
    assert [result.success for result in shop.process()] == [True]
    corrected = [(1, "A"), (2, "Z"), (3, "A"), (4, "C")]
    assert visible(shop) == shown_of(shop, [(9, "A")], corrected)
    delivery = shop.delivery("orders")
    assert (delivery.state, delivery.published, delivery.pending) == (DeliveryState.PUBLISHED, delivery.version, 0)
    assert delivery.version > 2
    assert doctor(shop, repair=False) == []


def test_a_ledger_that_was_lost_is_whole_again_before_anything_new_comes(shop: Platform) -> None:
    published(shop, [(1, "A"), (2, "B")])
    published(shop, [(3, "A")], name="more.csv")
    published(shop, [(5, "A")], YESTERDAY + timedelta(days=1))
    seen, known = visible(shop), shop.delivery("orders")
    put_back(shop, [])
    doctor(shop)
    restored = shop.delivery("orders")
    assert (restored.state, restored.version, restored.published) == (known.state, known.version, known.published)
    assert restored.pending == 0
    assert shop.process() == []
    published(shop, [(4, "A")], name="late.csv")
    whole = shop.flow("orders").feed.contract.partition_by is None
    assert visible(shop) == (seen if whole else sorted([*seen, (4, "A")]))
    assert doctor(shop, repair=False) == []


def test_a_file_that_an_operator_left_out_stays_left_out(shop: Platform) -> None:
    published(shop, [(1, "A")])
    published(shop, [(2, "A")], name="wrong.csv")
    leave_out(shop.services, shop.flow("orders"), YESTERDAY, "wrong.csv")
    assert [result.success for result in shop.process()] == [True]
    assert visible(shop) == [(1, "A")]
    put_back(shop, [])
    doctor(shop)
    published(shop, [(3, "B")], name="late.csv")
    assert visible(shop) == [(1, "A"), (3, "B")]


def test_a_delivery_of_which_nothing_is_visible_is_restored_from_its_archive(shop: Platform) -> None:
    published(shop, [])
    put_back(shop, [])
    doctor(shop)
    assert shop.delivery("orders").published == 1
    published(shop, [(3, "B")], name="late.csv")
    assert len(shop.services.ledger.file_outcomes("shop/orders", YESTERDAY, 2)) == 2


def test_what_was_settled_and_never_published_comes_again_by_itself(shop: Platform) -> None:
    published(shop, [(1, "A")])
    deliver(shop, [(2, "B")], name="more.csv")
    [request] = shop.tick()
    put_back(shop, [])
    assert request.partition_key == YESTERDAY.isoformat()
    doctor(shop)
    assert [result.success for result in shop.process()] == [True]
    assert visible(shop) == [(1, "A"), (2, "B")]
