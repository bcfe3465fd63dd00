"""Deliveries of several scopes of a compacted table, one date after the other: each is judged by itself, and what they
bring to a date is shown together, so that its partition is made once."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.begun import Begun
from adplatform.flow.clean import Transformed, publish_versions
from adplatform.flow.delivery import close_version, judge, land, working
from adplatform.flow.services import Services
from adplatform.flow.slices import settle_slice
from adplatform.flow.source import FeedFlow
from adplatform.flow.verdicts import require_no_bad_file
from adplatform.lake.audit import AuditFinding
from adplatform.ledger.publications import Publication
from adplatform.platform.aws_errors import aws_failures
from adplatform.transform.values import OutputColumn

Done = tuple[Publication, tuple[OutputColumn, ...]]
"""A publication, and the columns of its table."""
Failure = PermanentFailure | TransientFailure
Audited = Callable[[FeedFlow, date, Iterable[AuditFinding]], None]
"""Learns what the audit of a delivery found, passed or not, before anything is published."""


@dataclass(frozen=True)
class _Open:
    """A delivery that this run works on. Whatever ends ``held`` ends the work, and is written to the ledger."""

    held: ExitStack
    begun: Begun
    judged: Transformed | None


def publish_slices(
    services: Services,
    slices: Iterable[tuple[FeedFlow, date]],
    run_id: str,
    work: Path,
    audited: Audited = lambda *_: None,
) -> dict[tuple[str, date], Done | Failure | None]:
    """Settle and publish the newest slices of dates, of scopes of compacted tables. What came of each by name and date:
    None where readers see it already, and what kept it from being published, which keeps no other."""
    came: dict[tuple[str, date], Done | Failure | None] = {}
    dates: dict[tuple[str, date], list[FeedFlow]] = {}
    for flow, day in slices:
        came[flow.name, day] = None
        try:
            with aws_failures(flow.name):
                if settle_slice(services, flow, day):
                    dates.setdefault((flow.table, day), []).append(flow)
        except (PermanentFailure, TransientFailure) as e:
            came[flow.name, day] = e
    for (_, day), flows in dates.items():
        ended = _publish_date(services, flows, day, run_id, work, audited)
        came |= {(name, day): each for name, each in ended.items()}
    return came


def _publish_date(
    services: Services, flows: Sequence[FeedFlow], day: date, run_id: str, work: Path, audited: Audited
) -> dict[str, Done | Failure]:
    """Publish the settled deliveries of a date, of scopes of one table."""
    ended: dict[str, Done | Failure] = {}
    with ExitStack() as every:
        opened: list[_Open] = []
        for flow in flows:
            held = every.enter_context(ExitStack())
            try:
                opened.append(_judged(services, flow, day, run_id, work, audited, held))
            except (PermanentFailure, TransientFailure) as e:
                ended[flow.name] = _ended(held, e)
        shown = _shown([each for each in opened if each.judged is not None], run_id, work)
        for each in opened:
            name = each.begun.flow.name
            row = shown.get(name)
            if isinstance(row, PermanentFailure | TransientFailure):
                ended[name] = _ended(each.held, row)
                continue
            try:
                with aws_failures(name), each.held.pop_all():
                    ended[name] = close_version(each.begun, each.judged, row)
            except (PermanentFailure, TransientFailure) as e:
                ended[name] = e
    return ended


def _judged(
    services: Services,
    flow: FeedFlow,
    day: date,
    run_id: str,
    work: Path,
    audited: Audited,
    held: ExitStack,
) -> _Open:
    begun = held.enter_context(working(services, flow, day, run_id, TemporaryDirectory(dir=work)))
    with aws_failures(f"{flow.name} {day}"):
        landed = land(begun, alone=True)
        require_no_bad_file(flow, landed)
        return _Open(held, begun, judge(begun, lambda findings: audited(flow, day, findings), landed=landed))


def _shown(opened: Sequence[_Open], run_id: str, work: Path) -> dict[str, Publication | Failure]:
    """What showing came to, by delivery. Where they cannot be shown together for good, each has its own try."""
    if not opened:
        return {}
    try:
        with aws_failures(opened[0].begun.flow.table):
            versions = [(each.begun.flow, each.begun.publication, each.judged) for each in opened if each.judged]
            rows = publish_versions(opened[0].begun.services, versions, run_id, work)
    except PermanentFailure as e:
        if len(opened) == 1:
            return {opened[0].begun.flow.name: e}
        return {name: came for each in opened for name, came in _shown([each], run_id, work).items()}
    except TransientFailure as e:
        return {each.begun.flow.name: e for each in opened}
    return {each.begun.flow.name: row for each, row in zip(opened, rows, strict=True)}


def _ended(held: ExitStack, failure: Failure) -> Failure:
    """Have the work on a delivery end with a failure; as which it was raised in the end."""
    try:
        with held.pop_all():
            raise failure
    except (PermanentFailure, TransientFailure) as e:
        return e
