"""One commit that replaces rows of an Iceberg table: readers see what was there, or all that is new."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq
import pyiceberg.expressions
from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError, ValidationException
from pyiceberg.expressions import AlwaysFalse, AlwaysTrue, And, BooleanExpression, Or
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record
from pyiceberg.types import DecimalType
from pyiceberg.utils.datetime import date_to_days

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.catalog import Partition, lineage
from adplatform.lake.iceberg.entries import entries, pointers, share_of, write
from adplatform.lake.iceberg.schema import literal_of, partitioning, planned
from adplatform.lake.iceberg.tables import Overtaken, Tables, properties_of
from adplatform.lake.lake import Lake
from adplatform.lake.numbered import FIELD_ID
from adplatform.lake.remote_file import RemoteFile
from adplatform.lake.store import Stored
from adplatform.lake.table import Named, TableSpec
from adplatform.lake.zones import partition_values
from adplatform.platform.at_once import at_once

expressions: Any = pyiceberg.expressions  # mypy does not see that they take what they compare by position
_ATTEMPTS = 10

Changes = Mapping[str, Partition | None]
"""What partitions are to show, None for nothing; the value of a table without partitions is ""."""


def show(
    lake: Lake,
    named: Named,
    changes: Changes,
    *,
    check: Callable[[], None],
    summary: Mapping[str, str],
    over: Callable[[Mapping[str, Partition]], bool] = lambda shown: True,
) -> bool:
    """Make the table show the files at the locations of ``changes``, in one commit; False where it is not ``over`` what
    the partitions show at that moment. With a :class:`TableSpec` the table is made, or takes new columns.

    ``check`` is called before the call that makes it visible. ``summary`` becomes part of the snapshot's.

    Raises:
        PermanentFailure: the table cannot take the columns or is gone, or rows to replace share files with others.
        TransientFailure: others kept changing the table, or the files are gone.
    """
    spec = named if isinstance(named, TableSpec) else None
    for _ in range(_ATTEMPTS):
        catalog = Tables(lake.store, lake.catalog.glue, check=check, spec=spec)
        table = catalog.find(named)
        properties = table.properties if table else {}
        if not over(entries(lake.store, properties, changes)):
            return False
        catalog.expected = pointers(properties, {share_of(value) for value in changes})
        try:
            _commit(lake, _opened(lake, catalog, table, named), catalog.expected, changes, summary)
        except (Overtaken, TableAlreadyExistsError):
            continue
        except (CommitFailedException, ValidationException) as e:
            raise TransientFailure(f"table {named.database}.{named.name} was changed by others; run again: {e}") from e
        return True
    raise TransientFailure(f"table {named.database}.{named.name} is being changed by others; run again")


def _opened(lake: Lake, catalog: Tables, table: Table | None, named: Named) -> Transaction:
    """A transaction after which the table has the columns that are wanted."""
    if not isinstance(named, TableSpec):
        if table is None:
            raise PermanentFailure(f"table {named.database}.{named.name} is gone")
        return table.transaction()
    if table is None:
        lake.catalog.ensure_database(named)
        transaction = _created(lake, catalog, named)
    else:
        transaction = table.transaction()
        evolve(transaction, named)
    transaction.set_properties(lineage(named))
    return transaction


def _commit(
    lake: Lake, transaction: Transaction, before: Mapping[str, str], changes: Changes, summary: Mapping[str, str]
) -> None:
    metadata = transaction.table_metadata
    transaction.set_properties(write(lake.store, metadata.properties["adplatform.feed"], before, changes))
    names = [field.name for field in metadata.spec().fields]
    added = [
        file
        for value, entry in changes.items()
        if entry is not None
        for file in data_files(lake, metadata, entry.location, partition_values(value, len(names)))
    ]
    replace(transaction, filter_of(metadata.schema(), names, changes), added, summary)
    transaction.commit_transaction()


def replace(
    transaction: Transaction, delete_filter: BooleanExpression, files: Iterable[DataFile], summary: Mapping[str, str]
) -> None:
    """Put ``files`` in the place of those with the rows of ``delete_filter``, as one snapshot whose summary has
    ``summary``; the caller commits. Who commits rows that the filter fits meanwhile makes the commit fail: PyIceberg
    commits again only over changes of other rows.

    Raises:
        PermanentFailure: a file has such rows and others, so it could not be replaced as a whole.
    """
    producer = transaction.update_snapshot(snapshot_properties=dict(summary)).overwrite()
    producer.delete_by_predicate(delete_filter)
    for task in transaction._scan(delete_filter).plan_files():
        if not isinstance(task.residual, AlwaysTrue):
            raise PermanentFailure(f"{task.file.file_path} has rows to replace and others; rewrite the table's files")
        producer.delete_data_file(task.file)
    for file in files:
        producer.append_data_file(file)
    producer.commit()


def evolve(transaction: Transaction, spec: TableSpec) -> None:
    """Give the table what is new in ``spec``.

    Raises:
        PermanentFailure: as :func:`adplatform.lake.iceberg.schema.planned`, or the partitioning changed.
    """
    current = transaction.table_metadata.schema()
    wanted = planned(current, spec)
    if [field.name for field in transaction.table_metadata.spec().fields] != list(spec.partition_names):
        raise PermanentFailure(
            f"table {spec.qualified} is partitioned differently from the contract of {spec.feed}: drop the table or "
            "give the feed another name"
        )
    known = {field.name: field for field in current.fields}
    with transaction.update_schema() as update:
        for field in wanted.fields:
            old = known.get(field.name)
            if old is None:
                update.add_column(field.name, field.field_type, field.doc)
            elif (old.field_type, old.doc) != (field.field_type, field.doc):
                update.update_column(field.name, field_type=field.field_type, doc=field.doc or "")


def filter_of(schema: Schema, names: Sequence[str], values: Iterable[str]) -> BooleanExpression:
    """The rows of partitions, given by value."""
    listed = [partition_values(value, len(names)) for value in values]
    if not names:
        return AlwaysTrue()
    fields = [schema.find_field(name) for name in names]
    if len(names) == 1:
        within: BooleanExpression = expressions.In(names[0], {_spelled(fields[0], value) for (value,) in listed})
        return within
    found: BooleanExpression = AlwaysFalse()
    for values_of_one in listed:
        one: BooleanExpression = AlwaysTrue()
        for field, value in zip(fields, values_of_one, strict=True):
            one = And(one, expressions.EqualTo(field.name, _spelled(field, value)))
        found = Or(found, one)
    return found


def data_files(lake: Lake, metadata: TableMetadata, location: str, values: Sequence[str]) -> list[DataFile]:
    """What manifests say of the files at a location, all of which belong to the partition of these values.

    Raises:
        TransientFailure: they were written for columns with other ids.
    """
    zones = lake.store.zones
    stored = list(lake.store.listing(zones.clean_bucket, zones.clean_key(location)))
    return at_once(lambda file: _data_file(lake, metadata, file, values), stored)


def _data_file(lake: Lake, metadata: TableMetadata, stored: Stored, values: Sequence[str]) -> DataFile:
    zones, schema, spec = lake.store.zones, metadata.schema(), metadata.spec()
    footer = pq.read_metadata(RemoteFile(lake.store.s3, zones.clean_bucket, stored.key, stored.size))
    for column in footer.schema.to_arrow_schema():
        wanted = schema.find_field(column.name) if column.name in schema.column_names else None
        if wanted is None or (column.metadata or {}).get(FIELD_ID) != str(wanted.field_id).encode():
            raise TransientFailure(f"{stored.key} was written for other columns than there are now; run the step again")
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=footer,
        stats_columns=compute_statistics_plan(_as_written(schema, footer), metadata.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    fields = [schema.find_field(part.source_id) for part in spec.fields]
    return DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=zones.clean_uri(stored.key),
        file_format=FileFormat.PARQUET,
        partition=Record(*(_stored(field, value) for field, value in zip(fields, values, strict=False))),
        file_size_in_bytes=stored.size,
        sort_order_id=None,
        spec_id=metadata.default_spec_id,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )


def _as_written(schema: Schema, footer: "pq.FileMetaData") -> Schema:
    """The schema with the decimals of a file that was written before they became wider: PyIceberg takes their bounds
    by how they are stored, and those of a wider type are the same bytes."""
    types = {column.name: column.type for column in footer.schema.to_arrow_schema()}
    return Schema(
        *(
            field.model_copy(update={"field_type": DecimalType(types[field.name].precision, field.field_type.scale)})
            if isinstance(field.field_type, DecimalType) and field.name in types
            else field
            for field in schema.fields
        )
    )


def _spelled(field: Any, value: str) -> Any:
    found = literal_of(field, value)
    return found if isinstance(found, int | str) else found.isoformat()


def _stored(field: Any, value: str) -> Any:
    """A partition value as manifests have it: dates as days since 1970."""
    found = literal_of(field, value)
    return found if isinstance(found, int | str) else date_to_days(found)


def _created(lake: Lake, catalog: Tables, spec: TableSpec) -> Transaction:
    schema, zones = planned(None, spec), lake.store.zones
    return catalog.create_table_transaction(
        (spec.database, spec.name),
        schema,
        location=zones.clean_uri(zones.clean(spec.feed)).rstrip("/"),
        partition_spec=partitioning(schema, spec),
        properties=properties_of(lake, spec),
    )
