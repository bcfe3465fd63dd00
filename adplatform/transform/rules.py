"""What the SQL of all rules is made of.

Every value is judged as text by an ASCII regular expression before any cast: engines differ in what their casts let
through (DuckDB reads ``1_000`` and ``0x1F`` as integers, Spark trims blanks). Only regular expression syntax that RE2,
Java and Rust read alike is used. The SQL is DuckDB's; ``compile.to_spark`` translates it.
"""

import re

from adplatform.contracts.column import Column
from adplatform.contracts.types import DataType
from adplatform.failures import PermanentFailure

_PORTABLE_ESCAPE = re.compile(r"\\[^A-Za-z0-9\s]|\\[tnr]")
_UNPORTABLE = re.compile(r"\\.?|\(\?[^:].?|[*+?}]\+|&&|\[\[|\[\^?\]|\[[^\]]*\[|[\^$](?![^\[]*\])")


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


def decimal_pattern(data_type: DataType) -> str:
    """Every text whose value fits exactly: leading zeros, and zeros beyond the scale, lose nothing."""
    whole = data_type.precision - data_type.scale
    digits = f"0*[0-9]{{1,{whole}}}" if whole else "0+"
    fraction = f"[0-9]{{1,{data_type.scale}}}0*" if data_type.scale else "0+"
    return f"[+-]?{digits}([.]{fraction})?"
