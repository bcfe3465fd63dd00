"""What a database's catalogue says of a table, in the types of contracts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from adplatform.contracts.types import MAX_PRECISION, DataType
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import types
else:
    sa = Late("sqlalchemy")
    types = Late("sqlalchemy.types")


@dataclass(frozen=True)
class DescribedColumn:
    """One column. ``said`` is its type in the database's word, ``type`` that of the same values in a contract, None
    where values may not fit: a decimal without bounds for example."""

    name: str
    said: str
    type: DataType | None
    nullable: bool
    key: bool = False
    comment: str = ""


def described(engine: "sa.Engine", schema: str | None, table: str) -> Sequence[DescribedColumn]:
    """The columns of a table or view, in their order.

    Raises:
        sqlalchemy.exc.NoSuchTableError: there is none.
    """
    inspector = sa.inspect(engine)
    key = set(inspector.get_pk_constraint(table, schema).get("constrained_columns") or ())
    return [
        DescribedColumn(
            name=each["name"],
            said=str(each["type"]).lower(),
            type=contract_type(each["type"]),
            nullable=bool(each["nullable"]) and each["name"] not in key,
            key=each["name"] in key,
            comment=each.get("comment") or "",
        )
        for each in inspector.get_columns(table, schema)
    ]


def tables_of(engine: "sa.Engine", schema: str | None) -> list[str]:
    """The tables and views of a schema, by name."""
    inspector = sa.inspect(engine)
    return sorted({*inspector.get_table_names(schema), *inspector.get_view_names(schema)})


def contract_type(kind: Any) -> DataType | None:
    """The type of a contract that takes every value of a database's type; None where none does."""
    name = type(kind).__name__.upper()
    if isinstance(kind, types.Boolean):
        return DataType("boolean")
    if isinstance(kind, types.BigInteger):
        return DataType("decimal", 20, 0) if getattr(kind, "unsigned", False) else DataType("bigint")
    if isinstance(kind, types.Integer):
        return DataType("bigint" if getattr(kind, "unsigned", False) else "int")
    if isinstance(kind, types.Float):
        return DataType("double")
    if isinstance(kind, types.Numeric):
        return _decimal(kind.precision, kind.scale)
    if isinstance(kind, types.DateTime) or name == "TIMESTAMP":
        return DataType("timestamp")
    if isinstance(kind, types.Date):
        return DataType("date")
    return DataType("string")


def _decimal(precision: int | None, scale: int | None) -> DataType | None:
    if precision is None or precision > MAX_PRECISION or not 0 <= (scale or 0) <= precision:
        return None
    return DataType("decimal", precision, scale or 0)
