"""Presets: what stands beside one goes before it, and what one came to is what a contract is."""

import re
from importlib import resources
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.contracts.feed import Arrival, Feed
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.model import Contract
from adplatform.contracts.presets import NAMES, preset_of, resolved_contract
from adplatform.contracts.spelling import ColumnDefaults

COLUMNS = {"day": "date", "cost": "decimal(12,2)", "clicks": "bigint", "name": "string"}


def contract(fmt: dict[str, Any], **more: Any) -> Contract:
    return Contract.model_validate({"columns": COLUMNS, "format": fmt, **more})


def feed(fmt: dict[str, Any], **more: Any) -> Feed:
    return Feed.model_validate(
        {"name": "orders", "start_date": "2026-01-01", "columns": COLUMNS, "format": fmt, **more}
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_settings_that_go_together_with_a_source_for_its_facts(name: str) -> None:
    preset = preset_of(name)
    FileFormat.model_validate(preset.format)
    ColumnDefaults.model_validate(preset.defaults)
    re.compile(preset.looks_like, re.MULTILINE)
    assert all(preset.sources)
    contract({"preset": name})


def test_every_file_of_a_preset_is_a_name_that_may_be_given() -> None:
    files = (resources.files("adplatform.contracts") / "exporter_presets").iterdir()
    assert sorted(file.name.removesuffix(".yaml") for file in files) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_contract_holds_what_its_preset_came_to_and_is_the_same_once_stored(name: str) -> None:
    made = contract({"preset": name})
    assert made.format.preset is None
    for stored in (made.model_dump_json(), made.model_dump_json(exclude_unset=True)):
        assert f'"{name}"' not in stored
        assert Contract.model_validate_json(stored) == made
    preset = preset_of(name)
    assert made == contract(preset.format, defaults=preset.defaults, columns={**COLUMNS, **preset.columns})


def test_what_is_said_beside_a_preset_goes_before_it_setting_by_setting() -> None:
    made = contract(
        {"preset": "google_ads_excel", "encoding": "utf-8", "skip_footer": 1},
        defaults={"thousands": " ", "special": {}},
    )
    assert (made.format.encoding, made.format.delimiter, made.format.skip_footer) == ("utf-8", "\t", 1)
    cost = made.column("cost")
    assert (cost.thousands, cost.percent, cost.special) == (" ", "points", {})


def test_a_column_goes_before_a_preset_and_what_is_said_beside_it() -> None:
    columns = {**COLUMNS, "cost": {"type": "decimal(12,2)", "thousands": "'", "trim": False}}
    made = Contract.model_validate(
        {"columns": columns, "format": {"preset": "excel_en"}, "defaults": {"thousands": " ", "negative": []}}
    )
    cost, clicks = made.column("cost"), made.column("clicks")
    assert (cost.thousands, cost.trim, cost.currency, cost.negative) == ("'", False, ("$", "USD"), ())
    assert (clicks.thousands, clicks.trim) == (" ", True)


@pytest.mark.parametrize(
    ("preset", "beside", "read"),
    [
        ("excel_en", {"decimal_comma": True}, (True, None)),
        ("excel_en", {"decimal_comma": True, "thousands": "."}, (True, ".")),
        ("excel_de", {"thousands": ","}, (False, ",")),
        ("excel_de", {"decimal_comma": False, "thousands": ","}, (False, ",")),
    ],
)
def test_a_comma_beside_a_preset_has_one_meaning(
    preset: str, beside: dict[str, Any], read: tuple[bool, str | None]
) -> None:
    cost = contract({"preset": preset}, defaults=beside).column("cost")
    assert (cost.decimal_comma, cost.thousands) == read


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "json", "ndjson", "avro"])
def test_another_kind_beside_a_preset_takes_of_it_what_that_kind_has(kind: str) -> None:
    for name in NAMES:
        made = contract({"preset": name, "kind": kind})
        assert made.format.kind == kind
        assert made.format.null_values == tuple(preset_of(name).format.get("null_values", ()))
        assert kind != "xlsx" or made.column("cost").decimal_mark == "."


def test_a_range_of_a_workbook_beside_a_preset_says_where_the_header_is() -> None:
    assert contract({"preset": "google_ads_ui", "kind": "xlsx", "range": "A3"}).format.skip_lines == 0


def test_defaults_that_were_built_before_are_laid_over_a_preset() -> None:
    made = contract({"preset": "excel_de"}, defaults=ColumnDefaults(thousands=" "))
    assert (made.column("cost").thousands, made.column("cost").decimal_comma) == (" ", True)


def test_an_unknown_preset_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValidationError, match=r"no preset 'linkdin' \(did you mean linkedin\?\); there are airbyte"):
        contract({"preset": "linkdin"})
    with pytest.raises(ValidationError, match="preset"):
        contract({"preset": 5})


def test_a_contract_without_a_preset_is_left_as_it_is() -> None:
    given = {"columns": COLUMNS, "format": {"delimiter": ";"}}
    assert resolved_contract(given) is given


def test_the_schema_lists_the_presets() -> None:
    shown = FileFormat.model_json_schema()["properties"]["preset"]
    assert shown["anyOf"][0]["enum"] == list(NAMES)
    assert "excel_de" in shown["description"]


@pytest.mark.parametrize("name", ["dlt", "airbyte"])
def test_a_preset_of_a_loader_says_where_its_files_lie_and_drops_the_columns_that_it_adds(name: str) -> None:
    made, preset = feed({"preset": name}), preset_of(name)
    assert made.landing == preset.feed["landing"]
    assert made.arrival == Arrival.model_validate(preset.feed["arrival"])
    added = [column for column in made.columns if column.name not in COLUMNS]
    assert {column.name for column in added} == preset.columns.keys()
    assert all(column.drop and column.optional for column in added)


def test_what_a_feed_says_beside_a_preset_of_a_loader_goes_before_it() -> None:
    joined = {**COLUMNS, "_dlt_id": "string", "parent": {"field": "_dlt_parent_id"}}
    arrival = {"load_marker": "shop/_dlt_loads/crm__{load}.jsonl", "deadline": "6h"}
    made = feed({"preset": "dlt"}, columns=joined, landing="shop/{feed}/{load}.{file}", arrival=arrival)
    assert made.landing == "shop/{feed}/{load}.{file}"
    assert (made.arrival.complete_when, made.arrival.load_marker) == ("load_marker", arrival["load_marker"])
    assert not made.column("_dlt_id").drop
    assert "_dlt_parent_id" not in {column.name for column in made.columns}
    done = feed({"preset": "airbyte"}, arrival={"complete_when": "done_file"}).arrival
    assert (done.complete_when, done.quiet_period) == ("done_file", Arrival().quiet_period)
