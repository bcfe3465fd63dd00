"""The contract of a feed: what its files look like, what its rows mean, and what of it may be read in the clean zone.

A contract is plain data. It is written in YAML, checked here once, and compiled to SQL by ``adplatform.transform``.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from adplatform.contracts.column import DELIVERY_DATE, Column, loosely
from adplatform.contracts.columns import Columns
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.naming import Naming
from adplatform.contracts.pii import Pii, Treatment
from adplatform.contracts.presets import resolved_contract
from adplatform.contracts.spelling import ColumnDefaults
from adplatform.contracts.strict import Names, Strict

TableFormat = Literal["parquet", "iceberg"]
TableLayout = Literal["per_scope", "compacted"]
UndeclaredPersonal = Literal["quarantine", "clear"]


class RowCheck(Strict):
    """A Spark SQL condition; rows for which it is false are quarantined as ``check:<name>``, as by CHECK in SQL."""

    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,126}$")]
    """The check's name, in the reason of rows that fail it."""
    expression: str
    """The condition; a row passes where it is true, or has no answer because a value is absent."""


class Bounds(Strict):
    """What a whole delivery must look like before it may be published."""

    min_rows: int | None = Field(default=None, ge=0)
    """The least number of rows, those not counted that are left out on purpose; by default a delivery may be empty."""
    max_rows: int | None = Field(default=None, ge=0)
    """The greatest number of such rows; by default any."""
    max_quarantined: float = Field(default=0.2, ge=0, le=1)
    """Share of such rows, 0 to 1, that may be quarantined before the delivery is refused."""


