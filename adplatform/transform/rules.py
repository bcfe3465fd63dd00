"""What a well-formed value of each type looks like, and how it is cast.

Every value is judged as text by an ASCII regular expression before any cast: engines differ in what their casts let
through (DuckDB reads ``1_000`` and ``0x1F`` as integers, Spark trims blanks). Only regular expression syntax that RE2,
Java and Rust read alike is used. The SQL is DuckDB's; ``compile.to_spark`` translates it.
"""

import calendar
import re
from collections.abc import Iterator

from adplatform.contracts.column import Column
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure

_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
_OFFSET = "(Z|[+-](0[0-9]|1[0-4])(:?[0-5][0-9])?)?"
_INTEGER = "[+-]?[0-9]+"
_DOUBLE = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,3})?"
_MIDNIGHT = "[T ]00:00:00([.]0{1,9})?(Z|[+]00(:?00)?)?"
_FARTHEST = 99
"""The greatest exponent, and how many zeros that may take."""
_LARGEST_DOUBLE = "1.7976931348623157e308"

_PORTABLE_ESCAPE = re.compile(r"\\[^A-Za-z0-9\s]|\\[tnr]")
_UNPORTABLE = re.compile(r"\\.?|\(\?[^:].?|[*+?}]\+|&&|\[\[|\[\^?\]|\[[^\]]*\[|[\^$](?![^\[]*\])")

_DATE_PARTS = {
    "%Y%m%d": "[0-9]{8}",
    "%d.%m.%Y": "[0-9]{1,2}[.][0-9]{1,2}[.][0-9]{4}",
    "%d/%m/%Y": "[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}",
    "%m/%d/%Y": "[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}",
    "%d-%m-%Y": "[0-9]{1,2}-[0-9]{1,2}-[0-9]{4}",
    "%Y/%m/%d": "[0-9]{4}/[0-9]{1,2}/[0-9]{1,2}",
}


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def matches(text: str, pattern: str) -> str:
    """Whether all of ``text`` matches: ``$`` would let a final line break through in Java."""
    whole = literal(rf"(?s)\A(?:{pattern})\z")
    return f"regexp_matches({text}, {whole})"


def sql_type(data_type: DataType) -> str:
    if data_type.name == "decimal":
        return f"decimal({data_type.precision},{data_type.scale})"
    return {"string": "varchar", "timestamp": "timestamptz"}.get(data_type.name, data_type.name)


def absent_values(column: Column, null_values: tuple[str, ...]) -> tuple[str, ...]:
    """The texts that mean "no value". Empty text is a value only where the column is text."""
    return null_values if column.data_type.name == "string" else ("", *null_values)


def is_absent(column: Column, null_values: tuple[str, ...]) -> str:
    text = identifier(column.name)
    absent = absent_values(column, null_values)
    return f"{text} is null" + (f" or {_is_one_of(text, absent)}" if absent else "")


def value(column: Column, null_values: tuple[str, ...]) -> str:
    """The typed value of a raw column, NULL when the text is absent or malformed."""
    text = identifier(column.name)
    if column.data_type.name == "string":
        return f"case when not {_is_one_of(text, null_values)} then {text} end" if null_values else text
    typed = _typed(column, text)
    return f"case when not {_is_one_of(text, null_values)} then {typed} end" if null_values else typed


def bound(column: Column, setting: str, text: str) -> str:
    """``min`` or ``max`` as SQL, read by the very rule that reads the column; dates and timestamps in ISO 8601 only.

    Raises:
        PermanentFailure: the bound is not a value of the column's type.
    """
    is_day = column.data_type.name in ("date", "timestamp")
    pattern, _ = next(_spellings(column, text))
    if not re.fullmatch(pattern, text) or (is_day and not _exists(text[:10])):
        raise PermanentFailure(f"column {column.name}: {setting} {text!r} is not a {column.type} as the files write it")
    return _typed(column, literal(text))


def _exists(day: str) -> bool:
    year, month, date = map(int, day.split("-"))
    return year > 0 and date <= calendar.monthrange(year, month)[1]


