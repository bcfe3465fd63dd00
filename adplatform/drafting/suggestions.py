"""Settings that read what a feed's contract does not: each is tried on the values before anybody is told of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from adplatform.contracts import written
from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.contracts.months import LANGUAGES
from adplatform.contracts.types import DataType, parse_type
from adplatform.drafting import columns as col
from adplatform.drafting.dates import days
from adplatform.drafting.numbers import BLANKS
from adplatform.drafting.reads import Reader
from adplatform.failures import PermanentFailure

MOST_TEXTS = 500
"""Different values that are looked at for one column and reason."""
_MOST_SHAPES = 12
"""Different values whose own readings are tried."""
_LISTS = ("formats", "null_values", "currency", "negative", "true_values", "false_values")


@dataclass(frozen=True)
class Suggestion:
    """``settings`` are those of the column to set or change; they read ``reads`` of ``values`` different values."""

    column: str
    settings: Mapping[str, Any]
    reads: int
    values: int

    @property
    def text(self) -> str:
        if not self.settings.get("allowed", True):
            return "add the values to allowed, or leave it out"
        return ", ".join(
            f"leave out {name}" if value is None else f"{name}: {written.flow(value)}"
            for name, value in self.settings.items()
        )


def suggestions(column: Column, fmt: FileFormat, kind: str, texts: Sequence[str], reader: Reader) -> list[Suggestion]:
    """Changes of a column's settings that read texts which it does not, by the reason (``kind``) why not: the one that
    reads most, then the one that reads most of the rest, and so on; of those that read as many the smallest. What only
    asks for less (another type, nothing required) comes last, for what nothing else reads."""
    different = list(dict.fromkeys(texts))[:MOST_TEXTS]
    tried: list[tuple[dict[str, Any], frozenset[int]]] = []
    for changes in _changes(column, kind, different):
        other = changed(column, changes)
        if other is None or any(each == changes for each, _ in tried):
            continue
        try:
            reasons = reader.reasons(other, fmt, different)
        except PermanentFailure:
            continue
        tried.append((changes, frozenset(n for n, reason in enumerate(reasons) if not reason)))
    found, left = list[Suggestion](), frozenset(range(len(different)))
    while left and tried:
        changes, read = max(tried, key=lambda each: (not _is_weak(each[0]), len(each[1] & left), _size(each[0])))
        tried.remove((changes, read))
        if read & left:
            found.append(Suggestion(column.name, changes, len(read), len(different)))
            left -= read
        elif not _is_weak(changes):
            tried = [each for each in tried if each[1] & left]
    alike = [c for c, read in tried if found and len(read) == found[0].reads and _is_exchanged(c, found[0].settings)]
    return [*found[:1], *(Suggestion(column.name, c, found[0].reads, found[0].values) for c in alike), *found[1:]]


def _size(changes: Mapping[str, Any]) -> tuple[int, int]:
    """The greater the less is changed."""
    return (-("type" in changes), -len(changes))


def _is_weak(changes: Mapping[str, Any]) -> bool:
    """Whether a change only asks for less than was declared."""
    return changes.get("type") in ("string", "double") or any(not value for value in changes.values())


def _is_exchanged(changes: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether two formats read the same texts with day and month in each other's place."""
    mine, theirs = (list(each.get("formats", ())) for each in (changes, others))
    return (
        bool(mine)
        and mine != theirs
        and sorted("".join(mine)) == sorted("".join(theirs))
        and _order(mine) != _order(theirs)
    )


def _order(formats: Sequence[str]) -> list[bool]:
    return [pattern.find("%d") < pattern.find("%m") for pattern in formats]


def _changes(column: Column, kind: str, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    match kind:
        case "required":
            yield {"required": False}
        case "not_allowed" | "pattern":
            if any(text != text.strip(BLANKS) for text in texts):
                yield {"trim": True}
            yield {"allowed": ()} if kind == "not_allowed" else {"pattern": None}
        case "below_min" | "above_max":
            yield {kind[-3:]: None}
        case "bad_bytes":
            yield {"bytes": "hex"}
        case _ if kind.startswith("bad_"):
            yield from _of_values(column, texts)


def _of_values(column: Column, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    nulls = sorted({text.strip(BLANKS) for text in texts} & col.NULLS)
    if nulls:
        yield {"null_values": [*column.null_values, *nulls]}
    if special := {text: None for text in texts if col.SPECIAL.fullmatch(text.strip(BLANKS))}:
        yield {"special": {**column.special, **special}}
    if any(text != text.strip(BLANKS) for text in texts):
        yield {"trim": True}
    plain = [text for text in texts if text.strip(BLANKS) not in nulls and text not in special]
    for group in (plain, *([text] for text in plain[:_MOST_SHAPES])):
        if not group:
            continue
        for order in (True, False):
            evidence = col.Evidence(decimal_comma=order, day_first=order)
            for reading in col.readings(column.name, group, evidence, LANGUAGES):
                if changes := _beside(column, reading):
                    yield changes
        found = days(group)
        for pattern in found.either or () if found else ():
            yield {"formats": [*column.formats, pattern]}


def _beside(column: Column, reading: col.Reading) -> dict[str, Any]:
    """What of a reading a column lacks: lists are added to, a type that has the column's room stays."""
    changes: dict[str, Any] = {}
    for name, value in reading.settings.items():
        if name == "type":
            wider = _wider(column.data_type, parse_type(str(value)))
            if wider.hive != column.data_type.hive:
                changes["type"] = wider.hive
        elif name in _LISTS:
            own = getattr(column, name)
            more = [each for each in ([value] if isinstance(value, str) else value) if each not in own]
            if more:
                changes[name] = [*own, *more]
        elif getattr(column, name) != value:
            changes[name] = {**getattr(column, name), **value} if isinstance(value, dict) else value
    return changes


_RANKS = ("int", "bigint", "decimal", "double")


def _wider(own: DataType, found: DataType) -> DataType:
    """The type that has room for values of both; another one's where they are of different kinds."""
    if own.name == "timestamp" and found.name == "date":
        return own
    if own.name not in _RANKS or found.name not in _RANKS:
        return found
    if own.name == found.name == "decimal":
        scale = max(own.scale, found.scale)
        whole = max(own.precision - own.scale, found.precision - found.scale)
        return (
            DataType("decimal", min(38, whole + scale), scale)
            if found.scale > own.scale or (found.precision - found.scale > own.precision - own.scale + 3)
            else own
        )
    return max(own, found, key=lambda each: _RANKS.index(each.name))


def changed(column: Column, changes: Mapping[str, Any]) -> Column | None:
    """The column with other settings; None where they do not go together."""
    given = {**column.model_dump(exclude_unset=True), **changes}
    if parse_type(col.type_in(given)).name == "string":
        for name in (*_LISTS[:1], "decimal_comma", "thousands", "percent", "currency", "negative", "min", "max"):
            given.pop(name, None)
    try:
        return Column.model_validate(given)
    except ValidationError:
        return None
