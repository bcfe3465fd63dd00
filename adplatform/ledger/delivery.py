"""The row of a delivery and its states; what may happen to one is in ``adplatform.ledger.deliveries``."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from adplatform.ledger.rows import from_item
from adplatform.ledger.table import NEW, Table, Write, unwire


class DeliveryState(StrEnum):
    """TRANSFORMING: an engine transforms its latest version; no run of ours has it, and one is asked for when the
    engine has ended."""

    OPEN = "open"
    SETTLED = "settled"
    RUNNING = "running"
    TRANSFORMING = "transforming"
    PUBLISHED = "published"
    FAILED = "failed"


BUSY = (DeliveryState.SETTLED, DeliveryState.RUNNING, DeliveryState.TRANSFORMING)
"""While a version waits for its run, has one, or is with an engine, no other version settles."""


@dataclass(frozen=True)
class Delivery:
    """The state of one feed and date.

    Objects whose ``number`` is above ``settled_arrivals`` are pending: they belong to no version yet. ``version`` is
    the latest settled one and ``published`` the latest that readers can see, 0 for none. ``revision`` counts the writes
    of this row, so that a write based on an older reading fails. ``waiting`` says what the delivery lacked when it was
    last judged, ``waiting_until`` when time alone completes it, and ``waiting_as`` what that judgement was about, so
    that it need not be repeated.

    Of the version that has settled, ``attempt`` numbers the attempt at the work that is due or under way, ``launches``
    the runs that were asked for, ``deaths`` those that ended without a word, and ``hindered`` those that could not work
    where they ran. After a failure it rests until ``not_before``. ``transform`` is the key of the intention for which
    an engine was given it last, "" where none was.
    """

    day: date
    revision: int = 0
    state: DeliveryState = DeliveryState.OPEN
    arrivals: int = 0
    settled_arrivals: int = 0
    version: int = 0
    published: int = 0
    attempt: int = 0
    launches: int = 0
    deaths: int = 0
    hindered: int = 0
    not_before: datetime | None = None
    run_id: str = ""
    manifest_key: str = ""
    settled_at: datetime | None = None
    settled_because: str = ""
    changed_at: datetime | None = None
    error: str = ""
    permanent: bool = False
    waiting: str = ""
    waiting_until: datetime | None = None
    waiting_as: str = ""
    transform: str = ""

    @property
    def pending(self) -> int:
        return self.arrivals - self.settled_arrivals

    @property
    def launch(self) -> int:
        """The number of the run that is due or under way. Rows that count no launches have one for each attempt."""
        return self.launches or self.attempt

    @property
    def active(self) -> bool:
        return self.pending > 0 or self.state in (*BUSY, DeliveryState.FAILED)

    def is_held_by(self, run_id: str) -> bool:
        return self.state is DeliveryState.RUNNING and self.run_id == run_id

    @property
    def sort_key(self) -> str:
        return f"delivery#{self.day}"

    def index_name(self, feed: str) -> str:
        return active_deliveries(feed.partition("/")[0]) if self.active else ""


def active_deliveries(source: str) -> str:
    """Under which name the index lists the deliveries of a source with something to do."""
    return f"deliveries#{source}"


def read_delivery(table: Table, feed: str, day: date) -> Delivery:
    """The delivery of that date; a fresh one when nothing has arrived yet."""
    return table.get(Delivery, feed, f"delivery#{day}") or Delivery(day=day)


def delivery_write(table: Table, feed: str, seen: Delivery, new: Delivery) -> Write:
    """Replace the delivery if nobody wrote it since it was ``seen``."""
    row = replace(new, revision=seen.revision + 1, changed_at=table.now())
    if seen.revision == 0:
        return table.put_write(feed, row, NEW)
    return table.put_write(feed, row, "revision = :r", {":r": seen.revision})


def move(table: Table, feed: str, seen: Delivery, new: Delivery, *others: Write) -> Delivery | None:
    """The delivery as it was written, together with ``others``; None when a condition of them did not hold."""
    write = delivery_write(table, feed, seen, new)
    return from_item(Delivery, unwire(write["Put"]["Item"])) if table.transact([write, *others]) else None


def advance(
    table: Table,
    feed: str,
    day: date,
    step: Callable[[Delivery], Delivery | None],
    seen: Delivery | None = None,
    *others: Write,
) -> Delivery | None:
    """Apply ``step`` to the delivery as it is, anew when an object arrives meanwhile; None when ``step`` declines.

    ``step`` says whether the delivery is still in a state to move on; what arrives at any time is no reason not to.
    ``seen`` is the delivery of that date for who has just read it, and is read again when it has changed since.
    ``others`` are written together with it, and have no conditions of their own.
    """
    while True:
        seen = seen or read_delivery(table, feed, day)
        moved = step(seen)
        if moved is None:
            return None
        if (written := move(table, feed, seen, moved, *others)) is not None:
            return written
        seen = None
