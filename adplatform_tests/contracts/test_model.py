"""What a contract may say, and the sentence that a user reads for each thing it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Bounds, Contract, RowCheck
from adplatform.contracts.pii import PiiKind, Treatment
from adplatform.contracts.strict import RenamedSetting


def contract(columns: Any, **settings: Any) -> Contract:
    return Contract.model_validate({"columns": columns, **settings})


def refusal(columns: Any, **settings: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        contract(columns, **settings)
    return "; ".join(error["msg"].removeprefix("Value error, ") for error in refused.value.errors())


def test_a_bare_name_a_bare_type_and_settings_are_all_columns() -> None:
    columns = contract({"a": None, "b": "int", "c": {"type": "date", "field": "C c"}, "d": {}}).columns
    assert [(c.name, c.type, c.field_name) for c in columns] == [
        ("a", "string", "a"),
        ("b", "int", "b"),
        ("c", "date", "C c"),
        ("d", "string", "d"),
    ]


def test_short_spellings_mean_the_long_ones() -> None:
    short = contract(
        {"id": {"required": True, "pii": "email"}, "at": "timestamp", "n": {"type": "int", "min": 0}},
        key="id",
        latest_by="at",
    )
    long = contract(
        {
            "id": {"type": "string", "required": True, "pii": {"kind": "email", "treatment": ["lake"]}},
            "at": {"type": "timestamp"},
            "n": {"type": "int", "min": "0"},
        },
        key=["id"],
        latest_by=["at"],
    )
    assert short == long


def test_several_names_of_a_column_survive_as_text() -> None:
    made = contract({"a": {"field": ["x", "y"]}, "b": {"field": "z"}, "c": None}, format={"header_match": "loose"})
    again = Contract.model_validate_json(made.model_dump_json())
    assert again == made
    assert [(c.field_name, c.field_names) for c in again.columns] == [("x", ("x", "y")), ("z", ("z",)), ("c", ("c",))]


def test_names_that_are_compared_loosely_must_differ_so() -> None:
    columns = {"a": {"field": ["Amount spent", "amount_spent"]}, "b": {"field": "AMOUNT"}}
    assert contract(columns, format={"header_match": "loose"}).compared("Amount_Spent\u00a0") == "amountspent"
    columns["b"] = {"field": "AmountSpent"}
    assert contract(columns)
    said = refusal(columns, format={"header_match": "loose"})
    assert said == "two columns read 'amountspent' when names are compared loosely"


def test_earlier_names_of_settings_are_taken_and_reported() -> None:
    with pytest.warns(RenamedSetting) as reported:
        old = contract({"mail": {"source": "E-Mail", "pii": {"kind": "email", "profiles": "meta"}}})
    assert sorted(str(each.message) for each in reported) == [
        "column mail: the setting source is called field now; write field",
        "the setting profiles is called treatment now; write treatment",
    ]
    assert old == contract({"mail": {"field": "E-Mail", "pii": {"kind": "email", "treatment": "meta"}}})


def test_an_earlier_name_beside_the_present_one_is_refused() -> None:
    assert refusal({"mail": {"source": "a", "field": "b"}}) == "source is the earlier name of field: give field alone"


def test_personal_columns_say_whether_a_key_is_needed() -> None:
    assert contract({"e": {"pii": "email"}}).needs_key
    assert not contract({"e": {"pii": {"kind": "email", "treatment": "meta"}}}).needs_key
    assert [(c.name, p.kind, p.treatment) for c, p in contract({"a": None, "e": {"pii": "phone"}}).pii_columns()] == [
        ("e", PiiKind.PHONE, (Treatment.LAKE,))
    ]


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({}, "declare at least one column"),
        ({"a": 5}, "Input should be a valid dictionary or instance of Column"),
        ({"a": ["string"]}, "Input should be a valid dictionary or instance of Column"),
        ({"a": True}, "Input should be a valid dictionary or instance of Column"),
        ({1: "string"}, "Input should be a valid string"),
        (
            {"a": {"name": "b"}},
            "column a: its name is what stands before the colon; the files' spelling goes to field",
        ),
        ({"a": {"unless": "b"}}, "column a: unless is set by the platform; leave it out"),
        ({"a": {"identifies": True}}, "column a: identifies is set by the platform; leave it out"),
        ({"a": {"requird": True}}, "Extra inputs are not permitted"),
        ({"Campaign id": None}, "'Campaign id' is not a catalog name"),
        ({"dt": "date"}, "'dt' is a name the platform adds itself; choose another and give it as field"),
        ({"_source_file": None}, "'_source_file' is a name the platform adds itself"),
        ({"a": "text"}, "unknown type 'text': use one of string, int"),
        ({"a": {"field": "x"}, "b": {"field": "x"}}, "two columns read 'x'"),
        ({"a": {"field": ["x", "y"]}, "b": {"field": ["z", "y"]}}, "two columns read 'y'"),
        ({"a": {"field": ["x", "b"]}, "b": None}, "two columns read 'b'"),
        ({"a": {"field": []}}, "field lists the different names that files have for the column"),
        ({"a": {"field": ["x", "x"]}}, "field lists the different names that files have for the column"),
        ({"a": {"field": ["x", ""]}}, "field lists the different names that files have for the column"),
        ({"a": {"type": "int", "pii": "phone"}}, "column a: personal data is text; type must be string, not int"),
        ({"a": {"expression": "1", "required": True}}, "an expression is computed, so field and required do not"),
        ({"a": {"type": "date", "formats": ["%d.%m"]}}, "column a: format '%d.%m' needs one of %Y, %y"),
        ({"a": {"formats": ["%Y%m%d"]}}, "column a: formats are for dates and timestamps"),
        ({"a": {"decimal_comma": True}}, "column a: decimal_comma is for numbers"),
        ({"a": {"min": 1}}, "column a: min and max need a number, date or timestamp"),
        ({"a": {"type": "int", "max": True}}, "Input should be a valid string"),
        ({"a": {"pattern": "[a-z"}}, "pattern '[a-z' is not a regular expression: unterminated character set"),
        ({"a": {"allowed": [False, "DE"]}}, "False is not text in YAML: put it in quotes (NO, ON and 1 lose their"),
        ({"a": {"type": "boolean", "true_values": [1]}}, "1 is not text in YAML: put it in quotes"),
        ({"a": {"pii": "mail"}}, "Input should be 'email', 'phone', "),
        (
            {"a": {"pii": {"kind": "email", "treatment": []}}},
            "treatment is empty: name at least one of lake, amazon_ads",
        ),
        ({"a": {"pii": {"kind": "email", "treatment": ["lake", "lake"]}}}, "treatment names one twice"),
        ({"a": {"pii": {"kind": "email", "treatment": "short_id"}}}, "short_id is cut from the lake digest"),
        ({"a": {"pii": {"kind": "email", "treatment": ["lake", "drop"]}}}, "drop stores nothing, so it cannot stand"),
        ({"a": {"pii": {"kind": "email", "treatment": ["clear", "meta"]}}}, "clear stores the value itself, so it"),
        ({"a": {"pii": {"kind": "phone", "country": "de"}}}, "String should match pattern '^[A-Z]{2}$'"),
        (
            {"a": {"pii": {"kind": "phone", "country": "DE", "country_column": "c"}}},
            "give country or country_column, not",
        ),
        ({"a": {"pii": {"kind": "phone", "country_column": "c"}}}, "column a: country_column 'c' is not declared"),
    ],
)
def test_a_column_that_makes_no_sense_is_refused(columns: Any, sentence: str) -> None:
    assert sentence in refusal(columns)


ID = {"required": True}
PII_ID = {"required": True, "pii": {"kind": "email", "treatment": "meta"}}


@pytest.mark.parametrize(
    ("columns", "settings", "sentence"),
    [
        ({"a": ID}, {"key": "b"}, "key names column 'b', which is not declared"),
        ({"a": ID}, {"key": "a", "latest_by": "b"}, "latest_by names column 'b', which is not declared"),
        ({"a": ID}, {"latest_by": "a"}, "latest_by needs key: it decides between rows of one key"),
        ({"a": None}, {"key": "a"}, "key column a must be required: a row without its key cannot be placed"),
        ({"a": ID}, {"partition_by": "b"}, "partition_by names column 'b', which is not declared"),
        (
            {"a": None},
            {"partition_by": "a"},
            "partition_by a: must be required and of type date, string, int or bigint",
        ),
        ({"a": {"type": "double", **ID}}, {"partition_by": "a"}, "partition_by a: must be required and of type date"),
        ({"a": PII_ID}, {"partition_by": "a"}, "partition_by a: a partition value is readable by all"),
        ({"a": {"drop": True, **ID}}, {"partition_by": "a"}, "partition_by a: a partition value is readable by all"),
        (
            {"p": ID, "k": ID},
            {"partition_by": "p", "key": "k"},
            "rows of one key are compared within a partition, so write key: [k, p]",
        ),
        (
            {"p": ID, "k": PII_ID, "at": "timestamp"},
            {"partition_by": "p", "key": ["k", "p"], "latest_by": "at"},
            "key k: must be stored (treatment lake or clear) when partition_by names a column",
        ),
        (
            {"p": ID, "k": ID, "at": {"type": "timestamp", "drop": True}},
            {"partition_by": "p", "key": ["k", "p"], "latest_by": "at"},
            "latest_by at: must be stored in clear when partition_by names a column",
        ),
        ({"a": ID}, {"schema_policy": "ignore"}, "Input should be 'freeze', 'evolve' or 'quarantine'"),
        ({"a": ID}, {"primary_key": "a"}, "Extra inputs are not permitted"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(columns: Any, settings: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(columns, **settings)


def test_a_list_that_declares_a_column_twice_is_refused() -> None:
    assert refusal([{"name": "a"}, {"name": "a", "field": "b"}]) == "column a is declared twice"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"kind": "xml"}, "Input should be 'csv', 'ndjson', 'json', 'parquet', 'xlsx' or 'avro'"),
        ({"encoding": "utf-9"}, "unknown encoding 'utf-9'"),
        ({"delimiter": "|||||"}, "String should have at most 4 characters"),
        ({"delimiter": "€€"}, "has more than 4 bytes in UTF-8"),
        ({"delimiter": '"|'}, "holds the quote, the escape or a line end"),
        ({"max_record": "17MB"}, "a record may have 1KB to 16MB, not 17MB"),
        (
            {"kind": "ndjson", "header_match": "loose"},
            "header_match: loose is for tables; members of ndjson are named exactly",
        ),
        ({"delimiter": ""}, "String should have at least 1 character"),
        ({"skip_lines": -1}, "Input should be greater than or equal to 0"),
        ({"seperator": ";"}, "Extra inputs are not permitted"),
        ({"comment": ""}, "a text of comment is empty, with which every line begins"),
        ({"comment": '"#'}, "comment is the text with which lines begin that are left out: no line end and no quote"),
        ({"skip_footer": -1}, "skip_footer is a number of lines from 0 to 1000, or starts_with"),
        ({"repeated_header": "leave_out", "header": False}, "repeated_header: leave_out needs a header"),
        (
            {"kind": "ndjson", "comment": "#"},
            "are for csv and xlsx, and kind is ndjson; skip_rows_where leaves rows out",
        ),
        ({"header": {"starts_with": "Date"}, "kind": "parquet"}, "are for csv and xlsx, and kind is parquet"),
    ],
)
def test_a_file_format_that_nothing_reads_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=r"1 validation error") as refused:
        FileFormat.model_validate(settings)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("texts", ["", [], ["a", ""], "a\nb"])
def test_a_line_without_a_text_to_begin_with_is_refused(texts: Any) -> None:
    for setting in ("header", "skip_footer"):
        with pytest.raises(ValidationError, match="none of them empty or with a line end"):
            FileFormat.model_validate({setting: {"starts_with": texts}})


def test_other_parts_refuse_what_is_out_of_range() -> None:
    with pytest.raises(ValidationError, match="should be less than or equal to 1"):
        Bounds(max_quarantined=20)
    with pytest.raises(ValidationError, match="should match pattern"):
        RowCheck(name="No spaces", expression="true")


def test_a_contract_never_changes_after_the_check() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        contract({"a": None}).key = ("b",)  # type: ignore[misc]
