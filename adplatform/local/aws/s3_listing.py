"""Keys of a bucket in order, so that a page of a listing costs what is on it. moto looks at every key of the bucket for
each page, which makes a table of as many partitions quadratic.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from typing import Any

from moto.s3.models import FakeDeleteMarker
from moto.s3.utils import _VersionedKeyStore


class OrderedKeys(_VersionedKeyStore):
    """``names`` are those of all keys in the order of S3, which is that of their UTF-8."""

    def __init__(self, versions: Mapping[str, list[Any]] | None = None) -> None:
        super().__init__()
        dict.update(self, versions or {})
        self.names: list[str] = sorted(versions or ())

    def __reduce__(self) -> tuple[Any, ...]:
        # Its items() hide all versions but the last, also from pickle.
        return OrderedKeys, ({name: self.getlist(name) for name in self.names},)

    def __setitem__(self, key: str, value: Any) -> None:
        self._add(key)
        super().__setitem__(key, value)

    def setlist(self, key: str, list_: Any) -> None:
        self._add(key)
        super().setlist(key, list_)

    def pop(self, key: str) -> None:
        super().pop(key)
        del self.names[bisect_left(self.names, key)]

    def _add(self, key: str) -> None:
        if not dict.__contains__(self, key):
            insort(self.names, key)


def page(keys: OrderedKeys, prefix: str, delimiter: str, after: str, most: int) -> tuple[list[Any], bool]:
    """The first keys and common prefixes (as texts) behind ``after``, in order, and whether there are more. A common
    prefix that was the last of a page is behind itself."""
    found: list[Any] = []
    for entry in _entries(keys, prefix, delimiter, after) if most else ():
        if len(found) == most:
            return found, True
        found.append(entry)
    return found, False


def _entries(keys: OrderedKeys, prefix: str, delimiter: str, after: str) -> Iterator[Any]:
    names = keys.names
    at = bisect_left(names, prefix)
    if after:
        is_group = bool(delimiter) and after.endswith(delimiter) and len(after) > len(prefix)
        at = max(at, _behind(names, after, 0) if is_group else bisect_right(names, after))
    while at < len(names) and names[at].startswith(prefix):
        found = names[at].find(delimiter, len(prefix)) if delimiter else -1
        if found < 0:
            if not isinstance(keys[names[at]], FakeDeleteMarker):
                yield keys[names[at]]
            at += 1
            continue
        group = names[at][: found + len(delimiter)]
        behind = _behind(names, group, at)
        if any(not isinstance(keys[names[n]], FakeDeleteMarker) for n in range(at, behind)):
            yield group
        at = behind


def _behind(names: list[str], group: str, start: int) -> int:
    """The place of the first name from ``start`` on that is behind all of a group."""
    return bisect_right(names, group, start, key=lambda name: name[: len(group)])
