"""Queries of an assistant over published tables: nothing personal, small answers, and an end."""

import json
from collections.abc import Mapping
from dataclasses import replace
from threading import Event, Timer
from typing import Any

import pytest

from adplatform.failures import PermanentFailure
from adplatform.mcp.known import Known, Limits
from adplatform.mcp.query import answer_query
from adplatform_tests.mcp.conftest import ROWS
from adplatform_tests.support.platforms import YESTERDAY, Platform


def ask(known: Known, sql: str, rows: int | None = None) -> Mapping[str, Any]:
    return answer_query(known, sql, rows, Event())


def test_a_query_finds_no_column_with_personal_data(shop: Platform, known: Known) -> None:
    orders = shop.table("orders")
    found = ask(known, f"select * from {orders} where id < 2 order by id", 1)
    assert found["columns"] == ["id", "amount", "_source_file", "_pii_key_id", "dt"]
    assert [row[:2] for row in found["rows"]] == [[0, "1.50"]]
    assert found["left_out"] == {orders: ["email_lake", "town"]}
    for sql in (
        f"select email_lake from {orders}",
        f"select count(distinct o.EMAIL_LAKE) from {orders} o",
        f"select id from {orders} where town = 'x'",
        f"select * from {orders} order by substr(email_lake, 1, 1)",
    ):
        with pytest.raises(PermanentFailure, match=r"orders\.(email_lake|town): personal data"):
            ask(known, sql)
    for other in (f"memory.{orders}", f"information_schema.columns, {orders}", f"acme__orders, {orders}"):
        with pytest.raises(PermanentFailure):
            ask(known, f"from {other}")
    allowed = ask(replace(known, personal=True), f"select count(distinct email_lake) n, min(town) from {orders}")
    assert allowed == {"columns": ["n", "min(town)"], "rows": [[ROWS, "Zeldatown"]], "complete": True}


def test_an_answer_has_so_many_rows_and_bytes_and_says_when_there_are_more(shop: Platform, known: Known) -> None:
    sql = f"select id, amount from {shop.table('orders')} order by id desc"
    whole = ask(known, sql)
    assert (len(whole["rows"]), whole["complete"]) == (ROWS, True)
    first = ask(known, sql, 3)
    assert (first["rows"], first["complete"]) == (whole["rows"][:3], False)
    assert first["note"] == "there are more rows; 3 were asked for"
    few = replace(known, limits=Limits(rows=5))
    assert len(ask(few, sql, 1000)["rows"]) == 5
    assert ask(few, f"{sql} limit 5")["complete"]
    small = ask(replace(known, limits=Limits(bytes=100)), sql)
    assert 0 < len(json.dumps(small["rows"], separators=(",", ":"))) <= 110
    assert small["note"] == "there are more rows; an answer has at most 100 bytes"
    with pytest.raises(PermanentFailure, match="the first row alone has more than 100 bytes"):
        ask(replace(known, limits=Limits(bytes=100)), f"select repeat('x', 200) from {shop.table('orders')}")


def test_a_query_ends_when_nobody_waits_for_it_any_more(shop: Platform, known: Known) -> None:
    stop = Event()
    sql = f"select count(*) from {shop.table('orders')}, range(100_000_000_000) a(i) where i % 7 = id % 7"
    timer = Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(PermanentFailure, match="ended before it was done"):
        answer_query(known, sql, None, stop)
    timer.join()


def test_a_query_of_what_is_not_there_says_so(shop: Platform, known: Known) -> None:
    with pytest.raises(PermanentFailure, match=r"there is no table information_schema\.tables; `tables` lists"):
        ask(known, "from information_schema.tables")
    with pytest.raises(PermanentFailure, match=r"late: nothing has been published to it"):
        ask(known, f"from {shop.table('late')}")
    with pytest.raises(PermanentFailure, match=r'the query failed: .*"nothing" not found'):
        ask(known, f"select nothing from {shop.table('orders')}")
    dated = ask(known, f"select max(dt) from {shop.table('orders')}")
    assert dated["rows"] == [[str(YESTERDAY)]]
