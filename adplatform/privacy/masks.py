"""Masked values: enough to see what kind of value was there, not enough to say whose.

``***@example.com`` for an e-mail address, ``***67`` for a phone number, ``***`` for everything else. The length of the
value does not show.
"""

import re

_EMAIL_DOMAIN = re.compile(r"[^@]+@((?:[a-z0-9-]{1,63}\.)+[a-z]{2,24})", re.IGNORECASE | re.ASCII)
_FEWEST_DIGITS = 7
SHAPE = r"\*\*\*(@([a-z0-9-]{1,63}\.)+[a-z]{2,24}|[0-9]{2})?"
"""Regular expression that every masked value matches as a whole."""


def email(value: str, country: str = "") -> str:
    domain = _EMAIL_DOMAIN.fullmatch(value)
    return f"***@{domain[1].lower()}" if domain else other(value)


def phone(value: str, country: str = "") -> str:
    """The last two digits, unless the number is so short that they say much of it."""
    digits = re.sub(r"[^0-9]", "", value)
    return f"***{digits[-2:]}" if len(digits) >= _FEWEST_DIGITS else other(value)


def other(value: str, country: str = "") -> str:
    return "***" if value else ""
