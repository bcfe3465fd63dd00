"""The contract of a feed: what its files look like, what its rows mean, and what of it may be read in the clean zone.

A contract is plain data. It is written in YAML, checked here once, and compiled to SQL by ``adplatform.transform``.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from adplatform.contracts.derived import with_inherited
from adplatform.contracts.strict import Strict
from adplatform.contracts.types import DataType, parse_type

MOST_CHARACTERS = 127
"""Of a name in the table. The catalog of Glue takes 255, of which the names of what personal columns are stored as need
some more than the column."""
IDENTIFIER = re.compile(rf"[a-z_][a-z0-9_]{{0,{MOST_CHARACTERS - 1}}}")
DELIVERY_DATE = "dt"
"""The partition column of every table that is partitioned by delivery date."""
PREVIOUS_KEY_ID = "_pii_previous_key_id"
"""The column that names the key of the digests that are kept under the key before the current one."""
SYSTEM_COLUMNS = ("_source_file", "_pii_key_id", PREVIOUS_KEY_ID)
_RESERVED = frozenset({DELIVERY_DATE, *SYSTEM_COLUMNS})

DATE_FORMATS = ("%Y%m%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d")
TIMESTAMP_FORMATS = (*(f"{d} %H:%M:%S" for d in DATE_FORMATS), "%Y%m%dT%H%M%SZ", "epoch_seconds", "epoch_millis")

TableFormat = Literal["parquet", "iceberg"]


class PiiKind(StrEnum):
    EMAIL = "email"
    PHONE = "phone"
    FIRST_NAME = "first_name"
    LAST_NAME = "last_name"
    STREET_ADDRESS = "street_address"
    CITY = "city"
    STATE = "state"
    POSTAL_CODE = "postal_code"
    COUNTRY = "country"
    DEVICE_ID = "device_id"
    GENERIC_ID = "generic_id"


class Treatment(StrEnum):
    """What becomes of a personal value. ``lake`` is keyed; those of the ad platforms are unkeyed by necessity."""

    LAKE = "lake"
    AMAZON_ADS = "amazon_ads"
    META = "meta"
    GOOGLE = "google"
    MASK = "mask"
    DROP = "drop"
    CLEAR = "clear"


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_many, json_schema_input_type=str | list[str])]
Bound = Annotated[
    str | None,
    BeforeValidator(
        lambda v: v if v is None or isinstance(v, bool) else str(v), json_schema_input_type=str | float | None
    ),
]


class Pii(Strict):
    """A column with personal data: what kind it is and in which forms it may be stored."""

    renamed: ClassVar[Mapping[str, str]] = {"profiles": "treatment"}

    kind: PiiKind
    """What the values are, which decides how they are normalised before they are hashed."""
    treatment: Annotated[
        tuple[Treatment, ...], BeforeValidator(_one_or_many, json_schema_input_type=Treatment | list[Treatment])
    ] = (Treatment.LAKE,)
    """One form or several: ``lake`` (default) is a keyed digest for joins here; ``amazon_ads``, ``meta`` and ``google``
    are digests for matching there; ``mask``, ``drop`` and ``clear`` are what they say."""
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    """The country (ISO 3166, two letters) of all values, by which phone numbers, states and postal codes are read."""
    country_column: str | None = None
    """The column with the country of each row, in the place of ``country``."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        if not self.treatment:
            raise ValueError("treatment is empty: name at least one of " + ", ".join(Treatment))
        if len(set(self.treatment)) != len(self.treatment):
            raise ValueError("treatment names one twice")
        if Treatment.DROP in self.treatment and len(self.treatment) > 1:
            raise ValueError("drop stores nothing, so it cannot stand beside another treatment")
        if Treatment.CLEAR in self.treatment and len(self.treatment) > 1:
            raise ValueError("clear stores the value itself, so it cannot stand beside another treatment")
        if self.country and self.country_column:
            raise ValueError("give country or country_column, not both")
        return self


