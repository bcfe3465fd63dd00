"""Listings of folders that connectors of AWS Transfer Family write, read with suspicion: names are the partner's.

Facts: Transfer Family API reference, StartDirectoryListing; that ``truncated`` is text in practice and a boolean by its
shape is of recorded listings.
"""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adplatform.platform.json_text import parsed
from adplatform.sftp.listing import Refused, RemoteFile

_LONGEST_PATH = 1024
"""Characters (Transfer Family API reference, FilePath)."""
_BREAKING = ("Cc", "Cs", "Zl", "Zp")
"""Categories of characters that no path may have: controls, halves of others, separators of lines."""


@dataclass(frozen=True)
class ConnectorListing:
    """What lies in a folder: files, and the paths of folders. What is ``truncated`` has more."""

    files: tuple[RemoteFile | Refused, ...]
    folders: tuple[str, ...]
    truncated: bool


def read_listing(body: bytes, folder: str) -> ConnectorListing:
    """The listing of ``folder``. Folders with names that cannot be asked for are left out.

    Raises:
        ValueError: it is no listing.
    """
    said = parsed(body)
    if not isinstance(said, dict):
        raise ValueError("it is no JSON object")
    files = [_file(folder, entry) for entry in _entries(said, "files", "filePath")]
    folders = [_absolute(folder, entry["path"]) for entry in _entries(said, "paths", "path")]
    fit = tuple(path.rstrip("/") for path in folders if not _unfit(folder, path.rstrip("/")))
    return ConnectorListing(tuple(files), fit, str(said.get("truncated", False)).lower() == "true")


def _entries(said: dict[str, Any], name: str, path: str) -> list[dict[str, Any]]:
    entries = said.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get(path), str) for e in entries):
        raise ValueError(f"{name!r} is no list of objects with {path!r}")
    return entries


def _file(folder: str, entry: dict[str, Any]) -> RemoteFile | Refused:
    path, size = _absolute(folder, entry["filePath"]), entry.get("size")
    if why := _unfit(folder, path):
        return Refused(path.encode("unicode_escape").decode(), why)
    return RemoteFile(path, size if isinstance(size, int) else None, _moment(entry.get("modifiedTimestamp")))


def _absolute(folder: str, path: str) -> str:
    """Paths are said to be complete, and to be relative to the folder."""
    return path if path.startswith("/") else f"{folder.rstrip('/')}/{path.removeprefix('./')}"


def _unfit(folder: str, path: str) -> str:
    """Why a path must not be asked for; empty where it may be."""
    below = f"{folder.rstrip('/')}/"
    name = path.removeprefix(below)
    if any(unicodedata.category(c) in _BREAKING for c in path):
        return "its name has control characters or line breaks"
    if "\ufffd" in path:
        return "its name is not UTF-8"
    if not path.startswith(below) or "/" in name or name in ("", ".", ".."):
        return f"it is not in the folder {folder} that was listed"
    if len(path) > _LONGEST_PATH:
        return f"its path has more than {_LONGEST_PATH:,} characters"
    return ""


def _moment(text: Any) -> datetime | None:
    """In whole seconds; None where it is no time."""
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
