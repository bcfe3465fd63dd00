"""The last look at staged Parquet before anybody can read it: is there personal data where there must be none?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.contracts.model import Contract
from adplatform.contracts.pii import Treatment
from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.privacy import masks
from adplatform.privacy.digests import certain_digests
from adplatform.privacy.outputs import pii_outputs
from adplatform.privacy.recognised import holds_email
from adplatform.privacy.rules import Form

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

_SHAPES: Mapping[Form, str] = {"digest": "[0-9a-f]{64}", "masked": masks.SHAPE}
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


def scan_for_leaks(parquet: Sequence[Path], contract: Contract, memory_limit: str = "512MB") -> LeakScan:
    """What is wrong with the files, by column, never with a value.

    Leaks: a digest column with anything but NULL and 64 lower-case hexadecimal digits; a masked column with anything
    but NULL and masked values; a column with the name, in the contract or in the files, of a personal column that is
    not stored in clear, or of a dropped one. Values that a platform takes in clear are not looked at.
    """
    if not parquet:
        return LeakScan((), ())
    outputs = {
        output.name: output
        for column, pii in contract.pii_columns()
        for output in pii_outputs(column, pii, previous=True)
    }
    with duckdb.connect(config={"memory_limit": memory_limit}) as plain, heeding(plain) as con:
        types = _column_types(con, parquet)
        forms = {name: outputs[name].form for name in types if name in outputs}
        certain = certain_digests(parquet, [name for name, form in forms.items() if form == "digest"])
        shapes = {name: _SHAPES[form] for name, form in forms.items() if form in _SHAPES and name not in certain}
        undeclared = [name for name, type_ in types.items() if name not in outputs and "VARCHAR" in type_]
        conditions = {name: f"NOT regexp_full_match({_text(name)}, '{shape}')" for name, shape in shapes.items()}
        conditions |= {name: holds_email(_text(name)) for name in undeclared}
        counts = _count_rows(con, parquet, conditions)
    forbidden = _forbidden_names(contract) - outputs.keys()
    misshapen = [Leak(name, f"is not a {outputs[name].form} value", counts[name]) for name in shapes if counts[name]]
    return LeakScan(
        leaks=(
            *(Leak(name, "must not be stored under this name") for name in types if name.lower() in forbidden),
            *misshapen,
        ),
        suspicions=tuple(Suspicion(name, counts[name]) for name in undeclared if counts[name]),
    )


def _forbidden_names(contract: Contract) -> set[str]:
    hidden = [c for c in contract.columns if c.drop or (c.pii and Treatment.CLEAR not in c.pii.treatment)]
    shown = {c.name for c in contract.columns} - {c.name for c in hidden}
    return {name.lower() for c in hidden for name in (c.name, *c.field_names)} - shown


def _column_types(con: "duckdb.DuckDBPyConnection", parquet: Sequence[Path]) -> dict[str, str]:
    described = con.execute(f"DESCRIBE SELECT * FROM {_FILES}", [_names(parquet)]).fetchall()
    return {name: type_ for name, type_, *_ in described}


def _count_rows(
    con: "duckdb.DuckDBPyConnection", parquet: Sequence[Path], conditions: Mapping[str, str]
) -> dict[str, int]:
    """How many rows of all files meet each condition, in one pass."""
    if not conditions:
        return {}
    counts = ", ".join(f"count_if({condition})" for condition in conditions.values())
    row = con.execute(f"SELECT {counts} FROM {_FILES}", [_names(parquet)]).fetchall()[0]
    return dict(zip(conditions, row, strict=True))


def _names(parquet: Sequence[Path]) -> list[str]:
    return [str(path) for path in parquet]


def _text(column: str) -> str:
    quoted = column.replace('"', '""')
    return f'CAST("{quoted}" AS VARCHAR)'
