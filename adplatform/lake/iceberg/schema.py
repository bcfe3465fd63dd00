"""The Iceberg schema of a clean table: its columns with ids that never change, the partition columns behind those that
the table began with.

Data files carry the ids, so columns are found by them and not by name. A column that a contract has lost stays, without
values; types may only become wider (Iceberg spec, "Schema Evolution").
"""

from datetime import date

from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from adplatform.contracts.types import DataType, TypeName
from adplatform.failures import PermanentFailure
from adplatform.lake.table import TableSpec
from adplatform.transform.values import OutputColumn

_TYPES: dict[TypeName, IcebergType] = {
    "string": StringType(),
    "int": IntegerType(),
    "bigint": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "timestamp": TimestamptzType(),
}


def iceberg_type(data_type: DataType) -> IcebergType:
    if data_type.name == "decimal":
        return DecimalType(data_type.precision, data_type.scale)
    return _TYPES[data_type.name]


def planned(current: Schema | None, spec: TableSpec) -> Schema:
    """The schema that takes the columns of ``spec``: that of a new table, or the ``current`` one with what is new at
    its end, wider types and other comments.

    Raises:
        PermanentFailure: a column would become narrower or another type.
    """
    wanted = {column.name: column for column in (*spec.columns, *spec.partitions)}
    fields = []
    for known in current.fields if current else ():
        column = wanted.pop(known.name, None)
        fields.append(known if column is None else _evolved(known, column, spec))
    number = max((field.field_id for field in fields), default=0)
    for column in wanted.values():
        number += 1
        fields.append(_field(number, column))
    return Schema(*fields)


def partitioning(schema: Schema, spec: TableSpec) -> PartitionSpec:
    return PartitionSpec(
        *(
            PartitionField(
                schema.find_field(name).field_id, PARTITION_FIELD_ID_START + place, IdentityTransform(), name
            )
            for place, name in enumerate(spec.partition_names)
        )
    )


def literal_of(field: NestedField, value: str) -> str | int | date:
    """The catalog's spelling of a partition value as a value of the column."""
    if isinstance(field.field_type, DateType):
        return date.fromisoformat(value)
    return int(value) if isinstance(field.field_type, IntegerType | LongType) else value


def _field(number: int, column: OutputColumn) -> NestedField:
    return NestedField(number, column.name, iceberg_type(column.type), required=False, doc=column.comment or None)


def _evolved(known: NestedField, column: OutputColumn, spec: TableSpec) -> NestedField:
    kind = iceberg_type(column.type)
    if not _widens(known.field_type, kind) or (kind != known.field_type and column in spec.partitions):
        raise PermanentFailure(
            f"column {column.name} of table {spec.qualified} is {_spelled(known.field_type)} and the contract of "
            f"{spec.feed} says {column.type.hive}: older files cannot be read as another type. Declare it as "
            f"{_spelled(known.field_type)} (in an Ads report under unchecked_columns), give it another name, or drop "
            "the table and publish its deliveries again"
        )
    return NestedField(known.field_id, known.name, kind, required=known.required, doc=column.comment or None)


def _widens(old: IcebergType, new: IcebergType) -> bool:
    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return new.scale == old.scale and new.precision >= old.precision
    return old == new or (isinstance(old, IntegerType) and isinstance(new, LongType))


def _spelled(kind: IcebergType) -> str:
    if isinstance(kind, DecimalType):
        return f"decimal({kind.precision},{kind.scale})"
    return next((name for name, known in _TYPES.items() if known == kind), str(kind))
