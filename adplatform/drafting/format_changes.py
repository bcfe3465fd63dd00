"""Settings of the format that read rows which cannot be split, by what is wrong with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FormatChange:
    settings: Mapping[str, Any]
    why: str


_BY_REASON: Mapping[str, tuple[FormatChange, ...]] = {
    "column_count": (
        FormatChange({"ragged_rows": "pad"}, "some rows end before their last fields"),
        FormatChange({"quote": "", "escape": ""}, "quotes stand within fields as a sign like any other"),
        FormatChange({"escape": "\\"}, "quotes within fields have a backslash before them"),
    ),
    "unterminated_quote": (
        FormatChange({"escape": "\\"}, "quotes within fields have a backslash before them"),
        FormatChange({"quote": "", "escape": ""}, "quotes stand within fields as a sign like any other"),
    ),
    "invalid_encoding": (FormatChange({"encoding": "cp1252"}, "REVIEW: some bytes are not UTF-8"),),
    "line_too_long": (FormatChange({"max_record": "16MB"}, "some records are longer than 2 MB"),),
}
_OF_FILES = (
    FormatChange({"quote": "", "escape": ""}, "quotes stand within fields as a sign like any other"),
    FormatChange({"escape": "\\"}, "quotes within fields have a backslash before them"),
    FormatChange({"max_record_lines": 100_000}, "some records have very many lines"),
)


def format_changes(reasons: Mapping[str, int] | None) -> Iterator[FormatChange]:
    """What may help against reasons of quarantined rows, or where the file is refused (None); most frequent first."""
    if reasons is None:
        yield from _OF_FILES
        return
    found: list[FormatChange] = []
    for reason in sorted(reasons, key=lambda each: -reasons[each]):
        found += [change for change in _BY_REASON.get(reason, ()) if change not in found]
    yield from found
