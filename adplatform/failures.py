"""The ways work can fail: for good, for now, or for the place where it runs. Everything below the Dagster layers raises
one of these.

Their texts go into ledger rows, messages and metadata, which all have limits, so a text is cut here and nowhere else.
"""

import errno
import os
import re
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_TEXT = 8_000
"""Characters of a text for people, at most 32 KB in UTF-8: all that an API says of a wrong column, with the hundreds
that it allows. A ledger row has up to two and may have 400 KB."""
_LINE, _SENTENCE = 100, 60
"""Characters of a line of names, and of what stands before them in the first."""
SHOWN = 10
"""How many of many names a text lists."""
_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EIO),
        *(errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENODEV, errno.ENXIO, errno.EFBIG),
    }
)
"""Disk full, over quota, read-only, forbidden, broken or gone; no memory or file handles left; a file larger than this
process may write. A file that is missing may be a mistake of ours."""
_ACTIONS = {
    errno.EFBIG: "Raise the size of files that this process may write (`ulimit -f`), or of those that the disk takes",
    errno.EMFILE: "Raise the number of files that this process may have open (`ulimit -n`)",
    errno.ENFILE: "Raise the number of files that this machine may have open",
    errno.ENOMEM: "Give this process more memory",
}


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


def wrapped(names: Iterable[str]) -> str:
    """All of many names, for the end of a sentence: in its line where they fit, else the first ones, and the others in
    lines below."""
    every = ", ".join(names)
    if len(every) <= _LINE:
        return every
    lines = textwrap.TextWrapper(_LINE, _SENTENCE * " ", "    ", break_on_hyphens=False, break_long_words=False)
    return lines.fill(every).lstrip()


_NAME, _END = "\u2068", "\u2069"
"""Around a name within a text: marks of Unicode that are not seen (FIRST STRONG ISOLATE, POP DIRECTIONAL ISOLATE)."""
_NAMED = re.compile(f"{_NAME}[^{_END}]*(?:{_END}|$)")


def named(name: str) -> str:
    """The name of a file of somebody else within a text of the ledger, marked as one: it may be personal data."""
    return f"{_NAME}{plain(name)}{_END}"


def unnamed(text: str) -> str:
    """The text without the names that are marked in it, for messages, logs and what Dagster shows."""
    return _NAMED.sub("***", text)


def plain(text: str) -> str:
    """The text with its names and without their marks, for commands."""
    return text.replace(_NAME, "").replace(_END, "")


class _Failure(Exception):
    def __str__(self) -> str:
        return clipped(super().__str__())


class PermanentFailure(_Failure):
    """Trying again cannot help: bad input, bad configuration, broken file. The message says what to do."""


class SenderFailure(PermanentFailure):
    """What was delivered breaks what its feed declares: whoever sent it has to send it again, or the declaration is
    wrong."""


class AccessRefused(PermanentFailure):
    """The credentials may not do it until somebody changes that; nothing is wrong with what was asked."""


class NotOffered(AccessRefused):
    """What was asked for is not to be had there; all else that the credentials may do is."""


class CredentialsRefused(AccessRefused):
    """The credentials are good for nothing at all."""


class TransientFailure(_Failure):
    """Trying again may help: throttling, timeouts, a service that is down."""


class EnvironmentFailure(TransientFailure):
    """Nothing is wrong with the work: the place where it runs cannot do it at present. A permission, a key, credentials
    or room on the disk are missing, and somebody may have to act. It counts as no attempt.

    ``cause`` is what other work has in common that is hindered by the same, by default the message."""

    def __init__(self, message: str = "", *, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause or message


class ClaimLost(TransientFailure):
    """Another run has the work, which is no failure of this one: it has nothing left to do."""


def kind_of(error: Exception, *, sent: bool = True) -> str:
    """Who has to act on a failure, as metrics count it: ``sender``, ``permanent`` for somebody of ours, or
    ``transient`` for nobody yet. What was not ``sent`` has no sender."""
    if isinstance(error, SenderFailure) and sent:
        return "sender"
    return "permanent" if isinstance(error, PermanentFailure) else "transient"


def local_failure(what: str, error: OSError, place: Path | None = None) -> TransientFailure:
    """What an error of this machine's files means for ``what``; an errno that no disk explains is an attempt's own.
    ``place`` is where files are written of which the error does not say the name."""
    text = f"{what}: local disk: {described(error, place)}"
    if not is_of_machine(error):
        return TransientFailure(text)
    action = _ACTIONS.get(error.errno or 0, "Make room, or let this process write below ADPLATFORM_HOME and TMPDIR")
    return EnvironmentFailure(f"{text}. {action}", cause=f"local disk: {error.errno}")


def described(error: OSError, place: Path | None = None) -> str:
    """What the system says of an error, by which number, and of which file: one that is written has no name in it."""
    number = errno.errorcode.get(error.errno or 0, "")
    said = (os.strerror(error.errno) if number and error.errno else error.strerror) or type(error).__name__
    where = f" ({error.filename or place})" if error.filename or place else ""
    return f"{said}{f' [{number}]' if number else ''}{where}"


@contextmanager
def naming(place: Path) -> Iterator[None]:
    """An error of the machine that names no file, as of one that is written, names ``place``."""
    try:
        yield
    except OSError as e:
        if is_of_machine(e) and e.filename is None:
            e.filename = str(place)
        raise


def is_of_machine(error: OSError) -> bool:
    """Whether the machine, not the work, is to blame."""
    return error.errno in _MACHINE
