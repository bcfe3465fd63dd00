"""The YAML of tables from a database's catalogue, with guesses of what is personal for people to review."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from adplatform.contracts.column import IDENTIFIER
from adplatform.contracts.feed import NAME
from adplatform.contracts.pii import PiiKind
from adplatform.contracts.types import DataType
from adplatform.extract.described import DescribedColumn

_PERSONAL: Mapping[PiiKind, str] = {
    PiiKind.EMAIL: r"e_?mail(_?addr(ess)?)?|mail",
    PiiKind.PHONE: r"(tele)?phone(_?(number|no))?|mobile(_?(number|no|phone))?|msisdn|fax",
    PiiKind.FIRST_NAME: r"(first|given|fore)_?name",
    PiiKind.LAST_NAME: r"(last|family|sur)_?name|surname",
    PiiKind.STREET_ADDRESS: r"street(_?(address|name|line))?(_?[12])?|address(_?line)?(_?[12])?",
    PiiKind.POSTAL_CODE: r"(postal|post|zip)(_?code)?",
    PiiKind.CITY: r"city|town",
    PiiKind.DEVICE_ID: r"(device|idfa|gaid|maid|advertising|cookie)_?(id)?|idfa|gaid|maid",
    PiiKind.GENERIC_ID: r"ip(_?addr(ess)?)?|ssn|passport(_?(number|no))?|(tax|national)_?id|iban|birth_?(day|date)|dob",
}
"""Names of columns that usually hold a kind of personal data, without what stands before the last part."""
_BEFORE = r"(.*_)?"


def guessed_kind(column: str) -> PiiKind | None:
    """What a column with that name usually holds of a person."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower()
    return next((kind for kind, pattern in _PERSONAL.items() if re.fullmatch(f"{_BEFORE}({pattern})", name)), None)


def feed_yaml(schema: str | None, table: str, columns: Sequence[DescribedColumn], start: date, indent: str = "") -> str:
    """One entry of ``feeds``. What somebody has to decide is marked ``REVIEW``."""
    names = catalog_names(column.name for column in columns)
    full = f"{schema}.{table}" if schema else table
    key = [names[column.name] for column in columns if column.key]
    lines = [f"- name: {feed_name(table)}", f"  table: {_quoted(full)}", f"  start_date: {start}", "  every: 1d"]
    cursors = [
        c for c in columns if c.type and c.type.name in ("date", "timestamp") and re.search("updat|modif|chang", c.name)
    ]
    if cursors:
        lines.append(f"  # incremental: {{cursor: {names[cursors[0].name]}}}   # REVIEW: if it grows with each change")
    lines.append("  columns:")
    for column in columns:
        lines.append(f"    {names[column.name]}: {_settings(column, names[column.name])}")
    if key:
        lines.append(f"  key: {key[0] if len(key) == 1 else '[' + ', '.join(key) + ']'}")
    return "".join(f"{indent}{line}\n" for line in lines)


def feed_name(table: str) -> str:
    """The feed's name for a table: lower-case letters, digits and ``_``."""
    name = re.sub(r"[^a-z0-9]+", "_", table.lower()).strip("_")[:63]
    return name if re.fullmatch(NAME, name) else f"t_{name}"[:63]


def catalog_names(columns: Iterable[str]) -> dict[str, str]:
    """A name in the table for each column, by the name there."""
    names: dict[str, str] = {}
    for column in columns:
        name = re.sub(r"[^a-z0-9_]+", "_", column.lower()).strip("_") or "column"
        name = name if IDENTIFIER.fullmatch(name) and name != "dt" else f"c_{name}"
        while name in names.values():
            name += "_2"
        names[column] = name
    return names


def _settings(column: DescribedColumn, name: str) -> str:
    kind = guessed_kind(column.name)
    data_type = column.type or DataType("string")
    personal = kind is not None and data_type.name == "string"
    settings = [] if personal else [f"type: {data_type.hive}"]
    if personal:
        settings.append(f"pii: {kind}")
    if column.name != name:
        settings.append(f"field: {_quoted(column.name)}")
    if column.key:
        settings.append("required: true")
    text = "{" + ", ".join(settings) + "}" if len(settings) > 1 or personal else data_type.hive
    if personal:
        return f"{text}   # REVIEW: personal by its name"
    if kind is not None:
        return f"{text}   # REVIEW: personal by its name, and no text: leave it out, or drop: true"
    if column.type is None:
        return f"{text}   # REVIEW: {column.said} there; give decimal(precision,scale) to have numbers"
    return text


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", text) else "'" + text.replace("'", "''") + "'"
