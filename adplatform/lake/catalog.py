"""The Glue Data Catalog: one database per source, one table per feed, with the schema we wrote, never a guessed one.

Locations and partitions are what readers follow, so changing one is what publishes. A table only ever grows columns at
the end: Athena, Spark and awswrangler read older Parquet files through it as they are.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.personal_tags import PersonalTags
from adplatform.lake.table import Named, TableSpec
from adplatform.lake.views import VIEW, View
from adplatform.lake.zones import JOINT, partition_values
from adplatform.platform.batches import answered
from adplatform.transform.values import OutputColumn

_ATTEMPTS = 10
_MOST_PUT = 100  # Glue web API, BatchCreatePartition and BatchUpdatePartition
_BATCH = 1000  # Glue web API, BatchGetPartition: at most 1,000 values
_STORAGE = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "Parameters": {"serialization.format": "1"},
    },
    "Compressed": True,
}
# Glue crawlers and awswrangler write the same two; a table without them is taken for another format.
_PARQUET = {"classification": "parquet", "compressionType": "snappy"}
ICEBERG_PARTITIONS = "adplatform.partitions"
"""The parameter with the partition columns of an Iceberg table, of which Glue itself knows nothing."""
SHARED_BY = "adplatform.shared_by"
"""The parameter with the column that tells rows of different scopes apart, of a table whose partitions have several."""
_COMMENT_LENGTH = 255  # Glue web API, Column.Comment
# What get_table returns and update_table accepts (Glue web API, TableInput).
_TABLE_INPUT = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "TableType",
    "Parameters",
)

Json = dict[str, Any]


class PartitionChanged(TransientFailure):
    """A partition is there that was not, or is not that was."""


@dataclass(frozen=True)
class Partition:
    """Where one partition's files lie. ``value`` is as the catalog spells it, not as the path does; of a table with two
    partition columns it is both values, joined by ``JOINT``."""

    value: str
    location: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table as the catalog has it. ``columns`` are (name, Glue type), without those in ``partitions``; ``personal``
    names those that hold or stand for personal data, and ``comments`` has what is said of columns, by name."""

    location: str
    columns: tuple[tuple[str, str], ...]
    parameters: Mapping[str, str]
    partitions: tuple[str, ...]
    personal: frozenset[str] = frozenset()
    comments: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_iceberg(self) -> bool:
        return is_iceberg(self.parameters)

    @property
    def shared_by(self) -> str:
        """As of :class:`adplatform.lake.table.TableSpec`."""
        return self.parameters.get(SHARED_BY, "")