def _pii(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class ColumnSettings(Strict):
    """What may be said of a column beside its name. A bare type stands for these settings."""

    renamed: ClassVar[Mapping[str, str]] = {"source": "field"}

    type: str = "string"
    """``string`` (default), ``int``, ``bigint``, ``decimal(p,s)``, ``double``, ``boolean``, ``date`` or
    ``timestamp``."""
    field: str | None = None
    """The name that the files have for the column, where it differs."""
    required: bool = False
    """Whether a row without a value is quarantined."""
    allowed: tuple[str, ...] = ()
    """The only values that are taken, as the files write them; by default any."""
    pattern: str | None = None
    """A regular expression that the whole value must match."""
    min: Bound = None
    """The least value that is taken, written as the files write it."""
    max: Bound = None
    """The greatest value that is taken, written as the files write it."""
    formats: tuple[str, ...] = ()
    """Spellings of dates and timestamps beyond ISO 8601, as strptime patterns such as ``%d.%m.%Y``; a timestamp may be
    ``epoch_seconds`` or ``epoch_millis``."""
    decimal_comma: bool = False
    """Whether numbers are written with a decimal comma."""
    true_values: tuple[str, ...] = ("true", "True", "TRUE", "1")
    """Spellings of a boolean that mean yes."""
    false_values: tuple[str, ...] = ("false", "False", "FALSE", "0")
    """Spellings of a boolean that mean no."""
    pii: Annotated[Pii | None, BeforeValidator(_pii, json_schema_input_type=Pii | PiiKind | None)] = None
    """That the column is personal data: its kind, or its kind and the forms in which it may be stored."""
    drop: bool = False
    """Whether the column is checked but not stored."""
    expression: str | None = None
    """Spark SQL that computes the column from other columns; it is then not read from the files. It is as personal as
    what it reads: without ``pii`` of its own it has theirs, and reading what is dropped it must have some."""
    comment: str = ""
    """What the column means; the table shows it."""
    optional: bool = False
    """For csv with a header and for parquet: whether files may lack the column, as those do that were written before it
    was added or after it was dropped."""
    default: Bound = None
    """The value of rows in files that lack an ``optional`` column, written as the files write it; by default none."""

    @field_validator("type")
    @classmethod
    def _known_type(cls, text: str) -> str:
        parse_type(text)
        return text

    @field_validator("allowed", "true_values", "false_values", mode="before")
    @classmethod
    def _texts(cls, values: Any) -> Any:
        for value in values if isinstance(values, list) else ():
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is not text in YAML: put it in quotes (NO, ON and 1 lose their spelling)")
        return values

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as e:
                raise ValueError(f"pattern {pattern!r} is not a regular expression: {e}") from e
        return pattern


class Column(ColumnSettings):
    """One declared column: its name in the table, and its settings."""

    name: str
    """The column's name in the table: lower-case letters, digits and ``_``."""
    unless: str | None = None
    """Spark SQL over columns of the files that are always judged, true of rows in which this one is not: there a value
    that breaks the contract becomes no value. The platform sets it."""
    identifies: bool = False
    """Whether rows are told apart by the value, as by those of ``key``: an instant that is finer than a microsecond is
    then a bad value, and -0.0 is 0.0. The platform sets it."""

    @field_validator("name")
    @classmethod
    def _catalog_name(cls, name: str) -> str:
        if not IDENTIFIER.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a catalog name (lower-case letters, digits and _); give the file's spelling as field"
            )
        if name in _RESERVED:
            raise ValueError(f"{name!r} is a name the platform adds itself; choose another and give it as field")
        return name

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.pii_problem:
            raise ValueError(f"column {self.name}: {self.pii_problem}")
        if self.expression and (self.field or self.required):
            raise ValueError(f"column {self.name}: an expression is computed, so field and required do not apply")
        known = {"date": DATE_FORMATS, "timestamp": TIMESTAMP_FORMATS}.get(self.data_type.name, ())
        for unknown in set(self.formats) - set(known):
            raise ValueError(
                f"column {self.name}: format {unknown!r} is not one for {self.type}: {', '.join(known) or 'none'}"
            )
        if self.decimal_comma and not self.data_type.is_number:
            raise ValueError(f"column {self.name}: decimal_comma is for numbers")
        if self.optional and (self.expression or self.required):
            raise ValueError(f"column {self.name}: optional is for a column of the files that may be without a value")
        if self.default is not None and not self.optional:
            raise ValueError(f"column {self.name}: default is for files that lack the column; set optional: true, too")
        if (self.min or self.max) and self.data_type.name in ("string", "boolean"):
            raise ValueError(f"column {self.name}: min and max need a number, date or timestamp")
        return self

    @property
    def pii_problem(self) -> str:
        """Why the column cannot be personal data as it says; "" where it can, or is none."""
        if self.pii is None or self.data_type.name == "string":
            return ""
        if self.expression and self.pii.treatment in ((Treatment.CLEAR,), (Treatment.DROP,)):
            return ""
        return f"personal data is text; type must be string, not {self.type}" + (
            ", or its pii say treatment clear or drop" if self.expression else ""
        )

    @property
    def data_type(self) -> DataType:
        return parse_type(self.type)

    @property
    def field_name(self) -> str:
        """The name the files use."""
        return self.field or self.name


