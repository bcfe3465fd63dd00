"""Names as lower-case words."""

import re
import unicodedata

_HUMP = re.compile(r"(?<=[a-z0-9]{2})(?=[A-Z])")
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d"})


def snake(name: str) -> str:
    """Lower-case words with ``_`` between them: letters without their marks, humps taken for words; "" for a name that
    has none of a to z and 0 to 9."""
    lower = unicodedata.normalize("NFKD", _HUMP.sub("_", name).lower().translate(_LETTERS))
    bare = "".join(each for each in lower if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9_]+", "_", bare).strip("_")