def portable_pattern(column: Column) -> str:
    """The column's pattern, checked to mean the same to RE2, Java and Rust; ``^`` and ``$`` around it are implied.

    Raises:
        PermanentFailure: syntax that the engines read differently.
    """
    pattern = (column.pattern or "").removeprefix("^")
    if pattern.endswith("$") and not pattern.endswith(r"\$"):
        pattern = pattern[:-1]
    found = _UNPORTABLE.search(_PORTABLE_ESCAPE.sub("x", pattern))
    if found:
        raise PermanentFailure(
            f"column {column.name}: pattern {column.pattern!r} uses {found[0]!r}, which engines read differently;"
            " use literals, [..], (..), (?:..), |, ., *, +, ?, {n,m} and a backslash before punctuation"
        )
    return pattern


def _is_one_of(text: str, values: tuple[str, ...]) -> str:
    return f"{text} in ({', '.join(literal(v) for v in values)})"


def _typed(column: Column, text: str) -> str:
    name = column.data_type.name
    if name == "boolean":
        true, false = _is_one_of(text, column.true_values), _is_one_of(text, column.false_values)
        return f"case when {true} then true when {false} then false end"
    branches = " ".join(f"when {matches(text, pattern)} then {cast}" for pattern, cast in _spellings(column, text))
    if name == "decimal" and text == identifier(column.name):
        plain = _step(column, 3)
        cast = f"try_cast({plain} as {sql_type(column.data_type)})"
        branches += f" when {matches(plain, decimal_pattern(column.data_type))} then {cast}"
    typed = f"case {branches} end"
    if name == "double":
        zero = f"when {typed} = 0 then cast(0 as double) " if column.identifies else ""
        return f"case {zero}when abs({typed}) <= {_LARGEST_DOUBLE} then {typed} end"
    return typed


def _spellings(column: Column, text: str) -> Iterator[tuple[str, str]]:
    """Each accepted spelling as (regular expression, SQL that casts a text of that spelling)."""
    data_type = column.data_type
    match data_type.name:
        case "int" | "bigint":
            yield _INTEGER, f"try_cast({text} as {data_type.name})"
            yield f"{_INTEGER}[.]0*", f"try_cast(split_part({text}, '.', 1) as {data_type.name})"
        case "double":
            pattern = _DOUBLE
            if column.decimal_comma:
                pattern, text = pattern.replace("[.]", "[,]"), f"replace({text}, ',', '.')"
            yield pattern, f"try_cast({text} as {sql_type(data_type)})"
        case "decimal":
            yield from _decimals(column, text)
        case "date":
            yield _DAY, f"try_cast({text} as date)"
            yield f"{_DAY}{_MIDNIGHT}", f"try_cast(substr({text}, 1, 10) as date)"
            for date_format in column.formats:
                yield _DATE_PARTS[date_format], f"try_cast({_iso_day(date_format, text)} as date)"
        case "timestamp":
            fraction = "[.][0-9]{1,6}0{0,3}" if column.identifies else "[.][0-9]{1,9}"
            yield f"{_DAY}[T ]{_TIME}({fraction})?{_OFFSET}", f"try_cast({_colon_in_offset(text)} as timestamptz)"
            for timestamp_format in column.formats:
                yield _timestamp(timestamp_format, text)


def decimal_pattern(data_type: DataType) -> str:
    """Every text whose value fits exactly: leading zeros, and zeros beyond the scale, lose nothing."""
    whole = data_type.precision - data_type.scale
    digits = f"0*[0-9]{{1,{whole}}}" if whole else "0+"
    fraction = f"[0-9]{{1,{data_type.scale}}}0*" if data_type.scale else "0+"
    return f"[+-]?{digits}([.]{fraction})?"


