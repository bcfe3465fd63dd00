"""From a report that is ready to slices in the raw zone: stored as received, verified, split, and each date's rows
handed to the common flow.

Slices of one date are kept in order of asking: a report that was asked for earlier but came later changes nothing. A
slice that repeats what is there is noted and not published again.
"""

import gzip
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from adplatform.amazon.definitions import Dataset, ReportDefinition
from adplatform.amazon.documents import other_options, verify
from adplatform.amazon.http import TurnIsLater
from adplatform.amazon.reports import Document, Progress, ReportApi, ReportOrder, ReportStatus
from adplatform.amazon.slices import SliceFile, Split, split
from adplatform.contracts.undeclared_names import header_of, told_apart
from adplatform.failures import AccessRefused, ClaimLost, EnvironmentFailure, PermanentFailure, TransientFailure
from adplatform.flow.hindrances import end_hindrances
from adplatform.flow.services import Services
from adplatform.flow.slices import Brought, Slice, put_slices
from adplatform.flow.source import FeedFlow
from adplatform.lake.table import table_name
from adplatform.lake.zones import Zones
from adplatform.ledger.leases import Lease
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.observations import Observation
from adplatform.ledger.report import FETCHABLE, Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.platform.aws import longest_call
from adplatform.pull.account import SLICE_FILE, Account, local_zone, slice_file
from adplatform.pull.discover import LISTED_FOR
from adplatform.pull.ends import (
    CLOCKS_DIFFER,
    DOUBTFUL,
    NOT_DECLARED,
    REPORTS,
    give_up,
    hindered,
    is_doubtful,
    refused,
    rest,
    withdraw,
)
from adplatform.pull.notices import notify_given_up
from adplatform.pull.otherwise import checked
from adplatform.transform.json_lines import field_names, opened
from adplatform.transform.layouts import names_taken

log = logging.getLogger(__name__)

EMPTY_SLICE = gzip.compress(b"", mtime=0)
MAX_DOWNLOADS = 4
DOWNLOAD_AGAIN_AFTER = timedelta(minutes=5)


class NotDeclared(PermanentFailure):
    """A report's definition or scope was removed or changed while it was on its way."""


@dataclass(frozen=True)
class Landed:
    """What one report said of one date of one feed, and the slice that it ``brought`` where that was put just now."""

    flow: FeedFlow
    day: date
    observed: Observation
    brought: Brought | None = None

    @property
    def rows(self) -> int:
        return self.observed.rows

    @property
    def changed(self) -> bool:
        """Whether it has rows that nobody had before."""
        return self.observed.landed


def claim(ledger: Ledger, report: Report, run_id: str) -> Report:
    """Take a report that is ready for this run.

    Raises:
        ClaimLost: another run has it, or it has ended.
    """
    if report.state not in FETCHABLE:
        raise ClaimLost(f"{report.feed} {report.key} is {report.state}; this run has nothing to do")
    taken = ledger.reports.claim(report, run_id)
    if taken is None:
        raise ClaimLost(f"{report.feed} {report.key} was taken by another run")
    return taken


def release(ledger: Ledger, claimed: Report) -> Report | None:
    """Let go of a report whose run is stopped from outside, as if it had never been claimed."""
    current = ledger.reports.get(claimed.feed, claimed.key)
    if current is None or current.ended or current.run_id != claimed.run_id:
        return None
    return ledger.reports.give_back(current, current.not_before)


