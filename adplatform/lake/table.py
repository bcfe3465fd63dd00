"""What the catalog must know of a clean table, derived from the contract and the columns that a transform produced."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from adplatform.contracts.column import DELIVERY_DATE
from adplatform.contracts.model import Contract, TableFormat
from adplatform.contracts.pii import Treatment
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure
from adplatform.transform.values import OutputColumn

DATABASE_PREFIX = "clean_"


class Named(Protocol):
    """Whatever names a table of the catalog."""

    @property
    def database(self) -> str: ...

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class TableName:
    database: str
    name: str


@dataclass(frozen=True)
class TableSpec:
    """The clean table of a feed. ``columns`` leaves out the partition column, as the files do.

    ``scope`` is a second partition column, whose values are published apart, one for each account for example. Of a
    ``compacted`` table it is the last of the columns instead: all scopes of a date share its partition.
    ``key`` and ``latest_by`` name columns of the table by which rows of different deliveries are compared; a personal
    key is compared by its keyed digest. Both are empty when deliveries do not meet: with ``dt``, or no partition.
    """

    feed: str
    database: str
    name: str
    description: str
    columns: tuple[OutputColumn, ...]
    partition: OutputColumn | None
    scope: OutputColumn | None
    key: tuple[str, ...]
    latest_by: tuple[str, ...]
    contract_hash: str
    table_format: TableFormat = "parquet"
    compacted: bool = False

    @property
    def is_iceberg(self) -> bool:
        return self.table_format == "iceberg"

    @property
    def qualified(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def partitions(self) -> tuple[OutputColumn, ...]:
        return self._folders[:1] if self.compacted else self._folders

    @property
    def partition_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.partitions)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """The columns whose values are in the location of what a delivery brings."""
        return tuple(column.name for column in self._folders)

    @property
    def _folders(self) -> tuple[OutputColumn, ...]:
        return tuple(column for column in (self.partition, self.scope) if column)

    @property
    def shared_by(self) -> str:
        """The column that tells rows of different scopes apart within a partition; "" where none has several."""
        return self.scope.name if self.compacted and self.scope else ""

    @property
    def by_column(self) -> bool:
        """Whether deliveries meet in its partitions."""
        return self.partition is not None and self.partition.name != DELIVERY_DATE


def table_name(feed: str, database_prefix: str = DATABASE_PREFIX) -> TableName:
    """The table of ``feed`` (``"<source>/<feed>"``): one database per source."""
    source, name = feed.split("/")
    return TableName(database_prefix + source, name)


def contract_hash(contract: Contract) -> str:
    """Changes whenever anything in the contract changes."""
    return hashlib.sha256(contract.model_dump_json().encode()).hexdigest()[:16]


def table_spec(
    feed: str,
    contract: Contract,
    columns: Iterable[OutputColumn],
    *,
    description: str = "",
    database_prefix: str = DATABASE_PREFIX,
    scope: str | None = None,
    compacted: bool = False,
) -> TableSpec:
    """The table of ``feed`` (``"<source>/<feed>"``) with the ``columns`` of its files. All scopes of one that is
    ``compacted`` share the partition of a date.

    Raises:
        PermanentFailure: the files lack a column that decides between rows of different deliveries, or ``scope``, the
            second partition column, cannot be one.
    """
    named = table_name(feed, database_prefix)
    output = tuple(columns)
    partition = _partition(contract)
    across = partition is not None and partition.name != DELIVERY_DATE
    if scope and (across or partition is None or scope in {DELIVERY_DATE, *(column.name for column in output)}):
        raise PermanentFailure(f"{feed}: {scope} can only be a partition beside {DELIVERY_DATE}, and no column as well")
    within = OutputColumn(scope, DataType("string")) if scope else None
    stored = {column.name for column in output} | ({partition.name} if partition else set())
    key = tuple(_stored_name(contract, k) for k in contract.key) if across else ()
    for column in (*key, *(contract.latest_by if across else ())):
        if column not in stored:
            raise PermanentFailure(f"{feed}: the staged files lack column {column}, by which its rows are compared")
    return TableSpec(
        feed=feed,
        database=named.database,
        name=named.name,
        description=description,
        columns=(*output, within) if within and compacted else output,
        partition=partition,
        scope=within,
        key=key,
        latest_by=contract.latest_by if across else (),
        contract_hash=contract_hash(contract),
        table_format=contract.table_format,
        compacted=compacted and within is not None,
    )


def _partition(contract: Contract) -> OutputColumn | None:
    if contract.partition_by is None:
        return None
    if contract.partition_by == DELIVERY_DATE:
        return OutputColumn(DELIVERY_DATE, DataType("date"), "Delivery date (UTC).")
    column = contract.column(contract.partition_by)
    return OutputColumn(column.name, column.data_type, column.comment, sources=(column.name,))


def _stored_name(contract: Contract, name: str) -> str:
    pii = contract.column(name).pii
    return f"{name}_{Treatment.LAKE}" if pii and Treatment.LAKE in pii.treatment else name
