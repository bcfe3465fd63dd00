"""A change of a feed's columns is said once, with what it concerns and the line that accepts it, and ends once."""

import io
import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.flow.declared_table import DeclaredTable
from adplatform.flow.outbox import send_unsent
from adplatform.flow.provision import provision
from adplatform.flow.schema_message import standing
from adplatform.flow.services import Services
from adplatform.flow.source import Source, make_source
from adplatform.ledger.messages import PLATFORM
from adplatform.ledger.rows import Item
from adplatform.operations.ledger_tables import READINGS, SCHEMA_CHANGES
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.channels import Channels
from adplatform_tests.support.plainly import WRITES, killed_at, process
from adplatform_tests.support.platforms import TODAY

FEED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-01-01",
    "arrival": {"complete_when": "count", "expected_files": 1},
    "columns": {"order_id": "int", "email": {"pii": "email"}, "cost": "decimal(18,2)", "note": "string"},
    "activations": ["meta"],
    "consumers": {
        "athena": {"views": {"daily": "select sum(cost) from {table}", "notes": "select costs from {table}"}},
        "quicksight": {"columns": ["order_id"]},
    },
}
MADE_OF_IT = DeclaredTable("defs/partners/shop/defs.yaml", made_of_it=("facts/daily",))
THREAD = "shop/schema_changed/shop/orders"
HEADER, ROW = "order_id,email,cost,note", "1,ann@example.com,2.50,x"


@pytest.fixture
def channels(services: Services, tmp_path: Path) -> Channels:
    made = Channels.of(replace(services, declared=lambda _: MADE_OF_IT), tmp_path)
    file = tmp_path / "alerts.yaml"
    file.write_text(file.read_text().replace("[info, error, critical]", "[info, warning]"))
    return made


def shop(services: Services, **settings: Any) -> Source:
    source = make_source("shop", services.zones.raw_bucket, [Feed.model_validate({**FEED, **settings})])
    provision(services, [source])
    return source


def day(number: int) -> date:
    return TODAY - timedelta(days=10 - number)


def put(services: Services, source: Source, number: int, body: str | bytes) -> None:
    key = f"{source.prefix}orders/dt={day(number)}/ann.csv"
    content = body if isinstance(body, bytes) else f"{body}\n".encode()
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=content)


def delivered(services: Services, source: Source, number: int, body: str | bytes) -> None:
    put(services, source, number, body)
    with suppress(PermanentFailure):
        process(services, source, f"run-{number}")


def said(channels: Channels) -> list[tuple[str, str]]:
    """What was said of columns since, each with how its keywords call it."""
    bodies = [each for each in channels.chat() if each["metadata"]["eventType"] == "schema_changed"]
    assert {body["metadata"]["threadId"] for body in bodies} <= {THREAD}
    return [(body["content"]["keywords"][1], body["content"]["title"].partition("orders: ")[2]) for body in bodies]


def ended(services: Services) -> None:
    alerting = services.alerting()
    assert alerting is not None
    alerting.end()


def noted(services: Services) -> list[tuple[str, str, str]]:
    return [(each.change, each.column, each.became) for each in services.ledger.schemas.noted("shop/orders")]


def test_a_renamed_column_is_said_once_with_the_line_that_accepts_it_and_ends_once(channels: Channels) -> None:
    services = channels.services
    source = shop(services)
    delivered(services, source, 1, f"{HEADER}\n{ROW}")
    renamed = f"order_id,email,spend,note\n{ROW}"
    delivered(services, source, 2, renamed)
    [body] = [each for each in channels.chat() if each["metadata"]["eventType"] == "schema_changed"]
    [file] = [outcome.file_id for outcome in services.ledger.publications.file_outcomes("shop/orders", day(2), 1)]
    line = "cost: {type: 'decimal(18,2)', field: [cost, spend]}"
    assert body["content"]["description"].split("\n") == [
        "Files lack the column cost, and have 'spend' that is probably it.",
        f"First file: {file}.",
        "Nothing of the delivery is published.",
        "It concerns table shop/orders, table facts/daily, consumer athena, view daily.",
        "Where it is meant, declare below columns of feed orders in defs/partners/shop/defs.yaml:",
        line,
    ]
    assert body["content"]["nextSteps"][:3] == [
        f"`adplatform ledger {file}` tells the name of the first file",
        "`adplatform validate` checks what was declared",
        f"`adplatform retry shop/orders {day(2)}` processes it again, once it is declared",
    ]
    [standing_now] = standing(source.feeds[0], services.ledger.schemas.get("shop/orders"))
    assert standing_now.endswith(f"that is probably it, first in {file}; {line}")
    services.ledger.deliveries.reopen("shop/orders", day(2))
    for number in (2, 3):
        delivered(services, source, number, renamed)
    ended(services)
    assert said(channels) == []
    accepting = shop(services, columns={**FEED["columns"], **yaml.safe_load(line)})
    delivered(services, accepting, 4, renamed)
    for _ in range(2):
        ended(services)
    [(how, what)] = said(channels)
    assert (how, what.partition(";")[0]) == ("ended", "files and what is declared agree")
    assert noted(services) == [("column_renamed", "cost", "spend"), ("column_accepted", "cost", "spend")]
    assert services.ledger.alerts.get(THREAD) is None


