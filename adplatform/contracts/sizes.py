"""Numbers of bytes as people write them: ``500MB``, ``64GB``; powers of 1,024, as disks and memory are counted."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

# One spelling for the parser and the JSON Schema, whose regular expressions are ECMAScript's.
_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*(B|KB|MB|GB|TB)\s*$"
_SIZE = re.compile(_PATTERN)
_BYTES = {"TB": 1 << 40, "GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10, "B": 1}
_DIGITS = 15
"""That a size may have in front of its unit."""


def parse_size(value: Any) -> Any:
    """``"500MB"`` or ``"64GB"`` to a number of bytes; a number stays what it is.

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _SIZE.match(value) or len(value) > _DIGITS:
        raise ValueError(f"{value!r} is not a size: write 500MB, 64GB or 1TB")
    spelled = value.strip()
    unit = next(unit for unit in _BYTES if spelled.endswith(unit))
    return int(float(spelled.removesuffix(unit)) * _BYTES[unit])


def write_size(value: int) -> str:
    """The spelling that :func:`parse_size` takes back, in the largest unit that leaves no fraction."""
    unit = next(unit for unit, size in _BYTES.items() if not value % size)
    return f"{value // _BYTES[unit]}{unit}"


Size = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(
        parse_size,
        json_schema_input_type=Annotated[str, Field(pattern=_PATTERN, examples=["500MB", "64GB", "1TB"])] | int,
    ),
]
