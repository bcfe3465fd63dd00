"""What columns and feeds are called here that others call as they like."""

import re
from collections.abc import Collection, Iterable

from adplatform.contracts.column import IDENTIFIER, MOST_CHARACTERS, RESERVED
from adplatform.contracts.feed import NAME
from adplatform.contracts.snake_case import snake


def feed_name(name: str) -> str:
    """The feed's name for a table or file: lower-case letters, digits and ``_``."""
    words = snake(name)[:63]
    return words if re.fullmatch(NAME, words) else f"t_{words}"[:63]


def catalog_names(columns: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """A name in the table for each column, by the name there. Those in ``reserved`` are taken."""
    names: dict[str, str] = {}
    for column in columns:
        name = snake(column)[: MOST_CHARACTERS - 8] or "column"
        name = name if IDENTIFIER.fullmatch(name) and name not in RESERVED and name not in reserved else f"c_{name}"
        while name in names.values() or name in reserved:
            name += "_2"
        names[column] = name
    return names
