"""A round of listing a landing zone: where it stands, so that it can go on at the next look."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

LAST = "\U0010ffff"
"""The greatest character: no key below a prefix comes after the prefix and this one."""
Version = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """Behind this key, or this version of it, a listing goes on; at the beginning when there is none."""

    key: str = ""
    version: str = ""


@dataclass(frozen=True)
class Round:
    """A round of listing that began at ``started``. ``left`` holds the lanes that are not at their end, in the order of
    their turns, and where each stands."""

    started: datetime
    left: Mapping[str, Position] = field(default_factory=dict)

    def covers(self, prefix: str, since: datetime) -> bool:
        """Whether all that was below ``prefix`` at ``since`` has been listed."""
        overlaps = (lane for lane in self.left if lane.startswith(prefix) or prefix.startswith(lane))
        return self.started > since and next(overlaps, None) is None


def new_round(started: datetime, lanes: Iterable[str]) -> Round:
    return Round(started, dict.fromkeys(lanes, Position()))


@dataclass(frozen=True)
class Page:
    """Object versions, all of each key but the last of one that fills a page alone, and where the next page begins."""

    versions: tuple[Version, ...]
    next: Position | None


def list_page(s3: Any, bucket: str, prefix: str, position: Position, without: Iterable[str] = ()) -> Page:
    """The versions below ``prefix`` that come next, newest of each key first, but those below the prefixes ``without``.

    It ends between two keys: a version id is good for going on at once, but not for long, because the archive takes
    versions away.
    """
    markers = {"KeyMarker": position.key, "VersionIdMarker": position.version}
    given = {name: value for name, value in markers.items() if value}
    try:
        answer = s3.list_object_versions(Bucket=bucket, Prefix=prefix, **given)
    except ClientError as e:
        if not position.version or e.response["ResponseMetadata"]["HTTPStatusCode"] != 400:
            raise
        return Page((), Position(position.key[:-1]))  # a little before the key, whose marker is gone
    versions: list[Version] = answer.get("Versions", [])
    following = None
    if answer.get("IsTruncated"):
        last = answer["NextKeyMarker"]
        before = [v["Key"] for v in versions if v["Key"] != last]
        if before:
            versions, following = [v for v in versions if v["Key"] != last], Position(before[-1])
        else:
            following = Position(last, answer.get("NextVersionIdMarker") or "")
        nested = next((each for each in without if last.startswith(each)), None)
        following = Position(nested + LAST) if nested else following
    nested_prefixes = tuple(without)
    return Page(tuple(v for v in versions if not v["Key"].startswith(nested_prefixes)), following)


def list_between(s3: Any, bucket: str, prefix: str, first: str, last: str, most: int) -> list[Version] | None:
    """The versions of all keys below a prefix between two, both included; None where they are behind more pages than
    ``most``."""
    position: Position | None = Position(first[:-1])
    found: list[Version] = []
    for _ in range(most):
        page = list_page(s3, bucket, prefix, position or Position())
        found += [version for version in page.versions if first <= version["Key"] <= last]
        position = page.next
        if position is None or position.key > last:
            return found
    return None


def list_versions(s3: Any, bucket: str, prefix: str) -> Iterator[Page]:
    """All pages of a prefix."""
    position: Position | None = Position()
    while position is not None:
        page = list_page(s3, bucket, prefix, position)
        yield page
        position = page.next
