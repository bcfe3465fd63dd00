"""The Hive type names by which the Glue Data Catalog knows the types of a Parquet file."""

import pyarrow as pa
from pyarrow import types


def hive_type(arrow_type: pa.DataType) -> str:
    """The type a Glue crawler would catalogue (Athena user guide, "Data types in Amazon Athena")."""
    if types.is_dictionary(arrow_type):
        return hive_type(arrow_type.value_type)
    if types.is_list(arrow_type) or types.is_large_list(arrow_type):
        return f"array<{hive_type(arrow_type.value_type)}>"
    if types.is_map(arrow_type):
        return f"map<{hive_type(arrow_type.key_type)},{hive_type(arrow_type.item_type)}>"
    if types.is_struct(arrow_type):
        return f"struct<{','.join(f'{field.name}:{hive_type(field.type)}' for field in arrow_type)}>"
    if types.is_decimal(arrow_type):
        return f"decimal({arrow_type.precision},{arrow_type.scale})"
    if types.is_timestamp(arrow_type):
        return "timestamp"
    if types.is_binary(arrow_type) or types.is_large_binary(arrow_type) or types.is_fixed_size_binary(arrow_type):
        return "binary"
    return _SIMPLE.get(arrow_type, "string")


_SIMPLE = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "int",
    pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)",
    pa.float16(): "float",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.date64(): "date",
}
