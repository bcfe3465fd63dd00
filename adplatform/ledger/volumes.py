"""What the rows of a delivery are compared with: those that readers see of earlier dates, and whether people know of a
date with unusually few or many."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from adplatform.ledger.messages import Trouble
from adplatform.ledger.placements import Placement
from adplatform.ledger.rows import Item, from_item


@dataclass(frozen=True)
class Volumes:
    """``placed`` are earlier dates that readers see, and ``trouble`` is the newest unusual date that people were told
    of, until one as late has as many rows as usual."""

    placed: Mapping[date, Placement] = field(default_factory=dict)
    trouble: Trouble | None = None


NO_VOLUMES = Volumes()


def trouble_name(feed: str) -> str:
    """What the trouble of a feed, or of one scope of it, is called."""
    return f"volume/{feed}"


def volume_keys(feed: str, days: Iterable[date]) -> Iterator[tuple[str, str]]:
    """The rows that have it; none where nothing is compared."""
    placements = [(feed, f"placement#{day}") for day in days]
    if placements:
        yield from (*placements, _trouble_key(feed))


def volumes_in(items: Mapping[tuple[str, str], Item], feed: str, days: Iterable[date]) -> Volumes:
    """What these rows say, of those that were read."""
    found = {day: items[feed, f"placement#{day}"] for day in days if (feed, f"placement#{day}") in items}
    trouble = items.get(_trouble_key(feed)) if found else None
    return Volumes(
        {day: from_item(Placement, item) for day, item in found.items()},
        from_item(Trouble, trouble) if trouble else None,
    )


def _trouble_key(feed: str) -> tuple[str, str]:
    return feed.partition("/")[0], f"trouble#{trouble_name(feed)}"
