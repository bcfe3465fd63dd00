"""Column types: the ones Athena, Glue, Spark and DuckDB all store and compare alike."""

import re
from dataclasses import dataclass
from typing import Literal

TypeName = Literal["string", "int", "bigint", "decimal", "double", "boolean", "date", "timestamp"]

_SIMPLE: dict[str, TypeName] = {
    "string": "string",
    "int": "int",
    "integer": "int",
    "bigint": "bigint",
    "long": "bigint",
    "double": "double",
    "boolean": "boolean",
    "bool": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
_DECIMAL = re.compile(r"decimal\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)")
MAX_PRECISION = 38


@dataclass(frozen=True)
class DataType:
    """One column type. ``precision`` and ``scale`` belong to decimal only. A timestamp is an instant, stored in UTC."""

    name: TypeName
    precision: int = 0
    scale: int = 0

    @property
    def hive(self) -> str:
        """The type as the Glue Data Catalog spells it (Glue Developer Guide, column types)."""
        return f"decimal({self.precision},{self.scale})" if self.name == "decimal" else self.name

    @property
    def is_number(self) -> bool:
        return self.name in ("int", "bigint", "decimal", "double")


def parse_type(text: str) -> DataType:
    """``"decimal(12,2)"`` to a :class:`DataType`.

    Raises:
        ValueError: not a known type; the message lists the known ones.
    """
    spelled = text.strip().lower()
    if spelled in _SIMPLE:
        return DataType(_SIMPLE[spelled])
    match = _DECIMAL.fullmatch(spelled)
    if match is None:
        raise ValueError(f"unknown type {text!r}: use one of {', '.join(_SIMPLE)} or decimal(precision,scale)")
    precision, scale = int(match[1]), int(match[2])
    if not 1 <= precision <= MAX_PRECISION or scale > precision:
        raise ValueError(f"{text!r}: precision must be 1 to {MAX_PRECISION} and scale at most the precision")
    return DataType("decimal", precision, scale)
