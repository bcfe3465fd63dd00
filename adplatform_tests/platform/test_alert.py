"""What channels are given: bodies in their schemas, at any size, without names of files, with commands that exist."""

import json
import shlex
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from adplatform.failures import named
from adplatform.platform.alert import EVENTS, PUBLISHED, Phase, Severity, alert_of
from adplatform.platform.chat import chat_body
from adplatform.platform.notifications import MESSAGE_LIMIT, sent_as
from adplatform.platform.pagerduty import dedup_key, pagerduty_body
from adplatform_tests.platform.test_notifications import FACTS
from adplatform_tests.support.chat_schema import require_chat

OF_A_DATE = {"feed": "acme/orders", "date": "2026-11-28", "error": "declared columns are missing"}
SUBJECTS: list[Mapping[str, Any]] = [
    OF_A_DATE,
    {**OF_A_DATE, "error": f"file:{'0a' * 16}: no csv; 2 rows quarantined"},
    {"feed": "acme/orders", "date": "", "error": "e"},
    {"source": "acme", "target": "orders", "error": "e"},
    {"feed": "acme/orders, ads/reports", "date": "2026-11-01 to 2026-11-28", "error": "e"},
    {"name": "acme_arrivals", "error": "e"},
    {"table": "acme/orders", "problems": ["a", "b"]},
    {"feed": "acme/orders", "date": "2026-11-28", "rows_in": 9, "quarantined": 2, "reasons": {"bad_int:a": 2}},
]


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.END])
def test_every_event_is_in_the_schema_of_each_channel_and_its_next_commands_exist(phase: Phase) -> None:
    for event in EVENTS:
        for facts in SUBJECTS:
            alert = alert_of(event, "acme/orders: it broke", facts, phase, "2026-11-28T09:00:00+00:00")
            require_chat(chat_body(alert, "key"))
            incident = pagerduty_body(alert)
            assert incident["event_action"] == ("resolve" if phase is Phase.END else "trigger")
            assert incident["payload"]["severity"] in list(Severity)
            for command, _ in alert.steps():
                require_command(command)


@cache
def require_command(text: str) -> None:
    """The command takes these arguments; nothing is run."""
    program, name, *arguments = shlex.split(text)
    assert program == "adplatform"
    commands = import_module("adplatform.cli.app")  # whose package calls its Typer so, too
    group = getattr(commands, name.upper(), None)
    if isinstance(group, Mapping):
        name, *arguments = arguments
    known = group if isinstance(group, Mapping) else commands.COMMANDS
    commands.imported(known, name).make_context(name, arguments)


def test_a_failed_delivery_says_in_chat_what_broke_and_what_to_run() -> None:
    body = chat_body(alert_of("run_failed", "acme/orders 2026-11-28: run failed", OF_A_DATE, Phase.OPEN), "key")
    assert body["content"]["title"] == "\U0001f534 acme/orders 2026-11-28: run failed"
    assert body["content"]["description"] == "declared columns are missing"
    assert body["content"]["nextSteps"] == [
        "`adplatform ledger acme/orders 2026-11-28` shows what arrived, what became of it, and why",
        "`adplatform retry acme/orders 2026-11-28` processes it again, once its cause is mended",
        "`adplatform status acme` shows what waits and what has failed",
    ]
    assert body["metadata"]["threadId"] == "acme/orders/2026-11-28"
    assert body["metadata"]["additionalContext"] == {"feed": "acme/orders", "date": "2026-11-28"}


def test_a_publication_says_in_chat_how_many_rows_it_has_and_where_to_see_what_broke() -> None:
    facts = {
        "feed": "acme/orders",
        "date": "2026-11-28",
        "rows_in": 1900,
        "clean": 1898,
        "quarantined": 2,
        "left_out": 0,
    }
    for event, phase in ((PUBLISHED, Phase.NOTE), ("run_failed", Phase.END)):
        body = chat_body(alert_of(event, "s", {**facts, "reasons": {"bad_int:id": 2}}, phase), "key")["content"]
        assert body["description"] == "Rows: 1,900 read, 1,898 in the table, 2 quarantined\nReasons: bad_int:id 2"
        [step] = body["nextSteps"]
        assert step.startswith("`adplatform quarantine show acme/orders 2026-11-28` shows")


def test_whatever_is_said_of_a_date_is_in_one_conversation_and_of_one_cause() -> None:
    events = ("run_failed", "delivery_missed", PUBLISHED)
    threads = {alert_of(event, "s", OF_A_DATE).thread for event in events}
    assert threads == {"acme/orders/2026-11-28"}
    other = alert_of("crawl_disagrees", "s", OF_A_DATE)
    assert (other.conversation, other.thread in threads) == ("acme/orders/2026-11-28", False)
    keys = {dedup_key("acme/" + "x" * 300 + end) for end in "ab"}
    assert len(keys) == 2 and max(map(len, keys)) <= 255


@pytest.mark.parametrize("form", ["json", "chat", "pagerduty"])
@pytest.mark.parametrize("facts", FACTS, ids=["text", "reasons", "lists", "many"])
def test_a_message_of_any_size_is_what_sns_takes(form: str, facts: dict[str, Any]) -> None:
    entry = sent_as(form, alert_of("run_failed", "acme/orders: " + "é" * 5000, {**OF_A_DATE, **facts}))
    assert len(entry["Message"].encode()) < MESSAGE_LIMIT
    body = json.loads(json.loads(entry["Message"])["default"])
    if form == "chat":
        require_chat(body)


@pytest.mark.parametrize("form", ["json", "chat", "pagerduty"])
def test_no_form_has_the_name_of_a_file_or_calls_a_channel(form: str) -> None:
    text = f"{named('ann@example.com.csv')} is refused <!channel> & more"
    facts = {**OF_A_DATE, "error": text, "problems": [text], "reasons": {named("c.csv"): 1}, "list": [text]}
    sent = sent_as(form, alert_of("run_failed", f"{named('d.csv')} stays", facts))
    assert not any(name in json.dumps(sent) for name in ("example", "c.csv", "d.csv", "2068"))
    if form == "chat":
        body = json.loads(json.loads(sent["Message"])["default"])
        assert "<!channel>" not in json.dumps(body)
