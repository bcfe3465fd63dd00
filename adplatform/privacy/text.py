"""What a blank is, what a digest is, and the few text steps every rule is made of.

The classes are written out because engines disagree: DuckDB's trim takes U+00A0 and Spark's does not, and lower('İ') is
one character here and two there.
"""

import re
import string
import unicodedata

BLANKS = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)
"""Unicode white space and the zero-width characters that spreadsheets and web forms leave around values."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_BLANK_RUN = re.compile(f"[{BLANKS}]+")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def trimmed(value: str) -> str:
    """NFC (Unicode annex 15) without blanks at either end."""
    return unicodedata.normalize("NFC", value).strip(BLANKS)


def digest_in(value: str) -> str | None:
    """The SHA-256 that the value already is (64 hexadecimal digits of either case between blanks), in lower case."""
    text = value.strip(BLANKS)
    return lower if len(text) == 64 and _DIGEST.fullmatch(lower := ascii_lower(text)) else None


def ascii_lower(value: str) -> str:
    return value.translate(_LOWER)


def ascii_upper(value: str) -> str:
    return value.translate(_UPPER)


def single_spaced(value: str) -> str:
    return _BLANK_RUN.sub(" ", value)


def without_blanks(value: str) -> str:
    return _BLANK_RUN.sub("", value)


def folded(value: str) -> str:
    """For comparing words: full case folding, single spaces, NFC again because folding can undo it."""
    return unicodedata.normalize("NFC", single_spaced(value).casefold())
