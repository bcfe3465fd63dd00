"""Changes of the columns of a feed's files: each is noted once, with the message that tells people of it.

A delivery whose files have the columns of the one before asks nothing of the ledger for it: how files of the feed
differ from what is declared is read with the delivery, and written where that has changed. What changed is written
before the version is shown or fails, so that a run that is killed after that has its message sent by the next look.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import get_args

from adplatform.contracts.accepting import accepting
from adplatform.contracts.model import Contract
from adplatform.contracts.schema_change import ChangeKind, SchemaChange, merged
from adplatform.contracts.types import TypeName
from adplatform.contracts.undeclared_names import plain_name
from adplatform.failures import listed
from adplatform.flow.clean import Transformed, published_before
from adplatform.flow.declared_table import DeclaredTable
from adplatform.flow.outbox import send_unsent
from adplatform.flow.schema_message import declared_of, message, touched
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.publications import Publication
from adplatform.ledger.schemas import NotedChange, ReceivedSchema
from adplatform.transform.values import Staged

log = logging.getLogger(__name__)

_MOST = 200
"""Changes of a feed that are kept."""
_NAMES = {
    ChangeKind.ADDED: "column_added",
    ChangeKind.VANISHED: "column_lacking",
    ChangeKind.RENAMED: "column_renamed",
    ChangeKind.RETYPED: "column_retyped",
}
_OF_TYPES = frozenset(f"bad_{name}" for name in get_args(TypeName))
"""Reasons of values that are not of their column's type."""
ACCEPTED, BACK = "column_accepted", "column_back"


def note_schema(
    services: Services,
    flow: FeedFlow,
    delivery: Delivery,
    seen: ReceivedSchema | None,
    transformed: Transformed,
) -> None:
    """Note how the columns of a delivery that was read differ from the declared ones, if that has changed. ``seen`` is
    what the ledger said when the delivery was read."""
    staged, last = transformed.staged, transformed.last
    before = seen.changes if seen else ()
    found = [*staged.changes, *_retyped(services, flow, delivery.day, before, staged)][:_MOST]
    if seen is None and last is not None:
        found = [change for change in found if not _is_of(last, change)]
    if found or before:
        # A file without a row may have no header.
        whole, failed = transformed.base is None and staged.rows_in > 0, bool(transformed.refusals)
        found = [_with_kind(staged, change) for change in found]
        _note(services, flow, delivery, seen, found, whole=whole, failed=failed)


def note_refused(services: Services, flow: FeedFlow, day: date, run_id: str, changes: Sequence[SchemaChange]) -> None:
    """Note how the columns of files differ that were refused for it, unless that is known."""
    delivery = services.ledger.deliveries.get(flow.name, day)
    if delivery.is_held_by(run_id):
        seen = services.ledger.schemas.get(flow.name)
        _note(services, flow, delivery, seen, merged(changes)[:_MOST], whole=False, failed=True)


def _note(
    services: Services,
    flow: FeedFlow,
    delivery: Delivery,
    seen: ReceivedSchema | None,
    found: Sequence[SchemaChange],
    *,
    whole: bool,
    failed: bool = False,
) -> None:
    """``whole`` is whether ``found`` are those of all files of the delivery, so that others are no more. Any document
    of JSON may be without any member, so of its others only those are no more that are declared by now."""
    ledger, contract, declared = services.ledger, flow.feed.contract, None
    sparse = contract.format.prepared == "ndjson"
    while True:
        before = {change.key: change for change in seen.changes} if seen else {}
        now = {change.key: before.get(change.key, change) for change in found}
        opened = [change for change in now.values() if change.key not in before]
        others = [change for change in before.values() if whole and change.key not in now]
        ended = [change for change in others if not sparse or _is_accepted(contract, change)]
        if not opened and not ended:
            return
        if declared is None:
            # A file of long ago says nothing of how files are now.
            if ledger.placements.following(flow.name, delivery.day) is not None:
                return
            declared = declared_of(services, flow)
        changed = {change.column for change in now.values() if change.column}
        row = partial(_row, flow, delivery, ledger.now(), declared)
        rows = [row(change, _NAMES[change.kind], begins=True) for change in opened]
        rows += [
            row(change, ACCEPTED if _is_accepted(contract, change) else BACK, begins=False)
            for change in ended
            if not change.column or change.column not in changed
        ]
        told = message(flow, declared, delivery, opened, failed=failed) if opened else None
        kept = [change for change in before.values() if change not in ended and change.key not in now]
        if ledger.schemas.note(flow.name, seen, [*kept, *now.values()], rows, flow.source, told):
            break
        seen = ledger.schemas.get(flow.name)
    said = listed(f"{each.change} {each.column}" for each in rows)
    log.warning("%s %s: its files have other columns than before: %s", flow.name, delivery.day, said)
    if told is not None:
        send_unsent(services, flow.source, [told])