def respelled(column: Column) -> tuple[dict[str, str], ...]:
    """Levels of SQL over raw text, by the names of what they compute, each over the one before: a decimal without
    digits on one side of its point, or with an exponent, in plain digits, since engines read such text in different
    ways. The last is what ``value`` reads, NULL where the text is none. No level says a long expression twice, which an
    engine would have to plan again and again."""
    if column.data_type.name != "decimal":
        return ()
    mark = "[,]" if column.decimal_comma else "[.]"
    pattern = f"[+-]?([0-9]+{mark}?[0-9]*|{mark}[0-9]+)[eE][+-]?[0-9]{{1,2}}|[+-]?([0-9]+{mark}|{mark}[0-9]+)"
    text, (odd, digits, moved, plain) = identifier(column.name), (_step(column, n) for n in range(4))
    number = f"split_part({odd}, 'e', 1)"
    whole, fraction = (f"split_part({number}, '.', {n})" for n in (1, 2))
    zeros = f"repeat('0', {_FARTHEST})"
    lower = f"replace(replace({text}, 'E', 'e'), ',', '.')"
    exponent = f"coalesce(try_cast(split_part({lower}, 'e', 2) as int), 0)"
    return (
        {odd: f"case when {matches(text, pattern)} then translate(split_part({lower}, 'e', 1), '+-', '') end"},
        # A point within so many zeros is where the exponent moves it to.
        {
            digits: f"case when {odd} is not null then concat({zeros}, {whole}, {fraction}, {zeros}) end",
            moved: f"case when {odd} is not null then {_FARTHEST} + length({whole}) + {exponent} end",
        },
        {
            plain: f"case when {odd} is not null then concat(case when substr({text}, 1, 1) = '-' then '-' else '' end,"
            f" '0', ltrim(substr({digits}, 1, {moved}), '0'), '.', rtrim(substr({digits}, {moved} + 1), '0'), '0') end"
        },
    )


def _step(column: Column, number: int) -> str:
    return identifier(f"{column.name}:{('odd', 'digits', 'moved', 'plain')[number]}")


def _decimals(column: Column, text: str) -> Iterator[tuple[str, str]]:
    plainly, cast = decimal_pattern(column.data_type), sql_type(column.data_type)
    mark, dotted = ("[,]", f"replace({text}, ',', '.')") if column.decimal_comma else ("[.]", text)
    yield plainly.replace("[.]", mark), f"try_cast({dotted} as {cast})"


def _colon_in_offset(text: str) -> str:
    """Salesforce writes ``+0000`` and PostgreSQL ``+00``, which not every engine reads."""
    return (
        f"case when substr({text}, -5, 1) in ('+', '-')"
        f" then concat(substr({text}, 1, length({text}) - 2), ':', substr({text}, -2, 2))"
        f" when substr({text}, -3, 1) in ('+', '-') then concat({text}, ':00') else {text} end"
    )


def _iso_day(date_format: str, text: str) -> str:
    if date_format == "%Y%m%d":
        return f"concat(substr({text}, 1, 4), '-', substr({text}, 5, 2), '-', substr({text}, 7, 2))"
    separator = date_format[2]
    parts = {
        part: f"lpad(split_part({text}, {literal(separator)}, {position}), {4 if part == '%Y' else 2}, '0')"
        for position, part in enumerate(date_format.split(separator), start=1)
    }
    return f"concat({parts['%Y']}, '-', {parts['%m']}, '-', {parts['%d']})"


def _timestamp(timestamp_format: str, text: str) -> tuple[str, str]:
    if timestamp_format == "epoch_seconds":
        return "-?[0-9]{1,11}", f"make_timestamptz(try_cast({text} as bigint) * 1000000)"
    if timestamp_format == "epoch_millis":
        return "-?[0-9]{1,14}", f"make_timestamptz(try_cast({text} as bigint) * 1000)"
    if timestamp_format == "%Y%m%dT%H%M%SZ":
        clock = f"concat(substr({text}, 10, 2), ':', substr({text}, 12, 2), ':', substr({text}, 14, 2))"
        day = _iso_day("%Y%m%d", text)
        return (
            "[0-9]{8}T([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]Z",
            f"try_cast(concat({day}, 'T', {clock}, 'Z') as timestamptz)",
        )
    date_format = timestamp_format.removesuffix(" %H:%M:%S")
    day, clock = f"split_part({text}, ' ', 1)", f"split_part({text}, ' ', 2)"
    return (
        f"{_DATE_PARTS[date_format]} {_TIME}",
        f"try_cast(concat({_iso_day(date_format, day)}, 'T', {clock}, 'Z') as timestamptz)",
    )
