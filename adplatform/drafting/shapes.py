"""The records of a sample as columns of texts, whatever kind of file it is."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from adplatform.drafting.dialects import is_value
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
else:
    pa = Late("pyarrow")

MOST_ROWS = 50_000
"""Of Parquet: what holds text is as large as the sample of it."""
MOST_DEPTH = 4
"""Members within members that become columns of their own; what is deeper is text as a whole."""


@dataclass(frozen=True)
class Columns:
    """``texts`` of each row by what the file calls the column, None where it has none. ``types`` are those that the
    file itself says. ``left_out`` counts names that look like values, or that no column can be read by."""

    texts: Mapping[str, Sequence[str | None]]
    types: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    left_out: int = 0


def of_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Columns:
    """Those of delimited text: columns without a name are no columns, what a short row lacks is absent."""
    every = list(rows)
    texts = {
        name: [row[n] if n < len(row) and row[n] != "" else None for row in every]
        for n, name in enumerate(header)
        if name.strip()
    }
    return Columns(texts, rows=len(every))


def json_kind(text: str) -> tuple[str, str | None] | None:
    """``ndjson`` or ``json``, and the path to the records of the latter; None for what is neither."""
    bare = text.lstrip()
    if not bare.startswith(("{", "[")):
        return None
    lines = [line for line in islice(bare.splitlines(), 3) if line.strip()]
    if bare.startswith("["):
        return "json", None
    if len(lines) > 1 and all(isinstance(_loaded(line), dict) for line in lines[:2]):
        return "ndjson", None
    whole = _loaded(bare)
    if isinstance(whole, dict):
        path = _longest_array(whole)
        return ("json", path) if path else ("ndjson", None)
    return ("json", _first_array(bare)) if not _is_line(lines[0]) else ("ndjson", None)


def _is_line(line: str) -> bool:
    return isinstance(_loaded(line), dict)


def _first_array(text: str) -> str | None:
    """The member whose array a document begins that is cut off."""
    at = text.find("[")
    before = text[:at].rstrip().removesuffix(":").rstrip() if at > 0 else ""
    name = before.rpartition('"')[0].rpartition('"')[2] if before.endswith('"') else ""
    return name or None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except ValueError:
        return None


def _longest_array(document: Mapping[str, Any], above: str = "") -> str | None:
    found: dict[str, int] = {}
    for name, value in document.items():
        path = f"{above}{name}"
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            found[path] = len(value)
        elif isinstance(value, dict) and above.count(".") < MOST_DEPTH and (below := _longest_array(value, f"{path}.")):
            found[below] = 1
    return max(found, key=lambda path: found[path]) if found else None


def of_documents(documents: Iterable[Mapping[str, Any]]) -> Columns:
    """Members of members have their path as a name; arrays are text as a whole."""
    rows = [dict(_flat(document)) for document in documents]
    names = dict.fromkeys(name for row in rows for name in row)
    # A member that is an object here and a value there can be one column only, as a whole.
    whole = {name for name in names if any(other.startswith(f"{name}.") for other in names)}
    shown = [n for n in names if not is_value(n) and n not in whole and _is_path(n)]
    texts = {name: [row.get(name) for row in rows] for name in shown}
    return Columns(texts, rows=len(rows), left_out=len(names) - len(shown) - len(whole))


_UNREACHABLE = '"'
"""Ends names with a dot in them, which a path would take for two."""


def _is_path(name: str) -> bool:
    return all(part and '"' not in part for part in name.split("."))


def _flat(document: Mapping[str, Any], above: str = "", depth: int = 1) -> Iterator[tuple[str, str | None]]:
    for name, value in document.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and value and depth < MOST_DEPTH and "." not in name:
            yield from _flat(value, f"{path}.", depth + 1)
        else:
            yield path if "." not in name else f"{path}{_UNREACHABLE}", _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value)


def documents(text: str, kind: str, path: str | None, *, whole: bool) -> list[tuple[Mapping[str, Any], str]]:
    """The records of a text of JSON, as far as it goes, each with its own text."""
    if kind == "ndjson":
        lines = [line for line in text.split("\n") if line.strip()]
        found = ((_loaded(line), line) for line in (lines if whole or len(lines) < 2 else lines[:-1]))
        return [(each, line) for each, line in found if isinstance(each, dict)]
    return list(_elements(text[_start_of_array(text, path) :]))


def document_of(written: Sequence[str], kind: str, path: str | None) -> str:
    """A text of JSON that has these records."""
    if kind == "ndjson":
        return "".join(f"{line}\n" for line in written)
    text = "[" + ",\n".join(written) + "]"
    for name in reversed(path.split(".") if path else ()):
        text = "{" + f"{json.dumps(name)}: {text}" + "}"
    return text


def _start_of_array(text: str, path: str | None) -> int:
    at = 0
    for name in path.split(".") if path else ():
        at = max(at, text.find(f'"{name}"', at))
    return text.find("[", at) + 1


def _elements(text: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Elements of an array, up to where it ends or is cut off."""
    decoder, at = json.JSONDecoder(parse_float=str, parse_int=str), 0
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        if at >= len(text) or text[at] == "]":
            return
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            return
        if isinstance(value, dict):
            yield value, text[at:end]
        at = end


def of_parquet(path: "Path") -> Columns:
    """
    Raises:
        pa.ArrowException: not readable as Parquet.
    """
    with opened(path) as file:
        schema = file.schema_arrow
        batches = list(islice(file.iter_batches(10_000), MOST_ROWS // 10_000))
        rows = sum(batch.num_rows for batch in batches)
        texts: dict[str, Sequence[str | None]] = {}
        types: dict[str, str] = {}
        for n, name in enumerate(schema.names):
            if not name.strip() or is_value(name):
                continue
            kind = _parquet_type(schema.types[n])
            if kind:
                types[name] = kind
            texts[name] = [_text(_plain(value)) for batch in batches for value in batch.column(n).to_pylist()]
    return Columns(texts, types, rows, left_out=len(schema.names) - len(texts))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool) else str(value)


def _parquet_type(kind: "pa.DataType") -> str:
    """The type of a column that is no text; "" for text."""
    t = pa.types
    if t.is_dictionary(kind):
        return _parquet_type(kind.value_type)
    if t.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})" if kind.precision <= 38 and kind.scale >= 0 else "string"
    for is_kind, name in (
        (t.is_boolean, "boolean"),
        (t.is_integer, "bigint"),
        (t.is_floating, "double"),
        (t.is_date, "date"),
        (t.is_timestamp, "timestamp"),
        (t.is_nested, "string"),
    ):
        if is_kind(kind):
            return "decimal(20,0)" if str(kind) == "uint64" else "int" if str(kind) in _SMALL else name
    return ""


_SMALL = ("int8", "int16", "int32", "uint8", "uint16")
