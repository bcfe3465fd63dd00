"""What has changed between declared columns and those of a file, and the line that accepts it."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from adplatform.contracts.accepting import accepting
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import ChangeKind, SchemaChange, merged
from adplatform.contracts.undeclared_names import is_certainly_name, mark_of
from adplatform.transform.layouts import Names
from adplatform.transform.schema_differences import differences

COLUMNS = {"day": "date", "campaign": "string", "cost": "decimal(18,2)", "clicks": {"type": "int", "required": True}}


def contract(columns: Any = COLUMNS, **settings: Any) -> Contract:
    return Contract.model_validate({"columns": columns, **settings})


def found(declared: Contract, header: Sequence[str], **more: Any) -> tuple[SchemaChange, ...]:
    return differences(declared, header, Names.of(declared).column, "file:1", **more)


def applied(columns: Iterable[str], changes: Iterable[SchemaChange]) -> list[str]:
    names = list(columns)
    for change in changes:
        if change.kind is ChangeKind.ADDED:
            names.append(change.mark or change.column)
        elif change.kind is ChangeKind.VANISHED:
            names.remove(change.column)
        else:
            names[names.index(change.column)] = change.became
    return names


NAMES = st.lists(
    st.sampled_from(["day", "cost", "costs", "Cost EUR", "clicks", "click", "ann@example.com", "c 1", "x", "y"]),
    unique=True,
    min_size=1,
)


@given(st.sets(st.sampled_from(["day", "cost", "clicks", "x", "y"]), min_size=1), NAMES)
def test_the_difference_applied_to_the_old_columns_gives_the_new(old: set[str], new: list[str]) -> None:
    declared = contract(dict.fromkeys(sorted(old), "string"))
    changes = found(declared, new)
    if not old & set(new):
        assert changes == ()
        return
    renamed = {change.became for change in changes}
    shown = {name if is_certainly_name(name) or name in renamed else mark_of(name) for name in new}
    assert set(applied(old, changes)) == shown
    assert len({change.key for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        (["day", "campaign", "cost", "clicks"], []),
        (["clicks", "cost", "day", "campaign"], []),
        (["ann@example.com", "7"], []),  # is no header
        (["day", "campaign", "Cost", "clicks"], ["renamed/cost/Cost"]),
        (["day", "campaign", "spend", "clicks"], ["renamed/cost/spend"]),
        (["day", "campaign", "clicks", "spend"], ["vanished/cost/", "added/spend/"]),
        (["day", "campaign", "12345 Main St", "clicks"], ["vanished/cost/", f"added/{mark_of('12345 Main St')}/"]),
        (["day", "campaign", "cost", "clicks", "new", "newer"], ["added/new/", "added/newer/"]),
    ],
)
def test_columns_are_compared_as_people_think_of_them(header: list[str], changes: list[str]) -> None:
    assert [change.key for change in found(contract(), header)] == changes


def test_of_a_name_that_may_be_a_value_the_place_is_said() -> None:
    [change] = found(contract(), ["day", "campaign", "cost", "Ann Lee", "clicks"])
    assert (change.place, "Ann" in repr(change), "number 4" in str(change)) == (4, False, True)
    assert accepting(contract(), change) == ""


@pytest.mark.parametrize(
    ("declared", "header", "types", "line"),
    [
        ({}, [*COLUMNS, "new"], {"new": "bigint"}, "new: bigint"),
        ({"schema_policy": "evolve"}, [*COLUMNS, "new"], {"new": "bigint"}, "new: string"),
        ({}, [*COLUMNS, "E-Mail"], {}, "e_mail: {pii: email, field: E-Mail}"),
        ({}, [*COLUMNS, "City"], {}, "city: {type: string, field: City}"),
        ({}, [*COLUMNS, "New_Name"], {}, "new_name: {type: string, field: New_Name}"),
        ({"format": {"header_match": "loose"}}, [*COLUMNS, "New_Name"], {}, "new_name: string"),
        ({}, ["day", "campaign", "clicks"], {}, "cost: {type: 'decimal(18,2)', optional: true}"),
        (
            {"defaults": {"trim": True}},
            ["day", "campaign", "clicks"],
            {},
            "cost: {type: 'decimal(18,2)', optional: true}",
        ),
        ({}, ["day", "campaign", "cost"], {}, ""),  # it is required
        ({}, ["day", "campaign", "cost", "Clicks"], {}, "clicks: {type: int, required: true, field: [clicks, Clicks]}"),
    ],
)
def test_the_line_that_accepts_a_change_is_one_of_a_contract_that_accepts_it(
    declared: dict[str, Any], header: list[str], types: dict[str, str], line: str
) -> None:
    before = contract(**declared)
    [change] = found(before, header, types=types)
    assert accepting(before, change) == line
    if line:
        after = contract({**COLUMNS, **yaml.safe_load(line)}, **declared)
        assert found(after, header) == ()


def test_a_column_of_another_type_is_declared_under_a_name_of_its_own() -> None:
    change = SchemaChange(ChangeKind.RETYPED, "cost", "double")
    assert accepting(contract(), change) == "cost_double: {type: double, field: cost}"
    assert accepting(contract(), SchemaChange(ChangeKind.RETYPED, "cost")) == ""
    least = contract({"cost": {"type": "int", "min": 0, "required": True}})
    to_text = SchemaChange(ChangeKind.RETYPED, "cost", "string")
    assert accepting(least, to_text) == "cost_string: {type: string, required: true, field: cost}"
    email = contract({"email": {"pii": "email"}})
    assert accepting(email, SchemaChange(ChangeKind.RETYPED, "email", "bigint")) == ""


def test_the_first_file_with_a_change_counts() -> None:
    some = [SchemaChange(ChangeKind.ADDED, name, file=file) for name, file in (("a", "1"), ("b", "1"), ("a", "2"))]
    assert [(each.column, each.file) for each in merged(some)] == [("a", "1"), ("b", "1")]
