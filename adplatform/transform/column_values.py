"""The value of a column as SQL over its raw text: no value, a typed value, or NULL where the text is malformed.

Settings by which a column is written otherwise than plainly add levels of SQL, each over the one before, which bring
its text to the plain form first. A column without them is read from the raw text as it is.
"""

import calendar
import re
from collections.abc import Iterable, Iterator

from adplatform.contracts.column import Column
from adplatform.contracts.file_format import FileFormat
from adplatform.failures import PermanentFailure
from adplatform.transform import dates, numbers
from adplatform.transform.dates import Spelled
from adplatform.transform.rules import decimal_pattern, identifier, literal, matches, sql_type

_INTEGER = "[+-]?[0-9]+"
_DOUBLE = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?"
_LARGEST_DOUBLE = "1.7976931348623157e308"
_TRIMMED = " \t\u00a0\u202f"

Level = dict[str, str]
"""SQL by the names of what it computes."""


def text(column: Column) -> str:
    """The name of a column's text as its checks see it: without what ``trim`` takes away, and with ``special`` texts
    replaced."""
    return identifier(f"{column.name}:text" if _is_prepared(column) else column.name)


def levels(column: Column, file_format: FileFormat) -> Iterator[Level]:
    """What is computed of the raw text before :func:`value` can be.

    Raises:
        PermanentFailure: a ``special`` text stands for what is no value of the column's type.
    """
    if _is_prepared(column):
        yield {text(column): _prepared(column, file_format)}
    if _is_rewritten(column):
        *before, last = numbers.plainly(column, text(column))
        yield from before
        yield {name: _but_special(column, sql) for name, sql in last.items()}
    if _has_respelled(column):
        yield {numbers.exact(column): _cases(column, _spellings(_as_plain(column), _plain(column)))}
        yield from numbers.respelled(column, text(column))
    if column.timezone:
        yield from dates.in_zone(tuple(_spellings(column, text(column))), column.name, column.timezone)


def is_absent(column: Column, file_format: FileFormat) -> str:
    if _is_prepared(column):
        return f"{text(column)} is null"
    absent = _absent_values(column, file_format)
    return f"{text(column)} is null" + (f" or {_is_one_of(text(column), absent)}" if absent else "")


def is_given(column: Column, file_format: FileFormat) -> str:
    """The opposite; NULL where there is no text."""
    if _is_prepared(column):
        return f"{text(column)} is not null"
    absent = _absent_values(column, file_format)
    return f"not {_is_one_of(text(column), absent)}" if absent else f"{text(column)} is not null"


def value(column: Column, file_format: FileFormat) -> str:
    """The typed value of a raw column, NULL when the text is absent or malformed."""
    null_values = () if _is_prepared(column) else (*file_format.null_values, *column.null_values)
    typed = text(column) if column.data_type.name == "string" else _typed(column)
    return f"case when not {_is_one_of(text(column), null_values)} then {typed} end" if null_values else typed


def of_text(column: Column, file_format: FileFormat) -> str:
    """The value of a column of text over its raw text alone, without any level before."""
    return _prepared(column, file_format) if _is_prepared(column) else value(column, file_format)


def bound(column: Column, setting: str, given: str) -> str:
    """``min`` or ``max`` as SQL, read by the very rule that reads the column; dates and timestamps in ISO 8601 only.

    Raises:
        PermanentFailure: the bound is not a value of the column's type.
    """
    as_plain = _as_plain(column)
    plain = numbers.plain_number(column, given) if _is_rewritten(column) else given
    if plain is None or not _is_plain(as_plain, plain):
        raise PermanentFailure(
            f"column {column.name}: {setting} {given!r} is not a {column.type} as the files write it"
        )
    if column.timezone and dates.is_naive(plain):
        plain = dates.in_utc(plain, column.timezone)
    return _cases(as_plain, _spellings(as_plain.model_copy(update={"timezone": None}), literal(plain)))


def _absent_values(column: Column, file_format: FileFormat) -> tuple[str, ...]:
    """The texts that mean "no value". Empty text is a value only where the column is text."""
    null_values = (*file_format.null_values, *column.null_values)
    empty = column.data_type.name != "string" or (column.trim and file_format.empty == "null")
    return ("", *null_values) if empty else null_values


def _is_prepared(column: Column) -> bool:
    return column.trim or bool(column.special)


def _trimmed(column: Column) -> str:
    raw = identifier(column.name)
    return f"trim({raw}, {literal(_TRIMMED)})" if column.trim else raw


def _prepared(column: Column, file_format: FileFormat) -> str:
    trimmed = _trimmed(column)
    branches = []
    for special, meant in column.special.items():
        if meant is not None and not _is_value(column, meant):
            raise PermanentFailure(f"column {column.name}: special {special!r}: {meant!r} is not a plain {column.type}")
        branches.append(f"when {trimmed} = {literal(special)} then {'null' if meant is None else literal(meant)}")
    if absent := _absent_values(column, file_format):
        branches.append(f"when {_is_one_of(trimmed, absent)} then null")
    return f"case {' '.join(branches)} else {trimmed} end" if branches else trimmed


