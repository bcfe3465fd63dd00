"""Naming conventions as they are written, and the sentence that a user reads for each that is none."""

import re
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from adplatform.changes.pulled import keys_feed
from adplatform.contracts.changes import ChangedTable
from adplatform.contracts.database import TableFeed
from adplatform.contracts.feed import Feed
from adplatform.contracts.model import Contract
from adplatform.contracts.naming import named_columns
from adplatform.failures import PermanentFailure
from adplatform.transform.compile import compile_contract
from adplatform.transform.layouts import names_taken
from adplatform_tests.contracts.test_model import contract, refusal
from adplatform_tests.support.projects import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PATTERN = "{market}_{channel}_{yyyymm}"
COLUMNS = {"name": None, "cost": "double", "id": "int"}


def naming(**settings: Any) -> Contract:
    return contract(COLUMNS, naming={"name": PATTERN, **settings})


def test_conventions_are_a_pattern_several_or_settings_and_survive_as_text() -> None:
    settings = {"name": {"patterns": [PATTERN]}, "allowed": {"market": "de"}, "at_least": 0.95}
    made = naming(allowed={"market": ["de"]}, at_least="95%")
    assert made == naming(name=[PATTERN], allowed={"market": "de"}, at_least=0.95) == naming(**settings)
    assert Contract.model_validate_json(made.model_dump_json()) == made
    schema = Draft202012Validator(Contract.model_json_schema())
    for each in ({"name": PATTERN, "at_least": "95%"}, {"name": [PATTERN, "{a}"]}, settings):
        assert [error.message for error in schema.iter_errors({"columns": COLUMNS, "naming": each})] == []
    assert not schema.is_valid({"columns": COLUMNS, "naming": {"name": {"pattern": PATTERN}}})


def test_the_example_of_the_readme_divides_names() -> None:
    [block] = re.findall(r"```yaml\n( +- name: spend\n(?:(?!```).)*? naming:\n.*?)```", README, re.DOTALL)
    [feed] = yaml.safe_load(block)
    fields = [each.field for each in named_columns(Feed.model_validate(feed).naming)]
    assert fields == ["market", "channel", "objective", "yyyymm", "note", ""]


def test_columns_are_called_by_the_column_or_a_prefix_and_say_what_they_are() -> None:
    made = contract(
        {"ad": None, "name": None},
        naming={"ad": {"patterns": ["{b}-{a}", "{c}|{a}"], "prefix": "p"}, "name": "{a}", "allowed": {"a": ["x"]}},
    )
    assert [(each.name, each.allowed) for each in named_columns(made.naming)] == [
        *(("p_b", ()), ("p_a", ("x",)), ("p_c", ()), ("ad_conforms", ())),
        *(("name_a", ("x",)), ("name_conforms", ())),
    ]
    comments = [each.comment for each in named_columns(made.naming)]
    assert comments[:1] + comments[3:4] == ["b of ad, by its naming convention.", "Whether ad is named as {b}-{a}"]


def test_dates_are_due_again_where_rows_become_others_and_not_for_what_a_check_allows() -> None:
    digest = naming().rows_digest
    assert naming(at_least="80%", by="rows").rows_digest == digest
    others = [naming(allowed={"market": ["de"]}), naming(name="{market}"), contract(COLUMNS)]
    assert digest not in {each.rows_digest for each in others}


