"""What naming conventions make of names, as SQL over clean rows: the fields of a name, and whether it conforms.

A name is divided from its begin, each field ending where its separator first stands, by functions that count characters
alike on every engine: a regular expression could go back behind a separator of several characters, and on Spark for as
many times as a name is long.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from string import ascii_letters, ascii_lowercase, ascii_uppercase

from adplatform.contracts.date_formats import DateFormat
from adplatform.contracts.naming import ColumnNaming, Naming, Part, Shape, named_columns
from adplatform.contracts.types import DataType
from adplatform.transform import dates
from adplatform.transform.rules import identifier, literal, matches
from adplatform.transform.values import OutputColumn

_STRING, _BOOLEAN = DataType("string"), DataType("boolean")


def named(naming: Naming, relation: str) -> str:
    """``relation`` with what is computed of its names."""
    shapes = [
        _levels(naming, column, number, shape)
        for column, convention in naming.columns.items()
        for number, shape in enumerate(convention.shapes)
    ]
    for levels in zip_longest(*shapes, fillvalue={}):
        computed = ", ".join(f"{sql} as {name}" for level in levels for name, sql in level.items())
        relation = f"(select *, {computed} from {relation})"
    return relation


def outputs(naming: Naming) -> Iterator[tuple[str, OutputColumn]]:
    """Each column that conventions give a table, with the SQL over :func:`named` that computes it."""
    for each in named_columns(naming):
        convention, column = naming.columns[each.column], each.column
        sql = _field(convention, column, each.field) if each.field else _conforms(convention, column)
        yield sql, OutputColumn(each.name, _STRING if each.field else _BOOLEAN, each.comment, sources=(column,))


def _conforms(convention: ColumnNaming, column: str) -> str:
    fits = " or ".join(_fits(column, number) for number in range(len(convention.shapes)))
    return f"case when {identifier(column)} is not null then {fits} end"


def _field(convention: ColumnNaming, column: str, field: str) -> str:
    whens = (
        f"when {_fits(column, number)} then "
        + next((_value(column, number, n) for n, part in enumerate(shape.parts) if part.name == field), "null")
        for number, shape in enumerate(convention.shapes)
    )
    return f"case {' '.join(whens)} end"


def _levels(naming: Naming, column: str, number: int, shape: Shape) -> Iterator[dict[str, str]]:
    """What is computed of a name for one shape, each level over the one before: what is left of it behind each field,
    the texts of fields, what they mean, and whether all of them mean something."""
    yield {_left(column, number, 0): _within(naming, shape, identifier(column))}
    separators = shape.separators
    for place, separator in enumerate(separators):
        left = _left(column, number, place)
        at = _position(naming, left, separator)
        behind = f"case when {at} > 0 then substr({left}, {at} + {len(separator)}) end"
        yield {_left(column, number, place + 1): behind}
    yield {
        # Not every engine takes a negative number of characters, as there would be where the separator is missing.
        _text(
            column, number, place
        ): f"substr({left}, 1, greatest({_position(naming, left, separators[place])}, 1) - 1)"
        if place < len(separators)
        else left
        for place in range(len(shape.parts))
        for left in [_left(column, number, place)]
    }
    yield {
        _value(column, number, place): _meant(naming, part, _text(column, number, place), place == len(separators))
        for place, part in enumerate(shape.parts)
    }
    every = " and ".join(f"{_value(column, number, place)} is not null" for place in range(len(shape.parts)))
    yield {_fits(column, number): f"({every})"}


def _within(naming: Naming, shape: Shape, text: str) -> str:
    """What stands between the begin and the end that all names have; NULL where one has others."""
    first, last = len(shape.before), len(shape.after)
    conditions = []
    if first:
        begin = _compared(naming, f"substr({text}, 1, {first})", shape.before)
        conditions.append(f"{begin} = {literal(naming.compared(shape.before))}")
    if last:
        end = _compared(naming, f"substr({text}, length({text}) - {last - 1}, {last})", shape.after)
        conditions.append(f"{end} = {literal(naming.compared(shape.after))}")
    if not conditions:
        return text
    between = f"substr({text}, {first + 1}, greatest(length({text}) - {first + last}, 0))"
    return f"case when length({text}) >= {first + last} and {' and '.join(conditions)} then {between} end"


def _before(naming: Naming, text: str, separators: Sequence[str]) -> str:
    """A text up to its separator, or all of it without any."""
    # Not every engine takes a negative number of characters, as there would be where the separator is missing.
    ends = [f"greatest({_position(naming, text, each)}, 1) - 1" for each in separators]
    return f"substr({text}, 1, {ends[0]})" if ends else text


def _position(naming: Naming, text: str, separator: str) -> str:
    """Where the separator first stands, from 1; 0 where it does not."""
    return f"strpos({_compared(naming, text, separator)}, {literal(naming.compared(separator))})"


def _compared(naming: Naming, text: str, *held_against: str) -> str:
    """A text as it is compared with others: as it is, unless these have letters."""
    folded = naming.ignore_case and any(c in ascii_letters for other in held_against for c in other)
    return _in_lower_case(text) if folded else text


def _in_lower_case(text: str) -> str:
    """A text with a to z for A to Z: ``lower`` would change others, too, and ``translate`` takes twenty times as long,
    so that it is for texts which have others."""
    others = f"translate({text}, '{ascii_uppercase}', '{ascii_lowercase}')"
    return f"case when strlen({text}) = length({text}) then lower({text}) else {others} end"


def _meant(naming: Naming, part: Part, text: str, last: bool) -> str:
    """What is stored of a field; NULL where it may not be so."""
    if part.date:
        return f"case when {_is_date(part.date, text)} then {text} end"
    meant = naming.meant(part.name)
    known = " ".join(f"when {literal(given)} then {literal(value)}" for given, value in meant.items())
    known = f"case {_compared(naming, text, *meant)} {known} end" if known else ""
    if part.name in naming.allowed:
        return known
    ended = f" and {_position(naming, text, part.ends)} = 0" if last and part.ends else ""
    free = f"case when {text} <> ''{ended} then {text} end"
    return f"coalesce({known}, {free})" if known else free


def _is_date(found: DateFormat, text: str) -> str:
    shown = matches(text, found.pattern())
    whole = len(found.directives) == len(("year", "month", "day"))
    return f"{shown} and try_cast({dates.day(found, text)} as date) is not null" if whole else shown


def _left(column: str, number: int, place: int) -> str:
    return identifier(f"{column}:left{number}.{place}")


def _text(column: str, number: int, place: int) -> str:
    return identifier(f"{column}:text{number}.{place}")


def _value(column: str, number: int, place: int) -> str:
    return identifier(f"{column}:value{number}.{place}")


def _fits(column: str, number: int) -> str:
    return identifier(f"{column}:fits{number}")
