"""The care of a source's tables, as its schedules and the command line apply it: catalog and ledger are compared, what
readers cannot reach any more is removed."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from adplatform.failures import PermanentFailure, TransientFailure, clipped
from adplatform.flow.originals import expire_originals
from adplatform.flow.retention import expire
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.agreement import Compared, compare
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import Named, table_name, table_spec
from adplatform.lake.zones import JOINT
from adplatform.ledger.folds import Fold
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.placements import Placement
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings
from adplatform.transform.compile import output_columns, partition_column

log = logging.getLogger(__name__)
T = TypeVar("T")

RECENT = timedelta(days=2)
"""For how long after its publication a delivery is compared with the catalog every hour; later it is once a day."""
_MOST_NAMED = 20


def collect_source(
    services: Services, source: Source, run_id: str, *, dry_run: bool = False
) -> Iterator[tuple[FeedFlow, Collected]]:
    """Compare each table with the ledger, and remove what nothing has referred to for ``keep_days``. What a merge
    begins with stays, however long one waits or fails. Originals go that are to be kept for a while only, and on the
    embedded AWS what S3 would remove by lifecycle rules.

    Raises:
        PermanentFailure, TransientFailure: as :func:`adplatform.lake.retention.collect`.
    """
    settings, now = services.settings, services.ledger.now()
    settings.temp.mkdir(parents=True, exist_ok=True)
    if settings.env == "local":
        expired = expire(services, source, dry_run=dry_run)
        if expired:
            log.info(
                "%s: %d objects were kept for long enough%s", source.name, expired, " (dry run)" if dry_run else ""
            )
    merged = [flow for flow in source.derived if flow.feed.partition_by is None]
    folds = [services.ledger.folds.get(flow.source, flow.feed.name) for flow in source.derived]
    kept = {location for row in folds for location in _begun_with(services, row)}

    def collected_of(flow: FeedFlow) -> Collected:
        table = named_table(services.settings, flow)
        keep = timedelta(days=settings.keep_days)
        collected = collect(
            services.lake,
            flow.table,
            table,
            keep=keep,
            now=now,
            run_id=run_id,
            temp=settings.temp,
            dry_run=dry_run,
            compacting=flow not in merged,  # a merge goes on with the files of the one before, one for each bucket
            needed=kept | {location for row in folds if row.plan for location in _read_by(services, flow, row)},
        )
        if not dry_run:
            report(services, flow, collected.compared, whole=True)
        return replace(collected, originals=expire_originals(services, flow, dry_run=dry_run))

    yield from each_in_turn((*tables_of(source), *source.derived), collected_of)


def each_in_turn(flows: Iterable[FeedFlow], work: Callable[[FeedFlow], T]) -> Iterator[tuple[FeedFlow, T]]:
    """What comes of each, whatever becomes of the others.

    Raises:
        PermanentFailure, TransientFailure: that of the first that failed, once all have had their turn.
    """
    failures: list[PermanentFailure | TransientFailure] = []
    for flow in flows:
        try:
            done = work(flow)
        except (PermanentFailure, TransientFailure) as e:
            log.warning("%s: %s", flow.table, e)
            failures.append(e)
        else:
            yield flow, done
    if failures:
        raise failures[0]


def _begun_with(services: Services, row: Fold) -> Iterator[str]:
    """Where the files are with which the next merge of a table begins, whatever a try of it has shown since."""
    yield from row.locations.values()
    if row.plan:
        s3, bucket, prefix = services.s3, services.zones.raw_bucket, services.zones.merge(row.name, row.next)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                state = json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
                yield from state.get("replaced", {}).values()


def _read_by(services: Services, flow: FeedFlow, row: Fold) -> Iterator[str]:
    """Where the deliveries of a feed are that the planned merge may read, of which readers see later versions."""
    ledger, reached = services.ledger, row.next_plan.reached
    placed = {placement.day: placement.version for placement in ledger.placements.of_feed(flow.name)}
    day, _, version = reached.complete.partition("/")
    for each, wanted in {*reached.versions.items(), *({(day, int(version))} if day else ())}:
        if placed.get(date.fromisoformat(each), wanted) != wanted:
            publication = ledger.publications.get(flow.name, date.fromisoformat(each), wanted)
            yield from publication.locations if publication else ()


def compare_recent(services: Services, source: Source, run_id: str) -> Iterator[tuple[FeedFlow, Compared]]:
    """Compare what was placed in the last days with the catalog, repair what is certain and report the rest.

    Raises:
        PermanentFailure: AWS does not allow it.
        TransientFailure: another run holds a table, or AWS did not answer.
    """
    since = services.ledger.now() - RECENT
    scopes = [scope.id for scope in services.ledger.scopes.of_source(source.name)]
    temp = services.settings.temp
    temp.mkdir(parents=True, exist_ok=True)

    def compared_of(flow: FeedFlow) -> Compared | None:
        with aws_failures(f"the table of {flow.table}"):
            recent = {
                scope: services.ledger.placements.of_feed(f"{flow.table}/{scope}" if scope else flow.table, since)
                for scope in ["", *scopes]
            }
            if not any(recent.values()):
                return None
            compared = _compare(services, flow, _partitions(services.ledger, flow, recent), run_id, temp)
            report(services, flow, compared, whole=False)
            return compared

    for flow, compared in each_in_turn((*tables_of(source), *source.derived), compared_of):
        if compared is not None:
            yield flow, compared


def tables_of(source: Source) -> list[FeedFlow]:
    """One flow for each table of the source."""
    return list({flow.table: flow for flow in source.feeds}.values())


def named_table(settings: Settings, flow: FeedFlow) -> Named:
    """The table of a feed, with all that is needed to merge slices where deliveries meet in a partition."""
    prefix = settings.database_prefix
    if partition_column(flow.feed.contract) is None:
        return table_name(flow.table, prefix)
    contract = flow.feed.contract
    return table_spec(flow.table, contract, output_columns(contract), database_prefix=prefix)


def report(services: Services, flow: FeedFlow, compared: Compared, *, whole: bool) -> None:
    """Say what was repaired, and once what somebody must look at; again when it could not be sent. Only the comparison
    of the ``whole`` table knows that there is nothing any more."""
    notifier, facts = services.notifier(flow.topics), {"table": flow.table}
    if compared.repaired:
        subject = f"{flow.table}: readers saw something else than what is published; it is repaired"
        notifier.failure("catalog_repaired", subject, {**facts, "repaired": _first(compared.repaired)})
    what = f"catalog/{flow.table}"
    known = services.ledger.messages.troubles(flow.source).get(what)
    if compared.to_report:
        text = clipped("; ".join(_first(compared.to_report)))
        if known is None or (whole and known.error != text):
            subject = f"{flow.table}: catalog and ledger disagree; run `adplatform doctor`"
            if notifier.failure("catalog_disagrees", subject, {**facts, "problems": _first(compared.to_report)}):
                services.ledger.messages.note_trouble(flow.source, what, text)
    elif known is not None and whole:
        services.ledger.messages.clear_trouble(flow.source, what)


def _first(sentences: tuple[str, ...]) -> list[str]:
    more = len(sentences) - _MOST_NAMED
    return [*sentences[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]


def _compare(services: Services, flow: FeedFlow, values: set[str], run_id: str, temp: Path) -> Compared:
    """Looks first, and holds up publishers only where there is something to repair."""
    lake, table = services.lake, named_table(services.settings, flow)
    seen = compare(lake, None, flow.table, table, values=values, run_id=run_id, temp=temp)
    if not seen:
        return seen
    with lake.alone(flow.table, run_id) as lease, lease.kept(lake.call):
        return compare(lake, lease, flow.table, table, values=values, run_id=run_id, temp=temp)


def _partitions(ledger: Ledger, flow: FeedFlow, recent: dict[str, list[Placement]]) -> set[str]:
    if partition_column(flow.feed.contract) is not None:
        days = {placement.day for placement in recent[""]}
        return {part.partition for part in ledger.placements.all_slices(flow.table) if part.day in days}
    return {
        f"{placement.day}{JOINT}{scope}" if scope else str(placement.day)
        for scope, placements in recent.items()
        for placement in placements
    }
