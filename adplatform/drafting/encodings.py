"""In which encoding a text is. Bytes alone do not always tell: what cannot be known is said beside the guess."""

import codecs
import itertools
import unicodedata
from dataclasses import dataclass

from adplatform.files.garbled import garbled

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Those of UTF-32 first: one begins as that of UTF-16 does."""
_WINDOWS_GAPS = frozenset(b"\x81\x8d\x8f\x90\x9d")
"""Bytes that stand for nothing in cp1252 (Unicode's mapping table CP1252.TXT)."""


@dataclass(frozen=True)
class Encoding:
    """``reason`` is "" for what needs no word."""

    name: str
    reason: str = ""


def encoding_of(start: bytes, *, whole: bool = True) -> Encoding:
    """The encoding of a text that begins so."""
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return Encoding(name, f"begins with the byte order mark of {name.upper()}")
    if wide := _without_mark(start):
        return Encoding(wide, f"has no byte order mark, and every other byte is zero as in {wide.upper()}")
    if _decodes(start, "utf-8", whole):
        return Encoding("utf-8")
    count = sum(byte > 0x7F for byte in start)
    if _decodes(start, "cp932", whole) and _is_japanese(decoded(start[: 1 << 16], "cp932")):
        return Encoding("cp932", f"{count:,} bytes are not UTF-8 and come to Japanese text in cp932")
    if _decodes(start, "cp1251", whole) and _is_cyrillic(start):
        return Encoding("cp1251", f"{count:,} bytes are not UTF-8, most in a row as of Cyrillic words in cp1251")
    if not _WINDOWS_GAPS & frozenset(start):
        why = "REVIEW: of 256 byte values most stand for letters in many encodings; see whether names look right"
        return Encoding("cp1252", f"{count:,} bytes are not UTF-8; {why}")
    return Encoding("latin-1", f"{count:,} bytes are neither UTF-8 nor cp1252; REVIEW: see whether names look right")


def decoded(data: bytes, encoding: str) -> str:
    """The text without byte order mark; a character that is cut at the end is left out."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data, final=False)
    return text.removeprefix("\ufeff")


def _decodes(data: bytes, encoding: str, whole: bool) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(data, final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(start: bytes) -> str:
    sample = start[:4096]
    even, odd = sample[::2], sample[1::2]
    for first, second, name in ((even, odd, "utf-16-le"), (odd, even, "utf-16-be")):
        if len(sample) > 3 and second.count(0) > 0.7 * len(second) and first.count(0) < 0.1 * len(first):
            return name
    return ""


def _is_japanese(text: str) -> bool:
    """Most characters beyond ASCII are of its scripts, and they are no letters of Europe within words."""
    beyond = [each for each in text if each > "\x7f"]
    japanese = sum(unicodedata.name(each, "").startswith(("CJK", "HIRAGANA", "KATAKANA")) for each in beyond)
    return japanese > 0.8 * max(1, len(beyond)) and garbled([text]).share < 0.5


def _is_cyrillic(data: bytes) -> bool:
    """In Western text letters beyond ASCII stand alone between others; Cyrillic words have nothing else."""
    high = [a > 0xBF and b > 0xBF for a, b in itertools.pairwise(data) if a > 0x7F]
    return sum(high) > 0.6 * len(high)
