"""Settings are read in either spelling, and whatever JSON holds, reading it does not fail."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adplatform.engines.dms_settings.check import check, not_looked_at
from adplatform.engines.dms_settings.defaults import S3_SETTINGS, TASK_SETTINGS
from adplatform.engines.dms_settings.documents import Checked, target_section
from adplatform.engines.dms_settings.files import of_documents, of_files, read_json
from adplatform.engines.dms_settings.mappings import covers, matches, may_meet
from adplatform.engines.dms_settings.recommended import (
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)
from adplatform.failures import PermanentFailure
from adplatform_tests.support.dms_settings import TABLES, passing, with_target, with_task

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({*S3_SETTINGS, *TASK_SETTINGS, *(name for group in TASK_SETTINGS.values() for name in group)})
OBJECTS = st.dictionaries(
    st.sampled_from([*NAMES, "S3Settings", "ExtraConnectionAttributes", "Endpoints", "EndpointType", "rules"]),
    JSON | st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4),
    max_size=6,
)
RULE = st.dictionaries(
    st.sampled_from(
        (
            *("rule-type", "rule-action", "rule-target", "object-locator", "expression", "data-type", "filters"),
            *("parallel-load", "rule-id", "value"),
        )
    ),
    JSON
    | st.sampled_from(["selection", "transformation", "table-settings", "include", "add-column", "column"])
    | st.just("$AR_H_CHANGE_SEQ")
    | st.dictionaries(
        st.sampled_from(["schema-name", "table-name", "column-name", "type", "length", "columns", "boundaries"]), JSON
    ),
)


def attributes(**given_: object) -> Checked:
    """Recommended settings, some of them as extra connection attributes of an endpoint."""
    endpoint = target_endpoint("lake", "landing/shop")
    for name in given_:
        endpoint["S3Settings"].pop(name[0].upper() + name[1:], None)
    endpoint["ExtraConnectionAttributes"] = ";".join(f"{name}={value}" for name, value in given_.items())
    return replace(passing(), target=target_section("endpoint.json", endpoint))


@pytest.mark.parametrize("value", ["true", "y", "Y", "TRUE"])
def test_extra_connection_attributes_are_settings_in_the_other_spelling(value: str) -> None:
    [found] = check(attributes(cdcInsertsOnly=value))
    assert found.number == 1
    assert found.where == "endpoint.json: $.ExtraConnectionAttributes (cdcInsertsOnly)"
    assert check(attributes(cdcInsertsOnly="n", includeOpForFullLoad="y", timestampColumnName="at")) == []


def test_settings_that_contradict_attributes_are_refused() -> None:
    endpoint = target_endpoint("lake", "landing/shop")
    endpoint["ExtraConnectionAttributes"] = "includeOpForFullLoad=false;dataFormat=PARQUET;maxFileSize=1048576"
    [found] = check(replace(passing(), target=target_section("endpoint.json", endpoint)))
    assert found.number == 0
    assert "differs from $.S3Settings.IncludeOpForFullLoad" in found.text


@pytest.mark.parametrize(
    ("checked", "where", "reason"),
    [
        (with_target(CdcInsertsOnly="maybe"), "$.S3Settings.CdcInsertsOnly", "is neither true nor false"),
        (with_target(DataFormat="orc"), "$.S3Settings.DataFormat", "is none of csv, parquet"),
        (with_target(CdcMinFileSize="32 MB"), "$.S3Settings.CdcMinFileSize", "is no whole number"),
        (with_target(TimestampColumnName=True), "$.S3Settings.TimestampColumnName", "is no text"),
        (with_task("Logging", EnableLogging=[]), "$.Logging.EnableLogging", "is neither true nor false"),
        (with_task("ErrorBehavior", DataErrorPolicy="STOP"), "$.ErrorBehavior.DataErrorPolicy", "is none of"),
    ],
)
def test_a_value_that_dms_would_not_take_is_refused(checked: Checked, where: str, reason: str) -> None:
    found = next(each for each in check(checked) if each.number == 0)
    assert found.where.endswith(where)
    assert reason in found.text


def test_empty_settings_have_the_defaults_of_dms() -> None:
    found = {each.number for each in check(of_documents(("e", {}), ("s", {}), ("m", {"rules": []})))}
    assert found == {0, 3, 4, 7, 15, 16, 17, 18, 19, 22, 23, 25, 26, 32, 46, 47}


def test_descriptions_of_aws_are_read_like_the_settings_themselves() -> None:
    endpoints = {"Endpoints": [postgres_endpoint(), target_endpoint("lake", "landing/shop")]}
    task = {
        "ReplicationTasks": [
            {
                "MigrationType": "cdc",
                "ReplicationTaskSettings": json.dumps(task_settings()),
                "TableMappings": json.dumps(table_mappings(TABLES)),
                "CdcStartPosition": "2026-03-01T00:00:00",
            }
        ]
    }
    checked = of_documents(("endpoints.json", endpoints), ("task.json", task), ("task.json", task))
    assert [each.number for each in check(checked)] == [44]
    assert checked.endpoint is not None
    assert checked.endpoint.is_postgres
    bare = target_endpoint("lake", "landing/shop")["S3Settings"]
    assert check(of_documents(("s3.json", bare), ("t.json", task_settings()), ("m.json", table_mappings(TABLES)))) == []


def test_a_file_that_is_no_json_names_the_line_and_column(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "settings.json"
    good.write_text("{}", encoding="utf-8")
    bad.write_text('{\n  "Logging": {\n    "EnableLogging": tru\n  }\n}', encoding="utf-8")
    with pytest.raises(PermanentFailure) as raised:
        of_files(good, bad, good)
    assert str(raised.value) == f"{bad}:3:22: no JSON: Expecting value"


@pytest.mark.parametrize(("content", "said"), [(b"\xff{}", "UTF-8"), (b"[" * 200_000, "too deeply")])
def test_a_file_that_is_no_text_or_has_no_end_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    with pytest.raises(PermanentFailure, match=said):
        read_json(file)
    with pytest.raises(PermanentFailure, match="No such file"):
        read_json(tmp_path / "missing.json")


def test_the_endpoint_of_another_engine_is_refused() -> None:
    with pytest.raises(PermanentFailure, match="'kinesis'"):
        target_section("endpoint.json", {"EngineName": "kinesis"})


@given(JSON | OBJECTS, JSON | OBJECTS, JSON | st.fixed_dictionaries({"rules": st.lists(RULE | JSON, max_size=3)}))
def test_whatever_json_holds_it_is_checked(endpoint: Any, settings: Any, mappings: Any) -> None:
    if isinstance(endpoint, dict):
        endpoint.pop("EngineName", None)
    checked = of_documents(("e", endpoint), ("s", settings), ("m", mappings))
    for found in check(checked):
        assert found.where
        assert found.text
    assert not_looked_at(checked)


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("%", "orders", True),
        ("order_", "orders", True),
        ("order[_]items", "order_items", True),
        ("order[_]items", "orderXitems", False),
        ("[a-d]%", "customers", True),
        ("[a-d]%", "orders", False),
        ("a.b", "aXb", False),
        ("[]", "[]", True),
    ],
)
def test_wildcards_mean_what_dms_says(pattern: str, name: str, does: bool) -> None:
    assert matches(pattern, name) is does


@pytest.mark.parametrize(
    ("pattern", "other", "does"),
    [
        ("%", "%", True),
        ("%", "order%", True),
        ("order%", "%", False),
        ("order_", "order%", False),
        ("order_items", "order_items", True),
        ("order[_]items", "order_items", False),
        ("o%", "order_", True),
    ],
)
def test_a_pattern_covers_another_only_where_nothing_escapes_it(pattern: str, other: str, does: bool) -> None:
    assert covers(pattern, other) is does


PATTERN = st.text(alphabet="ab%_", max_size=4)


@given(PATTERN, PATTERN, st.text(alphabet="ab_", max_size=5))
def test_what_is_covered_is_matched_and_what_is_matched_twice_meets(pattern: str, other: str, name: str) -> None:
    if matches(other, name):
        assert not covers(pattern, other) or matches(pattern, name)
        assert not matches(pattern, name) or may_meet(pattern, other)
