"""The values of a report's rows: exact numbers as the contract takes them, what a row is by value, sums of metrics."""

import json
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, NamedTuple

from adplatform.amazon.definitions import Dataset
from adplatform.amazon.documents import Number, Row
from adplatform.contracts.column import Column

WIDE = Context(prec=200)
"""For sums and roundings."""
_NUMBERS_KEPT = 1 << 16
"""Numbers of a scale that are kept, so that most are worked out once."""
_SHAPES_KEPT = 1 << 10
"""Sets of member names that are kept; a document has few."""
_WRITTEN, _LARGEST, _SMALLEST = 80, 40, -400
"""What counts as a number: its characters, and the powers of ten it lies between. Amazon may send 1e999999999."""
_AS_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WHOLE = -1
"""In place of a scale: the column is of whole numbers."""
_SEPARATOR = "\x1f"
_encode = json.JSONEncoder().encode
_encode_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def member(row: Row, path: str) -> Any:
    """A member by its name, or by the dotted path of names that lead to it; None where there is none."""
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def unread(metric: str) -> str:
    """Under which name it is counted among sums that a metric is no number."""
    return f"{metric}:unread"


class _Read(NamedTuple):
    """A number: as the slice spells it, as the digest does, and its value."""

    written: Number
    canonical: str
    value: Decimal | None


class _Numbers(dict[str, _Read]):
    """What numbers are in a column of this scale, worked out when one is first looked up."""

    def __init__(self, scale: int | None) -> None:
        super().__init__()
        self._scale = scale

    def __missing__(self, text: str) -> _Read:
        if len(text) > _WRITTEN:
            return _Read(Number(text), f"#{text}", None)
        if len(self) >= _NUMBERS_KEPT:
            self.clear()
        self[text] = read = _read(Number(text), self._scale)
        return read


_Shape = tuple[str, tuple[tuple[str, _Numbers], ...]]


class RowValues:
    """The members of a dataset's rows: how their numbers are written, compared and summed."""

    def __init__(self, dataset: Dataset) -> None:
        scales = {c.field_name: _scale(c) for c in dataset.columns}
        by_scale = {scale: _Numbers(scale) for scale in {None, *scales.values()}}
        self._any = by_scale[None]
        self._numbers = {path: by_scale[scale] for path, scale in scales.items()}
        summed = dict.fromkeys((*dataset.plotted, *dataset.summed))
        self._summed = [(metric, self._numbers.get(metric, self._any)) for metric in summed]
        self._shapes: dict[tuple[str, ...], _Shape] = {}
        self.names: set[str] = set()
        """Of all members that were settled, of objects within a row as paths."""

    def settle(self, row: Row) -> bytes:
        """Give the numbers of exact columns, in the row itself, the spelling that the contract takes, where that loses
        nothing but noise.

        Returns what the row is by value, for its digest: the order of members and the spelling of numbers do not
        matter, and "007" is no 7.
        """
        names = tuple(row)
        spelled, order = self._shapes.get(names) or self._shape(names)
        parts = [spelled]
        for name, numbers in order:
            value = row[name]
            kind = type(value)
            if kind is Number:
                row[name], canonical, _ = numbers[value]
                parts.append(canonical)
            elif kind is str:
                parts.append("'" + value)
            else:
                parts.append(_encode_sorted(self._canonical(value, name)))
        text = _SEPARATOR.join(parts)
        if text.count(_SEPARATOR) != len(parts) - 1:
            text = _encode_sorted(parts)
        return text.encode("utf-8", "surrogatepass")

    def amounts(self, row: Row) -> list[tuple[str, Decimal]]:
        """The summed metrics of a row that are numbers, as :meth:`settle` has them: it may have been called or not. Of
        one that has a value of another kind 1 under the name that :func:`unread` gives."""
        found = []
        for metric, numbers in self._summed:
            value = row[metric] if metric in row else member(row, metric)
            if value == "":
                continue
            if isinstance(value, str):
                amount = (numbers if type(value) is Number else self._any)[value].value
                found.append((metric, amount) if amount is not None else (unread(metric), Decimal(1)))
            elif value is not None:
                found.append((unread(metric), Decimal(1)))
        return found

    def _shape(self, names: tuple[str, ...]) -> _Shape:
        """The names as one text, and each with its numbers, sorted."""
        if len(self._shapes) >= _SHAPES_KEPT:
            self._shapes.clear()
        self.names.update(names)
        ordered = sorted(names)
        order = tuple((name, self._numbers.get(name, self._any)) for name in ordered)
        self._shapes[names] = _encode(ordered), order
        return self._shapes[names]

    def _canonical(self, value: Any, path: str) -> Any:
        """A member of a row, settled: texts and numbers so that they differ."""
        match value:
            case Number():
                return self._any[value].canonical
            case str():
                return "'" + value
            case list():
                return [self._canonical(each, path) for each in value]
            case dict():
                return {name: self._nested(value, name, f"{path}.{name}") for name in value}
            case _:
                return value

    def _nested(self, holder: dict[str, Any], name: str, path: str) -> Any:
        self.names.add(path)
        value = holder[name]
        if isinstance(value, Number):
            holder[name], canonical, _ = self._numbers.get(path, self._any)[value]
            return canonical
        return self._canonical(value, path)


def _scale(column: Column) -> int | None:
    kind = column.data_type
    return kind.scale if kind.name == "decimal" else _WHOLE if kind.name in ("bigint", "int") else None


def _read(text: Number, scale: int | None) -> _Read:
    value = _number(text)
    if value is None:
        return _Read(text, f"#{text}", None)
    written = text
    if scale == _WHOLE:
        if not text.isdigit() and value == value.to_integral_value():
            value = Decimal(int(value))
            written = Number(value)
    elif scale is not None and ("e" in text.lower() or len(text.partition(".")[2]) > scale):
        value = value.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN, context=WIDE)
        written = Number(f"{value:f}")
    return _Read(written, f"#{value.normalize(WIDE) if value else 0:f}", value)


def _number(text: str) -> Decimal | None:
    if not _AS_NUMBER.fullmatch(text):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if not value:
        return Decimal(0)
    return value if _SMALLEST < value.adjusted() < _LARGEST else None