def test_columns_that_come_and_go_where_the_schema_evolves(channels: Channels) -> None:
    services = channels.services
    source = shop(services, schema_policy="evolve")
    bodies = [
        f"{HEADER}\n{ROW}",
        f"{HEADER},new,Ann Lee\n{ROW},7.5,z",
        f"{HEADER},new,Ann Lee\n{ROW},7.5,z",
        "order_id,cost,note,new\n1,2.50,x,y",
        f"{HEADER}\n{ROW}",
    ]
    for number, body in enumerate(bodies, start=1):
        delivered(services, source, number, body)
    ended(services)
    hidden = "column number 6"
    assert Counter(noted(services)) == {
        ("column_added", "new", ""): 1,
        ("column_added", hidden, ""): 1,
        ("column_lacking", "email", ""): 1,
        ("column_back", hidden, ""): 1,
        ("column_back", "new", ""): 1,
        ("column_back", "email", ""): 1,
    }
    [first, second, last] = said(channels)
    assert [how for how, _ in (first, second, last)] == ["info", "warning", "ended"]
    assert second[1] == "files lack the column email"
    assert "Ann" not in json.dumps([*items(services), first], default=str)
    rows = {(each.change, each.column): each for each in services.ledger.schemas.noted("shop/orders")}
    tabled = READINGS[0].rows(services, "shop/orders")[SCHEMA_CHANGES.name]
    assert {(row["change"], row["column_name"]) for row in tabled} == rows.keys()
    assert {row["setting"] for row in tabled} >= {"new: string", None}
    assert rows["column_added", "new"].setting == "new: string"
    assert rows["column_lacking", "email"].touched == (
        "table shop/orders",
        "table facts/daily",
        "consumer athena",
        "activation meta",
    )


def test_a_file_of_another_date_before_says_nothing_of_files_now(channels: Channels) -> None:
    services = channels.services
    source = shop(services, schema_policy="evolve")
    delivered(services, source, 3, f"{HEADER}\n{ROW}")
    delivered(services, source, 2, f"{HEADER},old\n{ROW},y")
    assert (noted(services), said(channels)) == ([], [])


def test_a_member_of_json_that_comes_and_goes_is_said_once_and_an_empty_file_says_nothing(channels: Channels) -> None:
    services = channels.services
    source = shop(services, format={"kind": "ndjson"}, schema_policy="evolve")
    for number, more in enumerate(({}, {"new": "x"}, {}, {"new": "y"}), start=1):
        delivered(services, source, number, json.dumps({"order_id": 1, "cost": "2", **more}))
    assert [how for how, _ in said(channels)] == ["info"]
    declared = shop(services, format={"kind": "ndjson"}, columns={**FEED["columns"], "new": "string"})
    delivered(services, declared, 5, "")
    assert noted(services) == [("column_added", "new", "")]
    delivered(services, declared, 6, json.dumps({"order_id": 1}))
    assert noted(services)[1:] == [("column_accepted", "new", "")]


