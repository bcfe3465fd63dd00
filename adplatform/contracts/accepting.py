"""The line of YAML that accepts a change of a feed's columns."""

from collections.abc import Mapping
from typing import Any

from adplatform.contracts import written
from adplatform.contracts.column import IDENTIFIER, Column
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import ChangeKind, SchemaChange
from adplatform.contracts.undeclared_names import plain_name

_OF_ANY_TYPE = ("type", "field", "required", "allowed", "pattern", "trim", "null_values", "drop", "optional", "comment")


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
            settings = {name: each for name, each in settings.items() if name in _OF_ANY_TYPE}
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
