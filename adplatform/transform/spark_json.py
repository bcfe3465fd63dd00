"""Lines of JSON read without an engine, to the texts that DuckDB makes of them: see ``transform.json_lines``."""

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from adplatform.contracts.model import Contract
from adplatform.transform.json_lines import field_names, is_inexact, opened, paths_of, same_path

_Get = Callable[[Any], Any]
_ABSENT = object()
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[-+]?[0-9A-Za-z][-+.0-9A-Za-z]*|[\[\]{},:]')
_WORD = re.compile(r"-?(?:nan|inf|infinity)", re.IGNORECASE)
_SURROGATE = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F])")
_ESCAPED = re.compile(r"\\\\|\\u([0-9a-f]{4})")
_FIXED_FROM, _FIXED_TO = -6, 21
"""Where the point may be for a double to be written without an exponent."""


class Number(str):
    """A number as it was written."""

    __slots__ = ()


class Repeated(dict[str, Any]):
    """An object in which a member stands twice, of which the first counts; ``pairs`` are all."""

    pairs: list[tuple[str, Any]]


class Bad(ValueError):
    """A line that is no JSON, or no object."""


class Documents:
    """Reads the documents of one file. ``names`` are those of undeclared members, in the order in which they were
    found; ``renamed`` counts the names under which columns with several were found."""

    def __init__(self, contract: Contract) -> None:
        self._columns = list(contract.read_columns)
        self._getters = [_getter(column.field_names) for column in self._columns]
        self._comma = [column.decimal_mark == "," for column in self._columns]
        several = [(c.name, n) for c in self._columns if len(c.field_names) > 1 for n in c.field_names]
        self._several = [(place, _reach(place[1])) for place in several]
        self._opened = [(above, _value_at(same_path(above))) for above in opened(contract)]
        names = field_names(contract)
        self._known = {*names, *(".".join(p[:n]) for p in (x.split(".") for x in names) for n in range(1, len(p)))}
        self._keeps = contract.schema_policy == "evolve"
        self.names: dict[str, _Get] = {}
        self.renamed: Counter[tuple[str, str]] = Counter()

    def header(self) -> tuple[str, ...]:
        """The names of the members as files of tables have them in their header: declared ones first."""
        there: dict[str, list[str]] = {}
        for (column, name), _ in self._several:
            if self.renamed[column, name]:
                there.setdefault(column, []).append(name)
        declared = (name for c in self._columns for name in there.get(c.name, c.field_names[:1]))
        return (*declared, *sorted(self.names))

    def texts(self, line: str) -> tuple[list[str | None], list[str | None]]:
        """The texts of the declared columns, and those of undeclared members in the order of ``names``.

        Raises:
            Bad: it is no object.
        """
        document, exact = _read(line), is_inexact(line)
        if not isinstance(document, dict):
            raise Bad
        for place, reach in self._several:
            if reach(document) is not _ABSENT:
                self.renamed[place] += 1
        for above, members in (("", document), *((above, get(document)) for above, get in self._opened)):
            if isinstance(members, dict):
                for key in members:
                    name = f"{above}.{key}" if above else key
                    if name not in self._known and name not in self.names:
                        self.names[name] = _getter((name,))
        found = [
            _spelled(value, exact, comma and not _is_string(value))
            for value, comma in ((get(document), comma) for get, comma in zip(self._getters, self._comma, strict=True))
        ]
        if not self._keeps:
            return found, []
        return found, [_spelled(get(document), exact, False) for get in self.names.values()]


def _is_string(value: Any) -> bool:
    return isinstance(value, str) and not isinstance(value, Number)


def _getter(names: Sequence[str]) -> _Get:
    """What finds the first value that is not null under any of the names."""
    ways = list(dict.fromkeys(path for name in names for path in paths_of(name)))
    if len(ways) == 1 and len(ways[0]) == 1:
        [[key]] = ways
        return lambda document: document.get(key)
    values = [_value_at(path) for path in ways]

    def get(document: Any) -> Any:
        return next((found for each in values if (found := each(document)) not in (None, _ABSENT)), None)

    return get


