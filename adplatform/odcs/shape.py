"""Whether a contract is built as the standard says, as far as that it can be read."""

from collections.abc import Iterator, Mapping
from typing import Any

_LISTS: Mapping[str, tuple[str, ...]] = {
    "schema": ("name",),
    "properties": ("name",),
    "quality": (),
    "servers": ("server", "type"),
    "slaProperties": ("property",),
    "customProperties": ("property",),
    "members": (),
}
"""Members that are lists of mappings, and what each of these must have."""
_MAPPINGS = ("logicalTypeOptions", "arguments")
_OPEN = ("value", "implementation")
"""Members with whatever somebody likes."""


def misshapen(contract: Mapping[str, Any]) -> Iterator[str]:
    """What is not built so, in sentences that begin with its place."""
    yield from _below(contract, "")


def _below(given: Mapping[str, Any], place: str) -> Iterator[str]:
    for name, value in given.items():
        at = f"{place}.{name}" if place else str(name)
        if name in _OPEN or value is None:
            continue
        if name in _LISTS:
            yield from _of_list(value, _LISTS[name], at)
        elif name in _MAPPINGS:
            if not isinstance(value, Mapping):
                yield f"{at} is no mapping: write it as the standard says"
        elif name == "team" and isinstance(value, list):
            yield from _of_list(value, (), at)
        elif isinstance(value, Mapping):
            yield from _below(value, at)


def _of_list(value: Any, needed: tuple[str, ...], at: str) -> Iterator[str]:
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        yield f"{at} is no list of mappings: write it as the standard says"
        return
    for number, each in enumerate(value):
        if missing := [name for name in needed if each.get(name) is None]:
            yield f"{at}[{number}] lacks {', '.join(missing)}"
        if at != "servers":  # which have members of other names and kinds
            yield from _below(each, f"{at}[{number}]")