class Contract(Strict):
    """Columns, keys, privacy and checks of one feed."""

    defaults: ColumnDefaults = ColumnDefaults()
    """How the values of all columns are written that do not say otherwise, such as ``{decimal_comma: true, thousands:
    ".", trim: true}``; each setting counts for columns of the types that it fits."""
    columns: Columns
    """The columns, as a mapping of each name to a type or to settings, in the table's order."""
    format: FileFormat = FileFormat()
    """How the files are written; by default as csv with a header."""
    key: Names = ()
    """The column, or columns, of which the table has one row per value; by default every row is kept."""
    latest_by: Names = ()
    """Which row of a key is kept: the one with the greatest values here (no value is smallest) and, among equals, the
    one that came last."""
    partition_by: str | None = DELIVERY_DATE
    """``dt`` (default) for the delivery date, where rows of one key are compared within a delivery; a column of the
    key, where they are compared across deliveries but within a partition; null for a table that each delivery replaces.
    Rows whose value cannot name a partition are quarantined as ``bad_partition``."""
    table_format: TableFormat = "parquet"
    """How the table is kept: ``parquet`` (default) as plain Parquet below Hive partitions, which every reader takes, or
    ``iceberg`` as an Apache Iceberg table (format version 2), which shows all partitions of a version at once and can
    be read as of an earlier time. A table that exists keeps the format that it has."""
    schema_policy: Literal["freeze", "evolve", "quarantine"] = "freeze"
    """What a column that nobody declared does: ``freeze`` (default) refuses the file, ``evolve`` adds the column to the
    table as text, ``quarantine`` puts the file aside and goes on without it. An added column is called as the file
    says, in lower case and with ``_`` for all but a to z and 0 to 9; where that is no name of its own, the file is
    refused. A declared column that a csv file with a header or a Parquet file lacks, and that is not ``optional``, does
    the same: with ``evolve`` its rows have no value there, which the check ``schema`` warns of, unless it is
    ``required`` or named by ``key``, ``latest_by`` or a ``country_column``: then the file is refused."""
    undeclared_personal: UndeclaredPersonal = "quarantine"
    """For ``schema_policy: evolve``: what becomes of a column that nobody declared and that holds e-mail addresses or
    phone numbers in a file. ``quarantine`` (default) keeps its values of that file out of the table, with a warning
    that says what to declare; ``clear`` stores them as they are."""
    skip_rows_where: str | None = Field(default=None, min_length=1)
    """A Spark SQL condition over the texts of the columns as the files write them, such as ``campaign = 'Total'`` or
    ``day is null``: rows for which it is true are left out on purpose, as rows of totals are, and counted as such. An
    empty field is null, and what has no answer is not true."""
    row_checks: tuple[RowCheck, ...] = ()
    """Conditions that every row must meet."""
    naming: Naming | None = None
    """How names in columns of text are made, by column, such as ``campaign_name: "{market}_{channel}_{yyyymm}"``: the
    table then has a column for each field of a name and one that says whether the name conforms. No row is quarantined
    for a name."""
    bounds: Bounds = Bounds()
    """What a delivery as a whole must look like; otherwise nothing of it is published."""

    @property
    def rows_digest(self) -> str:
        """Changes when the same files would come to other rows. What is as by default does not count, so that a release
        that adds a setting changes no digest."""
        without: Any = {
            **{"bounds": True, "table_format": True, "columns": {"__all__": {"comment"}}},
            "naming": {"at_least", "by"},
        }
        return sha256(self.model_dump_json(exclude=without, exclude_defaults=True).encode()).hexdigest()[:16]

    @model_validator(mode="before")
    @classmethod
    def _with_preset(cls, given: Any) -> Any:
        return resolved_contract(given)

    @field_validator("columns")
    @classmethod
    def _with_defaults(cls, columns: tuple[Column, ...], info: ValidationInfo) -> tuple[Column, ...]:
        defaults = info.data.get("defaults")
        return tuple(column.with_defaults(defaults) for column in columns) if defaults else columns

    @model_validator(mode="after")
    def _numbers_of_cells_are_plain(self) -> Self:
        if self.format.kind == "xlsx":
            for column in self.read_columns:
                if column.data_type.is_number and column.decimal_mark == ",":
                    setting = "decimal_comma" if column.decimal_comma else "thousands: '.'"
                    raise ValueError(
                        f"column {column.name}: {setting} is for text, and cells of a workbook that are numbers have a "
                        "point; leave it out for kind: xlsx"
                    )
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        names = [c.name for c in self.columns]
        for name in {n for n in names if names.count(n) > 1}:
            raise ValueError(f"column {name} is declared twice")
        headers = [h for c in self.read_columns for h in {self.compared(name) for name in c.field_names}]
        for header in {h for h in headers if headers.count(h) > 1}:
            loose = " when names are compared loosely" if self.format.header_match == "loose" else ""
            raise ValueError(f"two columns read {header!r}{loose}")
        for setting, wanted in (("key", self.key), ("latest_by", self.latest_by)):
            for name in wanted:
                if name not in names:
                    raise ValueError(f"{setting} names column {name!r}, which is not declared")
        if self.latest_by and not self.key:
            raise ValueError("latest_by needs key: it decides between rows of one key")
        for name in self.key:
            if not self.column(name).required and name != self.partition_by:
                raise ValueError(f"key column {name} must be required: a row without its key cannot be placed")
        self._check_partition()
        self._check_latest_across_deliveries()
        for column in self.columns:
            if column.pii and column.pii.country_column and column.pii.country_column not in names:
                raise ValueError(f"column {column.name}: country_column {column.pii.country_column!r} is not declared")
        return self

    @model_validator(mode="after")
    def _names_can_be_divided(self) -> Self:
        if self.naming and (problem := self.naming.problem(self.columns)):
            raise ValueError(problem)
        return self

    def _check_partition(self) -> None:
        if self.partition_by in (None, DELIVERY_DATE):
            return
        column = next((c for c in self.columns if c.name == self.partition_by), None)
        if column is None:
            raise ValueError(f"partition_by names column {self.partition_by!r}, which is not declared")
        if column.pii or column.drop:
            raise ValueError(
                f"partition_by {column.name}: a partition value is readable by all, so no personal or dropped column"
            )
        if not (column.required or column.expression) or column.data_type.name not in (
            "date",
            "string",
            "int",
            "bigint",
        ):
            raise ValueError(f"partition_by {column.name}: must be required and of type date, string, int or bigint")

    def _check_latest_across_deliveries(self) -> None:
        """A table partitioned by a column compares rows of different deliveries by what the clean zone stores."""
        if not self.key or self.partition_by in (None, DELIVERY_DATE):
            return
        if self.partition_by not in self.key:
            raise ValueError(
                f"key lacks {self.partition_by}, which partition_by names: rows of one key are compared within a "
                f"partition, so write key: [{', '.join((*self.key, str(self.partition_by)))}]"
            )
        for name in self.latest_by:
            column = self.column(name)
            if column.drop or column.pii:
                raise ValueError(f"latest_by {name}: must be stored in clear when partition_by names a column")
        for name in self.key:
            column = self.column(name)
            if column.drop or (
                column.pii
                and Treatment.LAKE not in column.pii.treatment
                and Treatment.CLEAR not in column.pii.treatment
            ):
                raise ValueError(
                    f"key {name}: must be stored (treatment lake or clear) when partition_by names a column"
                )

    @property
    def read_columns(self) -> tuple[Column, ...]:
        """The columns that the files carry, in declared order."""
        return tuple(c for c in self.columns if c.expression is None)

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    def pii_columns(self) -> Iterator[tuple[Column, Pii]]:
        for column in self.columns:
            if column.pii:
                yield column, column.pii

    def compared(self, name: str) -> str:
        """A name of a column as the format compares it."""
        return loosely(name) if self.format.header_match == "loose" else name

    @property
    def indispensable(self) -> frozenset[str]:
        """The columns without which rows would be wrong, and not only incomplete."""
        countries = (pii.country_column for _, pii in self.pii_columns() if pii.country_column)
        required = (c.name for c in self.columns if c.required)
        return frozenset((*required, *self.key, *self.latest_by, *countries))

    @property
    def needs_key(self) -> bool:
        """Whether a hashing key must be had before anything is read."""
        return any(Treatment.LAKE in pii.treatment for _, pii in self.pii_columns())
