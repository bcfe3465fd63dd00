"""E-mail addresses in columns of texts, found by Arrow alone: workers of an engine have no DuckDB."""

from typing import TYPE_CHECKING

from adplatform.platform.late import Late
from adplatform.privacy.column_bytes import content
from adplatform.privacy.recognised import EMAIL, EMAIL_MARKS, PICTURE

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pa = Late("pyarrow")
    pc = Late("pyarrow.compute")

_MARKS = tuple(mark.encode() for mark in EMAIL_MARKS)


def rows_with_address(values: "pa.Array") -> int:
    """How many values hold an address, as :func:`adplatform.privacy.recognised.holds_email` has it, anywhere in them or
    in what they consist of."""
    if values.null_count == len(values):
        return 0
    texts = _texts(values)
    text = content(texts)
    marks = [mark for mark in _MARKS if mark in text]
    if not marks:
        return 0
    marked = texts.filter(pc.match_substring_regex(texts, "|".join(mark.decode() for mark in marks)))
    if pc.any(pc.match_substring_regex(marked, PICTURE)).as_py():
        marked = pc.replace_substring_regex(marked, PICTURE, " ")
    return pc.sum(pc.match_substring_regex(marked, EMAIL)).as_py() or 0


def _texts(values: "pa.Array") -> "pa.Array":
    if pa.types.is_string(values.type):
        return values
    if pa.types.is_nested(values.type):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string())
    return values.cast(pa.string())
