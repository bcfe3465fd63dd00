"""How the files of a feed differ from what it declares, a column at a time, and the line of YAML that accepts that."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from adplatform.contracts import written
from adplatform.contracts.column import IDENTIFIER, Column
from adplatform.contracts.model import Contract
from adplatform.contracts.undeclared_names import plain_name


class ChangeKind(StrEnum):
    """ADDED is a column that nobody declared, VANISHED a declared one that files lack. RENAMED is one of each that are
    probably the same; RETYPED is a column of which most values are not of its type any more."""

    ADDED = "added"
    VANISHED = "vanished"
    RENAMED = "renamed"
    RETYPED = "retyped"


@dataclass(frozen=True)
class SchemaChange:
    """``column`` is the declared one, or of an ADDED one what the file calls it. ``became`` is the header that a
    RENAMED column has, or the type that files have for one, "" where they have text. A column whose name may be a value
    has its ``place`` in the header instead, from 1, and a ``mark`` that tells it from others. ``file`` is the first
    file with the change, as messages call it."""

    kind: ChangeKind
    column: str = ""
    became: str = ""
    place: int = 0
    mark: str = ""
    file: str = ""

    @property
    def key(self) -> str:
        """The same whichever file shows the change, and when."""
        became = self.became if self.kind is ChangeKind.RENAMED else ""
        return "/".join((self.kind, self.mark or self.column, became))

    @property
    def called(self) -> str:
        """The column, as it may be called before anybody."""
        return self.column or f"column number {self.place}"

    def __str__(self) -> str:
        kind = f" ({self.became})" if self.became else ""
        match self.kind:
            case ChangeKind.ADDED if self.column:
                return f"files have a column that nobody declared: {self.column!r}{kind}"
            case ChangeKind.ADDED:
                return f"files have a column that nobody declared, number {self.place} (its name may be a value)"
            case ChangeKind.VANISHED:
                return f"files lack the column {self.column}"
            case ChangeKind.RENAMED:
                return f"files lack the column {self.column}, and have {self.became!r} that is probably it"
            case ChangeKind.RETYPED:
                return f"most values of {self.column} are not of its type any more{kind}"


def accepting(contract: Contract, change: SchemaChange) -> str:
    """The column as it is declared below ``columns`` where the change is meant; "" where no setting alone accepts it,
    or nobody can say which."""
    declared = next((column for column in contract.columns if column.name == change.column), None)
    if change.kind is ChangeKind.ADDED:
        return _added(contract, change)
    if declared is None:
        return ""
    settings = _settings(contract, declared)
    match change.kind:
        case ChangeKind.RENAMED:
            more: dict[str, Any] = {"field": [*declared.field_names, change.became]}
        case ChangeKind.VANISHED if declared.name not in contract.indispensable:
            more = {"optional": True}
        case ChangeKind.RETYPED if change.became and not declared.pii:
            more = {"type": change.became}
        case _:
            return ""
    return _line(declared.name, {**settings, **more})


def _added(contract: Contract, change: SchemaChange) -> str:
    name = plain_name(change.column)
    if not change.column or not IDENTIFIER.fullmatch(name) or any(column.name == name for column in contract.columns):
        return ""
    same = contract.compared(change.column) == contract.compared(name)
    return _line(name, {"type": change.became or "string", **({} if same else {"field": change.column})})


def _settings(contract: Contract, column: Column) -> dict[str, Any]:
    """What a column says of itself, its type first."""
    said = column.model_dump(mode="json", exclude_unset=True, exclude={"name", "unless", "lenient", "identifies"})
    defaults = contract.defaults.fitting(column.data_type)
    own = {name: each for name, each in said.items() if name not in defaults or getattr(column, name) != defaults[name]}
    return {"type": column.type, **own}


def _line(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name}: {written.column(settings)}"
