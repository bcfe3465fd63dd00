"""Columns that nobody declared and whose names come to one have names of their own, whatever order they come in."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adplatform.contracts.column import IDENTIFIER
from adplatform.contracts.undeclared_names import comment_of, header_of, plain_name, told_apart
from adplatform_tests.support.examples import examples

PAIR = ("amazon-programs", "amazon_programs")


def names(headers: tuple[str, ...], taken: tuple[str, ...] = (), known: dict[str, str] | None = None) -> dict[str, str]:
    others = told_apart(headers, taken, known or {})
    return {header: plain_name(others.get(header, header)) for header in headers}


def test_a_header_that_is_alone_keeps_its_name() -> None:
    assert told_apart(["brandNew", "a-b"], {"id"}, {}) == {}
    assert names(("amazon_programs",), known={"amazon-programs": "amazon_programs"}) == {
        "amazon_programs": "amazon_programs"
    }


@pytest.mark.parametrize("first", PAIR)
def test_what_the_table_has_keeps_its_name_when_another_comes(first: str) -> None:
    alone = names((first,))
    known = {first: alone[first]}
    both = names(PAIR, known=known)
    assert both[first] == "amazon_programs"
    assert len(set(both.values())) == 2
    seen = {header_of(comment_of(told_apart(PAIR, (), known).get(each, each))): both[each] for each in PAIR}
    assert seen == both, "the table knows each again"
    (other,) = set(PAIR) - {first}
    assert names((other,), known=both) == {other: both[other]}, "also where it is alone"


def test_names_that_other_columns_have_and_those_that_no_table_takes_are_told_apart() -> None:
    headers = ("Date", "3PFees", "広告", "x" * 200, "a\tb", "12")
    others = names(headers, taken=("date",))
    assert len(set(others.values())) == len(headers)
    assert others["Date"] != "date"
    assert all(IDENTIFIER.fullmatch(name) for name in others.values())


@given(st.lists(st.text(alphabet="aA-_ 1é", min_size=1, max_size=4), min_size=1, max_size=5, unique=True))
@settings(max_examples=examples(40))
def test_no_two_headers_have_one_name_in_any_order(headers: list[str]) -> None:
    found = {tuple(sorted(names(each).items())) for each in itertools.permutations(headers[:4])}
    assert len(found) == 1
    own = dict(found.pop())
    assert len(set(own.values())) == len(own)
    assert all(IDENTIFIER.fullmatch(name) for name in own.values())
