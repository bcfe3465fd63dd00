"""The YAML of tables from a database's catalogue, with guesses of what is personal for people to review."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from adplatform.contracts import written
from adplatform.contracts.names import catalog_names, feed_name
from adplatform.contracts.personal_names import guessed_kind
from adplatform.contracts.types import DataType
from adplatform.extract.described import DescribedColumn


def feed_yaml(schema: str | None, table: str, columns: Sequence[DescribedColumn], start: date, indent: str = "") -> str:
    """One entry of ``feeds``. What somebody has to decide is marked ``REVIEW``."""
    names = catalog_names(column.name for column in columns)
    full = f"{schema}.{table}" if schema else table
    key = [names[column.name] for column in columns if column.key]
    lines = [f"- name: {feed_name(table)}", f"  table: {written.text(full)}", f"  start_date: {start}", "  every: 1d"]
    cursors = [
        c for c in columns if c.type and c.type.name in ("date", "timestamp") and re.search("updat|modif|chang", c.name)
    ]
    if cursors:
        lines.append(f"  # incremental: {{cursor: {names[cursors[0].name]}}}   # REVIEW: if it grows with each change")
    lines.append("  columns:")
    for column in columns:
        lines.append(f"    {written.text(names[column.name])}: {_settings(column, names[column.name])}")
    if key:
        lines.append(f"  key: {written.flow(key[0] if len(key) == 1 else key)}")
    return "".join(f"{indent}{line}\n" for line in lines)


def _settings(column: DescribedColumn, name: str) -> str:
    kind = guessed_kind(column.name)
    data_type = column.type or DataType("string")
    personal = kind is not None and data_type.name == "string"
    settings: dict[str, Any] = {"pii": str(kind)} if personal else {"type": data_type.hive}
    if column.name != name:
        settings["field"] = column.name
    if column.key:
        settings["required"] = True
    text = written.column(settings)
    if personal:
        return f"{text}   # REVIEW: personal by its name"
    if kind is not None:
        return f"{text}   # REVIEW: personal by its name, and no text: leave it out, or drop: true"
    if column.type is None:
        return f"{text}   # REVIEW: {column.said} there; give decimal(precision,scale) to have numbers"
    return text
