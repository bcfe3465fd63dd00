"""Columns of Parquet that certainly hold nothing but digests."""

from collections.abc import Collection, Sequence
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.platform.late import Late
from adplatform.privacy.column_bytes import certain, content

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")

_HEXADECIMAL = b"0123456789abcdef"
_CHARACTERS = 64
_ROWS = 16_384


def certain_digests(parquet: Sequence[Path | RawIOBase], columns: Collection[str]) -> set[str]:
    """Those of the columns that have NULL and 64 lower-case hexadecimal digits alone, in each file that has them. Of
    others nothing is said."""
    return certain(parquet, columns, _are_digests, rows=_ROWS)


def _are_digests(values: "pa.Array") -> bool:
    if not pa.types.is_string(values.type):
        return False
    if values.null_count == len(values):
        return True
    lengths = pc.min_max(pc.binary_length(values)).as_py()
    return set(lengths.values()) == {_CHARACTERS} and not content(values).translate(None, _HEXADECIMAL)
