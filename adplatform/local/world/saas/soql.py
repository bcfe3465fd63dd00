"""The part of SOQL that extraction needs: ``SELECT fields FROM object [WHERE condition AND ...] [ORDER BY field [DESC]]
[LIMIT n]`` with =, !=, <, <=, >, >=, LIKE and IN against texts, numbers, instants, dates, true, false and null.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

_TOKEN = re.compile(
    r"""\s*(?: (?P<text>'(?:[^'\\]|\\.)*') | (?P<instant>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:?\d\d))
    | (?P<date>\d{4}-\d\d-\d\d) | (?P<number>-?\d+(?:\.\d+)?) | (?P<word>\w+) | (?P<sign><=|>=|!=|<>|[=<>(),]) )""",
    re.VERBOSE,
)


class Malformed(Exception):
    """The message says what is wrong with a query."""


@dataclass(frozen=True)
class Condition:
    """``value`` of IN is a tuple."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Query:
    """``fields`` is empty for ``count()``."""

    fields: tuple[str, ...]
    object: str
    conditions: tuple[Condition, ...] = ()
    order: str | None = None
    descending: bool = False
    limit: int | None = None

    def names(self) -> set[str]:
        """Every field that it names."""
        ordered = {self.order} if self.order else set()
        return {*self.fields, *ordered, *(condition.field for condition in self.conditions)}

    def least(self, field: str) -> datetime | None:
        """The instant before which no record of the answer has its ``field``."""
        bounds = [c.value for c in self.conditions if c.field == field and c.operator in (">", ">=", "=")]
        return max((bound for bound in bounds if isinstance(bound, datetime)), default=None)


def parsed(text: str) -> Query:
    """
    Raises:
        Malformed: it is no query, or has something in it that this server does not know.
    """
    tokens = _Tokens(text)
    tokens.expect("SELECT")
    fields = _fields(tokens)
    tokens.expect("FROM")
    name, conditions = tokens.word(), []
    if tokens.took("WHERE"):
        conditions.append(_condition(tokens))
        while tokens.took("AND"):
            conditions.append(_condition(tokens))
    order, descending, limit = None, False, None
    if tokens.took("ORDER"):
        tokens.expect("BY")
        order = tokens.word()
        descending = tokens.took("DESC")
        tokens.took("ASC")
    if tokens.took("LIMIT"):
        limit = int(tokens.value())
    tokens.end()
    return Query(fields, name, tuple(conditions), order, descending, limit)


def matches(query: Query, record: Mapping[str, Any]) -> bool:
    return all(_TESTS[c.operator](_comparable(record[c.field], c.value), c.value) for c in query.conditions)


def _like(value: Any, pattern: str) -> bool:
    parts = (re.escape(part) for part in pattern.split("%"))
    return value is not None and re.fullmatch(".*".join(parts), str(value), re.IGNORECASE | re.DOTALL) is not None


_TESTS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, other: value == other,
    "!=": lambda value, other: value != other,
    "<": lambda value, other: value is not None and value < other,
    "<=": lambda value, other: value is not None and value <= other,
    ">": lambda value, other: value is not None and value > other,
    ">=": lambda value, other: value is not None and value >= other,
    "LIKE": _like,
    "IN": lambda value, others: value in others,
}


def _comparable(value: Any, other: Any) -> Any:
    """A field's value in the type of what it is compared with."""
    if isinstance(value, str):
        if isinstance(other, datetime):
            return datetime.fromisoformat(value)
        if isinstance(other, date):
            return date.fromisoformat(value[:10])
    return value


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise Malformed(f"unexpected token: {text[at:].strip()[:20]!r}")
            self._tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            at = match.end()

    def took(self, word: str) -> bool:
        if self._tokens and self._tokens[0][1].upper() == word:
            self._tokens.pop(0)
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.took(word):
            raise Malformed(f"expected {word}, found {self._tokens[0][1] if self._tokens else 'the end'!r}")

    def word(self) -> str:
        if not self._tokens or self._tokens[0][0] != "word":
            raise Malformed(f"expected a name, found {self._tokens[0][1] if self._tokens else 'the end'!r}")
        return self._tokens.pop(0)[1]

    def operator(self) -> str:
        if not self._tokens or self._tokens[0][1].upper() not in {*_TESTS, "<>"}:
            raise Malformed(f"expected an operator, found {self._tokens[0][1] if self._tokens else 'the end'!r}")
        operator = self._tokens.pop(0)[1].upper()
        return "!=" if operator == "<>" else operator

    def value(self) -> Any:
        if not self._tokens:
            raise Malformed("expected a value, found the end")
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind == "date":
            return date.fromisoformat(text)
        if kind == "instant":
            return datetime.fromisoformat(text).astimezone(UTC)
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        raise Malformed(f"unexpected value: {text!r}")

    def end(self) -> None:
        if self._tokens:
            raise Malformed(f"unexpected token: {self._tokens[0][1]!r}")


_WORDS = {"true": True, "false": False, "null": None}


def _fields(tokens: _Tokens) -> tuple[str, ...]:
    first = tokens.word()
    if first.lower() == "count" and tokens.took("("):
        tokens.expect(")")
        return ()
    fields = [first]
    while tokens.took(","):
        fields.append(tokens.word())
    return tuple(fields)


def _condition(tokens: _Tokens) -> Condition:
    field, operator = tokens.word(), tokens.operator()
    if operator != "IN":
        return Condition(field, operator, tokens.value())
    tokens.expect("(")
    values = [tokens.value()]
    while tokens.took(","):
        values.append(tokens.value())
    tokens.expect(")")
    return Condition(field, operator, tuple(values))
