"""The columns of a feed, as YAML writes them. Computed ones are as personal as what they read: they inherit its kind,
or say themselves what becomes of them."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from adplatform.contracts.column import Column, ColumnSettings
from adplatform.contracts.personal_names import guessed_kind
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import sqlglot
    from sqlglot import exp
else:
    sqlglot = Late("sqlglot")
    exp = Late("sqlglot.expressions")

_WORD = re.compile(r"\w+")


def with_inherited(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns, those with an expression over personal ones with the kind and treatment of what they read, also by
    way of other computed columns. One that has ``pii`` of its own, or is dropped, stays as it is.

    Raises:
        ValueError: a computed column reads columns that are treated in different ways, or one that is dropped and is no
            amount, or has a type that its treatment does not go with.
    """
    known = {column.name: column for column in columns}
    reads = {c.name: _reads(c, known) - {c.name} for c in columns if c.expression and not c.pii and not c.drop}
    while ready := [name for name, read in reads.items() if not read & reads.keys()]:
        for name in ready:
            known[name] = _inheriting(known[name], [known[read] for read in sorted(reads.pop(name))])
    # Those that are left read each other, which the compiler refuses.
    return tuple(known[column.name] for column in columns)


def _reads(column: Column, known: Mapping[str, Column]) -> set[str]:
    """The columns from which something may be inherited that an expression reads. One that cannot be parsed reads all
    of them that it mentions; the compiler refuses it."""
    text = str(column.expression)
    mentioned = {name for word in _WORD.findall(text) for name in (word, word.lower()) if name in known}
    if not any(known[name].pii or known[name].drop or known[name].expression for name in mentioned):
        return set()
    try:
        tree = sqlglot.parse_one(text, read="spark")
    except (sqlglot.errors.SqlglotError, RecursionError):
        return mentioned
    return {name for node in tree.find_all(exp.Column) for name in (node.name, node.name.lower()) if name in known}


def _inheriting(column: Column, read: Sequence[Column]) -> Column:
    if gone := [c.name for c in read if _is_gone(c) and not is_amount_of(c, column)]:
        raise ValueError(
            f"column {column.name}: its expression reads {gone[0]}, which is dropped, and would bring it back; say by "
            f"pii what kind of personal data {column.name} is and how it is stored (treatment clear where it is none "
            "that must be hidden), or drop it, too"
        )
    personal = [c for c in read if c.pii]
    if not personal:
        return column
    kinds = {c.pii for c in personal}
    names = ", ".join(c.name for c in personal)
    if len(kinds) > 1:
        raise ValueError(
            f"column {column.name}: its expression reads {names}, which are personal in different ways; say by pii "
            f"what kind of personal data {column.name} is and how it is stored"
        )
    own = column.model_copy(update={"pii": kinds.pop()})
    if problem := own.pii_problem:
        raise ValueError(f"column {column.name}: its expression reads {names}, which is personal, and {problem}")
    return own


def _is_gone(column: Column) -> bool:
    return column.drop or (column.pii is not None and "drop" in column.pii.treatment)


def is_amount_of(dropped: Column, column: Column) -> bool:
    """Whether a column that is dropped is no more than what an amount is computed from, as in ``cost_micros /
    1000000``: a number of the files, neither declared nor called as personal data are."""
    names = (dropped.name, *dropped.field_names)
    return (
        dropped.data_type.is_number
        and not (dropped.expression or dropped.pii or any(map(guessed_kind, names)))
        and column.data_type.name in ("decimal", "double")
    )


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
