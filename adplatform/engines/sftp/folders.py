"""Which folders below a listed one may have files of a feed: a connector lists one level at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import PurePosixPath

from adplatform.contracts.sftp import SftpFeed, SftpSource
from adplatform.files.landing import Layout, layout_of


@dataclass(frozen=True)
class _Level:
    """What the folders of a feed are at one level of its ``remote``."""

    feed: SftpFeed
    layout: Layout
    dated: bool


def folders_to_list(declared: SftpSource, root: str, depth: int, folders: Iterable[str], now: datetime) -> list[str]:
    """Those that may have files which a feed would still take, the newest dates first. ``depth`` is how far below
    ``root`` files are looked for.

    Raises:
        PermanentFailure: a feed's ``remote`` is no template.
    """
    if not depth:
        return []
    levels = [level for feed in declared.fetched for level in _levels(feed)]
    fit = [folder for folder in folders if _levels_below(folder, root) <= depth and _fits(levels, folder, now)]
    return sorted(fit, reverse=True)


def _levels(feed: SftpFeed) -> list[_Level]:
    """Of each folder that ``remote`` names."""
    parts = feed.remote.split("/")[:-1]
    found = []
    for end in range(2, len(parts) + 1):
        template = "/".join(parts[:end])
        layout = layout_of("", feed.model_copy(update={"landing": template}))
        found.append(_Level(feed, layout, "{date" in template))
    return found


def _fits(levels: Iterable[_Level], folder: str, now: datetime) -> bool:
    placed = ((level, level.layout.place(folder, now)) for level in levels)
    return any(place is not None and (not level.dated or _taken(level.feed, place.day, now)) for level, place in placed)


def _taken(feed: SftpFeed, day: date, now: datetime) -> bool:
    """Whether files of the date are taken if they come now."""
    late = feed.arrival.accept_late
    ended = datetime.combine(day, time(), UTC) + timedelta(days=1)
    return day >= feed.start_date and (late is None or now < ended + late)


def _levels_below(folder: str, root: str) -> int:
    path = PurePosixPath(folder)
    return len(path.relative_to(root).parts) if path.is_relative_to(root) else 1 << 16
