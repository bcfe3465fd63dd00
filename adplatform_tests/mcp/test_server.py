"""The server as an assistant meets it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from adplatform.failures import PermanentFailure, named
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.mcp.known import Known
from adplatform.mcp.server import server_of
from adplatform.mcp.tools import TOOLS
from adplatform.patterns import declared_patterns
from adplatform_tests.mcp.conftest import LISTED, ORDERS, ROWS
from adplatform_tests.support.ledger_rows import put_delivery
from adplatform_tests.support.platforms import TODAY, YESTERDAY, Platform
from adplatform_tests.support.projects import Project

Call = Callable[..., tuple[Any, bool]]


@pytest.fixture
def call(known: Known) -> Call:
    """What a tool answers, and whether that is why it cannot."""

    async def called(seconds: float, name: str, given: dict[str, Any]) -> tuple[Any, bool]:
        async with Client(server_of(lambda: known, seconds)) as client:
            answer = await client.call_tool(name, given)
            [content] = answer.content
            return (content.text if answer.is_error else json.loads(content.text)), answer.is_error

    return lambda name, seconds=60.0, **given: anyio.run(called, seconds, name, given)


def test_tools_answer_what_is_declared_and_how_it_stands(call: Call, shop: Platform) -> None:
    [late, listed, orders] = call("tables", source="acme")[0]["tables"]
    assert orders["table"] == shop.table("orders")
    assert orders["description"] == "Orders of a shop."
    columns = {each["name"]: each for each in orders["columns"]}
    assert columns["id"] == {"name": "id", "type": "bigint", "required": True}
    assert columns["amount"] == {"name": "amount", "type": "decimal(9,2)", "description": "In euros."}
    assert columns["email_lake"]["personal"] == {"pii": "email", "profile": "lake", "form": "digest"}
    assert columns["town"]["personal"]["form"] == "clear"
    every = call("tables")[0]["tables"]
    assert [each["table"] for each in every] == [each["table"] for each in (late, listed, orders)]
    assert [each.get("personal") for each in every] == [["email_lake"], None, ["email_lake", "town"]]
    declared = call("contract", feed="acme/listed")[0]
    assert declared["contract"]["arrival"] == {"complete_when": "manifest", "deadline": "9h"}
    declared = call("contract", feed="acme/orders")[0]
    assert declared["encrypted"] is False
    assert declared["contract"]["arrival"] == {"complete_when": "count", "expected_files": 1}
    fresh = call("freshness", source="acme")[0]
    assert {"acme/orders": str(YESTERDAY)}.items() <= {e["table"]: e["newest_date"] for e in fresh["tables"]}.items()
    assert [each["delivery"] for each in fresh["waiting"]] == ["acme/listed"]
    assert call("quarantine", feed="acme/orders")[0]["dates"] == [
        {
            "delivery": "acme/orders",
            "date": str(YESTERDAY),
            "version": 1,
            "rows": 1,
            "reasons": {"bad_decimal:amount": 1},
            "files": [],
        }
    ]
    assert call("query", sql=f"select sum(amount) from {shop.table('orders')}")[0]["rows"] == [["60.00"]]


def test_why_a_date_is_missing(call: Call, shop: Platform) -> None:
    def why(feed: str, day: Any = YESTERDAY) -> list[str]:
        [delivery] = call("why_missing", feed=f"acme/{feed}", date=str(day))[0]["deliveries"]
        found: list[str] = delivery["why"]
        return found

    assert why("orders") == [
        "it is there: readers see version 1",
        "1 of 41 rows of version 1 (2.4 %) are in quarantine: 1 bad_decimal:amount",
    ]
    due, waits = why("listed")
    assert due in (f"it is not due before {TODAY} 09:00 UTC", f"it was due {TODAY} 09:00 UTC")
    assert waits == "waits: 1 of 1 listed files are missing, the first is number 1"
    assert why("late", TODAY + timedelta(days=400))[0] == "the date has not begun"
    assert why("late", "2025-12-31")[0] == "the feed begins on 2026-01-01: files of earlier dates are refused"
    assert why("late") == ["nothing has arrived"]
    broken = Delivery(TODAY, state=DeliveryState.FAILED, version=1, permanent=True, error=f"{named('zelda')} is torn")
    put_delivery(shop.services.ledger, "acme/late", broken)
    assert why("late", TODAY) == [
        "failed: *** is torn",
        f"nothing until an object comes, or `adplatform retry acme/late {TODAY}`",
    ]
    shop.services.ledger.pauses.begin("acme", "an operator", "the shop moves")
    assert "the shop moves" in why("late")[0]
    shop.services.ledger.pauses.end("acme")


def test_what_cannot_be_answered_says_why_and_shows_no_value(call: Call, known: Known) -> None:
    assert call("why_missing", feed="acme/other", date=str(YESTERDAY)) == (
        "no feed 'acme/other'; there are acme/orders, acme/listed, acme/late",
        True,
    )
    text, failed = call("why_missing", feed="acme/orders", date="zelda@person.example")
    assert failed
    assert text.startswith("why_missing: date: ")
    assert "zelda" not in text
    assert call("drop_everything")[1]
    text, failed = call("query", sql="copy (select 1) to 'x'")
    assert failed
    assert text.startswith("the query is refused: it is COPY")
    text, failed = call("query", 0.3, sql=f"select count(*) from {known_table(known)}, range(100_000_000_000) a(i)")
    assert (text, failed) == ("there is no answer after 0.3 seconds: ask for less", True)


def known_table(known: Known) -> str:
    return f"{known.services.settings.database_prefix}acme.orders"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyError("zelda"), "tables failed with KeyError, which is a mistake of the server; its log says where"),
        (PermanentFailure(f"{named('zelda.csv')} is torn"), "*** is torn"),
    ],
)
def test_a_failure_is_told_without_what_is_nobody_elses(error: Exception, told: str) -> None:
    def broken() -> Known:
        raise error

    async def called() -> Any:
        async with Client(server_of(broken, 60)) as client:
            return await client.call_tool("tables", {})

    answer = anyio.run(called)
    assert (answer.is_error, answer.content[0].text) == (True, told)


@contextmanager
def started(shop: Platform, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, as an assistant starts it, after the handshake."""
    project = Project.copy(folder, shop.services, feeds=[ORDERS, LISTED])
    with project.start("mcp", "--rows", "10", stdin=subprocess.PIPE) as process:
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        about = asked(process, "initialize", hello)
        assert about["serverInfo"]["name"] == "adplatform"
        tell(process, {"method": "notifications/initialized"})
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        assert process.stdout
        assert process.stdout.read() == ""