class FileFormat(Strict):
    """How the files are written, after decryption."""

    kind: Literal["csv", "ndjson", "json", "parquet"] = "csv"
    """``csv`` (default) is any delimited text, ``ndjson`` one JSON document per line, ``json`` one document."""
    compression: Literal["auto", "none", "gzip", "zstd", "zip"] = "auto"
    """How the files are compressed; ``auto`` (default) looks at each, anything else refuses those that are not so."""
    encoding: str = "utf-8"
    """The encoding of text."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """For csv: the character between fields."""
    quote: str = Field(default='"', max_length=1)
    """For csv: the character around fields; empty where fields are never quoted."""
    escape: str = Field(default='"', max_length=1)
    """For csv: the character before a quote inside a field; the quote itself where quotes are doubled."""
    header: bool = True
    """For csv: whether the first line names the columns; otherwise they are in declared order."""
    header_order: Literal["strict", "any"] = "any"
    """For csv: whether the header may name the columns in ``any`` order (default)."""
    skip_lines: int = Field(default=0, ge=0)
    """For csv: how many lines come before the header."""
    max_record_lines: int = Field(default=1000, ge=1)
    """For csv: how many lines a record may have. One with more refuses its file: a quote that is missing or stray makes
    one value of all records up to the next quote."""
    null_values: tuple[str, ...] = ()
    """Spellings that mean no value, beside the empty text, which does so for all types but ``string``."""
    empty: Literal["null", "text"] = "null"
    """For csv: what a field of type ``string`` is that is empty and without quotes: no value (default), or empty
    ``text``, as of writers that spell the absence of a value."""
    records: str | None = None
    """For json: the member that holds the array, as a dotted path; the document itself when absent."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except LookupError as e:
            raise ValueError(f"unknown encoding {encoding!r}") from e
        return encoding.lower()


class RowCheck(Strict):
    """A Spark SQL condition; rows for which it is false are quarantined as ``check:<name>``, as by CHECK in SQL."""

    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,126}$")]
    """The check's name, in the reason of rows that fail it."""
    expression: str
    """The condition; a row passes where it is true, or has no answer because a value is absent."""


class Bounds(Strict):
    """What a whole delivery must look like before it may be published."""

    min_rows: int | None = Field(default=None, ge=0)
    """The least number of rows; by default a delivery may be empty."""
    max_rows: int | None = Field(default=None, ge=0)
    """The greatest number of rows; by default any."""
    max_quarantined: float = Field(default=0.2, ge=0, le=1)
    """Share of the rows, 0 to 1, that may be quarantined before the delivery is refused."""


def _columns(value: Any) -> Any:
    """YAML writes columns as a mapping of name to type or settings; order is kept."""
    if value in ({}, [], ()):
        raise ValueError("declare at least one column")
    if not isinstance(value, dict):
        return value
    return [_column(name, spec) for name, spec in value.items()]


def _column(name: Any, settings: Any) -> Any:
    if settings is None or isinstance(settings, str):
        return {"name": name, "type": settings or "string"}
    if not isinstance(settings, dict):
        return settings
    if "name" in settings:
        raise ValueError(f"column {name}: its name is what stands before the colon; the files' spelling goes to field")
    for setting in ("unless", "identifies"):
        if setting in settings:
            raise ValueError(f"column {name}: {setting} is set by the platform; leave it out")
    return {"name": name, **settings}


Columns = Annotated[
    tuple[Column, ...],
    BeforeValidator(_columns, json_schema_input_type=dict[str, ColumnSettings | str | None]),
    AfterValidator(with_inherited),
]


class Contract(Strict):
    """Columns, keys, privacy and checks of one feed."""

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
    refused."""
    row_checks: tuple[RowCheck, ...] = ()
    """Conditions that every row must meet."""
    bounds: Bounds = Bounds()
    """What a delivery as a whole must look like; otherwise nothing of it is published."""

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        names = [c.name for c in self.columns]
        for name in {n for n in names if names.count(n) > 1}:
            raise ValueError(f"column {name} is declared twice")
        headers = [c.field_name for c in self.read_columns]
        for header in {h for h in headers if headers.count(h) > 1}:
            raise ValueError(f"two columns read {header!r}")
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

    @property
    def needs_key(self) -> bool:
        """Whether a hashing key must be had before anything is read."""
        return any(Treatment.LAKE in pii.treatment for _, pii in self.pii_columns())
