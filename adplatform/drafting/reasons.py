"""Why a row is in quarantine, in words for people."""

from collections.abc import Mapping

from adplatform.contracts.model import Contract

_OF_ROWS: Mapping[str, str] = {
    "column_count": "has more or fewer fields than the header",
    "unterminated_quote": "has a quote that is not closed, or that stands within a field",
    "line_too_long": "is longer than a record may be",
    "invalid_encoding": "has bytes that are not of the declared encoding",
    "swallowed_line": "follows a quote that is not closed, and was taken for a part of that record",
    "bad_json": "is no JSON object",
}


def in_words(reason: str, contract: Contract) -> tuple[str, str]:
    """The column that a reason is about ("" for the whole row), and the sentence that goes on behind it."""
    kind, _, name = reason.partition(":")
    if not name:
        return "", _OF_ROWS.get(kind, kind)
    if kind == "check":
        check = next((c.expression for c in contract.row_checks if c.name == name), "")
        return "", f"fails the check {name}: {check}"
    column = next((c for c in contract.columns if c.name == name), None)
    if column is None:
        return name, kind
    match kind:
        case "required":
            return name, "has no value, and is required"
        case "not_allowed":
            return name, "is none of the values that are allowed"
        case "pattern":
            return name, f"does not match the pattern {column.pattern}"
        case "below_min":
            return name, f"is less than min, {column.min}"
        case "above_max":
            return name, f"is more than max, {column.max}"
        case "bad_bytes":
            return name, "has bytes that are not UTF-8; bytes: hex reads such as hexadecimal digits"
        case "bad_partition":
            return name, "cannot name a partition"
        case _:
            return name, f"is not {_article(column.type)} {column.type} as declared"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