def tell(process: subprocess.Popen[str], message: dict[str, Any]) -> None:
    assert process.stdin
    process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    process.stdin.flush()


def asked(process: subprocess.Popen[str], method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The next line of stdout, which is the answer and nothing else."""
    tell(process, {"id": method, "method": method, "params": params})
    assert process.stdout
    answer = json.loads(process.stdout.readline())
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", method)
    result: dict[str, Any] = answer["result"]
    return result


def test_the_command_speaks_the_protocol_on_stdout_and_nothing_else(shop: Platform, tmp_path: Path) -> None:
    with started(shop, tmp_path) as process:
        listed = asked(process, "tools/list", {})["tools"]
        assert [each["name"] for each in listed] == [tool.name for tool in TOOLS]
        assert all(each["annotations"]["readOnlyHint"] for each in listed)
        [content] = asked(process, "tools/call", {"name": "contract", "arguments": {"feed": "acme/orders"}})["content"]
        assert json.loads(content["text"])["feed"] == "acme/orders"
        refused = asked(process, "tools/call", {"name": "query", "arguments": {"sql": "from '/etc/passwd'"}})
        assert refused["isError"]


@pytest.mark.slow
def test_a_query_that_is_cancelled_ends_and_the_server_goes_on(shop: Platform, tmp_path: Path) -> None:
    endless = f"select count(*) from {shop.table('orders')}, range(1_000_000_000_000) a(i) where i % 7 = id % 7"
    with started(shop, tmp_path) as process:
        for number in range(8):  # twice as many as are worked at together
            call = {"name": "query", "arguments": {"sql": endless}}
            tell(process, {"id": number, "method": "tools/call", "params": call})
        for number in range(8):
            tell(process, {"method": "notifications/cancelled", "params": {"requestId": number}})
        sql = f"select count(*) over () from {shop.table('orders')}"
        [content] = asked(process, "tools/call", {"name": "query", "arguments": {"sql": sql}})["content"]
        answer = json.loads(content["text"])
        assert (answer["rows"], answer["complete"]) == ([[ROWS]] * 10, False)


@pytest.mark.slow
def test_every_tool_answers_for_every_declared_feed(services: Services) -> None:
    patterns = declared_patterns(services.settings)
    provision(services, [each.source for each in patterns])
    sources = [each.source.name for each in patterns]
    flows = [flow.table for each in patterns for flow in (*each.source.feeds, *each.source.derived)]
    asked = [("tables", {}), ("freshness", {}), *(("tables", {"source": each}) for each in sources)]
    asked += [("contract", {"feed": each}) for each in flows]
    asked += [("why_missing", {"feed": each, "date": str(YESTERDAY)}) for each in flows]

    async def every() -> dict[str, str]:
        async with Client(server_of(lambda: Known(services, patterns), 60)) as client:
            answers = {f"{tool} {given}": await client.call_tool(tool, given) for tool, given in asked}
            return {question: answer.content[0].text for question, answer in answers.items() if answer.is_error}

    failed = anyio.run(every)
    assert {text for text in failed.values() if " is known yet" not in text} == set()