@pytest.mark.slow
def test_columns_that_a_release_before_took_in_are_no_news(channels: Channels) -> None:
    services = channels.services
    source = shop(services, schema_policy="evolve")
    for number in (1, 2):
        delivered(services, source, number, f"{HEADER},new\n{ROW},y")
        for item in [*services.ledger.access.items("shop/orders", "schema"), *items(services)]:
            services.ledger.access.delete("shop/orders", item["sk"])
    assert len(said(channels)) == 1
    delivered(services, source, 3, f"{HEADER},new,contact\n{ROW},y,ann@b.example")
    [row] = services.ledger.schemas.noted("shop/orders")
    assert (row.change, row.column, row.setting) == ("column_added", "contact", "contact: {pii: email}")
    columns = {**FEED["columns"], "new": "string", **yaml.safe_load(row.setting)}
    delivered(
        services, shop(services, schema_policy="evolve", columns=columns), 4, f"{HEADER},new,contact\n{ROW},y,z@b.de"
    )
    assert ("column_accepted", "contact", "") in noted(services)
    assert services.ledger.deliveries.get("shop/orders", day(4)).published


def items(services: Services) -> list[Item]:
    return list(services.ledger.access.items("shop/orders", "change#"))


def parquet(**columns: list[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"order_id": [1, 2], "email": ["a@b.de"] * 2, "note": ["x"] * 2, **columns}), sink)
    return sink.getvalue()


def test_values_that_are_not_of_their_type_any_more_are_a_change_of_it(channels: Channels) -> None:
    services = channels.services
    source = shop(services, format={"kind": "parquet"}, columns={**FEED["columns"], "cost": "date"})
    delivered(services, source, 1, parquet(cost=[date(2026, 1, 1)] * 2))
    for number in (2, 3):
        delivered(services, source, number, parquet(cost=[1.5, 2.5]))
    assert noted(services) == [("column_retyped", "cost", "double")]
    assert said(channels) == [("warning", "most values of cost are not of its type any more (double)")]
    [row] = services.ledger.schemas.noted("shop/orders")
    assert row.setting == "cost_double: {type: double, field: cost}"


@pytest.mark.slow
def test_values_that_never_were_of_their_type_are_no_change(channels: Channels) -> None:
    services = channels.services
    source = shop(services)
    delivered(services, source, 1, f"{HEADER}\n1,ann@example.com,much,x")
    assert (noted(services), said(channels)) == ([], [])


def test_a_delivery_with_the_columns_of_the_one_before_asks_no_more_than_one_as_declared(channels: Channels) -> None:
    services = channels.services
    aws = CountedAws(services.aws.region, services.aws.endpoint_url)
    source, asking = shop(services, schema_policy="evolve"), replace(services, aws=aws)
    counts = list[int]()
    for number, more in enumerate(("", "", ",new", ",new"), start=1):
        put(services, source, number, f"{HEADER}{more}\n{ROW}{more}")
        before = len(aws.names)
        process(asking, source, f"run-{number}")
        counts.append(len(aws.names) - before)
    assert counts[3] == counts[1]
    assert "new" in noted(services)[0]


def renamed_and_killed(channels: Channels, name: str, at: int, named: tuple[str, ...]) -> int:
    """Kill what processes a renamed column at a write, and process what is left; how the process ended."""
    services = channels.services
    source = make_source(name, services.zones.raw_bucket, [Feed.model_validate(FEED)])
    provision(services, [source])
    put(services, source, 1, f"order_id,email,spend,note\n{ROW}")
    code, _ = killed_at(services, partial(failing, source=source), at, named)
    for _ in range(2):
        failing(services, source)
        send_unsent(services, name)
        send_unsent(services, PLATFORM)
    return code


def failing(services: Services, source: Source) -> None:
    with suppress(PermanentFailure):
        process(services, source, "killed")


def test_one_that_is_killed_before_it_tells_of_a_change_leaves_that_to_the_next_look(channels: Channels) -> None:
    assert renamed_and_killed(channels, "shop", 1, ("Publish",)) == -SIGKILL
    assert len(said(channels)) == 1
    assert noted(channels.services) == [("column_renamed", "cost", "spend")]


@pytest.mark.slow
def test_one_that_is_killed_at_any_write_tells_of_a_change_once(channels: Channels) -> None:
    at, code = 0, -SIGKILL
    while code == -SIGKILL:
        at += 1
        code = renamed_and_killed(channels, f"shop_{at}", at, WRITES)
        bodies = [each for each in channels.chat() if each["metadata"]["eventType"] == "schema_changed"]
        assert len({body["id"] for body in bodies}) == 1, f"killed at write {at}"
    assert at > 5
