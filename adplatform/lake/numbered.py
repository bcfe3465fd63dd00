"""Parquet files as those of an Iceberg table are: with the ids of their columns, and the partition columns as columns.

The rows are written once more, in bounded memory. An Iceberg table could take over files without ids by the names of
their columns, but Clean Rooms reads none that was made so.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.lake.parquet import arrow_type
from adplatform.lake.table import TableSpec
from adplatform.lake.zones import partition_values
from adplatform.platform.late import Late
from adplatform.platform.parquet_files import batches, row_groups

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
else:
    pa = Late("pyarrow")
    pq = Late("pyarrow.parquet")

FIELD_ID = b"PARQUET:field_id"
_GROUP_BYTES = 32 * 2**20


def numbered(table: TableSpec, partition: str, ids: Mapping[str, int], path: Path, target: Path) -> None:
    """Write the file to ``target`` with ``ids``, which has them by name, and the columns of its ``partition``."""
    present = pq.read_schema(path).names
    values = dict(zip(table.partition_names, partition_values(partition, len(table.partitions)), strict=False))
    columns = [*(column for column in table.columns if column.name in present), *table.partitions]
    schema = pa.schema([pa.field(c.name, arrow_type(c.type), metadata={FIELD_ID: str(ids[c.name])}) for c in columns])
    write_numbered([path], schema, target, values)


def write_numbered(
    files: Sequence[Path], schema: "pa.Schema", target: Path, values: Mapping[str, str] | None = None
) -> None:
    """The rows of ``files`` as one with the columns of ``schema``, whose fields carry their ids. What a file lacks is
    NULL, but for ``values``, which are the same in all rows; narrower types become those of the schema.

    Written by Arrow, because what DuckDB writes says of whole numbers of 32 bits that they are such: Iceberg before
    1.10 (that of Glue 5) then fails on a column that became wider (apache/iceberg#16341).
    """
    options = {"compression": "snappy", "store_schema": False, "store_decimal_as_integer": True}
    with pq.ParquetWriter(target, schema, **options) as writer:
        rows = (_as(batch, schema, values or {}) for path in files for batch in batches(path))
        for group in row_groups(rows, _GROUP_BYTES):
            writer.write_table(group)


def _as(batch: "pa.RecordBatch", schema: "pa.Schema", values: Mapping[str, str]) -> "pa.RecordBatch":
    columns = []
    for field in schema:
        if field.name in values:
            columns.append(pa.repeat(pa.scalar(values[field.name]).cast(field.type), batch.num_rows))
        elif field.name in batch.schema.names:
            columns.append(batch.column(field.name).cast(field.type))
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    return pa.record_batch(columns, schema)
