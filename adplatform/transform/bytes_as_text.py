"""Bytes that DuckDB reads, by themselves or within lists, structures and maps, as text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType


def holds_bytes(kind: "DuckDBPyType") -> bool:
    return kind.id == "blob" or (kind.id in _NESTED and any(holds_bytes(below) for _, below in kind.children))


def decoded(value: str, kind: "DuckDBPyType", depth: int = 0) -> str:
    """The SQL of a ``value`` with text where it has bytes: what they say in UTF-8, or hexadecimal digits where they are
    none."""
    if not holds_bytes(kind):
        return value
    match kind.id:
        case "blob":
            return f"coalesce(try(decode({value})), lower(hex({value})))"
        case "list":
            [(_, below)] = kind.children
            return f"list_transform({value}, lambda {_each(depth)}: {decoded(_each(depth), below, depth + 1)})"
        case "map":
            return _map(value, kind, depth)
    members = ", ".join(
        f"{identifier(name)} := {decoded(place, below, depth)}" for name, place, below in _members(value, kind)
    )
    return f"case when {value} is not null then struct_pack({members}) end"


def _map(value: str, kind: "DuckDBPyType", depth: int) -> str:
    """Where two keys would come to one text, which DuckDB refuses, keys are written with escapes."""
    each = _each(depth)
    (_, key), (_, below) = kind.children
    values = f"list_transform(map_values({value}), lambda {each}: {decoded(each, below, depth + 1)})"
    of_keys = f"list_transform(map_keys({value}), lambda {each}: "
    texts = f"map({of_keys}{decoded(each, key, depth + 1)}), {values})"
    escaped = f"map({of_keys}cast({each} as varchar)), {values})"
    return f"case when {value} is not null then coalesce(try({texts}), {escaped}) end"


def has_no_text(value: str, kind: "DuckDBPyType", depth: int = 0) -> str:
    """Whether a ``value`` of a type that holds bytes has some that are no UTF-8; never NULL."""
    match kind.id:
        case "blob":
            return f"({value} is not null and try(decode({value})) is null)"
        case "list":
            [(_, below)] = kind.children
            within = has_no_text(_each(depth), below, depth + 1)
            return f"coalesce(len(list_filter({value}, lambda {_each(depth)}: {within})) > 0, false)"
        case "map":
            found = [(f"map_{name}s({value})", below) for name, below in kind.children if holds_bytes(below)]
            each = _each(depth)
            return " or ".join(
                f"coalesce(len(list_filter({listed}, lambda {each}: {has_no_text(each, below, depth + 1)})) > 0, false)"
                for listed, below in found
            )
    members = (has_no_text(place, below, depth) for _, place, below in _members(value, kind) if holds_bytes(below))
    return f"({' or '.join(members)})"


_NESTED = ("list", "map", "struct")


def _each(depth: int) -> str:
    return f"each{depth}"


def _members(value: str, kind: "DuckDBPyType") -> "Iterator[tuple[str, str, DuckDBPyType]]":
    for name, below in kind.children:
        yield name, f"struct_extract({value}, {literal(name)})", below
