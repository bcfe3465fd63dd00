"""The last step of several deliveries that one run has just shown, each of one object: as
:func:`adplatform.flow.close.close` does one after the other, in the same order, by few calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adplatform.flow.close import (
    announced,
    archive_copy,
    close,
    closed_row,
    delete_originals,
    notify_published,
)
from adplatform.flow.cost_guard import used_writes
from adplatform.flow.lifecycle import no_longer_hindered
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import emit_published
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.objects import RawObject
from adplatform.ledger.publications import Publication
from adplatform.ledger.table import MOST_ACTIONS, Write, last_of_each
from adplatform.platform.at_once import at_once
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.traces import tracing

_ACTIONS_OF_COPY = 3


@dataclass(frozen=True)
class Closing:
    """A delivery whose version readers see, with the ``row`` of that, which the ledger does not have yet, and its only
    object. ``noted`` and ``others`` are as in :func:`close`."""

    flow: FeedFlow
    delivery: Delivery
    row: Publication
    object: RawObject
    seconds: float
    noted: Callable[[], None]
    others: Sequence[Write] = ()


def close_together(services: Services, closing: Sequence[Closing]) -> list[Publication]:
    """Archive, notify, and mark the versions as published, which may be done again after a crash at any point.

    Raises: as :func:`close`.
    """
    remembered: set[int] = set()
    most = MOST_ACTIONS // _ACTIONS_OF_COPY
    for start in range(0, len(closing), most):
        some = closing[start : start + most]
        if _remembered(services, some):
            remembered |= {id(each) for each in some}
    _delete(services, [each for each in closing if id(each) in remembered and each.flow.archive])
    for each in closing:
        if id(each) in remembered:
            each.noted()
    done = _closed(services, [each for each in closing if id(each) in remembered])
    return [done[id(each)] if id(each) in done else _alone(services, each, id(each) in remembered) for each in closing]


def _alone(services: Services, each: Closing, remembered: bool) -> Publication:
    row, noted = (None, lambda: None) if remembered else (each.row, each.noted)
    used = {"bytes": each.object.size}
    return close(services, each.flow, each.delivery, each.seconds, row=row, noted=noted, used=used, others=each.others)


def _remembered(services: Services, closing: Sequence[Closing]) -> bool:
    """Copy the originals, and note where they are and that the versions have been shown, by one write; False where that
    is not so of one of them."""
    ledger = services.ledger
    copied: list[tuple[Closing, str]] = []
    if closing[0].flow.archive:
        keys = at_once(lambda each: archive_copy(services, each.flow, each.object), closing)
        copied = list(zip(closing, keys, strict=True))
    writes: list[Write] = []
    for each in closing:
        name, day = each.flow.name, each.delivery.day
        writes.append(ledger.deliveries.held_write(name, day, each.delivery.run_id))
        writes.append(ledger.publications.note_write(name, each.row))
    writes += [ledger.objects.archived_write(each.flow.name, key, each.object) for each, key in copied]
    with aws_failures(f"{closing[0].flow.table}: the ledger"):
        return ledger.access.transact(writes)


def _delete(services: Services, closing: Sequence[Closing]) -> None:
    if closing:
        delete_originals(services.s3, [each.object for each in closing])


def _closed(services: Services, closing: Sequence[Closing]) -> dict[int, Publication]:
    """Mark as published as many as may be by one write; those that were."""
    ledger = services.ledger
    found: dict[int, Publication] = {}
    parts: list[tuple[Closing, Publication, list[Write]]] = []
    for each in sorted(closing, key=lambda each: each.delivery.day):  # so that what is said of the newest stays
        done = closed_row(ledger, each.row, each.seconds)
        name = each.flow.name
        writes = [
            ledger.deliveries.close_write(name, each.delivery, each.delivery.run_id, done.version),
            ledger.publications.put_write(name, done),
            *announced(services, each.flow, each.delivery.day, done),
            *each.others,
        ]
        parts.append((each, done, writes))
    for some in _groups(parts):
        size = sum(each.object.size for each, _, _ in some)
        flow = some[0][0].flow
        used = used_writes(services, flow.source, flow.budget, {"bytes": size})
        if not ledger.access.transact(last_of_each([*(write for _, _, writes in some for write in writes), *used])):
            continue
        found |= {id(each): done for each, done, _ in some}
        for each, done, _ in some:
            with tracing(services.settings.traces, ledger.now):
                emit_published(services, each.flow, each.delivery, done)
            if each.delivery.hindered:
                no_longer_hindered(ledger, each.flow, each.delivery.day)
        notify_published(services, [(each.flow, done) for each, done, _ in some])
    return found


def _groups(
    parts: Sequence[tuple[Closing, Publication, list[Write]]],
) -> list[list[tuple[Closing, Publication, list[Write]]]]:
    """As many together as one write takes, beside what is used of a budget."""
    groups: list[list[tuple[Closing, Publication, list[Write]]]] = []
    size = MOST_ACTIONS
    for part in parts:
        if size + len(part[2]) > MOST_ACTIONS - 2:
            groups.append([])
            size = 0
        groups[-1].append(part)
        size += len(part[2])
    return groups
