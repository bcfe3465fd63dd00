"""Reading an Iceberg table on this machine."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FileSystem
from pyiceberg.table import FileScanTask, Table

from adplatform.lake.iceberg.tables import Tables
from adplatform.lake.store import Store
from adplatform.lake.table import Named
from adplatform.lake.zones import Zones
from adplatform.platform.aws import Aws


def dataset(aws: Aws, glue: Any, filesystem: FileSystem, named: Named, schema: pa.Schema) -> ds.Dataset:
    """The table's rows now, with the columns of ``schema``. Where another engine has deleted rows of files or renamed
    columns, they are all fetched; otherwise its files are read when they are needed."""
    table = Tables(Store(aws.client("s3"), Zones("", "")), glue).find(named)
    tasks = list(table.scan().plan_files()) if table else []
    if table is not None and not _as_written(table, tasks):
        return ds.InMemoryDataset(_fetched(aws, table).select(schema.names).cast(schema))
    paths = [task.file.file_path.removeprefix("s3://") for task in tasks]
    if not paths:
        return ds.InMemoryDataset(schema.empty_table())
    return ds.FileSystemDataset.from_paths(paths, schema, ds.ParquetFileFormat(), filesystem)


def _as_written(table: Table, tasks: Sequence[FileScanTask]) -> bool:
    names = {(field.field_id, field.name) for schema in table.schemas().values() for field in schema.fields}
    return not any(task.delete_files for task in tasks) and len(names) == len({number for number, _ in names})


def _fetched(aws: Aws, table: Table) -> pa.Table:
    """PyIceberg reads data files through a file system of its own."""
    from pyiceberg.io import load_file_io  # noqa: PLC0415 - of rare tables

    local: dict[str, Any] = {}
    if (key := aws.key) is not None:
        local = {"s3.endpoint": aws.endpoint_url, "s3.access-key-id": key.id, "s3.secret-access-key": key.secret}
    table.io = load_file_io({"s3.region": aws.region, **local}, table.location())
    return table.scan().to_arrow()