def test_a_contract_without_conventions_is_the_sql_that_it_was() -> None:
    statement = compile_contract(contract(COLUMNS)).clean
    columns = ", ".join(f'"{name}" as "{name}"' for name in COLUMNS)
    assert statement == f'select {columns}, _origin as "_source_file" from latest join files using (_file)'


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("brand", "has no field: write names of fields in braces, as in {market}_{channel}_{yyyymm}"),
        ("{a}{b}_{c}", "has {a} and {b} side by side, so that nothing says where the first ends"),
        ("{a}_{b}_{a}", "has {a} twice"),
        ("{a}_{B}", "has the field {B}: write a name of small letters, digits and _"),
        ("{a}_{b}}", "has a brace that belongs to no field"),
        ("{a:%H}", "has the field {a:%H}, whose format '%H' needs some of %Y, %y, %m, %b, %B, %d, and nothing of a"),
        ("{a:%m%b}", "has the field {a:%m%b}, whose format '%m%b' has two of %m, %b, %B"),
        ("{a:%Y-%m}-{b}", "has {a:%Y-%m} before '-', which its dates may hold, too"),
        ("{yyyymm}1{b}", "has {yyyymm} before '1', which its dates may hold, too"),
        ("{a*}_{b}", "has {a*} before its end: it is all that is left, so put it last"),
        ("{a}_{b?}_{c}", "has {b?} before a field that is always there: put those that may be missing last"),
        ("{a?}_{b?}", "begins with {a?}: a name has its first field always"),
    ],
)
def test_a_pattern_that_is_none_or_not_clear_is_refused(pattern: str, sentence: str) -> None:
    assert f"pattern {pattern!r} {sentence}" in refusal(COLUMNS, naming={"name": pattern})


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "name a column with the pattern of its names"),
        ({"nam": "{a}"}, "naming: column 'nam' is not declared (did you mean name?)"),
        ({"name": "{a}", "alowed": {"a": ["x"]}}, "'alowed' is no setting (did you mean allowed?), and no column with"),
        ({"name": "{a}", "at_leest": "5%"}, "'at_leest' is no setting (did you mean at_least?)"),
        ({"cost": "{a}"}, "naming: column cost is of type double: only text is made by a convention"),
        ({"mail": "{a}"}, "naming: column mail is personal data, of which no part is stored"),
        ({"gone": "{a}"}, "naming: column gone is dropped, and so are its parts"),
        ({"name": {"patterns": "{id}", "prefix": "x"}}, "naming: name: x_id is a declared column: choose another"),
        ({"name": {"patterns": "{file}", "prefix": "_source"}}, "_source_file is no name that a column may have"),
        ({"name": "{a}", "note": {"patterns": "{a}", "prefix": "name"}}, "name_a is what naming makes of name"),
        ({"name": "{a}", "by": "spent"}, "naming: by names 'spent', which is no column of numbers"),
        ({"name": "{a}", "at_least": "most"}, "'most' is no share: write 95% or 0.95"),
        (
            {"name": "{market}", "allowed": {"markt": ["x"]}},
            "allowed names field 'markt', which no pattern has (did you",
        ),
        ({"name": "{a}_{yyyymm}", "aliases": {"yyyymm": {"x": "y"}}}, "aliases names field 'yyyymm', which is a date"),
        ({"name": "{a}", "allowed": {"a": [False]}}, "a: False is not text in YAML: put it in quotes (NO, ON and 1"),
        ({"name": "{a}", "allowed": {"a": ["x", "X"]}}, "allowed: a has 'x' twice, as names are compared"),
        ({"name": "{a}_{b}", "allowed": {"a": ["x_y"]}}, "allowed: no name has the a 'x_y', since '_' ends that field"),
        ({"name": "{a}_{b}", "aliases": {"a": {"x_y": "z"}}}, "aliases: no name has the a 'x_y', since '_' ends that"),
        ({"name": "{a}", "allowed": {"a": ["x"]}, "aliases": {"a": {"y": "z"}}}, "'y' stands for 'z', which a may not"),
    ],
)
def test_conventions_that_a_table_cannot_have_are_refused(settings: dict[str, Any], sentence: str) -> None:
    columns = {**COLUMNS, "x_id": "int", "note": None, "mail": {"pii": "email"}, "gone": {"drop": True}}
    assert sentence in refusal(columns, naming=settings)


def test_values_with_a_separator_stand_last_or_have_another_spelling_in_names() -> None:
    settings = {"allowed": {"channel": ["paid_social"]}, "aliases": {"channel": {"ps": "paid_social"}}}
    assert contract(COLUMNS, naming={"name": "{channel}_{a}", **settings}).naming
    assert contract(COLUMNS, naming={"name": "{a}_{channel}", "allowed": {"channel": ["paid_social"]}}).naming


def test_no_other_column_has_the_name_of_one_that_naming_makes() -> None:
    assert names_taken(naming(), ())["name_market"] == "what naming makes of name"
    columns = {"name": None, "email": {"pii": "email"}}
    clashing = contract(columns, naming={"name": {"patterns": "{lake}", "prefix": "email"}})
    with pytest.raises(PermanentFailure, match="naming: name: email_lake is what email is stored as; choose another"):
        compile_contract(clashing)


def test_keys_that_are_read_alone_have_no_names() -> None:
    columns = {"id": {"type": "int", "required": True}, "at": "timestamp", "name": None}
    compared = {"incremental": {"cursor": "at", "keys": {"every": "1d"}}, "outputs": ["current"], "key": "id"}
    declared = {"name": "ads", "start_date": "2026-01-01", "columns": columns, "naming": {"name": "{a}"}}
    assert keys_feed(TableFeed.model_validate({**declared, **compared})).naming is None


def test_names_are_not_divided_of_a_column_that_changes_may_leave_out() -> None:
    declared = {
        **{"name": "ads", "table": "public.ads", "start_date": "2026-01-01", "key": "id", "unchanged": "name"},
        **{"columns": {"id": {"type": "int", "required": True}, "name": None}, "naming": {"name": "{a}"}},
    }
    with pytest.raises(ValidationError, match="unchanged names 'name', which naming divides"):
        ChangedTable.model_validate(declared)
