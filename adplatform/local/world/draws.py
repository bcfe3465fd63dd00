"""Numbers that look random and are a pure function of their names, so that a restart changes nothing."""

import struct
from hashlib import blake2b

_FORMAT = struct.Struct("<32H")


def draw(*parts: object) -> tuple[float, ...]:
    """32 numbers from 0 (included) to 1 (excluded)."""
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=64).digest()
    return tuple(n / 65536 for n in _FORMAT.unpack(digest))


def number(*parts: object, below: int) -> int:
    """A whole number from 0 to ``below``, excluded."""
    return int.from_bytes(blake2b("|".join(map(str, parts)).encode(), digest_size=16).digest(), "big") % below
