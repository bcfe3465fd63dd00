"""Shares, written as ``95%`` or 0.95."""

import re
from typing import Annotated, Any

from pydantic import Field

_PERCENT = re.compile(r" *([0-9]{1,3}(?:\.[0-9]+)?) *%")


def share(given: Any) -> Any:
    """The number of a text with a percent sign; anything else as it is.

    Raises:
        ValueError: another text.
    """
    if not isinstance(given, str):
        return given
    if not (found := _PERCENT.fullmatch(given)):
        raise ValueError(f"{given!r} is no share: write 95% or 0.95")
    return float(found[1]) / 100


WRITTEN = Annotated[str, Field(pattern=f"^{_PERCENT.pattern}$", examples=["95%"])]
"""Such a text in a JSON schema."""
