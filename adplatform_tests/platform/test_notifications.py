"""Messages of any size reach people, because what is sent has a limit."""

import json
from typing import Any

import pytest

from adplatform.failures import named, plain, unnamed
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.platform.notifications import MESSAGE_LIMIT, Notifier, message_of
from adplatform_tests.support.platforms import Inbox

FACTS: list[dict[str, Any]] = [
    {"error": "x" * 10**6},
    {"error": "\x01é\U0001f680" * 10**5, "reasons": {f"{'é' * 200}{n}": n for n in range(20_000)}},
    {"others": ["\U0001f680" * 3000] * 500, "more": ["\\\"'" * 3000] * 500, "error": "\n" * 10**5},
    {f"fact_{n}": "\U0001f680" * 10_000 for n in range(12)},
]


@pytest.mark.parametrize("facts", FACTS, ids=["text", "reasons", "lists", "many"])
def test_a_message_of_any_size_is_sent_in_what_sns_takes(services: Services, facts: dict[str, Any]) -> None:
    provision(services, [])
    inbox = Inbox.subscribe(services)
    notifier: Notifier = services.notifier()
    assert notifier.failure("run_failed", "acme/orders: " + "é" * 5000, facts)
    [message] = inbox.read()
    assert message["event"] == "run_failed"
    assert message.keys() >= facts.keys()
    assert len(message_of("run_failed", "s", facts).encode()) < MESSAGE_LIMIT


def test_lists_that_are_cut_are_counted_and_short_facts_stay_as_they_are() -> None:
    facts = {"feeds": [f"f{n}" for n in range(1000)], "reasons": {"bad_int:a": 2}, "rows": 7, "day": None}
    machine = json.loads(json.loads(message_of("e", "s", facts))["default"])
    assert machine == {**facts, "event": "e", "feeds": facts["feeds"][:50], "feeds_count": 1000}  # type: ignore[index]


def test_a_message_that_cannot_be_sent_says_so(services: Services) -> None:
    gone = Notifier(services.sns, services.topic_arn("none"), services.topic_arn("none"))
    assert not gone.failure("run_failed", "s", {})


def test_a_message_has_no_name_of_a_file_that_a_text_marks_as_one() -> None:
    text = f"2 files are refused: {named('ann@example.com.csv')}: too long; {named('b' * 90)}"
    facts = {"error": text, "list": [text], "reasons": {named("c.csv"): 1}}
    sent = message_of("files_refused", f"{named('d.csv')} stays", facts)
    assert json.loads(json.loads(sent)["default"])["error"] == "2 files are refused: ***: too long; ***"
    assert not any(name in sent for name in ("example", "bbb", "c.csv", "d.csv", "2068"))
    # A text that is cut within a name says nothing of it either, and commands show names as they are.
    assert unnamed(text[:35]) == "2 files are refused: ***"
    assert plain(text).startswith("2 files are refused: ann@example.com.csv: too long")
