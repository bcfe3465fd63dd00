"""The last look at staged Parquet before anybody can read it: is there personal data where there must be none?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import RawIOBase
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.contracts.pii import Treatment
from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import opened
from adplatform.privacy import masks
from adplatform.privacy.addresses import rows_with_address
from adplatform.privacy.column_bytes import may_have_text, summed
from adplatform.privacy.digests import certain_digests
from adplatform.privacy.outputs import personal_outputs
from adplatform.privacy.rules import Form

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    duckdb = Late("duckdb")
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

_SHAPES: Mapping[Form, str] = {
    "digest": "[0-9a-f]{64}",
    "short digest": "[0-9a-f]{32}",
    "base64 digest": "[0-9A-Za-z+/]{43}=",
    "masked": masks.SHAPE,
}
_ROWS = 16_384
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
    leaks: tuple[Leak, ...]
    suspicions: tuple[Suspicion, ...]


def scan_for_leaks(
    parquet: Sequence[Path | RawIOBase],
    contract: Contract,
    memory_limit: str = "512MB",
    addresses: Sequence[Mapping[str, int] | None] = (),
) -> LeakScan:
    """What is wrong with the files, by column, never with a value. Those that are not on this disk are open.

    Leaks: a digest column with anything but NULL and 64 lower-case hexadecimal digits, or 32 bytes in Base64; a masked
    column with anything but NULL and masked values; a column with the name, in the contract or in the files, of a
    personal column that is not stored in clear, or of a dropped one. Values that a platform takes in clear are not
    looked at.

    ``addresses`` has of each file how many rows hold an e-mail address, by column that is not personal, as
    :func:`adplatform.privacy.addresses.rows_with_address` counts them; None of one that has to be searched for them.
    """
    if not parquet:
        return LeakScan((), ())
    outputs = personal_outputs(contract)
    texts = _columns(parquet)
    forms = {name: outputs[name].form for name in texts if name in outputs}
    digests = certain_digests(parquet, [name for name, form in forms.items() if form == "digest"])
    shapes = {name: _SHAPES[form] for name, form in forms.items() if form in _SHAPES and name not in digests}
    undeclared = [name for name, may_be_text in texts.items() if name not in outputs and may_be_text]
    misshaped = {name: f"NOT regexp_full_match({_text(name)}, '{shape}')" for name, shape in shapes.items()}
    known = [each for each in addresses if each is not None]
    unknown = [file for file, each in zip_longest(parquet, addresses) if each is None]
    held = sum(map(Counter, known), summed(unknown, undeclared, rows_with_address))
    counts = _counts(parquet, misshaped, memory_limit)
    forbidden = _forbidden_names(contract) - outputs.keys()
    misshapen = [Leak(name, f"is not a {outputs[name].form} value", counts[name]) for name in shapes if counts[name]]
    return LeakScan(
        leaks=(
            *(Leak(name, "must not be stored under this name") for name in texts if name.lower() in forbidden),
            *misshapen,
        ),
        suspicions=tuple(Suspicion(name, held[name]) for name in undeclared if held[name]),
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


def _counts(parquet: Sequence[Path | RawIOBase], conditions: Mapping[str, str], memory_limit: str) -> Counter[str]:
    """How many rows of all files meet each condition, in one pass."""
    counts, local = Counter[str](), [file for file in parquet if isinstance(file, Path)]
    if not conditions:
        return counts
    with duckdb.connect(config={"memory_limit": memory_limit}) as plain, heeding(plain) as con:
        if local:
            counts.update(_counted(con, _FILES, conditions, [[str(path) for path in local]]))
        for each in parquet:
            if not isinstance(each, Path):
                with each, opened(each) as file:
                    counts.update(_of_open(con, file, conditions))
    return counts


def _of_open(con: "duckdb.DuckDBPyConnection", file: "pq.ParquetFile", conditions: Mapping[str, str]) -> dict[str, int]:
    """The same of one file, of which nothing but the columns in question is read."""
    there = {name: each for name, each in conditions.items() if name in file.schema_arrow.names}
    if not there:
        return {}
    names = list(there)
    schema = pa.schema([file.schema_arrow.field(name) for name in names])
    rows = file.iter_batches(_ROWS, columns=names, use_threads=False)
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
