"""What lies in a server's folder, an entry at a time, however many there are."""

import stat
import unicodedata
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adplatform.failures import AccessRefused, named
from adplatform.platform.late import Late
from adplatform.sftp.errors import NoSuchFile, called, escaped, sftp_failures

if TYPE_CHECKING:
    import asyncssh

    from adplatform.sftp.session import Sftp
else:
    asyncssh = Late("asyncssh")


@dataclass(frozen=True)
class RemoteFile:
    """A file as a listing has it: its absolute path, its size in bytes and when it was changed (UTC, whole seconds),
    where the listing says so, as :func:`listed` always does. Of a link, both are of the file that it leads to."""

    path: str
    size: int | None
    modified: datetime | None
    is_link: bool = False


@dataclass(frozen=True)
class Refused:
    """An entry that is not taken. ``path`` is for people, on one line."""

    path: str
    reason: str


def listed(sftp: "Sftp", folder: str, depth: int = 0) -> Generator[RemoteFile | Refused, None, None]:
    """The files of a folder, and of folders in it as far as ``depth`` levels below, in the server's order. Links are
    taken to files below the folder only. Others may use the session between entries.

    Raises:
        NoSuchFile, AccessRefused, PermanentFailure, TransientFailure: as :func:`sftp_failures`, of the folder itself or
            the connection; a folder in it that cannot be read is a :class:`Refused`.
    """
    with sftp_failures(f"folder {escaped(folder)}"):
        root = sftp.real_path(folder)
    waiting = [(folder, 0)]
    while waiting:
        here, level = waiting.pop()
        # Only the folder itself is declared; those in it have names of the partner.
        what = f"folder {escaped(here) if level == 0 else called(here)}"
        entries = sftp.entries(here)
        try:
            while True:
                with sftp_failures(what):
                    entry = next(entries, None)
                if entry is None:
                    break
                described = _entry(sftp, root, here, *entry)
                if not isinstance(described, str):
                    yield described
                elif level < depth:
                    waiting.append((described, level + 1))
        except NoSuchFile:
            # Gone since it was listed: nothing is in it.
            if level == 0:
                raise
        except AccessRefused as e:
            if level == 0:
                raise
            yield Refused(escaped(here), str(e))
        finally:
            with sftp_failures(what):
                entries.close()


def found(sftp: "Sftp", path: str) -> "asyncssh.SFTPAttrs | None":
    """What is at a path, links followed; None where nothing is."""
    try:
        return sftp.stat(path)
    except asyncssh.SFTPNoSuchFile:
        return None


def is_as_listed(file: RemoteFile, told: "asyncssh.SFTPAttrs | None") -> bool:
    """Whether what a server tells now is what was listed, with size and time."""
    if told is None or file.modified is None:
        return False
    return (told.size, told.mtime) == (file.size, int(file.modified.timestamp()))


def _remote_file(path: str, told: "asyncssh.SFTPAttrs", *, is_link: bool = False) -> RemoteFile | None:
    """None where the server does not tell size and time."""
    if told.size is None or told.mtime is None:
        return None
    return RemoteFile(path, told.size, datetime.fromtimestamp(told.mtime, UTC), is_link)


def _entry(
    sftp: "Sftp", root: bytes, folder: str, raw: bytes, told: "asyncssh.SFTPAttrs"
) -> RemoteFile | Refused | str:
    """The path of a folder is text alone."""
    shown = f"{escaped(folder.rstrip('/'))}/{escaped(raw)}"
    reason = _unfit(raw)
    if reason:
        return Refused(shown, reason)
    path = f"{folder.rstrip('/')}/{raw.decode()}"
    try:
        with sftp_failures(named(shown)):
            return _described(sftp, root, path, shown, told)
    except NoSuchFile:
        return Refused(shown, "it, or what it leads to, does not exist")
    except AccessRefused as e:
        return Refused(shown, str(e))


def _described(
    sftp: "Sftp", root: bytes, path: str, shown: str, told: "asyncssh.SFTPAttrs"
) -> RemoteFile | Refused | str:
    if None in (told.permissions, told.size, told.mtime):
        told = sftp.lstat(path)
    mode = told.permissions or 0
    if stat.S_ISDIR(mode):
        return path
    if stat.S_ISLNK(mode):
        return _followed(sftp, root, path, shown)
    if not stat.S_ISREG(mode):
        return Refused(shown, "it is no file, folder or link, or the server does not tell what it is")
    return _remote_file(path, told) or Refused(shown, "the server does not tell its size and time")


def _followed(sftp: "Sftp", root: bytes, path: str, shown: str) -> RemoteFile | Refused:
    real = sftp.real_path(path)
    if not real.startswith(root.rstrip(b"/") + b"/"):
        return Refused(shown, f"it is a link to {named(escaped(real))}, which is not below the folder {escaped(root)}")
    if not _is_text(real) or stat.S_ISLNK(sftp.lstat(real.decode()).permissions or 0):
        return Refused(shown, "it is a link, and the server does not tell where it leads")
    told = sftp.stat(path)
    if not stat.S_ISREG(told.permissions or 0):
        return Refused(shown, "it is a link to something that is no file")
    return _remote_file(path, told, is_link=True) or Refused(shown, "the server does not tell its size and time")


def _unfit(raw: bytes) -> str:
    """Why a name cannot be part of a path; empty where it can."""
    if not _is_text(raw):
        return "its name is not UTF-8"
    name = raw.decode()
    if name == "":
        return "it has no name"
    if "/" in name:
        return "its name leads to another folder"
    if not name.isprintable() and any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in name):
        return "its name has control characters or line breaks"
    return ""


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
