"""Parquet files as those of an Iceberg table are: with the ids of their columns, and the partition columns as columns.

The rows are written once more, in bounded memory. An Iceberg table could take over files without ids by the names of
their columns, but Clean Rooms reads none that was made so.
"""

from collections.abc import Mapping

from adplatform.lake.lake import Lake
from adplatform.lake.limited import limited
from adplatform.lake.table import TableSpec
from adplatform.lake.zones import partition_values
from adplatform.transform.rules import identifier, literal
from adplatform.transform.values import StagedFile

_SQL_TYPES = {"string": "varchar", "int": "integer"}


def numbered(lake: Lake, table: TableSpec, partition: str, ids: Mapping[str, int], file: StagedFile) -> StagedFile:
    """The file with ``ids``, which has them by name, and the columns of its ``partition``, beside the one that it is
    made of.

    Raises:
        TransientFailure: memory ran out.
    """
    target = file.path.with_name(f"{file.path.stem}.numbered.parquet")
    values = dict(zip(table.partition_names, partition_values(partition, len(table.partitions)), strict=False))
    constants = [
        f"{literal(values[column.name])}::{_SQL_TYPES.get(column.type.name, column.type.name)} as "
        f"{identifier(column.name)}"
        for column in table.partitions
    ]
    scan = f"read_parquet({literal(str(file.path))}, hive_partitioning = false)"
    with limited(lake.memory_limit, lake.threads, file.path.parent) as connection:
        present = {name for name, *_ in connection.execute(f"describe select * from {scan}").fetchall()}
        own = [identifier(column.name) for column in table.columns if column.name in present]
        numbers = ", ".join(
            f"{literal(name)}: {number}" for name, number in ids.items() if name in present or name in values
        )
        connection.execute(
            f"copy (select {', '.join([*own, *constants])} from {scan}) to {literal(str(target))} "
            f"(format parquet, compression snappy, field_ids {{{numbers}}})"
        )
    return StagedFile(target, file.partition, file.rows)
