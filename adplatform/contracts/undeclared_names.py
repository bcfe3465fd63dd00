"""What columns that nobody declared are called in the table, and how two whose names come to one are told apart."""

import re
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

from adplatform.contracts.column import IDENTIFIER

_COMMENT = "Nobody declared it; files call it: "
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_VALUE = re.compile(r"@|[0-9]{5}")
_LETTERS = 6
_KEPT = 80
"""Characters of a long name that are kept."""


def plain_name(header: str) -> str:
    """The name in the table: lower-case letters a to z, digits and ``_``; it may be none that a table takes."""
    return re.sub(r"[^a-z0-9_]+", "_", header.lower()).strip("_")


def is_like_value(header: str) -> bool:
    """Whether it is called as a value would be, with an @ or many digits."""
    return bool(_VALUE.search(header))


def is_certainly_name(header: str) -> bool:
    """Whether it may be shown: of a file without a header the first row may stand in the place of names."""
    return bool(_PLAIN.fullmatch(header)) and not is_like_value(header)


def comment_of(header: str) -> str:
    """What the table says of such a column, from which :func:`header_of` knows the header again."""
    return _COMMENT + header


def header_of(comment: str) -> str | None:
    """What files call the column with this comment, before :func:`told_apart`; None of a column that is declared, or
    whose table is older than such comments."""
    if not comment.startswith(_COMMENT):
        return None
    header = comment.removeprefix(_COMMENT)
    first = header[: -_LETTERS - 1]
    return first if header == _marked(first) else header


def told_apart(headers: Iterable[str], taken: Collection[str], known: Mapping[str, str]) -> dict[str, str]:
    """Other spellings for those of the ``headers`` that could not stand in the table beside the rest.

    ``taken`` are names that other columns have. ``known`` maps headers to the names that the table has for them: these
    they keep. Of others whose names come to one the first in order of characters has it, and the rest are marked by
    letters that follow from the header alone, so that the order in which they come does not matter. So is a header
    that comes to no name a table takes. A header that is alone has its name also where the table knows it by another:
    it was renamed.
    """
    every = sorted(set(headers))
    owners = {name: header for header, name in known.items() if header in every}
    spelled: dict[str, str] = {}
    used = set(taken)
    for header in sorted(every, key=lambda each: each not in known):
        plain = plain_name(header)
        if plain not in used and owners.get(plain, header) == header and known.get(header, plain) == plain:
            used.add(plain)
            if IDENTIFIER.fullmatch(plain):
                continue
        spelled[header] = _marked(header)
    return spelled


def mark_of(header: str) -> str:
    """Letters that follow from a name alone: digits would look like a value."""
    digest = blake2b(header.encode("utf-8", "surrogatepass"), digest_size=_LETTERS).digest()
    return "".join(chr(ord("a") + byte % 26) for byte in digest)


def _marked(header: str) -> str:
    plain = plain_name(header)
    if IDENTIFIER.fullmatch(plain) and len(header) <= _KEPT and not _CONTROL.search(header):
        return f"{header} {mark_of(header)}"
    return f"c_{plain[:_KEPT]}_{mark_of(header)}"
