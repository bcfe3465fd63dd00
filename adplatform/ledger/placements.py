"""What readers see of deliveries: placements, the slices of tables partitioned by a column, retired locations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import quote

from adplatform.ledger.rows import digest, from_item
from adplatform.ledger.table import Table

_NOT_NEWER = "attribute_not_exists(pk) OR #version <= :version"
_EARLIER_KEY_PARTS = 2  # "#" in the key of a slice that names no version; quoting leaves none in the partition
_LONGEST_EARLIER_KEY = 1024 - len("2026-01-01")  # DynamoDB Developer Guide, sort key length: longer ones never existed


@dataclass(frozen=True)
class Slice:
    """The rows one delivery version contributes to one partition of a table partitioned by a column.

    It counts once its version is the placed one of its delivery (:class:`Placement`). Without a location it says that
    the version has no rows there any more and the partition must be made without it. ``manifest`` names the settlement
    and ``key_id`` the hashing key of its personal columns, "" where there is none.
    """

    partition: str
    day: date
    version: int
    location: str = ""
    rows: int = 0
    key_id: str = ""
    manifest: str = ""

    @property
    def sort_key(self) -> str:
        return f"{slices_of(self.partition)}{self.day}#{self.version:04d}"


@dataclass(frozen=True)
class Placement:
    """The version of a delivery that readers see, by all the ledger knows.

    ``manifest`` names its settlement; ``location`` and ``rows`` are its files where a delivery has some of its own, in
    a table partitioned by a column its slices have them. ``key_id`` is as in :class:`Slice`.
    """

    day: date
    version: int
    manifest: str = ""
    location: str = ""
    rows: int = 0
    key_id: str = ""
    placed_at: datetime | None = None

    @property
    def sort_key(self) -> str:
        return f"placement#{self.day}"


@dataclass(frozen=True)
class Retired:
    """A location of the clean zone that nothing refers to, and since when that is known."""

    location: str
    since: datetime

    @property
    def sort_key(self) -> str:
        return f"retired#{digest(self.location)}"


@dataclass(frozen=True)
class Placements:
    """What readers see of all feeds."""

    table: Table

    def slices(self, feed: str, partition: str) -> list[Slice]:
        """What each delivery version contributes to the partition, oldest delivery date first."""
        return list(self.table.query(Slice, feed, slices_of(partition)))

    def slices_of_day(self, feed: str, day: date) -> list[Slice]:
        """What every version of the delivery contributes to any partition."""
        return [s for s in self.all_slices(feed) if s.day == day]

    def all_slices(self, feed: str) -> list[Slice]:
        """Slices of every delivery, version and partition, those with keys of the earlier form too."""
        return list(self.table.query(Slice, feed, "slice#"))

    def earlier_slices(self, feed: str, partition: str | None = None) -> list[Slice]:
        """Slices, of one partition or of all, whose keys name no version: ``slice#<partition>#<day>``."""
        prefix = "slice#" if partition is None else f"slice#{quote(partition, safe='')}#"
        if len(prefix) > _LONGEST_EARLIER_KEY:
            return []
        items = self.table.items(feed, prefix)
        return [from_item(Slice, item) for item in items if item["sk"].count("#") == _EARLIER_KEY_PARTS]

    def upgrade_slice(self, feed: str, earlier: Slice) -> None:
        """Give one of :meth:`earlier_slices` the key of today. May be interrupted and repeated."""
        self.table.put(feed, [earlier])
        self.table.delete(feed, f"slice#{quote(earlier.partition, safe='')}#{earlier.day}")

    def put_slices(self, feed: str, slices: Iterable[Slice]) -> None:
        self.table.put(feed, slices)

    def get(self, feed: str, day: date) -> Placement | None:
        return self.table.get(Placement, feed, f"placement#{day}")

    def are_there(self, feeds: Iterable[str], day: date) -> bool:
        """Whether readers see that date of all the feeds; one call."""
        keys = [(feed, f"placement#{day}") for feed in feeds]
        return len(self.table.get_many(keys)) == len(keys)

    def of_feed(self, feed: str, since: datetime | None = None) -> list[Placement]:
        """What readers see of each delivery, oldest date first; with ``since`` those that were placed since then."""
        found = list(self.table.query(Placement, feed, "placement#"))
        return found if since is None else [p for p in found if p.placed_at and p.placed_at >= since]

    def latest(self, feed: str, until: date) -> Placement | None:
        """What readers see of the newest delivery of that date or an earlier one."""
        return next(self.table.range(Placement, feed, "placement#", f"placement#{until}", forward=False), None)

    def following(self, feed: str, day: date) -> Placement | None:
        """What readers see of the oldest delivery of a later date."""
        first = f"placement#{day + timedelta(days=1)}"
        return next(self.table.range(Placement, feed, first, f"placement#{date.max}"), None)

    def put(self, feed: str, placement: Placement) -> bool:
        """Note what readers see; False, and nothing changes, when a newer version is placed already."""
        return self.table.put_if(feed, placement, _NOT_NEWER, {":version": placement.version}, ["version"])

    def known(self, wanted: Iterable[tuple[str, date]]) -> dict[tuple[str, date], Placement]:
        """What readers see of these deliveries, by feed and date, by few calls."""
        keys = {(feed, f"placement#{day}"): (feed, day) for feed, day in wanted}
        found = self.table.get_many(keys)
        return {each: from_item(Placement, found[key]) for key, each in keys.items() if key in found}

    def put_together(self, placements: Sequence[tuple[str, Placement]]) -> bool:
        """:meth:`put` of up to a hundred, each with its feed, by one write; False, and nothing changes, when a newer
        version of one is placed already."""
        return self.table.transact(
            [
                self.table.put_write(feed, each, _NOT_NEWER, {":version": each.version}, ["version"])
                for feed, each in placements
            ]
        )

    def retired(self, feed: str) -> list[Retired]:
        return list(self.table.query(Retired, feed, "retired#"))

    def put_retired(self, feed: str, rows: Iterable[Retired]) -> None:
        self.table.put(feed, rows)

    def delete(self, feed: str, row: Slice | Retired) -> None:
        self.table.delete(feed, row.sort_key)


def slices_of(partition: str) -> str:
    """What the sort keys of a partition's slices begin with."""
    return f"slice#{digest(partition)}#"
