"""The line of YAML that accepts a change of a feed's columns."""

from collections.abc import Mapping
from typing import Any

from adplatform.contracts import written
from adplatform.contracts.column import IDENTIFIER, Column
from adplatform.contracts.model import Contract
from adplatform.contracts.personal_names import PLACES, guessed_kind
from adplatform.contracts.schema_change import ChangeKind, SchemaChange
from adplatform.contracts.types import parse_type
from adplatform.contracts.undeclared_names import plain_name

_OF_ANY_TYPE = ("type", "field", "required", "allowed", "pattern", "trim", "null_values", "drop", "optional", "comment")


def accepting(contract: Contract, change: SchemaChange) -> str:
    """The column as it is declared below ``columns`` where the change is meant, in the place of what was declared of
    it; "" where no setting alone accepts it, or nobody can say which."""
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
            return _retyped(declared, change, settings)
        case _:
            return ""
    return _line(declared.name, {**settings, **more})


def _added(contract: Contract, change: SchemaChange) -> str:
    name = plain_name(change.column)
    if not change.column or not IDENTIFIER.fullmatch(name) or any(column.name == name for column in contract.columns):
        return ""
    same = contract.compared(change.column) == contract.compared(name)
    field = {} if same else {"field": change.column}
    kind = change.pii or guessed_kind(name)
    if kind in PLACES and not any(contract.pii_columns()):
        kind = None
    # A table that has taken the column in has it as text.
    found = "string" if contract.schema_policy == "evolve" else change.became or "string"
    return _line(name, {**({"pii": str(kind)} if kind else {"type": found}), **field})


def _retyped(declared: Column, change: SchemaChange, settings: Mapping[str, Any]) -> str:
    """Under a name of its own: older files of the table cannot be read as another type."""
    name = f"{declared.name}_{parse_type(change.became).name}"
    own = {name: each for name, each in settings.items() if name in _OF_ANY_TYPE}
    field = declared.field if declared.field is not None else declared.name
    return _line(name, {**own, "type": change.became, "field": list(field) if isinstance(field, tuple) else field})


def _settings(contract: Contract, column: Column) -> dict[str, Any]:
    """What a column says of itself, its type first."""
    said = column.model_dump(mode="json", exclude_unset=True, exclude={"name", "unless", "lenient", "identifies"})
    defaults = contract.defaults.fitting(column.data_type)
    own = {name: each for name, each in said.items() if name not in defaults or getattr(column, name) != defaults[name]}
    return {"type": column.type, **own}


def _line(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name}: {written.column(settings)}"
