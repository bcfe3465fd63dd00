"""A clean table as services see it: columns by what they hold, and which of them a setting names."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from adplatform.consumers.finding import Finding
from adplatform.consumers.values import Values
from adplatform.contracts.column import SYSTEM_COLUMNS
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.model import Contract
from adplatform.contracts.types import DataType
from adplatform.lake.table import TableSpec
from adplatform.privacy.outputs import pii_outputs
from adplatform.transform.values import OutputColumn

_TEXT = DataType("string")
HASHED = ("digest", "short digest")
"""The forms in which a personal value says nothing to who does not have it already."""


@dataclass(frozen=True)
class Column:
    """A column of the table. ``kind`` is that of the personal data in it, "" for none, ``treatment`` and ``form`` what
    was done with that; ``sources`` are the columns of the contract that it is made of. One that is ``added`` is the
    platform's own."""

    name: str
    type: DataType
    kind: str = ""
    treatment: str = ""
    form: str = ""
    sources: tuple[str, ...] = ()
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
    """``unique`` are the columns of which each tells the rows of a delivery apart, because it is the key. A table with
    one row of a key is ``whole``; in others each partition may have one. ``values`` is what is known of values, by
    column; nothing before a delivery."""

    columns: tuple[Column, ...]
    unique: frozenset[str] = frozenset()
    whole: bool = False
    is_iceberg: bool = False
    values: Mapping[str, Values] = field(default_factory=dict)

    def get(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)

    def named(self, names: Iterable[str]) -> list[Column]:
        """The columns of these names, those left out that there are not."""
        return [column for name in names if (column := self.get(name)) is not None]

    @property
    def presentable(self) -> list[Column]:
        """The columns that a service gets where nothing is said: all but those that the platform adds, and those that
        are personal and not hashed."""
        return [column for column in self.columns if not column.added and not column.is_bare]


def as_seen(spec: TableSpec, contract: Contract) -> Table:
    """The table as the catalog has it, by its contract."""
    partitions = (_column(output) for output in spec.partitions)
    # In the catalog dates are strings there (``adplatform.lake.catalog``).
    keys = (replace(key, type=_TEXT) if key.type.name == "date" and not spec.is_iceberg else key for key in partitions)
    columns = (*map(_column, spec.columns), *keys)
    key = contract.column(contract.key[0]) if len(contract.key) == 1 else None
    telling = [each for each in pii_outputs(key, key.pii) if each.form in (*HASHED, "clear")] if key and key.pii else []
    unique = {each.name for each in telling} if telling else {key.name} if key and not key.pii else set()
    whole = spec.scope is None and contract.partition_by in (None, *contract.key[:1])
    return Table(columns, frozenset(unique), whole, spec.is_iceberg)


def _column(output: OutputColumn) -> Column:
    tags = output.tags
    added = output.name in SYSTEM_COLUMNS or "key" in tags  # a digest under the key before is there for a while
    return Column(
        name=output.name,
        type=output.type,
        kind=tags.get("pii", ""),
        treatment=tags.get("profile", ""),
        form=tags.get("form", ""),
        sources=output.sources,
        added=added,
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
    stored = [column.name for column in table.columns if column.kind and column.sources == (name,)]
    if stored:
        return f"it is personal and stored as {', '.join(stored)}; name one of them"
    return f"the table has no such column{did_you_mean(name, (column.name for column in table.columns))}"


def _bare(column: Column) -> str:
    source = column.sources[0] if column.sources else column.name
    return (
        f"it is personal ({column.kind}) and {_FORMS.get(column.form, 'not hashed')}, and may not be handed over; give "
        f"{source} a treatment that hashes it, such as lake, and name what that is stored as, or leave it out"
    )


_FORMS = {"clear": "stored in clear", "normalised": "stored in clear", "masked": "only masked"}
