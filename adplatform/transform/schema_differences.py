"""How the columns of a file differ from those that are declared, as people think of it: a column that is called
otherwise now is one change, and not one that came and one that went."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from adplatform.contracts.column import Column
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import ChangeKind, SchemaChange
from adplatform.contracts.undeclared_names import is_certainly_name, mark_of
from adplatform.transform.header_advice import nearest

_LONGEST = 100
"""Characters of a name that is shown."""


def differences(
    contract: Contract,
    header: Sequence[str],
    declared: Callable[[str], str | None],
    file: str = "",
    types: Mapping[str, str] | None = None,
) -> tuple[SchemaChange, ...]:
    """The changes of a file that is called ``file``. ``declared`` is the column that a name of the ``header`` is of,
    None where nobody declared it; ``types`` are those that the file has for columns, by name, where it knows types. A
    header with none of the declared columns is none, and differs in nothing."""
    columns = [declared(name) for name in header]
    there = {name for name in columns if name is not None}
    if not there:
        return ()
    unmissed = contract.schema_policy == "evolve"
    missing = [
        column
        for column in contract.read_columns
        if column.name not in there and not column.optional and not (column.drop and unmissed)
    ]
    undeclared = [name for name, column in zip(header, columns, strict=True) if column is None]
    pairs = dict(_pairs(contract, missing, undeclared, header, columns))
    found = [
        SchemaChange(ChangeKind.RENAMED, column.name, pairs[column.name])
        if column.name in pairs
        else SchemaChange(ChangeKind.VANISHED, column.name)
        for column in missing
    ]
    renamed = set(pairs.values())
    found += [_added(contract, header, name, types or {}) for name in undeclared if name not in renamed]
    return tuple(replace(change, file=file) for change in found)


def _pairs(
    contract: Contract,
    missing: Sequence[Column],
    undeclared: Sequence[str],
    header: Sequence[str],
    columns: Sequence[str | None],
) -> Iterator[tuple[str, str]]:
    """Missing columns, each with the name that is probably its own now: one that is nearly spelled so, or the only
    other between the same neighbours."""
    left, without = list(undeclared), list[Column]()
    for column in missing:
        if (near := nearest(column.field_names, left, is_header=True)) is not None:
            left.remove(near)
            yield column.name, near
        else:
            without.append(column)
    if len(without) == len(left) == 1 and is_certainly_name(left[0]) and len(left[0]) <= _LONGEST:
        at = header.index(left[0])
        before, after = columns[at - 1] if at else None, columns[at + 1] if at + 1 < len(columns) else None
        if (before, after) == _neighbours(contract, without[0].name, columns):
            yield without[0].name, left[0]


def _neighbours(contract: Contract, column: str, columns: Sequence[str | None]) -> tuple[str | None, str | None]:
    """Between which columns that the file has the column would stand if it had it."""
    names = [each.name for each in contract.read_columns]
    place = names.index(column)
    before = next((name for name in reversed(names[:place]) if name in columns), None)
    return before, next((name for name in names[place + 1 :] if name in columns), None)


def _added(contract: Contract, header: Sequence[str], name: str, types: Mapping[str, str]) -> SchemaChange:
    # Members of JSON may stand within others.
    parts = name.split(".") if contract.format.kind in ("json", "ndjson") else [name]
    if len(name) <= _LONGEST and all(map(is_certainly_name, parts)):
        return SchemaChange(ChangeKind.ADDED, name, types.get(name, ""))
    return SchemaChange(ChangeKind.ADDED, "", types.get(name, ""), header.index(name) + 1, mark_of(name))


def unmissed(changes: Iterable[SchemaChange]) -> tuple[SchemaChange, ...]:
    """Those of files that may be without any column, as documents of JSON may be without any member."""
    return tuple(change for change in changes if change.kind is not ChangeKind.VANISHED)