def _reach(name: str) -> _Get:
    values = [_value_at(path) for path in paths_of(name)]

    def get(document: Any) -> Any:
        return next((found for each in values if (found := each(document)) is not _ABSENT), _ABSENT)

    return get


def _value_at(path: Sequence[str | int]) -> _Get:
    def get(value: Any) -> Any:
        for step in path:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else _ABSENT
            else:
                value = value.get(step, _ABSENT) if isinstance(value, dict) else _ABSENT
            if value is _ABSENT:
                break
        return value

    return get


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    repeated = Repeated(reversed(pairs))
    repeated.pairs = pairs
    return repeated


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=Number)


def _read(line: str) -> Any:
    """
    Raises:
        Bad: it is no JSON.
    """
    if "\\u" in line and any(found[1] for found in _SURROGATE.finditer(line)):
        raise Bad
    try:
        return _decoder.decode(line)
    except RecursionError:
        raise Bad from None
    except json.JSONDecodeError:
        return _leniently(line)


def _leniently(line: str) -> Any:
    """What DuckDB takes beside JSON: a comma behind the last of several, and words for what is no number.

    Raises:
        Bad: it is not even that.
    """
    tokens = list(_TOKEN.finditer(line))
    parts, at = [], 0
    for number, token in enumerate(tokens):
        text = token[0]
        behind = tokens[number + 1][0] if number + 1 < len(tokens) else ""
        before = tokens[number - 1][0] if number else ""
        if text == "," and behind in ("]", "}") and before not in ("[", "{", ",", ":", ""):
            text = " "
        elif _WORD.fullmatch(text):
            text = "-Infinity" if text.startswith("-") else "Infinity"
        parts += [line[at : token.start()], text]
        at = token.end()
    parts.append(line[at:])
    # The words are given back in their order.
    words = iter([token[0] for token in tokens if _WORD.fullmatch(token[0])])
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=lambda _: Number(next(words))
    )
    try:
        return decoder.decode("".join(parts))
    except (json.JSONDecodeError, RecursionError):
        raise Bad from None


def _spelled(value: Any, exact: bool, comma: bool) -> str | None:
    """The text of a value; of one within which others are, JSON. Where numbers are ``exact`` they keep their spelling,
    as they do not otherwise, and are texts within JSON."""
    if value is None:
        return None
    if isinstance(value, Number):
        found = str(value) if exact else plain(value)
    elif isinstance(value, str):
        found = value
    elif isinstance(value, bool):
        found = "true" if value else "false"
    else:
        found = _written(value, exact)
    return found.replace(".", ",") if comma else found


def _written(value: Any, exact: bool) -> str:
    if isinstance(value, Repeated):
        return "{" + ",".join(f"{quoted(k)}:{_written(v, exact)}" for k, v in value.pairs) + "}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(k)}:{_written(v, exact)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(each, exact) for each in value) + "]"
    if isinstance(value, Number):
        return f'"{value}"' if exact else plain(value)
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else "true" if value else "false"


def quoted(text: str) -> str:
    """A text in JSON, as yyjson writes it."""
    written = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{found[1].upper()}" if found[1] else found[0], written)


def plain(number: str) -> str:
    """A number as DuckDB writes it that read it as an integer or a double."""
    if number.lstrip("-").isdigit():
        return "0" if number == "-0" else str(number)
    if number[-1:].isalpha():
        return str(number)
    value = float(number)
    if value in (float("inf"), float("-inf")):
        return str(number)
    return of_double(value)


def of_double(value: float) -> str:
    """A double in the fewest digits, as yyjson writes it."""
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    if not digits:
        return f"{sign}0.0"
    if _FIXED_FROM < point <= _FIXED_TO:
        if point <= 0:
            return f"{sign}0.{'0' * -point}{digits}"
        if len(digits) <= point:
            return f"{sign}{digits}{'0' * (point - len(digits))}.0"
        return f"{sign}{digits[:point]}.{digits[point:]}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1}"
