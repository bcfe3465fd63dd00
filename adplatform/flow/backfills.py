"""Which published dates are to be made again by themselves: those that another declaration or another hashing key has
made."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from adplatform.flow.hashing_keys import meets_deliveries
from adplatform.flow.shown import shown_deliveries
from adplatform.flow.source import FeedFlow
from adplatform.ledger.keys import RotationState
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import digest


class Reason(StrEnum):
    """Why dates are made again."""

    CONTRACT = "contract"
    HASHING_KEY = "hashing-key"
    RETENTION = "retention"
    BY_HAND = "by-hand"


@dataclass(frozen=True)
class Wanted:
    """Dates of a feed that are to be made again, and why in a sentence; of a report those of one ``scope``."""

    feed: str
    days: tuple[date, ...]
    reason: Reason
    why: str
    of: str = ""
    """What it is about: the same dates for the same reason and ``of`` are wanted once."""
    scope: str = ""

    @property
    def id(self) -> str:
        """The same for the same dates, so that nobody asks for them twice."""
        return digest(self.feed, self.scope, self.reason, self.of, *map(str, sorted(self.days)))[:16]


@dataclass(frozen=True)
class Past:
    """What dates came to when they were last made, by which is said what making them again takes. ``gone`` are dates
    whose originals have expired, ``absent`` those of which nothing was published."""

    days: tuple[date, ...]
    rows: int
    bytes: int
    objects: int
    seconds: Decimal
    gone: tuple[date, ...] = ()
    absent: tuple[date, ...] = ()


def by_contract(ledger: Ledger, flow: FeedFlow, *, also_unrecorded: bool) -> Wanted | None:
    """The dates whose rows another contract has made than the present one; None for no date. ``also_unrecorded`` takes
    those of a release that did not record it."""
    now = flow.feed.contract.rows_digest
    days = [each.day for each in _remade(ledger, flow) if (each.contract or ("" if also_unrecorded else now)) != now]
    return _wanted(flow, days, Reason.CONTRACT, "their rows were made by another contract", now)


def by_key(ledger: Ledger, flow: FeedFlow, key_id: str) -> Wanted | None:
    """The dates whose digests are under another key than the present one, ``key_id``. Deliveries that meet in
    partitions are brought to a key together, by ``adplatform keys rotate``; a table that it keeps under its key stays
    so."""
    if not flow.feed.contract.needs_key or meets_deliveries(flow):
        return None
    kept = (each for each in ledger.keys.rotations() if each.state is RotationState.KEPT)
    if flow.table in {each.table for each in kept}:
        return None
    days = [each.day for each in _remade(ledger, flow) if each.key_id not in ("", key_id)]
    return _wanted(flow, days, Reason.HASHING_KEY, f"their digests are not under the key {key_id}", key_id)


def _wanted(flow: FeedFlow, days: Iterable[date], reason: Reason, why: str, of: str) -> Wanted | None:
    found = tuple(days)
    return Wanted(flow.name, found, reason, f"{why}: {len(found)} dates of {flow.name}", of) if found else None


def _remade(ledger: Ledger, flow: FeedFlow) -> list[Publication]:
    """What readers see of each date that can be made again, the newest first."""
    seen, now = _seen(ledger, flow), ledger.now()
    return [seen[day] for day in sorted(seen, reverse=True) if not _has_expired(flow, seen[day], now)]


def _seen(ledger: Ledger, flow: FeedFlow) -> dict[date, Publication]:
    """What readers see of each date, where the ledger has that version."""
    versions = {(p.day, p.version): p for p in ledger.publications.of_feed(flow.name)}
    placed = ((each.day, each.version) for each in shown_deliveries(ledger, flow))
    return {day: versions[day, version] for day, version in placed if (day, version) in versions}


def _has_expired(flow: FeedFlow, version: Publication, now: datetime) -> bool:
    """Whether the originals are gone, as the source's retention has it, which counts from the archiving."""
    keep = flow.retention.archive
    at = version.finished_at or version.settled_at
    return keep is not None and now - at > keep - timedelta(days=1)


def past(ledger: Ledger, flow: FeedFlow, days: Iterable[date]) -> Past:
    """What is known of the ``days`` of a feed."""
    wanted, now, seen = sorted(set(days), reverse=True), ledger.now(), _seen(ledger, flow)
    known = {day: seen[day] for day in wanted if day in seen}
    gone = tuple(day for day, version in known.items() if _has_expired(flow, version, now))
    made = [version for day, version in known.items() if day not in gone]
    return Past(
        tuple(each.day for each in made),
        rows=sum(each.rows_in for each in made),
        bytes=sum(each.bytes for each in made),
        objects=sum(each.objects for each in made),
        seconds=sum((each.seconds for each in made), Decimal(0)),
        gone=gone,
        absent=tuple(day for day in wanted if day not in known),
    )
