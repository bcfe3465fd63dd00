"""What columns and feeds are called here that others call as they like."""

import re
import unicodedata
from collections.abc import Collection, Iterable

from adplatform.contracts.column import IDENTIFIER, MOST_CHARACTERS, RESERVED
from adplatform.contracts.feed import NAME

_HUMP = re.compile(r"(?<=[a-z0-9]{2})(?=[A-Z])")
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d"})


def snake(name: str) -> str:
    """Lower-case words with ``_`` between them: letters without their marks, humps taken for words; "" for a name that
    has none of a to z and 0 to 9."""
    lower = unicodedata.normalize("NFKD", _HUMP.sub("_", name).lower().translate(_LETTERS))
    bare = "".join(each for each in lower if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9_]+", "_", bare).strip("_")


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
