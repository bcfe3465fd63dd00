"""What the shop sold before it was made, and what happens when it trades."""

import psycopg
import pytest

from adplatform.local.world.shop.contents import CUSTOMERS, ORDERS, TABLES
from adplatform_tests.local.world.shop.conftest import NOW
from adplatform_tests.local.world.shop.support import HTTP, admin, database, rows

LINES = "SELECT order_id, sum(quantity * price) AS amount FROM order_lines GROUP BY order_id"


def test_the_index_lists_every_call_and_how_to_connect(shop: str) -> None:
    index = admin(shop)
    assert set(index["calls"]) == {"GET", "GET connection", "POST trade", "GET truth"}
    assert index["connection"]["username"] == "reader"


@pytest.mark.parametrize(
    ("name", "body", "params", "said"),
    [
        ("truth", None, {"table": "secrets"}, "there is no table 'secrets'; there are customers, products"),
        ("connection", None, {"user": "postgres"}, "unexpected keyword argument 'user'"),
        ("trade", {"orders": 0}, {}, "orders is a number from 1"),
        ("trade", {"orders": "many"}, {}, "orders is a number from 1"),
        ("trade", [1], {}, "the body is not a JSON object"),
    ],
)
def test_what_cannot_be_done_is_said(shop: str, name: str, body: object, params: dict[str, str], said: str) -> None:
    at = f"{shop}/_admin/{name}"
    answer = HTTP.get(at, params=params) if body is None else HTTP.post(at, json=body)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_only_names_of_this_machine_are_served(shop: str) -> None:
    assert HTTP.get(f"{shop}/_admin", headers={"Host": "shop.example.com"}).status_code == 403
    assert HTTP.get(f"{shop}/orders").status_code == 404


def test_the_reader_reads_the_tables_and_changes_nothing(shop: str) -> None:
    with database(shop) as connection:
        for table in TABLES:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0
        for refused in ("DELETE FROM orders", "CREATE TABLE mine (id int)", "SELECT * FROM simulation.trades"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)


def test_changes_can_be_decoded_from_its_log(shop: str) -> None:
    with database(shop) as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)


def test_its_own_api_tells_nobody_how_to_be_superuser(shop: str) -> None:
    """Who may have the database server run commands."""
    assert "postgres" not in [value for key, value in admin(shop, "connection").items() if key != "engine"]
    with database(shop) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("COPY customers TO PROGRAM 'true'")


@pytest.mark.parametrize("headers", [{"Origin": "https://attacker.example"}, {"Sec-Fetch-Site": "same-site"}])
def test_web_pages_are_not_served(shop: str, headers: dict[str, str]) -> None:
    refused = HTTP.post(f"{shop}/_admin/trade", content='{"orders": 1}', headers=headers)
    assert (refused.status_code, "are not served" in refused.json()["error"]) == (403, True)


def test_a_shop_trades_in_several_transactions_and_its_books_agree(shop: str) -> None:
    before = {table: admin(shop, "truth", table=table) for table in TABLES}
    assert (before["customers"]["rows"], before["orders"]["rows"]) == (CUSTOMERS, ORDERS)
    assert before["orders"]["newest"] < NOW.date().isoformat()
    assert rows(shop, "SELECT count(*) FROM orders WHERE amount = 'NaN'") == [(2,)]
    disagree = f"SELECT count(*) FROM orders o JOIN ({LINES}) l ON l.order_id = o.id WHERE o.amount <> l.amount"
    assert rows(shop, disagree) == [(2,)]

    done = admin(shop, "trade", {"orders": 25})
    assert done == {
        "transactions": 8, "customers": 5, "orders": 25, "statuses": 25, "corrections": 2, "moves": 5, "deletes": 2
    }  # fmt: skip
    after = {table: admin(shop, "truth", table=table) for table in TABLES}
    assert after["orders"]["rows"] == ORDERS + 25 - done["deletes"]
    assert after["customers"]["rows"] == CUSTOMERS + 5
    assert after["orders"]["newest"] == NOW.isoformat()
    assert rows(shop, disagree) == [(0,)], "the till's errors are corrected first"
    changed = rows(shop, f"SELECT status, count(*) FROM orders WHERE updated_at = '{NOW}' GROUP BY 1")
    assert dict(changed)["placed"] >= 25
    assert rows(shop, "SELECT count(*) FROM order_lines WHERE order_id NOT IN (SELECT id FROM orders)") == [(0,)]
    # Rows of one transaction have one xmin.
    [(transactions,)] = rows(
        shop, f"SELECT count(DISTINCT xmin::text) FROM orders WHERE id > {ORDERS} AND status = 'placed'"
    )
    assert transactions >= 3
