"""What differs between a declaration and what a service has, and what is to be done about it."""

from dataclasses import replace
from typing import Any

import pytest

from adplatform.consumers.registration.changes import compare
from adplatform.consumers.registration.resource import SOURCE, There, Wanted

DEFINITION: dict[str, Any] = {"columns": ["a", "b"], "place": {"bucket": "clean", "key": None}, "hashed": False}
WANTED = Wanted("clean_rooms", "configured table", "members", "acme", "clean_acme.members", DEFINITION)


def test_what_is_missing_is_created() -> None:
    assert compare(WANTED, None).state == "create"


@pytest.mark.parametrize("left_out", [{}, {"hashed": False}, {"hashed": None}, {"rules": [], "text": ""}])
def test_what_is_empty_is_as_if_it_were_left_out(left_out: dict[str, Any]) -> None:
    there = {"columns": ["a", "b"], "place": {"bucket": "clean"}, **left_out}
    assert compare(WANTED, There(there, WANTED.tags)).state == "as declared"


def test_each_field_that_differs_is_named_with_both_values() -> None:
    there = {**DEFINITION, "columns": ["a"], "place": {"bucket": "raw"}, "limit": 5}
    change = compare(WANTED, There(there, WANTED.tags))
    assert change.state == "update"
    assert [str(each) for each in change.differences] == [
        "columns is a there, and a, b is declared",
        "place.bucket is raw there, and clean is declared",
        "limit is 5 there, and nothing is declared",
    ]


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({}, "was made by others"),
        ({SOURCE: "acme"}, "was made by others"),
        (replace(WANTED, table="clean_acme.orders").tags, "is for clean_acme.orders"),
    ],
)
def test_what_is_not_ours_is_not_touched(tags: dict[str, str], says: str) -> None:
    change = compare(WANTED, There({}, tags))
    assert change.state == "refused"
    [refusal] = change.refusals
    assert refusal.startswith(f"a configured table members {says}, and is not touched: rename or delete it")
    assert "adplatform:source=acme and adplatform:table=clean_acme.members" in refusal


def test_what_no_call_changes_is_refused_with_what_to_do() -> None:
    there = There({**DEFINITION, "place": {"bucket": "raw"}}, WANTED.tags, fixed={"place": "delete it first"})
    change = compare(WANTED, there)
    assert change.state == "refused"
    assert change.refusals == ("place.bucket is raw there, and clean is declared: delete it first",)
