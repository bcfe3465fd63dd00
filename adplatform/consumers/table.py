"""A clean table as services see it: columns by what they hold, and which of them a setting names."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from adplatform.consumers.finding import Finding
from adplatform.consumers.values import Values
from adplatform.contracts.column import Column as Declared
from adplatform.contracts.consumers import Consumers
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.model import Contract
from adplatform.contracts.types import DataType
from adplatform.lake.table import TableSpec
from adplatform.privacy.outputs import pii_outputs
from adplatform.transform.values import OutputColumn

_TEXT = DataType("string")
HASHED = ("digest", "short digest", "base64 digest")
"""The forms in which a personal value says nothing to who does not have it already."""


@dataclass(frozen=True)
class Column:
    """A column of the table, and what the contract calls it: ``declared`` as ``email`` it may be stored as
    ``email_lake``. ``kind`` is that of the personal data in it, "" for none, ``treatment`` and ``form`` what was done
    with that. One that is ``added`` is the platform's own."""

    name: str
    type: DataType
    declared: str
    kind: str = ""
    treatment: str = ""
    form: str = ""
    added: bool = False

    @property
    def is_hashed(self) -> bool:
        return self.form in HASHED

    @property
    def is_bare(self) -> bool:
        """Whether it is personal and not hashed."""
        return bool(self.kind) and not self.is_hashed


@dataclass(frozen=True)
class Table:
    """``key`` tells the rows of a delivery apart: of each of its columns the names under which it is stored. A table
    with one row of a key is ``whole``; in others each partition may have one. ``values`` is what is known of values, by
    column; nothing before a delivery."""

    columns: tuple[Column, ...]
    key: tuple[frozenset[str], ...] = ()
    whole: bool = False
    is_iceberg: bool = False
    values: Mapping[str, Values] = field(default_factory=dict)

    def get(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def unique(self) -> frozenset[str]:
        """The columns of which each is the whole key."""
        return self.key[0] if len(self.key) == 1 else frozenset()

    def has_key_in(self, names: Iterable[str]) -> bool:
        """Whether these columns together tell rows apart, because the key is among them."""
        return bool(self.key) and all(stored & set(names) for stored in self.key)

    def named(self, names: Iterable[str]) -> list[Column]:
        """The columns of these names, those left out that there are not."""
        return [column for name in names if (column := self.get(name)) is not None]

    @property
    def presentable(self) -> list[Column]:
        """The columns that a service gets where nothing is said: all but those that the platform adds, and those that
        are personal and not hashed."""
        return [column for column in self.columns if not column.added and not column.is_bare]


@dataclass(frozen=True)
class ConsumedTable:
    """A table of the catalog that ``consumers`` are to read, as they see it. ``feed`` is ``<source>/<feed>``."""

    feed: str
    database: str
    name: str
    seen: Table
    consumers: Consumers

    @property
    def source(self) -> str:
        return self.feed.partition("/")[0]

    @property
    def qualified(self) -> str:
        return f"{self.database}.{self.name}"


def consumed(spec: TableSpec, contract: Contract, consumers: Consumers) -> ConsumedTable:
    """The table that a contract makes, for these consumers."""
    return ConsumedTable(spec.feed, spec.database, spec.name, as_seen(spec, contract), consumers)


def as_seen(spec: TableSpec, contract: Contract) -> Table:
    """The table as the catalog has it, by its contract."""
    declared = {column.name for column in contract.columns}
    partitions = (_column(output, declared) for output in spec.partitions)
    # In the catalog dates are strings there (``adplatform.lake.catalog``).
    keys = (replace(key, type=_TEXT) if key.type.name == "date" and not spec.is_iceberg else key for key in partitions)
    columns = (*(_column(output, declared) for output in spec.columns), *keys)
    key = tuple(_stored(contract.column(name)) for name in contract.key)
    whole = spec.scope is None and (spec.partition is None or spec.partition.name in contract.key)
    return Table(columns, key, whole, spec.is_iceberg)


def _stored(column: Declared) -> frozenset[str]:
    """The names under which each value of a column is told from others."""
    if column.pii is None:
        return frozenset({column.name})
    return frozenset(each.name for each in pii_outputs(column, column.pii) if each.form in (*HASHED, "clear"))


def _column(output: OutputColumn, declared: Collection[str]) -> Column:
    tags, name = output.tags, output.name
    stored_for = (each for each in declared if name == each or (tags and name.startswith(f"{each}_")))
    own = name.startswith("_") and not set(output.sources).intersection(declared)
    return Column(
        name=name,
        type=output.type,
        declared=max(stored_for, key=len, default=name),
        kind=tags.get("pii", ""),
        treatment=tags.get("profile", ""),
        form=tags.get("form", ""),
        added=own or "key" in tags,  # a digest under the key before is there for a while
    )


def misnamed(table: Table, named: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Of the columns that settings name those that the table does not have, and personal ones that are not hashed."""
    for setting, names in named.items():
        for name in names:
            column = table.get(name)
            if column is None:
                yield Finding("error", _unknown(table, name), name, setting)
            elif column.is_bare:
                yield Finding("error", _bare(column), name, setting)


def _unknown(table: Table, name: str) -> str:
    stored = [column.name for column in table.columns if column.kind and column.declared == name]
    if stored:
        return f"it is personal and stored as {', '.join(stored)}; name one of them"
    return f"the table has no such column{did_you_mean(name, (column.name for column in table.columns))}"


def _bare(column: Column) -> str:
    return (
        f"it is personal ({column.kind}) and {_FORMS.get(column.form, 'not hashed')}, and may not be handed over; give "
        f"{column.declared} a treatment that hashes it, such as lake, and name what that is stored as, or leave it out"
    )


_FORMS = {"clear": "stored in clear", "normalised": "stored in clear", "masked": "only masked"}
