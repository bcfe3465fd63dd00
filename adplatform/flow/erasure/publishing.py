"""Deliveries of which readers see more than is left of their originals are published again."""

from collections.abc import Sequence
from datetime import date
from tempfile import TemporaryDirectory

from adplatform.failures import TransientFailure
from adplatform.flow.again import free, settled_again
from adplatform.flow.clean import without_bounds
from adplatform.flow.delivery import publish, working
from adplatform.flow.erasure.rows import rows_left
from adplatform.flow.erasure.state import ADVICE, REMADE, Erasing, apart
from adplatform.flow.hashing_keys import KeysDiffer, hashing_keys
from adplatform.flow.lifecycle import release
from adplatform.flow.services import Services
from adplatform.flow.shown import shown as is_shown
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import identity_of, read_settlement
from adplatform.ledger.delivery import DeliveryState
from adplatform.ledger.objects import RawObject
from adplatform.ledger.publications import Publication


def publish_what_is_left(doing: Erasing) -> None:
    """Make again every delivery of which readers see more than is left of its originals; what is in the way of one is
    noted among the problems."""
    for flow in doing.flows:
        for day, objects in sorted(doing.ledger.objects.edited(flow.name).items()):
            doing.lease.check()
            with apart(f"{flow.name} {day}", doing.problems):
                _make_again(doing, flow, day, objects)


def _make_again(doing: Erasing, flow: FeedFlow, day: date, objects: Sequence[RawObject]) -> None:
    """Make the delivery again until readers see a version of what is left."""
    problem = ""
    for _ in range(3):
        seen = free(doing.ledger, flow, day, doing.work)
        if seen.state is DeliveryState.RUNNING:
            raise TransientFailure(f"run {seen.run_id} is at it; {ADVICE} again when it has ended")
        if seen.state is DeliveryState.TRANSFORMING:
            raise TransientFailure(f"an engine transforms it; {ADVICE} again when that has ended")
        if is_shown(doing.ledger, flow, seen) and seen.published != seen.version:
            doing.work.make(flow, day)  # only to close it, after a run that was killed
        shown = _shown(doing, flow, day)
        if shown is None or not _is_of_more(doing.services, shown, objects):
            return
        if _waits_for_key(doing.services, flow):
            publish_rows(doing, flow, day)
            return
        because = f"made again without what erasure {doing.erasure.id} removed"
        settled, problem = settled_again(
            doing.ledger, flow, day, shown.version, because, doing.work, ADVICE, doing.erasure.id
        )
        if settled is None:
            raise TransientFailure(problem)
        doing.note_place(f"{flow.name} {day}", str(settled.version), REMADE, shown.clean)
        problem = doing.work.make(flow, day)
    raise TransientFailure(problem or f"it is not published without the person; {ADVICE} again")


def _waits_for_key(services: Services, flow: FeedFlow) -> bool:
    """Whether the table takes nothing that is made now, because it has yet to be brought to the current hashing key. An
    erasure does not wait for that: what readers see is published again under the key that it is under."""
    try:
        hashing_keys(services, flow)
    except KeysDiffer:
        return True
    return False


def _shown(doing: Erasing, flow: FeedFlow, day: date) -> Publication | None:
    """The version of the delivery that readers see."""
    placements = doing.ledger.placements
    placement = placements.get(flow.name, day)
    if placement is None:
        return None
    if flow.feed.contract.partition_by is None and any(p.day > day for p in placements.of_feed(flow.name)):
        return None
    return doing.ledger.publications.get(flow.name, day, placement.version)


def _is_of_more(services: Services, shown: Publication, objects: Sequence[RawObject]) -> bool:
    """Whether a version was settled before one of its objects was edited, so that its rows may be of the person."""
    entries = read_settlement(services.s3, services.zones, shown.manifest_key)["objects"]
    settled = {identity_of(entry): entry for entry in entries}
    return any(
        obj.identity in settled and settled[obj.identity].get("edited_key", "") != obj.archived_key for obj in objects
    )


def publish_rows(doing: Erasing, flow: FeedFlow, day: date) -> None:
    """Publish a delivery of the rows that readers see, without the person's, under the key that they are under.

    Raises:
        TransientFailure: something else is at it, or the ledger has to be restored first.
    """
    work, placement = doing.work, doing.ledger.placements.get(flow.name, day)
    shown = doing.ledger.publications.get(flow.name, day, placement.version) if placement else None
    if placement is None or shown is None:
        raise TransientFailure("the ledger does not know what readers see; `adplatform doctor` restores it")
    because = f"made again without what erasure {doing.erasure.id} removed"
    settled, problem = settled_again(
        doing.ledger, flow, day, placement.version, because, work, ADVICE, doing.erasure.id
    )
    if settled is None:
        raise TransientFailure(problem)
    doing.note_place(f"{flow.name} {day}", str(settled.version), REMADE, shown.clean)
    with working(doing.services, flow, day, work.run_id, TemporaryDirectory(dir=work.temp)) as begun:
        if begun.delivery.settled_because != because:
            release(doing.services, flow, day, work.run_id)
            raise TransientFailure(f"something has come meanwhile: `adplatform process`, and then {ADVICE} again")
        left = rows_left(begun, shown, placement, doing.search.judge(flow))
        done, _ = publish(begun, without_bounds(left))
    work.closed(flow, done)
