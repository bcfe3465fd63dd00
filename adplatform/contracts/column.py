"""A column of a feed: its name and type, how its values are written, and what is asked of them."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, field_validator, model_validator

from adplatform.contracts.pii import Pii, PiiKind, Treatment, as_pii
from adplatform.contracts.spelling import ColumnDefaults, Plain, Spelling
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
RESERVED = frozenset({DELIVERY_DATE, *SYSTEM_COLUMNS})

Bound = Plain
_NO_MATTER = re.compile(r"[\s_\ufeff]+")


class ColumnSettings(Spelling):
    """What may be said of a column beside its name. A bare type stands for these settings."""

    renamed: ClassVar[Mapping[str, str]] = {"source": "field"}

    type: str = "string"
    """``string`` (default), ``int``, ``bigint``, ``decimal(p,s)``, ``double``, ``boolean``, ``date`` or
    ``timestamp``."""
    field: str | tuple[str, ...] | None = None
    """The name that the files have for the column, where it differs; a list of all names that files have for it, as
    those before and after a column was renamed. A file that has two of them is refused."""
    required: bool = False
    """Whether a row without a value is quarantined."""
    allowed: tuple[str, ...] = ()
    """The only values that are taken, as the files write them (without what ``trim`` takes away, and for a text that is
    ``special`` what it stands for); by default any."""
    pattern: str | None = None
    """A regular expression that the whole value must match, as the files write it; see ``allowed``."""
    min: Bound = None
    """The least value that is taken, written as the files write it."""
    max: Bound = None
    """The greatest value that is taken, written as the files write it."""
    true_values: tuple[str, ...] = ("true", "True", "TRUE", "1")
    """Spellings of a boolean that mean yes."""
    false_values: tuple[str, ...] = ("false", "False", "FALSE", "0")
    """Spellings of a boolean that mean no."""
    pii: Annotated[Pii | None, BeforeValidator(as_pii, json_schema_input_type=Pii | PiiKind | None)] = None
    """That the column is personal data: its kind, or its kind and the forms in which it may be stored."""
    drop: bool = False
    """Whether the column is checked but not stored."""
    expression: str | None = None
    """Spark SQL that computes the column from other columns; it is then not read from the files. It is as personal as
    what it reads: without ``pii`` of its own it has theirs, and reading what is dropped it must have some, unless it is
    an amount computed from a number, such as ``cost_micros / 1000000``."""
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

    @field_validator("allowed", "true_values", "false_values", "null_values", mode="before")
    @classmethod
    def _texts(cls, values: Any) -> Any:
        for value in values if isinstance(values, list) else ():
            if not isinstance(value, str):
                raise ValueError(f"{value!r} is not text in YAML: put it in quotes (NO, ON and 1 lose their spelling)")
        return values

    @field_validator("field")
    @classmethod
    def _names_of_the_files(cls, field: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(field, tuple) and (not all(field) or not 0 < len(set(field)) == len(field)):
            raise ValueError("field lists the different names that files have for the column")
        return field

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
    lenient: bool = False
    """Whether a value that breaks the contract becomes no value, which is counted, and the row is good. The platform
    sets it, for what a row counts or measures beside what it is about."""
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
        if name in RESERVED:
            raise ValueError(f"{name!r} is a name the platform adds itself; choose another and give it as field")
        return name

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.pii_problem:
            raise ValueError(f"column {self.name}: {self.pii_problem}")
        if self.expression and (self.field or self.required):
            raise ValueError(f"column {self.name}: an expression is computed, so field and required do not apply")
        if unfit := self.problem(self.data_type):
            raise ValueError(f"column {self.name}: {unfit}")
        if self.expression and (written := self.written() - {"decimal_comma", "formats"}):
            raise ValueError(f"column {self.name}: an expression is computed, so {min(written)} does not apply")
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
    def excusable(self) -> bool:
        """Whether there are rows in which a value that breaks the contract becomes no value."""
        return self.lenient or self.unless is not None

    @property
    def data_type(self) -> DataType:
        return parse_type(self.type)

    def with_defaults(self, defaults: ColumnDefaults) -> "Column":
        """The column as it is written where it does not say so itself. What it says of one special text leaves others.

        Raises:
            ValueError: what it says does not go with the defaults.
        """
        if self.expression is not None:
            return self
        fitting = defaults.fitting(self.data_type)
        taken = {name: value for name, value in fitting.items() if name not in self.model_fields_set}
        taken |= {"special": {**defaults.special_of(self.data_type), **self.special}} if "special" in fitting else {}
        column = self.model_copy(update=taken) if taken else self
        if problem := column.problem(column.data_type):
            raise ValueError(f"column {self.name}: with the defaults, {problem}")
        return column

    @property
    def field_names(self) -> tuple[str, ...]:
        """The names the files use, the usual one first."""
        if self.field is None:
            return (self.name,)
        return self.field if isinstance(self.field, tuple) else (self.field,)

    @property
    def field_name(self) -> str:
        """The name the files use; of several the first."""
        return self.field_names[0]


def require_one_name(columns: Iterable[Column], asked: str) -> None:
    """Refuse columns with several names where a field is asked for by its name; ``asked`` says of what.

    Raises:
        ValueError: a column has more than one.
    """
    for column in columns:
        if len(column.field_names) > 1:
            raise ValueError(f"column {column.name}: {asked} is asked for fields by name: give one field, not a list")


def loosely(name: str) -> str:
    """A name as it is compared by ``header_match: loose``."""
    return _NO_MATTER.sub("", name).casefold()
