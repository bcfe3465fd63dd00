"""Which members of an archive are read."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from adplatform.files.bad_file import BadFile, Reason


@dataclass
class Members:
    """The files of one archive: how many there are, of which ``skipped`` are not of the ``patterns`` that say which are
    read; all are where there are none. Names are compared and nothing else: none is ever a path."""

    origin: str
    patterns: tuple[str, ...] = ()
    found: int = 0
    skipped: int = 0
    _names: set[str] = field(default_factory=set, repr=False)

    def takes(self, name: str) -> bool:
        """Whether the next file of the archive is read.

        Raises:
            BadFile: its name points outside the archive, or stood there before.
        """
        path = checked_name(name, self.origin)
        if name in self._names:
            raise BadFile(self.origin, Reason.UNSAFE_ARCHIVE, "holds two members of one name")
        self._names.add(name)
        self.found += 1
        taken = is_named(path, self.patterns)
        self.skipped += not taken
        return taken

    def require_some(self, kind: str) -> None:
        """
        Raises:
            BadFile: none was taken.
        """
        if not self.found:
            raise BadFile(self.origin, Reason.LAYOUT, f"is a {kind} archive without a data file")
        if self.skipped == self.found:
            files = "1 file, and it is" if self.found == 1 else f"{self.found:,} files, and none is"
            raise BadFile(
                self.origin,
                Reason.LAYOUT,
                f"is a {kind} archive with {files} of those that members names ({', '.join(self.patterns)}); correct "
                "members in the feed's format, or ask for the right files",
            )


def is_named(path: PurePosixPath, patterns: tuple[str, ...]) -> bool:
    """Whether a member is one of those that are read; all are where there are no patterns."""
    name, whole = path.name.lower(), str(path).lower()
    return not patterns or any(fnmatchcase(whole if "/" in each else name, each.lower()) for each in patterns)


_OF_A_MEMBER = re.compile(r".*#[0-9]+", re.DOTALL)
_NO_DATA = (Reason.LAYOUT, Reason.ENCODING, Reason.SYNTAX, Reason.UNSUPPORTED, Reason.UNEXPECTED_COMPRESSION)


@contextmanager
def told_of_members(patterns: tuple[str, ...]) -> Iterator[None]:
    """Where a member of an archive is no file of the feed, and nobody has said which are, the message says how.

    Raises:
        BadFile: whatever is raised within.
    """
    try:
        yield
    except BadFile as e:
        if patterns or e.reason not in _NO_DATA or not _OF_A_MEMBER.fullmatch(e.origin):
            raise
        hint = "if it is none of the data, say which files of the archive are read as members in the feed's format"
        raise BadFile(e.origin, e.reason, f"{e.message}; {hint}") from e


def checked_name(name: str, origin: str) -> PurePosixPath:
    """
    Raises:
        BadFile: the name points outside the archive.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
        raise BadFile(origin, Reason.UNSAFE_ARCHIVE, "holds a member whose name points outside the archive")
    return path


def is_clutter(name: str) -> bool:
    """Whether a member is a folder, or what the system of whoever packed it has added."""
    parts = PurePosixPath(name).parts
    return not parts or name.endswith("/") or "__MACOSX" in parts or parts[-1].startswith(".")
