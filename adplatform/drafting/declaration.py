"""A draft as the YAML of a feed, with the reason of each guess behind or above its line."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from adplatform.contracts import written
from adplatform.drafting.draft import Draft

_WIDTH = 120


def feed_yaml(drafted: Draft, name: str, start: date, indent: str = "") -> str:
    """One entry of ``feeds``. What somebody has to decide is marked ``REVIEW``."""
    return "".join(f"{indent}{line}\n" for line in _lines(drafted, name, start, _WIDTH - len(indent)))


def _lines(drafted: Draft, name: str, start: date, width: int) -> Iterator[str]:
    yield f"- name: {name}   # drafted from {drafted.about}"
    yield f"  start_date: {start}   # REVIEW: files of earlier dates are refused"
    if drafted.format:
        yield "  format:"
        for setting, (value, why) in drafted.format.items():
            yield from _explained(f"    {setting}: {written.flow(value)}", why, width)
    yield "  columns:"
    for column in drafted.columns:
        line = f"    {written.text(column.name)}: {written.column(_shortest(column.settings))}"
        yield from _explained(line, column.why, width)
    if drafted.key:
        yield f"  key: {written.flow(drafted.key[0] if len(drafted.key) == 1 else drafted.key)}"
    for setting, (value, why) in drafted.others.items():
        yield from _explained(f"  {setting}: {written.flow(value)}", why, width)
    for remark in drafted.remarks:
        yield from _comment(f"  # {remark}", "  #   ", width)


def _shortest(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Without the type where it is the one that a column has by default."""
    return {name: value for name, value in settings.items() if (name, value) != ("type", "string")}


def _explained(line: str, why: str, width: int) -> Iterator[str]:
    """The line with its reason behind it, or above it where that would be too long."""
    if not why:
        yield line
    elif len(line) + len(why) + 5 <= width:
        yield f"{line}   # {why}"
    else:
        indent = line[: len(line) - len(line.lstrip())]
        yield from _comment(f"{indent}# {why}", f"{indent}#   ", width)
        yield line


def _comment(text: str, following: str, width: int) -> Iterator[str]:
    while len(text) > width and (cut := text.rfind(" ", len(following), width)) > len(following):
        yield text[:cut]
        text = following + text[cut + 1 :]
    yield text
