"""Text that was decoded by a wrong encoding, as its letters show: ``GrÃ¶ÃŸe``, ``ƒeƒXƒg``, ``Montr饌l``."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

MOST_PLACES = 2_000
"""Places that are looked at, 3 microseconds each: more say nothing new."""
_PLACE = re.compile(r"[^\x00-\x7f]+")
_LEADS = frozenset("ÂÃÄÅÎÏÐÑ")
"""The first of two bytes of UTF-8, as cp1252 reads them, for the letters of Latin, Greek and Cyrillic."""
_WIDE = ("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "FULLWIDTH", "IDEOGRAPHIC")
_WITHIN_WORDS = "\u2019\u2018\u00b7\u00ad\u2010\u2011\u2013\u2014\u2022\u00ae\u2122\u00b0\u2026\u00a0\u00aa\u00ba"
"""Signs that stand between letters or right behind them: apostrophes, dashes, marks."""
_SECOND_LEVEL = b"\x98"
"""The first byte of the characters of JIS X 0208 that are seldom used; all of them go with letters of Europe."""
_NO_CHARACTER = ("Co", "Cc", "Cn", "Cs")


class Garbled(NamedTuple):
    """Of the ``places`` with characters beyond ASCII, how many are ``strange``."""

    strange: int = 0
    places: int = 0

    @property
    def share(self) -> float:
        return self.strange / self.places if self.places else 0.0


def garbled(pieces: Iterable[str]) -> Garbled:
    """How much of a text looks as if it were in another encoding, from all of its pieces. A guess: no language forbids
    anything."""
    strange = places = 0
    for piece in pieces:
        if piece.isascii() or places == MOST_PLACES:
            continue
        for found in islice(_PLACE.finditer(piece), MOST_PLACES - places):
            places += 1
            before, after = piece[max(found.start() - 1, 0) : found.start()], piece[found.end() : found.end() + 1]
            strange += _is_strange(_letter(before), found[0], _letter(after))
    return Garbled(strange, places)


def _letter(character: str) -> str:
    return character if character.isalpha() else ""


def _is_strange(before: str, run: str, after: str) -> bool:
    if "\ufffd" in run or any(unicodedata.category(c) in _NO_CHARACTER for c in run):
        return True
    if _was_utf8(run):
        return True
    if any(unicodedata.name(c, "").startswith(_WIDE) for c in run):
        return len(run) == 1 and _is_no_japanese_word(before, run, after)
    return _is_no_western_word(before, run, after)


def _was_utf8(run: str) -> bool:
    """Whether these are bytes of UTF-8 that cp1252 reads."""
    data = run.encode("cp1252", "ignore")
    whole = len(data) == len(run) > 1 and data.decode("utf-8", "ignore").encode() == data
    return whole and (run[0] in _LEADS or len(run) > 2)


def _is_no_japanese_word(before: str, character: str, after: str) -> bool:
    """Whether a wide character alone is a Western letter, which takes the one behind it with it."""
    if "HALFWIDTH" in unicodedata.name(character, ""):
        return True
    rare = character.encode("cp932", "ignore")[:1] >= _SECOND_LEVEL
    return (before != "" and after.islower()) or (rare and (before != "" or after.islower()))


def _is_no_western_word(before: str, run: str, after: str) -> bool:
    signs = [c for c in run if not c.isalpha() and c not in _WITHIN_WORDS]
    letters = [c for c in run if c.isalpha()]
    raised = before.islower() and run[0].isupper()
    mixed = letters and signs and not all(c.isspace() or unicodedata.category(c) in ("Pi", "Pf") for c in signs)
    return "ƒ" in run or raised or bool(mixed) or (bool(before) and bool(after) and bool(signs)) or len(set(signs)) > 1