def land(
    services: Services,
    account: Account,
    api: Callable[[], ReportApi],
    claimed: Report,
    work: Path,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[Report, list[Landed]]:
    """Store a claimed report and bring its slices to their deliveries. May run again after a crash at any point.

    A document without rows where there were some ends the report, which is asked for once more.

    Raises:
        TransientFailure: it can be tried again.
        PermanentFailure: what Amazon delivered is no report.
        NotDeclared: nobody wants it any more.
    """
    scope = next((s for s in services.ledger.scopes.of_source(account.source) if s.id == claimed.scope), None)
    definition = account.declared(claimed, scope) if scope else None
    order = account.order(claimed, scope) if scope else None
    if scope is None or definition is None or order is None:
        raise NotDeclared(NOT_DECLARED)
    report, slices, doubt = claimed, [], ""
    if report.document or report.raw_key:
        document = work / "document"
        report = _stored(services, account, api, report, order, document)
        parts = None
        if verify(document, _origin(report)):
            parts = _split(services, account, report, definition, scope, document, work)
            report = _keep_outside(services, account, report, parts)
            slices = list(parts.slices)
        made = checked(account, definition, order, report, slices, report.outside_rows)
        if doubt := "; ".join(filter(None, (made, parts.doubt if parts else ""))):
            log.warning("%s %s: %s", report.feed, report.key, doubt)
        empty = parts is not None and not parts.rows and not definition.discovered
        if empty and is_doubtful(services.ledger, account, report):
            return _must(give_up(services.ledger, account, report, DOUBTFUL, reorder=True), report), []
    landed = [
        each
        for dataset in definition.datasets
        for each in _land(services, account, report, definition, dataset, slices, work, sleep)
    ]
    return _must(services.ledger.reports.landed(report, sum(s.rows for s in slices), doubt), report), landed


def finish(ledger: Ledger, landed: Report, problems: str = "", *, unpublished: bool = False) -> Report | None:
    """The common flow has dealt with every slice; ``problems`` says which dates it could not publish, ``unpublished``
    that those were all that had changed."""
    if landed.ended:
        return landed
    if landed.returned:
        end_hindrances(ledger, landed.source, REPORTS)
    survived = landed.error if landed.attempt <= 1 or not landed.error else f"an earlier try failed: {landed.error}"
    return ledger.reports.finish(landed, problems or survived, unpublished=unpublished)


def published(ledger: Ledger, account: Account, definition: ReportDefinition, flow: FeedFlow, day: date) -> None:
    """Readers see a date after all that the run of its report could not publish."""
    observed = next((o for o in reversed(ledger.observations.of_day(flow.name, day)) if o.landed), None)
    if observed is None or flow.scope is None:
        return
    feed, since = f"{account.source}/{definition.name}/{flow.scope.value}", observed.as_of.date() - timedelta(days=1)
    for report in ledger.reports.of_feed(feed, since):
        if report.report_id == observed.report_id and report.state is ReportState.UNPUBLISHED:
            ledger.reports.published(report)


def failed(services: Services, account: Account, report: Report, error: Exception) -> Report | None:
    """Write to the row that this run could not land the report: it rests, is asked for anew, or is given up."""
    current = services.ledger.reports.get(report.feed, report.key)
    if current is None or current.ended or current.run_id != report.run_id:
        return None
    if current.returned and not isinstance(error, EnvironmentFailure):
        end_hindrances(services.ledger, account.source, REPORTS)
    ended = _after(services, account, current, error)
    notify_given_up(services, account, [ended])
    return ended


def _after(services: Services, account: Account, current: Report, error: Exception) -> Report | None:
    if isinstance(error, AccessRefused):
        return refused(services, account, current, error)
    if isinstance(error, EnvironmentFailure):
        return hindered(services, account, current, error)
    if isinstance(error, NotDeclared):
        return withdraw(services.ledger, current, str(error))
    if isinstance(error, PermanentFailure):
        return give_up(services.ledger, account, current, str(error), reorder=False)
    now, definition = services.ledger.now(), account.definition(current.name)
    # What Amazon made by itself cannot be asked for anew; it is tried for as long as Amazon keeps it.
    discovered = definition is not None and definition.discovered
    if discovered and now - _as_of(current) > LISTED_FOR:
        return give_up(services.ledger, account, current, str(error), reorder=False)
    if not discovered and current.attempt >= MAX_DOWNLOADS and not isinstance(error, TurnIsLater):
        return give_up(services.ledger, account, current, str(error), reorder=True)
    return rest(services.ledger, current, str(error), DOWNLOAD_AGAIN_AFTER * 2 ** min(current.attempt - 1, 5))


def _stored(
    services: Services, account: Account, api: Callable[[], ReportApi], report: Report, order: ReportOrder, target: Path
) -> Report:
    """The document is on disk and in the raw zone, byte for byte as Amazon sent it."""
    s3, bucket = services.s3, services.zones.raw_bucket
    if report.raw_key:
        s3.download_file(bucket, report.raw_key, str(target))
        return report
    ready = Progress(report.report_id, ReportStatus.READY, report.document, report.bytes or None)
    document: Document = api().fetch(order, ready, target)
    if not verify(target, _origin(report)) and report.sequence == 1:
        # A report without rows has a header or brackets, as a rule: nothing at all is believed the second time.
        raise TransientFailure(f"{_origin(report)}: the document has no content")
    key = account.document_key(report)
    services.store.upload(target, bucket, key)
    stored = services.ledger.reports.stored(
        report, key, size=document.size, sha256=document.sha256, charset=document.charset
    )
    return _must(stored, report)


def _split(
    services: Services,
    account: Account,
    report: Report,
    definition: ReportDefinition,
    scope: Scope,
    document: Path,
    work: Path,
) -> Split:
    order = account.order(report, scope)
    asked = order.configuration if order and definition.api != "ads" else {}
    differs = other_options(document, asked, _origin(report))
    # Lists of reports name no options: one that was looked for after a lost answer may be another definition's.
    if differs and report.adopted and account.made_otherwise != "accept":
        raise PermanentFailure(f"{_origin(report)}: another report was adopted: {differs}; nothing changed")
    fixed = {"_as_of": _as_of(report).isoformat(), "_report_id": report.report_id, "_currency": scope.currency}
    waves = {day: _wave(report, definition, day) for day in report.days}
    parts = split(
        document,
        definition.datasets,
        definition.layout,
        start=report.start,
        end=report.end,
        stamp=lambda day: {**fixed, "_wave": waves[day]},
        charset=report.charset,
        country=scope.country,
        origin=_origin(report),
        work=work / "slices",
        zone=local_zone(definition, scope),
        private=definition.restricted,
        spelled=lambda dataset, names: _spelled(services, account.flow(dataset, scope.id), names),
    )
    if not differs:
        return parts
    return replace(parts, doubt="; ".join(filter(None, (f"Amazon says that it made it with {differs}", parts.doubt))))


def _spelled(services: Services, flow: FeedFlow, names: Collection[str]) -> Mapping[str, str]:
    """Members that nobody declared and that the table could not have beside its other columns, with what they are
    called in the slices. What the table calls those that it has already, it says itself."""
    contract = flow.feed.contract
    within = opened(contract)
    declared = {*field_names(contract), *within}
    undeclared = {
        name for name in names if name not in declared and ("." not in name or name.rpartition(".")[0] in within)
    }
    if not undeclared:
        return {}
    table = services.lake.catalog.table(table_name(flow.table, services.settings.database_prefix))
    comments = table.comments if table else {}
    known = {header: name for name, comment in comments.items() if (header := header_of(comment)) is not None}
    taken = names_taken(contract, [flow.scope.column] if flow.scope else [])
    return {
        name: other.removeprefix(f"{name.rpartition('.')[0]}.") if name.rpartition(".")[0] in within else other
        for name, other in told_apart(undeclared, taken, known).items()
    }


def _keep_outside(services: Services, account: Account, report: Report, parts: Split) -> Report:
    """Rows that belong to no date of the report are kept beside it and counted; nothing is dropped."""
    if not parts.outside_rows:
        return report
    key = Zones.quarantine_of(account.source) + account.document_key(report).removeprefix(
        Zones.documents(account.source)
    )
    key += ".outside.json.gz"
    services.store.upload(parts.outside, services.zones.raw_bucket, key)
    log.warning("%s %s: %d rows are of no date that was asked for", report.feed, report.key, parts.outside_rows)
    return _must(services.ledger.reports.note_outside(report, parts.outside_rows, key), report)


def _land(
    services: Services,
    account: Account,
    report: Report,
    definition: ReportDefinition,
    dataset: Dataset,
    slices: list[SliceFile],
    work: Path,
    sleep: Callable[[float], None],
) -> list[Landed]:
    """Every date of one dataset, those without rows too: that rows are gone is also something a report says."""
    flow = account.flow(dataset, report.scope)
    brought = {s.day: s for s in slices if s.feed == dataset.feed}
    with landing_lease(services, flow, f"{report.run_id}/{report.report_id}", sleep) as lease:
        before = services.ledger.observations.between(flow.name, report.start, report.end)
        said = [
            _said(services.ledger, flow, report, definition, day, before.get(day, []), brought.get(day))
            for day in report.days
        ]
        changed = [each.day for each in said if each.landed and each not in before.get(each.day, [])]
        put: dict[date, Brought | None] = {}
        if changed:
            name, nothing = slice_file(definition, report.report_id), work / "no_rows.json.gz"
            nothing.write_bytes(EMPTY_SLICE)
            call = longest_call(services.s3)
            lease.check(call)
            with lease.kept(call):
                paths = {day: brought[day].path if day in brought else nothing for day in changed}
                wanted = [Slice(flow, day, name, paths[day]) for day in changed]
                put = dict(zip(changed, put_slices(services, wanted), strict=True))
        lease.check()
        # After the slices: what is observed as landed is not put again.
        new = [each for each in said if each not in before.get(each.day, [])]
        services.ledger.observations.put_all(flow.name, new)
        return [Landed(flow, each.day, each, put.get(each.day)) for each in said]


def _said(
    ledger: Ledger,
    flow: FeedFlow,
    report: Report,
    definition: ReportDefinition,
    day: date,
    before: list[Observation],
    brought: SliceFile | None,
) -> Observation:
    """What the report says of a date: what this or an earlier run has noted, or what is still to be."""
    own = next((o for o in before if o.report_id == report.report_id), None)
    if own is not None:
        return own
    rows, content = (brought.rows, brought.content) if brought else (0, "")
    # A clock that was far ahead said when these were asked for: they are older than they say.
    misdated = [o for o in before if o.as_of - ledger.now() > CLOCKS_DIFFER]
    newest = before[-1] if before else None
    as_of = _as_of(report)
    adds = definition.discovered and rows > 0
    replaces = (
        newest is None or bool(misdated) or (newest.as_of < as_of and (newest.rows, newest.content) != (rows, content))
    )
    changed = adds or (replaces and not definition.discovered)
    if definition.snapshot:  # what was had of a date first stays: a later document is of a later moment
        changed = newest is None and not ledger.deliveries.get(flow.name, day).published
    return Observation(
        day=day,
        as_of=as_of,
        age=(report.asked_on - day).days,
        wave=_wave(report, definition, day),
        report_id=report.report_id,
        rows=rows,
        content=content,
        landed=changed,
        totals=brought.totals if brought else {},
    )


def landing_lease(
    services: Services, flow: FeedFlow, owner: str, sleep: Callable[[float], None]
) -> AbstractContextManager[Lease]:
    """Put slices of a feed into the raw zone alone."""
    wait, ttl = timedelta(minutes=5), timedelta(minutes=2)
    return services.ledger.lease(f"land/{flow.name}", owner, ttl=ttl, wait=wait, sleep=sleep)


def empty_slice(services: Services, flow: FeedFlow, day: date, work: Path) -> None:
    """Put a slice without rows for a date into the raw zone, and enter it as arrived."""
    nothing = work / "no_rows.json.gz"
    nothing.write_bytes(EMPTY_SLICE)
    put_slices(services, [Slice(flow, day, SLICE_FILE, nothing)])


def _origin(report: Report) -> str:
    return f"{report.feed} report {report.report_id}"


def _as_of(report: Report) -> datetime:
    return (report.requested_at or report.intended_at or datetime.min.replace(tzinfo=UTC)).astimezone(UTC)


def _wave(report: Report, definition: ReportDefinition, day: date) -> int:
    """The last wave of the policy that the date had reached when the report was asked for."""
    return definition.policy.wave_at((report.asked_on - day).days)


def _must(changed: Report | None, report: Report) -> Report:
    if changed is None:
        raise ClaimLost(f"{report.feed} {report.key} was taken by another run; this one stops")
    return changed
