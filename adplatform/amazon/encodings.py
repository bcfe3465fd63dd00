"""In which encoding a flat file is, which neither its bytes nor its HTTP header tell alone.

Sources: files of Japan's marketplace come in Shift_JIS with a header that says ISO-8859-1, or in ISO-8859-1
(python-amazon-sp-api, issues 769 and 1981); others in UTF-8, or in cp1252 that is called ISO-8859-1
(selling-partner-api-models, issue 687).
"""

import codecs
from collections.abc import Callable, Iterable
from typing import NamedTuple

from adplatform.failures import PermanentFailure
from adplatform.files.garbled import Garbled

_CHARSETS = {"shift_jis": "cp932", "iso8859-1": "cp1252"}
"""What Amazon names, and what its files are: supersets with the characters that sellers use."""
_UTF8, _WESTERN, _JAPAN = "utf-8-sig", "cp1252", "cp932"
"""Nothing but UTF-8 passes for UTF-8; nearly every file passes for cp1252, which a header names of any."""
_ASCII = bytes(set(range(0x20, 0x7F)) - {0x5C}) + b"\t\r\n+AGE-\\u0041"
_SHOWN = 40
"""Characters of a header that a text quotes."""
_DOUBTED = 0.2
"""The share of places from which on a text looks garbled: names and brands have a few in every language."""
Looks = Callable[[str], Garbled | None]
"""How a document looks in an encoding; None where it is no text in it."""


class Decoded(NamedTuple):
    """An encoding in which the whole document is text, and why people should look at it; "" for no doubt."""

    encoding: str
    doubt: str = ""


def encoding_of(head: bytes, charset: str, country: str, origin: str, looks: Looks) -> Decoded:
    """The encoding of a document that begins with ``head``. ``charset`` is what the HTTP header named, "" for nothing.

    UTF-8 is tried first. Then the header is believed, unless it names what is said of any file: then the encoding of
    the marketplace comes first, and where the document is text in both, the one in which it looks like language.

    Raises:
        PermanentFailure: it is text in none of those that may be.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Decoded(_first(["utf-16"], origin, looks)[0])
    named, local = _named(charset), _JAPAN if country == "JP" else _WESTERN
    believed = [named] if named not in ("", _WESTERN) else []
    chain = list(dict.fromkeys([_UTF8, *believed, local, _WESTERN]))
    encoding, look = _first(chain, origin, looks)
    if encoding == _JAPAN and not believed and look.strange and (western := looks(_WESTERN)) is not None:
        encoding, look = (_WESTERN, western) if western.share < look.share else (encoding, look)
    doubts = []
    if encoding != _UTF8 and encoding not in (believed or [local]):
        doubts.append(f"its header says {charset[:_SHOWN]!r}" if believed else f"files of {country} are in {local}")
    if look.share >= _DOUBTED:
        doubts.append(f"{look.strange:,} of {look.places:,} places beyond ASCII look garbled")
    read = "utf-8" if encoding == _UTF8 else encoding
    return Decoded(encoding, f"read as {read}, but {' and '.join(doubts)}" if doubts else "")


def _first(chain: Iterable[str], origin: str, looks: Looks) -> tuple[str, Garbled]:
    for encoding in chain:
        if (look := looks(encoding)) is not None:
            return encoding, look
    raise PermanentFailure(f"{origin}: not text in {' or '.join(chain)}")


def _named(charset: str) -> str:
    """The charset as Python calls it; "" when Python does not know it, or it is no superset of ASCII."""
    try:
        name = codecs.lookup(charset.strip().strip("\"'")).name
        name = _CHARSETS.get(name, name)
        return name if _ASCII.decode(name) == _ASCII.decode("ascii") else ""
    except (LookupError, ValueError):
        return ""
