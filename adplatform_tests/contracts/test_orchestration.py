"""What is valid here is so for Dagster, which has the same rules in its own code."""

from datetime import timedelta
from itertools import product

import dagster as dg
import pytest
from dagster._core.definitions.utils import is_valid_owner
from dagster._utils.schedules import is_valid_cron_string
from dagster._utils.tags import normalize_tags
from pydantic import TypeAdapter, ValidationError

from adplatform.contracts.orchestration import Cron, FreshWithin, Owner, TagKey, TagValue

OWNERS = ["crm", "team:", "team:a b", "a@b", "ops@example.com", "", "x@example.photography", ".a@b.de", "+a@b.de"]
KEYS = ["a b", "a/b", "a/b/c", "", "k" * 63, "k" * 64, "ä", "a.b-c_d", "/a", "a/"]
VALUES = ["", "b c", "v" * 63, "v" * 64, "a/b", "1.2-3_4", "ä"]
PARTS = ["*", "?", "0", "5", "07", "31", "60", "5-1", "1-5", "*/7", "*/0", "3/2", "l", "5#1", "5#6", "l5", "mon", "feb"]
PARTS += ["mon-fri", "1,2", "1,,2", "-1", "h", "x", "5#1,2", "1-5#1", "8", "12", "13", "24", "٣"]
LINES = [" ".join((*("5",) * n, part, *("5",) * (4 - n))) for n, part in product(range(5), PARTS)]
LINES += [
    "0 0 30 2 *",
    "0 0 031 FEB *",
    "0 0 29 2 *",
    "@daily",
    "@reboot",
    "",
    "0 6 * *",
    "0 0 6 * * *",
    "30 6 * * mon-fri",
]


def accepted(kind: object, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def test_owners_are_those_of_dagster() -> None:
    assert {owner: accepted(Owner, owner) for owner in OWNERS} == {owner: is_valid_owner(owner) for owner in OWNERS}


def test_tags_are_those_of_dagster() -> None:
    def loads(key: str, value: str) -> bool:
        try:
            normalize_tags({key: value}, strict=True)
            dg.AssetSpec("a", tags={key: value})
        except dg.DagsterInvalidDefinitionError:
            return False
        return True

    assert {key: accepted(TagKey, key) for key in KEYS} == {key: loads(key, "") for key in KEYS}
    assert {value: accepted(TagValue, value) for value in VALUES} == {value: loads("a", value) for value in VALUES}


def test_a_schedule_that_is_valid_is_one_that_dagster_loads() -> None:
    taken = [line for line in LINES if accepted(Cron, line)]
    assert [line for line in taken if not is_valid_cron_string(line)] == []
    assert {"30 6 * * mon-fri", "@daily", "0 0 29 2 *", "5 5 l 5 5", "5 5 5 5 5#1"} <= set(taken)
    assert not {"0 0 30 2 *", "0 0 031 FEB *", "", "0 0 6 * * *"} & set(taken)


@pytest.mark.parametrize("within", [timedelta(seconds=59), timedelta(minutes=1), timedelta(0)], ids=str)
def test_freshness_is_looked_at_as_often_as_dagster_does(within: timedelta) -> None:
    def loads() -> bool:
        try:
            return bool(dg.FreshnessPolicy.time_window(fail_window=within)) if within else True
        except dg._check.CheckError:
            return False

    assert accepted(FreshWithin, within) is loads()