def _is_value(column: Column, plain: str) -> bool:
    if column.data_type.name == "boolean":
        return plain in (*column.true_values, *column.false_values)
    return column.data_type.name == "string" or _is_plain(_as_plain(column), plain)


def _is_plain(column: Column, plain: str) -> bool:
    """Whether a text has the plain form of a column's type, and is a day that there is."""
    days = column.data_type.name in ("date", "timestamp")
    return re.fullmatch(_plain_pattern(column), plain) is not None and (not days or _exists(plain[:10]))


def _exists(day: str) -> bool:
    year, month, date = map(int, day.split("-"))
    return year > 0 and date <= calendar.monthrange(year, month)[1]


def _plain_pattern(column: Column) -> str:
    match column.data_type.name:
        case "int" | "bigint":
            return _INTEGER
        case "double":
            return _DOUBLE.replace("[.]", "[,]") if column.decimal_comma else _DOUBLE
        case "decimal":
            pattern = decimal_pattern(column.data_type)
            return pattern.replace("[.]", "[,]") if column.decimal_comma else pattern
        case "date":
            return dates.DAY
    return dates.instant_pattern(_fraction(column))


def _fraction(column: Column) -> str:
    return "[.][0-9]{1,6}0{0,3}" if column.identifies else "[.][0-9]{1,9}"


def _is_one_of(text: str, values: tuple[str, ...]) -> str:
    return f"{text} in ({', '.join(literal(v) for v in values)})"


def _is_rewritten(column: Column) -> bool:
    """Whether numbers are put into the plain form before they are cast."""
    meant = column.data_type.is_number and any(value is not None for value in column.special.values())
    return column.grouped_numbers or (column.decimal_comma and meant)


def _has_respelled(column: Column) -> bool:
    """Whether a number may have an exponent that engines read in different ways."""
    return column.data_type.name == "decimal" and column.percent != "fraction"


def _plain(column: Column) -> str:
    """The name of the text that is cast."""
    return numbers.plain(column) if _is_rewritten(column) else text(column)


def _but_special(column: Column, number: str) -> str:
    """A ``special`` text stands for a number that is plain already."""
    meant = tuple(special for special, value in column.special.items() if value is not None)
    return f"case when {_is_one_of(_trimmed(column), meant)} then {text(column)} else {number} end" if meant else number


def _as_plain(column: Column) -> Column:
    """The column as its numbers are written once they have the plain form."""
    return column.model_copy(update={"decimal_comma": False}) if _is_rewritten(column) else column


def _typed(column: Column) -> str:
    name, given = column.data_type.name, _plain(column)
    if name == "boolean":
        true, false = _is_one_of(given, column.true_values), _is_one_of(given, column.false_values)
        return f"case when {true} then true when {false} then false end"
    if _has_respelled(column):
        exact, digits = numbers.exact(column), numbers.plain_digits(column)
        cast = f"try_cast({digits} as {sql_type(column.data_type)})"
        respelled = Spelled(matches(digits, decimal_pattern(column.data_type)), cast)
        return _cases(column, (Spelled(f"{exact} is not null", exact), respelled))
    spellings = [e for e in _spellings(_as_plain(column), given) if e.zoned or not column.timezone]
    typed = _cases(column, spellings)
    if column.timezone:
        naive = dates.instant(column.name, column.timezone)
        return f"case when {dates.clock(column.name)} is not null then {naive} else {typed} end"
    return typed


def _cases(column: Column, spellings: Iterable[Spelled]) -> str:
    typed = f"case {' '.join(f'when {each.matches} then {each.cast}' for each in spellings)} end"
    if column.data_type.name == "double":
        zero = f"when {typed} = 0 then cast(0 as double) " if column.identifies else ""
        return f"case {zero}when abs({typed}) <= {_LARGEST_DOUBLE} then {typed} end"
    return typed


def _spellings(column: Column, text: str) -> Iterator[Spelled]:
    """Each accepted spelling of a text, in plain form where it is a number."""
    data_type = column.data_type
    match data_type.name:
        case "int" | "bigint":
            yield Spelled(matches(text, _INTEGER), f"try_cast({text} as {data_type.name})")
            yield Spelled(
                matches(text, f"{_INTEGER}[.]0*"), f"try_cast(split_part({text}, '.', 1) as {data_type.name})"
            )
        case "double" | "decimal":
            plain = f"replace({text}, ',', '.')" if column.decimal_comma else text
            yield Spelled(matches(text, _plain_pattern(column)), f"try_cast({plain} as {sql_type(data_type)})")
        case "date":
            yield from dates.dates(column, text)
        case "timestamp":
            yield from dates.timestamps(column, text, _fraction(column))
