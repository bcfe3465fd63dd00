"""What people are told of columns of a feed's files that have changed: what, since which file, what uses them, and what
to declare where it is meant."""

import logging
import re
from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from adplatform.consumers.destinations import DESTINATIONS
from adplatform.contracts.accepting import accepting
from adplatform.contracts.schema_change import ChangeKind, SchemaChange
from adplatform.failures import SHOWN, PermanentFailure, listed
from adplatform.flow.declared_table import DeclaredTable
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.messages import Unsent
from adplatform.ledger.schemas import ReceivedSchema
from adplatform.platform.alert import SCHEMA_CHANGED

log = logging.getLogger(__name__)

_SHOWN = 3


def message(
    flow: FeedFlow, declared: DeclaredTable, delivery: Delivery, changes: Sequence[SchemaChange], *, failed: bool
) -> Unsent:
    """The message of ``changes`` that a delivery is the first to show; ``failed`` is whether it failed for them."""
    contract, said = flow.feed.contract, [str(change) for change in changes]
    lines = (accepting(contract, change) for change in changes)
    settings = [line for line in lines if line] if declared.has_columns else []
    users = list(dict.fromkeys(each for change in changes for each in touched(flow, declared, change)))
    files = list(dict.fromkeys(change.file for change in changes if change.file))
    evolves = contract.schema_policy == "evolve"
    taken_over = not failed and evolves and all(change.kind is ChangeKind.ADDED for change in changes)
    reason = [
        *(f"{each[0].upper()}{each[1:]}." for each in said[:SHOWN]),
        *([f"And {len(said) - SHOWN} more."] if len(said) > SHOWN else []),
        *([f"First file: {listed(files)}."] if files else []),
        *(["Nothing of the delivery is published."] if failed else []),
        *(["It is in the table as text."] if taken_over else []),
        f"It concerns {listed(users)}." if users else "Nothing that is declared reads it.",
    ]
    facts = {
        "feed": flow.name,
        "table": flow.table,
        "first_date": delivery.day.isoformat(),
        "version": delivery.version,
        "first_file": files[0] if files else "",
        "changes": said,
        "touched": users,
        "setting": "\n".join(settings),
        "declared_in": declared.place,
        "reason": "\n".join(reason),
        "action": _action(flow, declared, settings, changes),
        **({"failed": True} if failed else {}),
        **({"taken_over": True} if taken_over else {}),
    }
    subject = f"{flow.name}: {listed(said, _SHOWN, '; ')}"
    return Unsent.of(flow.topics.failure, SCHEMA_CHANGED, subject, facts)


def _action(flow: FeedFlow, declared: DeclaredTable, settings: Sequence[str], changes: Sequence[SchemaChange]) -> str:
    if not declared.has_columns:
        return "Its columns are those of a report, which a release of the platform declares."
    within = f" in {declared.place}" if declared.place else ""
    where = f"below columns of feed {flow.merged_as or flow.feed.name}{within}"
    lines = [f"Where it is meant, declare {where}:", *settings] if settings else []
    if settings and any(change.kind is ChangeKind.RETYPED for change in changes):
        lines.append("Values of another type need a column of another name: older files cannot be read as that.")
    if any(change.kind is ChangeKind.ADDED and not change.column for change in changes):
        lines.append(f"A column whose name is not shown is declared {where} with that name as its field.")
    return "\n".join(lines) or "No setting alone accepts it: have the files written as declared, or declare anew."


def standing(flow: FeedFlow, schema: ReceivedSchema | None) -> Iterator[str]:
    """How the newest files of a feed differ from what is declared, with the lines that accept it."""
    for change in schema.changes if schema else ():
        line = accepting(flow.feed.contract, change)
        yield f"{flow.name}: {change}, first in {change.file}{f'; {line}' if line else ''}"


def touched(flow: FeedFlow, declared: DeclaredTable, change: SchemaChange) -> tuple[str, ...]:
    """What uses a declared column: the table, those that are made of it, services that read it, and ad platforms that
    get the column. Of a column that nobody declared there is none."""
    if change.kind is ChangeKind.ADDED:
        return ()
    tables = (f"table {name}" for name in (flow.table, *declared.made_of_it))
    return (*tables, *_consumers(flow, change.column), *_activations(flow, change.column))


def _consumers(flow: FeedFlow, column: str) -> Iterator[str]:
    """Services that read the table, without those that are given other columns only; and views that name the column."""
    for name, settings in flow.feed.consumers.declared.items():
        given = (*getattr(settings, "columns", ()), *getattr(settings, "features", ()))
        if not given or _names(settings, column):
            yield f"consumer {name}"
        for view, query in getattr(settings, "views", {}).items():
            if re.search(rf"\b{re.escape(column)}\b", query):
                yield f"view {view}"


def _activations(flow: FeedFlow, column: str) -> Iterator[str]:
    kind = next((pii.kind for each, pii in flow.feed.contract.pii_columns() if each.name == column), None)
    for name, settings in flow.feed.activations.declared.items():
        if kind in DESTINATIONS[name].headers or _names(settings, column):
            yield f"activation {name}"


def _names(settings: BaseModel, column: str) -> bool:
    """Whether settings name the column, or what it may be stored as (``email_sha256``)."""
    return re.search(rf'"{re.escape(column)}(_\w+)?"', settings.model_dump_json()) is not None


def declared_of(services: Services, flow: FeedFlow) -> DeclaredTable:
    try:
        return services.declared(flow.table) if services.declared is not None else DeclaredTable()
    except PermanentFailure as e:  # other declarations have mistakes, which `adplatform validate` shows
        log.warning("%s: where it is declared is not known: %s", flow.table, e)
        return DeclaredTable()
