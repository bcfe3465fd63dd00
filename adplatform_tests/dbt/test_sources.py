"""What dbt is told of clean tables: columns, tests, freshness, personal data, and the assets that they are."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from adplatform.contracts.source import PushedSource
from adplatform.dbt.sources import sources_yaml
from adplatform.described.tables import Table, tables_of
from adplatform.flow.pushed import pushed_files
from adplatform.lake.catalog import Table as Catalogued
from adplatform.lake.table import Named
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import Settings

SETTINGS = Settings(env="local", home=Path("home"))
COLUMNS = {
    "order_id": {"type": "bigint", "required": True, "comment": "As {{ ref('shop') }} calls it."},
    "email": {"pii": {"kind": "email", "treatment": ["lake", "amazon_ads"]}, "required": True},
    "phone": {"pii": {"kind": "phone", "treatment": ["clear"]}},
    "status": {"allowed": ["NO", "placed"], "optional": True, "default": "unknown"},
    "stars": {"type": "int", "allowed": ["1", "2"]},
    "net": {"type": "decimal(12,2)", "allowed": ["1.00", "2.0"]},
    "day": {"type": "date", "required": True},
}


def tables(
    catalogued: Callable[[Named], Catalogued | None] = lambda _: None, path_copies: bool = True, **feed: Any
) -> dict[str, Table]:
    feed = {"name": "orders", "start_date": "2026-01-01", "columns": COLUMNS, **feed}
    declared = PushedSource.model_validate({"source": "acme", "feeds": [feed]})
    found = tables_of(pushed_files(declared, SETTINGS), "clean_", catalogued, path_copies=path_copies)
    return {table.name: table for table in found}


def told(table: Table) -> dict[str, Any]:
    """The table in YAML as dbt reads it, with columns by name."""
    [source] = yaml.safe_load(sources_yaml("acme", [table], "clean"))["sources"]
    assert (source["name"], source["schema"]) == ("acme", "clean_acme")
    [found] = source["tables"]
    return {**found, "columns": {column.pop("name"): column for column in found["columns"]}}


def test_every_clean_asset_of_the_declared_sources_is_a_table_by_its_name_in_the_catalog(
    code_location: dg.Definitions,
) -> None:
    specs = [spec for spec in code_location.resolve_all_asset_specs() if spec.key.path[0] == "clean"]
    assets = {tuple(spec.key.path): spec.metadata["dagster/table_name"] for spec in specs}
    found = [
        table
        for pattern in declared_patterns(SETTINGS)
        for table in tables_of(pattern, SETTINGS.database_prefix, lambda _: None, path_copies=True)
    ]
    tables_of_assets = {table.asset_key: f"{table.database}.{table.name}" for table in found if table.asset_key}
    assert tables_of_assets == assets
    views = sorted(table.name for table in found if not table.asset_key)
    assert views == ["customers_live", "orders_live", "orders_versions"]


def test_columns_have_the_tests_that_their_contract_promises_as_they_are_stored() -> None:
    columns = told(tables(description="All {% orders %}.")["orders"])["columns"]
    assert columns["order_id"] == {
        "description": "{% raw %}As {{ ref('shop') }} calls it.{% endraw %}",
        "data_type": "bigint",
        "quote": True,
        "data_tests": ["not_null"],
    }
    values = {name: column["data_tests"] for name, column in columns.items() if name in ("status", "stars")}
    assert values == {
        "status": [{"accepted_values": {"arguments": {"values": ["NO", "placed", "unknown"]}}}],
        "stars": [{"accepted_values": {"arguments": {"values": [1, 2], "quote": False}}}],
    }
    names = {"naming": {"note": {"patterns": "{market}_{what}", "prefix": "n"}, "allowed": {"market": ["de", "NO"]}}}
    divided = told(tables(columns={"note": None}, **names)["orders"])["columns"]
    assert divided["n_market"]["data_tests"] == [{"accepted_values": {"arguments": {"values": ["de", "NO"]}}}]
    assert divided["n_what"] == {"description": "what of note, by its naming convention.", "data_type": "string"}
    assert divided["note_conforms"]["data_type"] == "boolean"
    assert columns["net"] == {"data_type": "decimal(12,2)"}, "texts of fractions say nothing of values"
    assert columns["dt"]["data_type"] == "string"
    personal = {name: column["config"] for name, column in columns.items() if "config" in column}
    assert personal["email_lake"] == {"tags": ["pii"], "meta": {"pii": "email", "profile": "lake", "form": "digest"}}
    assert personal["phone"]["meta"]["form"] == "clear"
    assert personal.keys() == {"email_lake", "email_amazon_ads", "phone"}
    assert "data_tests" not in columns["email_lake"], "a value that cannot be normalised has no digest"


@pytest.mark.parametrize(
    ("feed", "rows"),
    [
        ({}, None),
        ({"key": "order_id"}, 'row("dt", "order_id")'),
        ({"key": ["order_id", "day"], "partition_by": "day"}, 'row("order_id", "day")'),
        ({"key": ["order_id", "email"], "partition_by": None}, 'row("order_id", "email_lake")'),
        ({"key": ["day", "email"], "partition_by": "day"}, 'row("day", "email_lake")'),
        ({"key": "order_id", "columns": {"order_id": {"required": True, "drop": True}, "day": "date"}}, None),
    ],
)
def test_rows_are_told_apart_by_the_key_as_it_is_stored_where_it_is_compared(
    feed: dict[str, Any], rows: str | None
) -> None:
    where = {"config": {"where": '"email_lake" is not null'}} if "email" in feed.get("key", ()) else {}
    found = told(tables(**feed)["orders"])
    assert found.get("data_tests") == (rows and [{"unique": {"arguments": {"column_name": rows}, **where}}])


def test_one_column_that_is_the_key_of_a_whole_table_is_unique() -> None:
    found = told(tables(key="order_id", partition_by=None)["orders"])
    assert found["columns"]["order_id"]["data_tests"] == ["not_null", "unique"]
    assert "data_tests" not in found


def test_tables_that_changes_are_merged_into_have_the_columns_and_promises_of_rows() -> None:
    [live] = [pattern for pattern in declared_patterns(SETTINGS) if pattern.source.name == "northwind_live"]
    found = {t.name: t for t in tables_of(live, "clean_", lambda _: None, path_copies=True)}
    rows, deleted, history = (found[name] for name in ("orders", "orders_deleted", "orders_history"))
    assert rows.unique == ("id",)
    assert {c.name for c in rows.columns if c.required} >= {"id", "status", "amount"}
    assert {c.name: c.allowed for c in rows.columns}["status"][:2] == ("placed", "paid")
    assert not any(column.required for column in deleted.columns), "of what is gone there may be no more than its key"
    assert [column.name for column in history.columns if column.required] == ["dt"]
    assert deleted.unique == history.unique == ()
    for table in (rows, deleted, history):
        assert not {"_op", "_source_file"} & {column.name for column in table.columns}, table.name
        assert table.freshness is None


def test_a_date_is_due_from_its_end_on() -> None:
    config = told(tables(fresh_within="36h")["orders"])["config"]
    assert config["loaded_at_field"] == "cast(cast(dt as date) + interval '1' day as timestamp)"
    assert config["freshness"] == {"error_after": {"count": 36, "period": "hour"}}
    assert "freshness" not in told(tables(fresh_within=None)["orders"])["config"]
    assert tables(partition_by=None)["orders"].freshness is None
    [ads] = [pattern for pattern in declared_patterns(SETTINGS) if pattern.source.name == "northwind_ads"]
    by_name = {t.name: t for t in tables_of(ads, "clean_", lambda _: None, path_copies=True)}
    found = by_name["ads_daily"].freshness
    assert found is not None
    assert (found.loaded_at, found.within) == ("as_of", timedelta(hours=36))


def test_paths_are_of_tables_that_have_their_files_copied_below_their_root() -> None:
    root = '{{ var("adplatform_clean_zone", "s3://clean") }}/acme/orders'
    read = "hive_partitioning = true, union_by_name = true"
    meta = told(tables()["orders"])["config"]["meta"]
    assert meta["external_location"] == f"read_parquet('{root}/*/*.parquet', {read}, hive_types_autocast = false)"
    by_number = told(tables(key=["order_id"], partition_by="order_id")["orders"])["config"]["meta"]
    assert by_number["external_location"] == f"read_parquet('{root}/*/*.parquet', {read})"
    for other in (tables(path_copies=False), tables(table_format="iceberg"), tables(partition_by=None)):
        assert told(other["orders"])["config"]["meta"] == {"dagster": {"asset_key": ["clean", "acme", "orders"]}}


def test_a_table_of_the_catalog_has_the_columns_that_it_has_there() -> None:
    there = Catalogued(
        "s3://clean/acme/orders/",
        (("order_id", "bigint"), ("color", "string"), ("mail", "string")),
        {},
        ("dt",),
        frozenset({"mail"}),
        {"color": "The column Colour."},
    )
    asked: list[tuple[str, str]] = []

    def catalogued(table: Named) -> Catalogued:
        asked.append((table.database, table.name))
        return there

    columns = told(tables(catalogued, key=["order_id", "day"])["orders"])
    assert asked == [("clean_acme", "orders")]
    assert list(columns["columns"]) == ["order_id", "color", "mail", "dt"]
    assert columns["columns"]["color"] == {"description": "The column Colour.", "data_type": "string"}
    assert columns["columns"]["mail"]["config"]["tags"] == ["pii"]
    assert "data_tests" not in columns, "a column of the key is not there yet"
