"""The two ways work can fail: for good, or for now. Everything below the Dagster layers raises one of these.

Their texts go into ledger rows, messages and metadata, which all have limits, so a text is cut here and nowhere else.
"""

from collections.abc import Iterable

MAX_TEXT = 8_000
"""Characters of a text for people, at most 32 KB in UTF-8: all that Amazon says of a wrong column, with the hundreds
that it allows. A ledger row has up to two and may have 400 KB."""
SHOWN = 10
"""How many of many names a text lists."""


def clipped(text: str, limit: int = MAX_TEXT) -> str:
    """The text in at most ``limit`` characters; one that is cut says how much is left out. Twice changes nothing."""
    if len(text) <= limit:
        return text
    kept = max(limit - 40, 0)
    return f"{text[:kept]} ... and {len(text) - kept:,} more characters"[:limit]


def listed(items: Iterable[str], shown: int = SHOWN, separator: str = ", ") -> str:
    """The first of them and how many more there are."""
    every = list(items)
    more = [f"and {len(every) - shown:,} more"] if len(every) > shown else []
    return separator.join([*every[:shown], *more])


class _Failure(Exception):
    def __str__(self) -> str:
        return clipped(super().__str__())


class PermanentFailure(_Failure):
    """Trying again cannot help: bad input, bad configuration, broken file. The message says what to do."""


class AccessRefused(PermanentFailure):
    """The credentials may not do it until somebody changes that; nothing is wrong with what was asked."""


class CredentialsRefused(AccessRefused):
    """The credentials are good for nothing at all."""


class TransientFailure(_Failure):
    """Trying again may help: throttling, timeouts, a service that is down."""
