"""``sources.yml``: what dbt is told of the clean tables of a source, in the form of dbt-core 1.10.8 and later.

Settings that dbt takes under ``config`` since 1.10 are there, and arguments of tests under ``arguments``. dagster-dbt
takes the asset of a source from ``meta.dagster.asset_key``, and dbt-duckdb reads what ``meta.external_location`` says
in the place of a table.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from adplatform.described.documents import yaml_of
from adplatform.described.tables import Column, Freshness, Table
from adplatform.transform.rules import identifier

CLEAN_ZONE = "adplatform_clean_zone"
"""The variable of dbt with where the clean zone is, for readers of paths; by default the bucket."""
_PERIODS = (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1)))


def sources_yaml(source: str, tables: Iterable[Table], clean_bucket: str) -> str:
    """The clean tables of ``source`` as one source of dbt. ``clean_bucket`` is where those with a path are."""
    every = list(tables)
    return yaml_of(
        {
            "version": 2,
            "sources": [
                {
                    "name": source,
                    "description": f"Clean zone of source {source}.",
                    "loader": "adplatform",
                    "schema": every[0].database,
                    "tables": [_table(each, clean_bucket) for each in every],
                }
            ],
        }
    )


def text(written: str) -> str:
    """A description, which dbt reads as a template of Jinja."""
    return f"{{% raw %}}{written}{{% endraw %}}" if _is_template(written) else written


def _is_template(written: str) -> bool:
    return any(mark in written for mark in ("{{", "{%", "{#"))


def _table(table: Table, clean_bucket: str) -> dict[str, Any]:
    meta = {
        **({"dagster": {"asset_key": list(table.asset_key)}} if table.asset_key else {}),
        **({"external_location": _location(table, clean_bucket)} if table.path else {}),
    }
    config = {**(_freshness(table.freshness) if table.freshness else {}), **({"meta": meta} if meta else {})}
    return {
        "name": table.name,
        **({"description": text(table.description)} if table.description else {}),
        **({"config": config} if config else {}),
        **({"data_tests": [_rows_are_unique(table)]} if len(table.unique) > 1 else {}),
        "columns": [_column(each, is_key=table.unique == (each.name,)) for each in table.columns],
    }


def _rows_are_unique(table: Table) -> dict[str, Any]:
    """By all columns of the key. A personal value that cannot be normalised has no digest, and rows that lack one may
    be alike; the test of one column leaves those out by itself."""
    personal = [column.name for column in table.columns if column.pii and column.name in table.unique]
    where = " and ".join(f"{identifier(name)} is not null" for name in personal)
    rows = f"row({', '.join(map(identifier, table.unique))})"
    return {"unique": {"arguments": {"column_name": rows}, **({"config": {"where": where}} if where else {})}}


def _location(table: Table, clean_bucket: str) -> str:
    """How DuckDB reads the current files. Values of partitions are texts where they are in the catalog."""
    zone = f'{{{{ var("{CLEAN_ZONE}", "s3://{clean_bucket}") }}}}'
    settings = ["hive_partitioning = true", "union_by_name = true"]
    settings += ["hive_types_autocast = false"] if table.has_texts else []
    return f"read_parquet('{zone}/{table.path}', {', '.join(settings)})"


def _freshness(freshness: Freshness) -> dict[str, Any]:
    period, length = next((each for each in _PERIODS if not freshness.within % each[1]), _PERIODS[-1])
    within = {"count": max(1, freshness.within // length), "period": period}
    return {"loaded_at_field": freshness.loaded_at, "freshness": {"error_after": within}}


def _column(column: Column, *, is_key: bool) -> dict[str, Any]:
    tests: list[Any] = ["not_null"] if column.required else []
    tests += ["unique"] if is_key else []
    if column.allowed and not any(_is_template(str(value)) for value in column.allowed):
        numbers = {"quote": False} if isinstance(column.allowed[0], int) else {}
        tests.append({"accepted_values": {"arguments": {"values": list(column.allowed), **numbers}}})
    return {
        "name": column.name,
        **({"description": text(column.description)} if column.description else {}),
        "data_type": column.type,
        **({"quote": True, "data_tests": tests} if tests else {}),
        **({"config": {"tags": ["pii"], "meta": dict(column.pii)}} if column.pii else {}),
    }
