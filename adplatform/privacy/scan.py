"""The last look at staged Parquet before anybody can read it: is there personal data where there must be none?"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.contracts.pii import Treatment
from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.privacy import masks
from adplatform.privacy.column_bytes import certain, content, may_have_text
from adplatform.privacy.digests import certain_digests
from adplatform.privacy.outputs import pii_outputs
from adplatform.privacy.recognised import EMAIL_MARKS, holds_email
from adplatform.privacy.rules import Form

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_MARKS = tuple(mark.encode() for mark in EMAIL_MARKS)
_SHAPES: Mapping[Form, str] = {"digest": "[0-9a-f]{64}", "masked": masks.SHAPE}
_ROWS, _BUFFER = 16_384, 1 << 20
_FILES = "read_parquet(?, union_by_name = true, hive_partitioning = false)"


@dataclass(frozen=True)
class Leak:
    """Something that forbids publishing. ``rows`` is 0 when the column itself should not be there."""

    column: str
    reason: str
    rows: int = 0


@dataclass(frozen=True)
class Suspicion:
    """A column that nobody declared personal, with this many rows that hold an e-mail address."""

    column: str
    rows: int


@dataclass(frozen=True)
class LeakScan:
    """``sampled`` when suspicions are of the first rows of files alone."""

    leaks: tuple[Leak, ...]
    suspicions: tuple[Suspicion, ...]
    sampled: bool = False


def scan_for_leaks(parquet: Sequence[Path | RawIOBase], contract: Contract, memory_limit: str = "512MB") -> LeakScan:
    """What is wrong with the files, by column, never with a value. Those that are not on this disk are open.

    Leaks: a digest column with anything but NULL and 64 lower-case hexadecimal digits; a masked column with anything
    but NULL and masked values; a column with the name, in the contract or in the files, of a personal column that is
    not stored in clear, or of a dropped one. Values that a platform takes in clear are not looked at.

    Of columns that are not personal only the first rows are looked at in files that are not on this disk.
    """
    if not parquet:
        return LeakScan((), ())
    outputs = {
        output.name: output
        for column, pii in contract.pii_columns()
        for output in pii_outputs(column, pii, previous=True)
    }
    texts = _columns(parquet)
    forms = {name: outputs[name].form for name in texts if name in outputs}
    digests = certain_digests(parquet, [name for name, form in forms.items() if form == "digest"])
    shapes = {name: _SHAPES[form] for name, form in forms.items() if form in _SHAPES and name not in digests}
    undeclared = [name for name, may_be_text in texts.items() if name not in outputs and may_be_text]
    plain = certain(parquet, undeclared, _has_no_mark, sample=True)
    personal = {name: f"NOT regexp_full_match({_text(name)}, '{shape}')" for name, shape in shapes.items()}
    others = {name: holds_email(_text(name)) for name in undeclared if name not in plain}
    counts = _counts(parquet, personal, others, memory_limit)
    forbidden = _forbidden_names(contract) - outputs.keys()
    misshapen = [Leak(name, f"is not a {outputs[name].form} value", counts[name]) for name in shapes if counts[name]]
    return LeakScan(
        leaks=(
            *(Leak(name, "must not be stored under this name") for name in texts if name.lower() in forbidden),
            *misshapen,
        ),
        suspicions=tuple(Suspicion(name, counts[name]) for name in undeclared if counts[name]),
        sampled=any(not isinstance(file, Path) for file in parquet),
    )


def _forbidden_names(contract: Contract) -> set[str]:
    hidden = [c for c in contract.columns if c.drop or (c.pii and Treatment.CLEAR not in c.pii.treatment)]
    shown = {c.name for c in contract.columns} - {c.name for c in hidden}
    return {name.lower() for c in hidden for name in (c.name, *c.field_names)} - shown


def _columns(parquet: Sequence[Path | RawIOBase]) -> dict[str, bool]:
    """The columns of all files, and whether one has texts in any of them."""
    columns = dict[str, bool]()
    for path in parquet:
        for field in pq.read_schema(path):
            columns[field.name] = columns.get(field.name, False) or may_have_text(field.type)
    return columns


def _has_no_mark(values: "pa.Array") -> bool:
    if values.null_count == len(values):
        return True
    if not pa.types.is_string(values.type):
        return False
    text = content(values)
    return not any(mark in text for mark in _MARKS)


def _counts(
    parquet: Sequence[Path | RawIOBase], personal: Mapping[str, str], others: Mapping[str, str], memory_limit: str
) -> Counter[str]:
    """How many rows of all files meet each condition, in one pass."""
    counts, local = Counter[str](), [file for file in parquet if isinstance(file, Path)]
    if not personal and not others:
        return counts
    with duckdb.connect(config={"memory_limit": memory_limit}) as plain, heeding(plain) as con:
        if local:
            counts.update(_counted(con, _FILES, {**personal, **others}, [[str(path) for path in local]]))
        for each in parquet:
            if not isinstance(each, Path):
                with each, pq.ParquetFile(each, pre_buffer=False, buffer_size=_BUFFER) as file:
                    counts.update(_of_open(con, file, personal, range(file.num_row_groups)))
                    counts.update(_of_open(con, file, others, range(min(1, file.num_row_groups))))
    return counts


def _of_open(
    con: "duckdb.DuckDBPyConnection", file: "pq.ParquetFile", conditions: Mapping[str, str], groups: Iterable[int]
) -> dict[str, int]:
    """The same of these row groups of a file, of which nothing but the columns in question is read."""
    there = {name: each for name, each in conditions.items() if name in file.schema_arrow.names}
    if not there or not (groups := list(groups)):
        return {}
    names = list(there)
    schema = pa.schema([file.schema_arrow.field(name) for name in names])
    rows = file.iter_batches(_ROWS, row_groups=groups, columns=names, use_threads=False)
    with con.cursor() as cursor:
        cursor.register("part", pa.RecordBatchReader.from_batches(schema, (each.select(names) for each in rows)))
        return _counted(cursor, "part", there)


def _counted(
    con: "duckdb.DuckDBPyConnection", source: str, conditions: Mapping[str, str], given: Sequence[object] = ()
) -> dict[str, int]:
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions.values())
    row = con.execute(f"SELECT {counts} FROM {source}", list(given)).fetchall()[0]
    return dict(zip(conditions, row, strict=True))


def _text(column: str) -> str:
    quoted = column.replace('"', '""')
    return f'CAST("{quoted}" AS VARCHAR)'
