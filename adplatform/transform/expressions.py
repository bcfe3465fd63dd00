"""The part of Spark SQL that computed columns and row checks may use: the part that all engines compute alike.

Division is in double and NULL by zero; in a decimal column division of exact numbers by a number such as 1000000 or 4,
whose reciprocal ends, is exact. Text is cast to decimal alone, and judged as strictly as a column of that type: what is
no such number is a bad value. Integers are added and multiplied as decimals, ``lower`` and ``upper`` change A
to Z only, ``trim`` strips blanks only. What engines read or print differently (text to number, double to text or
integer, date arithmetic, regular expressions) is refused: declare a column of the wanted type instead.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from adplatform.contracts.types import DataType, parse_type
from adplatform.failures import PermanentFailure, clipped
from adplatform.transform import rules

_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_FUNCTIONS = (
    "and, or, not, comparisons, is null, in (..), between, like, case, if, coalesce, nullif, + - * /, abs, greatest,"
    " least, cast, concat, ||, lower, upper, trim, length, substring, replace, split_part, startswith, endswith,"
    " year, month, day"
)
_ALLOWED: tuple[type[exp.Expression], ...] = (
    *(exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg),
    *(exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.GT, exp.GTE, exp.LT, exp.LTE),
    *(exp.Is, exp.In, exp.Between, exp.Like, exp.StartsWith, exp.EndsWith),
    *(exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Abs, exp.Cast, exp.DataType, exp.DataTypeParam),
    *(exp.Concat, exp.DPipe, exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Substring, exp.Replace, exp.SplitPart),
    *(exp.Year, exp.Month, exp.Day, exp.TsOrDsToDate),
)
_SHOWN = 500
"""Characters of an expression that a message quotes."""
_DEEPEST = 100
"""Operations within operations: what writes an expression down again works down the tree, as deep as Python lets it."""
_CASTS = (exp.DType.TEXT, exp.DType.VARCHAR, exp.DType.DOUBLE, exp.DType.DECIMAL, exp.DType.DATE)
_INEXACT_TEXT = ("double", "timestamp")
_COMPARISONS = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between)
_CONDITIONS = (
    *(exp.And, exp.Or, exp.Not, exp.Is, exp.Like, exp.StartsWith, exp.EndsWith, exp.Boolean),
    *(exp.Case, exp.If, exp.Coalesce),
    *_COMPARISONS,
)
_MOST_DIGITS = 12
"""Of a reciprocal: with those of a bigint they are within the 38 that engines compute with."""


class BadExpression(PermanentFailure):
    """``text`` cannot be used."""

    def __init__(self, where: str, text: str, why: str) -> None:
        super().__init__(f"{where}: {clipped(text, _SHOWN)!r} {why}")
        self.text = text


def parse(text: str, where: str, columns: Mapping[str, DataType], *, exact: bool = False) -> exp.Expression:
    """A Spark SQL expression as a tree that every engine computes alike. Column names stand as the contract has them.
    With ``exact``, for a decimal column, division is exact where it can be.

    Raises:
        BadExpression: not one expression, an operation off the list, or a column not in ``columns``. ``where``
            names the feed's column or check in the message.
    """
    tree = _tree(text, where)
    for node in tree.walk():
        problem = _problem(node, columns)
        if problem:
            raise BadExpression(where, text, problem)
    root = exp.Paren(this=tree)
    for node in reversed(list(root.walk())):
        rewrite = _REWRITES.get(type(node))
        if isinstance(node, exp.Div) and exact and (product := _exact_quotient(node, columns)):
            node.replace(product)
        elif isinstance(node, exp.Cast) and _is_cast_of_text(node, columns):
            node.replace(exp.Case().when(exp.condition(_is_number(node), dialect="duckdb"), _try_cast(node)))
        elif rewrite:
            node.replace(rewrite(node))
    return root


def unreadable(text: str, where: str, columns: Mapping[str, DataType]) -> list[exp.Expression]:
    """For each text that an expression casts the condition that it is there and is no number of that type.

    Raises:
        BadExpression: as :func:`parse`.
    """
    found = []
    for cast in _tree(text, where).find_all(exp.Cast):
        if _is_cast_of_text(cast, columns):
            operand = parse(cast.this.sql("spark"), where, columns)
            judged = _is_number(exp.cast(operand, cast.to))
            value = operand.sql("duckdb")
            found.append(exp.condition(f"{value} <> '' and not {judged}", dialect="duckdb"))
    return found


def names(text: str, where: str) -> frozenset[str]:
    """The column names an expression reads.

    Raises:
        BadExpression: not an expression.
    """
    return frozenset(column.name for column in _tree(text, where).find_all(exp.Column))


def _tree(text: str, where: str) -> exp.Expression:
    try:
        tree = sqlglot.parse_one(text, read="spark")
    except SqlglotError as e:
        raise BadExpression(where, text, "is not a Spark SQL expression") from e
    except RecursionError:
        raise _too_deep(where, text) from None
    level = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in node.iter_expressions()]
        if not level:
            return tree
    raise _too_deep(where, text)


def _too_deep(where: str, text: str) -> BadExpression:
    return BadExpression(where, text, f"is nested more than {_DEEPEST} deep; divide it among columns")


def require_condition_over_texts(tree: exp.Expression, text: str, where: str) -> None:
    """Refuse what :func:`parse` takes where all columns are text, and engines do not.

    Raises:
        BadExpression: it is no condition, or compares a text with a number.
    """
    if not isinstance(tree.unnest(), _CONDITIONS):
        raise BadExpression(where, text, "is no condition; compare a column with a text, as in campaign = 'Total'")
    for node in tree.find_all(*_COMPARISONS):
        sides = [side.unnest() for side in node.iter_expressions()]
        number = next((n for n in sides if isinstance(n, exp.Literal | exp.Neg) and not n.is_string), None)
        if number and any(isinstance(side, exp.Column) for side in sides):
            why = f"compares a text with a number; write {number.sql('spark')} in quotes, as the files have it, or cast"
            raise BadExpression(where, text, f"{why} the text to decimal(p,s)")


def is_whole(tree: exp.Expression, columns: Mapping[str, DataType]) -> bool:
    """Whether the value has no fraction: engines round the rest to an integer in different ways."""
    if tree.find(exp.Div, exp.Cast) or any("." in n.name or "e" in n.name.lower() for n in _numbers(tree)):
        return False
    return all(columns[c.name].name not in ("double", "decimal") for c in tree.find_all(exp.Column))


def _numbers(tree: exp.Expression) -> list[exp.Literal]:
    return [n for n in tree.find_all(exp.Literal) if not n.is_string]


def _problem(node: exp.Expression, columns: Mapping[str, DataType]) -> str | None:
    if not isinstance(node, _ALLOWED):
        used = node.name if isinstance(node, exp.Anonymous) else node.key
        return f"uses {used.lower()}, which is not allowed; allowed are {_FUNCTIONS}"
    match node:
        case exp.Column() if node.table or node.name not in columns:
            return f"names {node.sql('spark')}, which is not a column it may read"
        case exp.In() if not node.expressions:
            return "uses in with a subquery; a row is judged by its own columns only"
        case exp.Like() if "\\" in node.expression.name or not isinstance(node.expression, exp.Literal):
            return "uses like with something other than a plain literal without backslashes"
        case exp.Trim() if node.expression or node.args.get("position"):
            return "uses trim with characters; only trim(text) is allowed"
        case exp.Cast() if not _is_literal_date(node):
            return _cast_problem(node, columns)
    return None


def _is_literal_date(node: exp.Cast) -> bool:
    return node.this.is_string and node.to.this in (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ)


def _cast_problem(node: exp.Cast, columns: Mapping[str, DataType]) -> str | None:
    target, types = node.to.this, {columns[c.name].name for c in node.find_all(exp.Column) if c.name in columns}
    if target not in _CASTS:
        return f"casts to {node.to.sql('spark').lower()}; allowed are string, double, decimal and date"
    if target in (exp.DType.TEXT, exp.DType.VARCHAR):
        return "casts a double or timestamp to string" if node.find(exp.Div) or types & set(_INEXACT_TEXT) else None
    if not _is_text(node, columns):
        return None
    if target != exp.DType.DECIMAL:
        return (
            f"casts text to {node.to.sql('spark').lower()}; cast it to decimal(p,s), which is judged as strictly as a "
            "column of that type, or declare the column of the file with the type"
        )
    return None if node.to.expressions else "casts text to a decimal without digits; write decimal(p,s)"


def _is_text(node: exp.Cast, columns: Mapping[str, DataType]) -> bool:
    texts = ["string"] * any(n.is_string for n in node.find_all(exp.Literal))
    return "string" in (*texts, *(columns[c.name].name for c in node.find_all(exp.Column) if c.name in columns))


def _is_cast_of_text(node: exp.Cast, columns: Mapping[str, DataType]) -> bool:
    return node.to.this == exp.DType.DECIMAL and _is_text(node, columns)


def _is_number(cast: exp.Cast) -> str:
    """Whether the text that is cast is a number of that type, as SQL of DuckDB."""
    return rules.matches(cast.this.sql("duckdb"), rules.decimal_pattern(parse_type(cast.to.sql("spark").lower())))


def _try_cast(cast: exp.Cast) -> exp.Expression:
    return exp.TryCast(this=cast.this.copy(), to=cast.to.copy())


def _exact_quotient(node: exp.Div, columns: Mapping[str, DataType]) -> exp.Expression | None:
    """The product that a quotient of exact numbers by a literal is, if its reciprocal ends."""
    whole, divisor = node.this, node.expression
    if not isinstance(divisor, exp.Literal) or divisor.is_string or not divisor.name.replace(".", "", 1).isdigit():
        return None
    kinds = {columns[c.name].name for c in whole.find_all(exp.Column)}
    if (
        not kinds <= {"int", "bigint", "decimal"}
        or whole.find(exp.Div)
        or any("e" in n.name.lower() for n in _numbers(whole))
    ):
        return None
    if whole.find(exp.Cast) and any(c.to.this != exp.DType.DECIMAL for c in whole.find_all(exp.Cast)):
        return None
    reciprocal = _reciprocal(divisor.name)
    if reciprocal is None:
        return None
    scale = len(reciprocal.partition(".")[2])
    exactly = exp.cast(exp.Literal.number(reciprocal), f"decimal({len(reciprocal.replace('.', ''))},{scale})")
    return exp.Paren(this=exp.Mul(this=exp.Paren(this=whole.copy()), expression=exactly))


def _reciprocal(number: str) -> str | None:
    """1 by the number in digits; None where that does not end within some digits, or there is none."""
    value = Fraction(number)
    for scale in range(_MOST_DIGITS + 1):
        scaled = Fraction(10**scale) / value if value else Fraction(1, 3)
        if scaled.denominator == 1:
            return f"{Decimal(scaled.numerator).scaleb(-scale):f}"
    return None


def _divide(node: exp.Expression) -> exp.Expression:
    zero = exp.cast(exp.Literal.number(0), "double")
    divisor = exp.Nullif(this=exp.cast(node.expression, "double"), expression=zero)
    return exp.Paren(this=exp.Div(this=exp.cast(node.this, "double"), expression=divisor, typed=True, safe=False))


def _ascii(source: str, target: str) -> Callable[[exp.Expression], exp.Expression]:
    return lambda node: exp.Anonymous(
        this="translate", expressions=[node.this, exp.Literal.string(source), exp.Literal.string(target)]
    )


_REWRITES: dict[type[exp.Expression], Callable[[exp.Expression], exp.Expression]] = {
    exp.Div: _divide,
    exp.Lower: _ascii(_UPPER, _LOWER),
    exp.Upper: _ascii(_LOWER, _UPPER),
    exp.Trim: lambda node: exp.Trim(this=node.this, expression=exp.Literal.string(" "), position="BOTH"),
}
