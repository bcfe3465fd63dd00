"""Where files of a server belong: to which feed and date, and under which name in the landing zone."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import PurePosixPath

from adplatform.contracts.feed import Feed
from adplatform.contracts.sftp import Afterwards, SftpFeed, SftpSource
from adplatform.failures import PermanentFailure
from adplatform.files.landing import Layout, layout_of, noise
from adplatform.sftp.choice import Rule


def rules_of(declared: SftpSource) -> list[Rule]:
    """The rule of each feed. A file that fits several is of the one that is declared first.

    Raises:
        PermanentFailure: a feed's ``remote`` is no template, or one that is declared before takes all of its files.
    """
    rules: list[Rule] = []
    earlier: dict[str, Layout] = {}
    for feed in declared.fetched:
        layout = _layout(feed)
        example = layout.dated(feed.start_date).replace("{file}", _ANY).replace("*", _ANY)
        moment = datetime.combine(feed.start_date, time(), UTC)
        taker = next((name for name, other in earlier.items() if other.place(example, moment)), None)
        if taker is not None:
            raise PermanentFailure(
                f"feed {feed.name}: all files of its remote {feed.remote} are those of {taker}, too, which is declared "
                f"before it and takes them: make the two differ, or declare {feed.name} first"
            )
        place = partial(_place, feed, layout, tuple(earlier.values()), declared.afterwards)
        rules.append(Rule(feed.name, place, feed.ready.stable_for, feed.ready.marker))
        earlier[feed.name] = layout
    return rules


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


def moved_to(path: str, day: date, afterwards: Afterwards) -> str | None:
    """Where a file of that date goes once it is published; None where files are not moved."""
    here, folder = PurePosixPath(path), afterwards.folder(day)
    return str(here.parent / folder / here.name) if folder else None


def remote_path(feed: Feed, day: date, name: str, today: date) -> str:
    """Where a file of that name and date has to be on the server, if it is put there ``today``.

    Raises:
        PermanentFailure: no file of that name is one of the feed's of that date; or the feed is of no server.
    """
    if not isinstance(feed, SftpFeed):
        raise PermanentFailure(f"{feed.name} is fetched from no server")
    layout = _layout(feed)
    if "{date" not in feed.remote and day != today:
        raise PermanentFailure(f"{feed.name} has no date in its names: a file that is put there now is of {today}")
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


_ANY = "\x00"
"""Stands for what partners name as they like, in an example: no part of a template is it."""


def _layout(feed: SftpFeed) -> Layout:
    return layout_of("", feed.model_copy(update={"landing": feed.remote}), "remote")


def _place(
    feed: SftpFeed,
    layout: Layout,
    earlier: Sequence[Layout],
    afterwards: Afterwards,
    path: str,
    modified: datetime,
) -> tuple[date, str] | None:
    """What is unfinished or hidden, a marker, older than the feed or already moved away is none of its files, and what
    fits one of the ``earlier`` is another's."""
    placed = layout.place(path, modified)
    if placed is None or placed.day < feed.start_date:
        return None
    name = str(PurePosixPath(path).relative_to(feed.folder))
    if noise(name) or _is_marker(path, feed.ready.marker) or afterwards.has(path):
        return None
    return None if any(other.place(path, modified) for other in earlier) else (placed.day, name)


def _is_marker(path: str, marker: str | None) -> bool:
    name = PurePosixPath(path).name
    if marker is None:
        return False
    before, placeholder, after = marker.partition("{file}")
    return name == marker if not placeholder else name.startswith(before) and name.endswith(after)