def _row(
    flow: FeedFlow,
    delivery: Delivery,
    at: datetime,
    declared: DeclaredTable,
    change: SchemaChange,
    name: str,
    *,
    begins: bool,
) -> NotedChange:
    contract = flow.feed.contract
    return NotedChange(
        at,
        delivery.day,
        delivery.version,
        name,
        change.called,
        change.became,
        change.file if begins else "",
        contract.rows_digest,
        accepting(contract, change) if begins else "",
        touched(flow, declared, change) if begins else (),
    )


def _is_accepted(contract: Contract, change: SchemaChange) -> bool:
    """Whether the contract has come to declare what changed, where that has ended."""
    names = {name: column for column in contract.read_columns for name in map(contract.compared, column.field_names)}
    column = next((each for each in contract.read_columns if each.name == change.column), None)
    match change.kind:
        case ChangeKind.ADDED:
            return contract.compared(change.column) in names
        case ChangeKind.VANISHED:
            return column is None or column.optional
        case ChangeKind.RENAMED:
            return contract.compared(change.became) in names
        case ChangeKind.RETYPED:
            return column is None or column.type == change.became


def _with_kind(staged: Staged, change: SchemaChange) -> SchemaChange:
    """The change with what personal data an added column holds, whose values are not stored."""
    for withheld in staged.withheld:
        if change.kind is ChangeKind.ADDED and withheld.column == repr(change.column):
            return replace(change, pii="email" if withheld.emails else "phone")
    return change


def _is_of(last: Publication, change: SchemaChange) -> bool:
    """Whether a version of a release that noted no changes had the change, too."""
    if change.kind is ChangeKind.ADDED:
        return plain_name(change.column) in last.evolved
    return change.column in last.lacking


def _retyped(
    services: Services, flow: FeedFlow, day: date, before: Iterable[SchemaChange], staged: Staged
) -> list[SchemaChange]:
    """Columns of which more than half of the rows have a value that is not of its type, and had none in the version
    before."""
    if not staged.quarantined:
        return []
    failing = _failing(staged.reasons, staged.records)
    known = {change.column: change for change in before if change.kind is ChangeKind.RETYPED}
    last = published_before(services.ledger, flow, day) if failing - known.keys() else None
    fine = failing - _failing(last.reasons, 0) if last is not None else set[str]()
    file = next((count.origin for count in staged.counts if count.quarantined), "")
    declared = {column.name: column.type for column in flow.feed.contract.columns}
    return [
        known.get(column) or SchemaChange(ChangeKind.RETYPED, column, _other(declared, staged, column), file=file)
        for column in sorted(failing)
        if column in known or column in fine
    ]


def _other(declared: Mapping[str, str], staged: Staged, column: str) -> str:
    found = staged.types.get(column, "")
    return "" if found == declared.get(column) else found


def _failing(reasons: Mapping[str, int], rows: int) -> set[str]:
    """The columns of which more than half of so many rows are not of their type."""
    split = ((*reason.partition(":"), count) for reason, count in reasons.items())
    return {column for kind, _, column, count in split if column and kind in _OF_TYPES and count * 2 > rows}
