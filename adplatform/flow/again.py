"""Making deliveries again that readers see, of the same objects, as new versions: under another hashing key, without a
person, or for a backfill. Of rotations and erasures one is at work on a source at a time, under a lease; runs of the
same kind that it finds are dead."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from adplatform.flow.arrivals import Arrivals
from adplatform.flow.services import Services
from adplatform.flow.settling import Runs, Settler, UnusableManifests
from adplatform.flow.source import FeedFlow, Source
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import Publication

_LOOK_EVERY, _LOOKS = timedelta(seconds=3), 600
"""How often, and how many times, to look whether a run of somebody else has ended."""


@dataclass(frozen=True)
class Step:
    """Progress within one table."""

    table: str
    done: int
    total: int
    what: str


@dataclass(frozen=True)
class Work:
    """How deliveries are made again. ``settler`` is the arrival side of a feed's source. ``make`` runs a settled
    delivery through the normal flow and returns the problem, "" for none; ``closed`` hears of each delivery of a table
    that was shown as a whole. ``temp`` is a private directory of this run (``flow.private_directory``). Before the
    first hyphen of ``run_id`` stands what kind of work it is."""

    settler: Callable[[FeedFlow], Settler]
    make: Callable[[FeedFlow, date], str]
    runs: Runs
    temp: Path
    run_id: str
    sleep: Callable[[float], None]
    watch: Callable[[Step], None] = lambda _: None
    closed: Callable[[FeedFlow, Publication], None] = lambda *_: None

    def is_one_of_ours(self, run_id: str) -> bool:
        """Whether a run, other than this one, did the same kind of work."""
        return run_id.startswith(self.run_id.partition("-")[0] + "-")


def settled_again(
    ledger: Ledger, flow: FeedFlow, day: date, version: int, because: str, work: Work, advice: str, erasure: str = ""
) -> tuple[Delivery | None, str]:
    """The delivery, settled as a new version of the objects that readers see in ``version``, and why; with "" one that
    had settled already. Without a delivery, what is in the way. ``advice`` is the command to give again."""
    name, settler = f"{flow.name} {day}", work.settler(flow)
    while True:
        seen = free(ledger, flow, day, work)
        if seen.state is DeliveryState.RUNNING:
            return None, f"{name}: run {seen.run_id} is at it; {advice} again when it has ended"
        if seen.state is DeliveryState.TRANSFORMING:
            return None, f"{name}: an engine transforms it; {advice} again when that has ended"
        if seen.state is DeliveryState.SETTLED:
            return seen, because if seen.settled_because == because else ""
        if seen.pending and _take_in(settler, flow, seen):
            continue
        shown = ledger.publications.get(flow.name, day, version)
        if shown is None:
            return None, f"{name}: version {version} is not in the ledger; `adplatform doctor` restores it"
        settled = settler.settle_again(flow, seen, shown, because, erasure)
        if settled is not None:
            return settled, because


def settle_for_backfill(services: Services, flow: FeedFlow, day: date, backfill: str, run_id: str) -> None:
    """Have a run of a backfill make a delivery again that readers see: it settles as a new version of the same objects,
    which the run holds at once. Nothing is done where a version is on its way, or this backfill has settled it."""
    ledger, because = services.ledger, f"backfill {backfill}"
    seen = ledger.deliveries.get(flow.name, day)
    shown = ledger.publications.get(flow.name, day, seen.published) if seen.published else None
    if seen.state is not DeliveryState.PUBLISHED or seen.settled_because == because or shown is None:
        return
    source = Source(flow.source, services.zones.raw_bucket, flow.layout.prefix, (flow,))
    settler = Settler(Arrivals(source, services.s3, ledger), services.zones)
    if settler.settle_again(flow, seen, shown, because) is not None:
        ledger.deliveries.claim(flow.name, day, run_id)


def _take_in(settler: Settler, flow: FeedFlow, seen: Delivery) -> bool:
    """Whether what came since is settled, or is what readers see. A table on its way takes corrections from nobody
    else, and may need one to get there."""
    try:
        return settler.settle(flow, seen) is not None
    except UnusableManifests:
        return False


def free(ledger: Ledger, flow: FeedFlow, day: date, work: Work) -> Delivery:
    """The delivery, once no run is at it: taken from one that is dead, or awaited for some time."""
    seen = ledger.deliveries.get(flow.name, day)
    for _ in range(_LOOKS):
        if seen.state is not DeliveryState.RUNNING:
            break
        if work.is_one_of_ours(seen.run_id) or not work.runs.alive(seen.run_id):
            ledger.deliveries.free(flow.name, seen)
        else:
            work.sleep(_LOOK_EVERY.total_seconds())
        seen = ledger.deliveries.get(flow.name, day)
    return seen
