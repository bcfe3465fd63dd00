"""Hash-locked lists of packages, as uv writes them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

_PINNED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)(?: ; (?P<marker>[^\\]+?))? *\\?$")
_HASH = re.compile(r"^    --hash=(sha256:[0-9a-f]{64})(?: \\)?$")


@dataclass(frozen=True)
class Locked:
    version: Version
    marker: str
    hashes: frozenset[str]


def read_lock(path: Path) -> dict[str, list[Locked]]:
    """What each package is locked to; several entries for one that depends on the interpreter.

    Raises:
        ValueError: a line is none of such a list.
    """
    found: dict[str, list[tuple[str, str, set[str]]]] = {}
    last: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if pinned := _PINNED.match(line):
            last = set()
            entry = (pinned["version"], pinned["marker"] or "", last)
            found.setdefault(canonicalize_name(pinned["name"]), []).append(entry)
        elif hashed := _HASH.match(line):
            last.add(hashed[1])
        elif not line.lstrip().startswith("#"):
            raise ValueError(f"{path.name}, line {number}: {line!r}")
    return {
        name: [Locked(Version(version), marker, frozenset(hashes)) for version, marker, hashes in entries]
        for name, entries in found.items()
    }


def needed_by(wanted: Iterable[Requirement]) -> set[str]:
    """The names of everything that is installed when ``wanted`` is, on this interpreter and system, by what the
    installed packages say of themselves."""
    names: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo = list(wanted)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo += _of(name, extra)
        names.add(name)
    return names


def _of(name: str, extra: str) -> Iterator[Requirement]:
    for text in distribution(name).requires or ():
        requirement = Requirement(text)
        if requirement.marker is None:
            if not extra:
                yield requirement
        elif requirement.marker.evaluate({"extra": extra}):
            yield requirement


def applying(lock: Mapping[str, list[Locked]]) -> set[str]:
    """The names of what is installed from the list on this interpreter and system."""
    markers = {name: [each.marker for each in entries] for name, entries in lock.items()}
    return {
        name
        for name, entries in markers.items()
        if any(not marker or Requirement(f"{name} ; {marker}").marker.evaluate() for marker in entries)  # type: ignore[union-attr]
    }