@dataclass(frozen=True)
class Catalog:
    """The Glue Data Catalog. ``glue`` is a boto3 client; columns get ``tags`` before what is new in them is shown."""

    glue: Any
    sleep: Callable[[float], None] = time.sleep
    tags: PersonalTags | None = None

    def table(self, spec: Named) -> Table | None:
        found = self._get(spec)
        return None if found is None else _table(found)

    def check(self, spec: TableSpec) -> None:
        """Whether the table can take these columns.

        Raises:
            PermanentFailure: a column changed its type, or the partitioning changed.
        """
        found = self._get(spec)
        if found is not None:
            _evolved(found, spec)

    def ensure(self, spec: TableSpec, location: str, check: Callable[[], None] = lambda: None) -> Table:
        """Create the table at ``location``, or add to an existing one what is new in ``spec``. ``check`` is called
        before each call that writes.

        Raises:
            PermanentFailure: a column changed its type, or the partitioning changed.
            TransientFailure: other writers kept changing the table.
        """
        return self._put(spec, location, {}, lambda table: table, check)

    def show(
        self,
        spec: TableSpec,
        location: str,
        parameters: Mapping[str, str],
        *,
        over: Callable[[Table], bool],
        check: Callable[[], None] = lambda: None,
    ) -> Table:
        """Make the table read ``location``, if it is ``over`` what the table shows at that moment. ``check`` is called
        before each call that writes.

        Raises: as :meth:`ensure`.
        """

        def move(table: Json) -> Json:
            if not over(_table(table)):
                return table
            return {
                **table,
                "StorageDescriptor": {**table["StorageDescriptor"], "Location": location},
                "Parameters": {**table["Parameters"], **parameters},
            }

        return self._put(spec, location, parameters, move, check)

    def partition(self, spec: TableSpec, value: str) -> Partition | None:
        return self.partition_of(spec, partition_values(value, len(spec.partitions)))

    def partition_of(self, spec: Named, values: list[str]) -> Partition | None:
        try:
            found = self.glue.get_partition(DatabaseName=spec.database, TableName=spec.name, PartitionValues=values)
        except self.glue.exceptions.EntityNotFoundException:
            return None
        return _partition(found["Partition"])

    def partitions(self, spec: Named) -> Iterator[Partition]:
        """All partitions; none when there is no table."""
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=spec.database, TableName=spec.name, ExcludeColumnSchema=True
        )
        try:
            for page in pages:
                yield from map(_partition, page["Partitions"])
        except self.glue.exceptions.EntityNotFoundException:
            return

    def some_partitions(self, spec: Named, values: Iterable[str], columns: int) -> Iterator[Partition]:
        """Those of the partitions that there are.

        Raises:
            TransientFailure: Glue is too busy to answer.
        """
        where = {"DatabaseName": spec.database, "TableName": spec.name}

        def ask(keys: list[Json]) -> tuple[list[Json], list[Json]]:
            try:
                answer = self.glue.batch_get_partition(**where, PartitionsToGet=keys)
            except self.glue.exceptions.EntityNotFoundException:
                return [], []
            return answer.get("Partitions", []), answer.get("UnprocessedKeys", [])

        wanted = [{"Values": partition_values(value, columns)} for value in values]
        for found in answered(f"table {spec.database}.{spec.name}", wanted, _BATCH, ask, self.sleep):
            yield from map(_partition, found)

    def put_partition(
        self,
        spec: Named,
        table: Table,
        partition: Partition,
        check: Callable[[], None] = lambda: None,
        *,
        exists: bool | None = None,
    ) -> None:
        """Create the partition or move it; readers see the old location or the new one.

        ``check`` is called before the one call that writes. A caller that has just looked says whether the partition
        ``exists``. A creation never moves what somebody else made meanwhile.

        Raises:
            PartitionChanged: the partition was made or removed by somebody else meanwhile.
        """
        wanted = _partition_input(table, partition)
        values: list[str] = wanted["Values"]
        where = {"DatabaseName": spec.database, "TableName": spec.name, "PartitionInput": wanted}
        if exists is None:
            exists = self.partition_of(spec, values) is not None
        check()
        try:
            if exists:
                self.glue.update_partition(**where, PartitionValueList=values)
            else:
                self.glue.create_partition(**where)
        except (self.glue.exceptions.AlreadyExistsException, self.glue.exceptions.EntityNotFoundException) as e:
            made = self.partition_of(spec, values)  # by an attempt of the same call, perhaps, whose answer was lost
            if made is None or made.location != partition.location:
                raise PartitionChanged(
                    f"partition {partition.value!r} of {spec.database}.{spec.name} was changed by others; run again"
                ) from e

    def put_partitions(
        self,
        spec: Named,
        table: Table,
        partitions: Iterable[Partition],
        check: Callable[[], None] = lambda: None,
        *,
        exist: bool,
    ) -> set[str]:
        """:meth:`put_partition` for several that are all there, or all not, many by one call; the values of those that
        were made or removed by somebody else meanwhile, and are as they were. ``check`` is called before each call."""
        wanted = {each.value: _partition_input(table, each) for each in partitions}
        by_values = {tuple(made["Values"]): value for value, made in wanted.items()}
        where, refused, values = {"DatabaseName": spec.database, "TableName": spec.name}, set[str](), list(wanted)
        for start in range(0, len(values), _MOST_PUT):
            some = [wanted[value] for value in values[start : start + _MOST_PUT]]
            check()
            if exist:
                moved = [{"PartitionValueList": each["Values"], "PartitionInput": each} for each in some]
                errors = self.glue.batch_update_partition(**where, Entries=moved).get("Errors", ())
                refused |= {by_values[tuple(error["PartitionValueList"])] for error in errors}
            else:
                errors = self.glue.batch_create_partition(**where, PartitionInputList=some).get("Errors", ())
                refused |= {by_values[tuple(error["PartitionValues"])] for error in errors}
        return refused

    def delete_partition(self, spec: TableSpec, value: str) -> None:
        values = partition_values(value, len(spec.partitions))
        try:
            self.glue.delete_partition(DatabaseName=spec.database, TableName=spec.name, PartitionValues=values)
        except self.glue.exceptions.EntityNotFoundException:
            return

    def show_view(self, view: View, check: Callable[[], None] = lambda: None) -> None:
        """Make the view, or make it what it is to be. ``check`` is called before each call that writes.

        Raises:
            PermanentFailure: a table has its name.
            TransientFailure: other writers kept changing it.
        """
        wanted = view.table_input
        for _ in range(_ATTEMPTS):
            found = self._get(view)
            if found is not None and found.get("TableType") != VIEW:
                raise PermanentFailure(f"{view.database}.{view.name} is a table, and a view is to be called so")
            if found is not None and {name: found.get(name) for name in wanted} == wanted:
                return
            check()
            if found is not None:
                self._replace(view, wanted, found["VersionId"])
                continue
            try:
                self.glue.create_table(DatabaseName=view.database, TableInput=wanted)
            except self.glue.exceptions.AlreadyExistsException:
                continue
        raise TransientFailure(f"view {view.database}.{view.name} is being changed by others; run again")

    def _get(self, spec: Named) -> Json | None:
        try:
            found: Json = self.glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
        except self.glue.exceptions.EntityNotFoundException:
            return None
        return found

    def _put(
        self,
        spec: TableSpec,
        location: str,
        parameters: Mapping[str, str],
        change: Callable[[Json], Json],
        check: Callable[[], None],
    ) -> Table:
        for _ in range(_ATTEMPTS):
            found = self._get(spec)
            if found is None:
                made = self._create(spec, location, parameters, check)
                if made is not None and self.tags is None:
                    return _table(made)
                continue
            wanted = change(_evolved(found, spec))
            if wanted == _input(found):
                self._tag(found)
                return _table(found)
            check()
            self._replace(spec, wanted, found["VersionId"])
        raise TransientFailure(f"table {spec.qualified} is being changed by others; run again")

    def tag(self, spec: Named) -> None:
        """Tag the columns of a table that is there.

        Raises:
            PermanentFailure: Lake Formation does not know the tag, or refuses it.
        """
        if self.tags is not None and (found := self._get(spec)) is not None:
            self._tag(found)

    def _tag(self, found: Json) -> None:
        if self.tags is not None:
            self.tags.put(found)

    def ensure_database(self, spec: TableSpec) -> None:
        try:
            self.glue.get_database(Name=spec.database)
        except self.glue.exceptions.EntityNotFoundException:
            self._create_database(spec)

    def _create_database(self, spec: TableSpec) -> None:
        try:
            self.glue.create_database(DatabaseInput=database_input(spec.database, spec.feed.split("/")[0]))
        except self.glue.exceptions.AlreadyExistsException:
            return

    def _create(
        self, spec: TableSpec, location: str, parameters: Mapping[str, str], check: Callable[[], None]
    ) -> Json | None:
        """The table as it was asked for; None where somebody else was faster."""
        table = {
            "Name": spec.name,
            **_described(spec),
            "TableType": "EXTERNAL_TABLE",
            "StorageDescriptor": _descriptor([_column(c) for c in spec.columns], location),
            "PartitionKeys": [_key(c) for c in spec.partitions],
            "Parameters": {"EXTERNAL": "TRUE", **_PARQUET, **lineage(spec), **parameters},
        }
        for _ in range(2):
            check()
            try:
                self.glue.create_table(DatabaseName=spec.database, TableInput=table)
            except self.glue.exceptions.AlreadyExistsException:
                return None
            except self.glue.exceptions.EntityNotFoundException:
                self._create_database(spec)
            else:
                return table
        return None

    def make_keys_strings(self, spec: Named, check: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        """Make the partition columns of a Parquet table that are dates strings: one change of the table, without any of
        its partitions or files. Returns their names, none where there is nothing to do. ``check`` is called before the
        call that writes.

        Raises:
            TransientFailure: other writers kept changing the table.
        """
        for _ in range(_ATTEMPTS):
            found = self._get(spec)
            dates = date_keys(found) if found is not None else ()
            if found is None or not dates:
                return ()
            check()
            wanted = {**_input(found), "PartitionKeys": [_string_key(key) for key in found["PartitionKeys"]]}
            if self._replace(spec, wanted, found["VersionId"]):
                return dates
        raise TransientFailure(f"table {spec.database}.{spec.name} is being changed by others; run again")

    def move(self, spec: Named, location: str, parameters: Mapping[str, str], check: Callable[[], None]) -> None:
        """Make an existing table read ``location`` unless it changes meanwhile."""
        found = self._get(spec)
        if found is None:
            return
        table = _input(found)
        wanted = {
            **table,
            "StorageDescriptor": {**table["StorageDescriptor"], "Location": location},
            "Parameters": {**table.get("Parameters", {}), **parameters},
        }
        check()
        self._replace(spec, wanted, found["VersionId"])

    def _replace(self, spec: Named, wanted: Json, version_id: str) -> bool:
        """Does nothing, and says so, when the table changed since it was read. Glue limits the versions of a table:
        keep none."""
        try:
            self.glue.update_table(
                DatabaseName=spec.database, TableInput=wanted, SkipArchive=True, VersionId=version_id
            )
        except self.glue.exceptions.ConcurrentModificationException:
            return False
        return True


def date_keys(table: Json) -> tuple[str, ...]:
    """The partition columns of a table of plain Parquet that are dates. ``table`` is as GetTables shows it."""
    if is_iceberg(table.get("Parameters", {})):
        return ()
    return tuple(key["Name"] for key in table.get("PartitionKeys", []) if key["Type"] == "date")


def _evolved(found: Json, spec: TableSpec) -> Json:
    """The table input with the columns of ``spec``: known ones keep their place and type, new ones come last."""
    if is_iceberg(found.get("Parameters", {})):
        raise PermanentFailure(
            f"table {spec.qualified} is an Iceberg table and {spec.feed} says table_format: parquet; drop the table or "
            "give the feed another name"
        )
    if not _partitioned_as(found, spec):
        raise PermanentFailure(
            f"table {spec.qualified} is partitioned differently from the contract of {spec.feed}: "
            f"drop the table or give the feed another name{_moved(spec)}"
        )
    wanted = {column.name: column for column in spec.columns}
    columns = []
    for column in found["StorageDescriptor"]["Columns"]:
        new = wanted.pop(column["Name"], None)
        if new is not None and new.type.hive != column["Type"]:
            raise PermanentFailure(
                f"column {new.name} of table {spec.qualified} is {column['Type']} and the contract of {spec.feed} says "
                f"{new.type.hive}: older files cannot be read as another type. Declare it as {column['Type']} (in an "
                "Ads report under unchecked_columns), give it another name, or drop the table and publish its "
                "deliveries again"
            )
        columns.append(column if new is None else _column(new))
    columns += map(_column, wanted.values())
    table = _input(found)
    return {
        **table,
        **_described(spec),
        "StorageDescriptor": {**table["StorageDescriptor"], "Columns": columns},
        "Parameters": {**table.get("Parameters", {}), **_PARQUET, **lineage(spec)},
    }


def _moved(spec: TableSpec) -> str:
    """How a table gets another layout."""
    anew = "the next publication and `adplatform collect` make it anew of what is in the clean bucket"
    return f". Where only its layout was changed, put that back, or drop the table: {anew}" if spec.scope else ""


def _partitioned_as(found: Json, spec: TableSpec) -> bool:
    """A date may be a date or a string in the catalog: tables keep the keys that they were made with."""
    keys, declared = found.get("PartitionKeys", []), spec.partitions
    return [key["Name"] for key in keys] == [column.name for column in declared] and all(
        key["Type"] in (column.type.hive, _key(column)["Type"]) for key, column in zip(keys, declared, strict=True)
    )


def _key(column: OutputColumn) -> Json:
    """A partition column. A date is a string such as ``2026-11-27``: engines have Glue filter by strings, and list all
    partitions where a key is a date (Athena User Guide, "Use string as the data type for partition keys"). Partitions'
    values are the same texts either way. docs/scale.md has the evidence."""
    return _string_key(_column(column))


def _string_key(key: Json) -> Json:
    return {**key, "Type": "string"} if key["Type"] == "date" else key


def is_iceberg(parameters: Mapping[str, str]) -> bool:
    """Whether the parameters of a table say so, as all engines write them (Iceberg's Glue catalog)."""
    return parameters.get("table_type", "").upper() == "ICEBERG"


def _described(spec: TableSpec) -> Json:
    """Glue does not return an empty description, so sending one would look like a change every time."""
    return {"Description": spec.description} if spec.description else {}


def database_input(database: str, source: str) -> dict[str, str]:
    """What CreateDatabase is asked for, of the clean zone of a source."""
    return {"Name": database, "Description": f"Clean zone of source {source}."}


def lineage(spec: TableSpec) -> dict[str, str]:
    shared = {SHARED_BY: spec.shared_by} if spec.compacted else {}
    return {"adplatform.feed": spec.feed, "adplatform.contract": spec.contract_hash, **shared}


def column_parameters(column: OutputColumn) -> dict[str, str]:
    """What the catalog knows of a column beside type and comment."""
    sources = {"adplatform.sources": ",".join(column.sources)} if column.sources else {}
    return {**column.tags, **sources}


def _column(column: OutputColumn) -> Json:
    parameters = column_parameters(column)
    return {
        "Name": column.name,
        "Type": column.type.hive,
        **({"Comment": column.comment[:_COMMENT_LENGTH]} if column.comment else {}),
        **({"Parameters": parameters} if parameters else {}),
    }


def _partition_input(table: Table, partition: Partition) -> Json:
    columns = [{"Name": name, "Type": hive} for name, hive in table.columns]
    return {
        "Values": partition_values(partition.value, len(table.partitions)),
        "StorageDescriptor": _descriptor(columns, partition.location),
        "Parameters": {**_PARQUET, **partition.parameters},
    }


def _descriptor(columns: list[Json], location: str) -> Json:
    return {**_STORAGE, "Columns": columns, "Location": location}


def _input(found: Json) -> Json:
    return {name: found[name] for name in _TABLE_INPUT if name in found}


def _table(found: Json) -> Table:
    descriptor, parameters = found["StorageDescriptor"], found.get("Parameters", {})
    partitions = [key["Name"] for key in found.get("PartitionKeys", [])]
    if is_iceberg(parameters):
        partitions = [name for name in parameters.get(ICEBERG_PARTITIONS, "").split(",") if name]
    return Table(
        location=descriptor["Location"],
        columns=tuple((c["Name"], c["Type"]) for c in descriptor["Columns"] if c["Name"] not in partitions),
        parameters=parameters,
        partitions=tuple(partitions),
        personal=frozenset(c["Name"] for c in descriptor["Columns"] if "pii" in (c.get("Parameters") or {})),
        comments={c["Name"]: c["Comment"] for c in descriptor["Columns"] if c.get("Comment")},
    )


def _partition(found: Json) -> Partition:
    return Partition(JOINT.join(found["Values"]), found["StorageDescriptor"]["Location"], found.get("Parameters", {}))
