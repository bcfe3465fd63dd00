"""Where files of a server belong: to which feed and date, and under which name in the landing zone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import PurePosixPath

from adplatform.contracts.feed import Feed
from adplatform.contracts.sftp import Afterwards, SftpFeed, SftpSource
from adplatform.failures import PermanentFailure
from adplatform.files.landing import Layout, Part, layout_of
from adplatform.sftp.choice import Rule


def rules_of(declared: SftpSource) -> list[Rule]:
    """The rule of each feed.

    Raises:
        PermanentFailure: a feed's ``remote`` is no template.
    """
    return [_rule(feed, declared.afterwards) for feed in declared.fetched]


def folders_of(feeds: Sequence[SftpFeed]) -> dict[str, int]:
    """The folders that are listed, each with how many levels below it, those of one inside another left out."""
    wanted: dict[str, int] = {}
    for feed in feeds:
        wanted[feed.folder] = max(feed.depth, wanted.get(feed.folder, 0))
    return {
        folder: depth
        for folder, depth in wanted.items()
        if not any(_covers(other, levels, folder, depth) for other, levels in wanted.items() if other != folder)
    }


def moved_to(path: str, move_to: str) -> str:
    """Where a file goes once it is published."""
    here = PurePosixPath(path)
    return str(here.parent / move_to / here.name)


def remote_path(feed: Feed, day: date, name: str) -> str:
    """Where a file of that name and date has to be on the server.

    Raises:
        PermanentFailure: no file of that name is one of the feed's, which may be of no server.
    """
    if not isinstance(feed, SftpFeed):
        raise PermanentFailure(f"{feed.name} is fetched from no server")
    layout = layout_of("", feed.model_copy(update={"landing": feed.remote}))
    path = f"{layout.dated(day).rpartition('/')[0]}/{name}"
    placed = layout.place(path, datetime.combine(day, time(), UTC))
    if placed is None or placed.day != day or "*" in path:
        raise PermanentFailure(f"{name} is no file of {feed.name} and {day}, which are {layout.dated(day)}: name it so")
    return path


def marker_of(path: str, marker: str | None) -> str | None:
    """The path of the file that marks this one alone, if one does."""
    here = PurePosixPath(path)
    return str(here.with_name(marker.replace("{file}", here.name))) if marker and "{file}" in marker else None


def _covers(other: str, levels: int, folder: str, depth: int) -> bool:
    below = PurePosixPath(folder)
    if not below.is_relative_to(other):
        return False
    return len(below.relative_to(other).parts) + depth <= levels


def _rule(feed: SftpFeed, afterwards: Afterwards) -> Rule:
    layout = layout_of("", feed.model_copy(update={"landing": feed.remote}))
    return Rule(feed.name, partial(_place, feed, layout, afterwards), feed.ready.stable_for, feed.ready.marker)


def _place(
    feed: SftpFeed, layout: Layout, afterwards: Afterwards, path: str, modified: datetime
) -> tuple[date, str] | None:
    """What is unfinished, a marker, older than the feed or already moved away is none of its files."""
    placed = layout.place(path, modified)
    if placed is None or placed.part is not Part.DATA or placed.day < feed.start_date:
        return None
    if _is_marker(path, feed.ready.marker) or _is_away(path, afterwards.move_to):
        return None
    return placed.day, str(PurePosixPath(path).relative_to(feed.folder))


def _is_marker(path: str, marker: str | None) -> bool:
    name = PurePosixPath(path).name
    if marker is None:
        return False
    before, placeholder, after = marker.partition("{file}")
    return name == marker if not placeholder else name.startswith(before) and name.endswith(after)


def _is_away(path: str, move_to: str | None) -> bool:
    if move_to is None:
        return False
    folder, away = PurePosixPath(path).parent, PurePosixPath(move_to)
    return folder == away if away.is_absolute() else folder.parts[-len(away.parts) :] == away.parts
