"""Commands that look: the ledger, the tables, and what is in them."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from adplatform.cli.context import connect, console, parse_day
from adplatform.cli.report_history import dates, instant, judged, observation_table
from adplatform.cli.standing import (
    delivery_line,
    ignored_of,
    ignored_table,
    long,
    verdict,
    what_lacks,
)
from adplatform.engines.pattern import EngineFiles
from adplatform.failures import PermanentFailure
from adplatform.flow.cost_guard import budget_of, kept_back, standings
from adplatform.flow.pattern import Pattern, find_feed
from adplatform.flow.retention import archived_now
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.flow.standing import merge_line, waits
from adplatform.lake.details import read_details
from adplatform.lake.table import table_name
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import UNPLACED, ObjectState, is_file_id
from adplatform.ledger.publications import FileOutcome, Publication
from adplatform.patterns import declared_patterns, of_kind
from adplatform.pull.pattern import PulledReports
from adplatform.transform.compile import output_columns


def ledger(
    feed: Annotated[
        str | None,
        typer.Argument(
            help="source, source/feed or source/table/profile, all when not given; or file:..., as tables and messages "
            "call a file."
        ),
    ] = None,
    day: Annotated[str | None, typer.Argument(help="A date: shows its reports or objects, files and versions.")] = None,
    details: Annotated[
        bool, typer.Option(help="With a date: all locations and reasons of the latest version.")
    ] = False,
) -> None:
    """Show what arrived, what became of it, and why."""
    services = connect()
    patterns = declared_patterns(services.settings)
    if feed is not None and is_file_id(feed):
        for line in of_file(services, patterns, feed):
            console.print(line, highlight=False, soft_wrap=True)
        return
    _print_pauses(services.ledger, feed)
    _print_budgets(services, patterns, feed)
    if feed is None or day is None:
        _print_overview(services, patterns, feed)
        return
    owner, _, name = feed.partition("/")
    pattern, flow = next((each for each in patterns if each.source.name == owner), None), None
    if name != UNPLACED:
        pattern, flow = find_feed(patterns, feed)
    delivered = parse_day(day)
    if details:
        _print_details(services, feed, delivered)
        return
    if pattern and flow:
        delivery = services.ledger.deliveries.get(feed, delivered)
        console.print(delivery_line(services, feed, delivery, what_lacks(services, pattern, flow, delivery)))
    if flow is not None and (said := judged(services.ledger.observations.of_day(feed, delivered))):
        accounts = [pulled.account for pulled in of_kind(patterns, PulledReports)]
        datasets = {f"{a.source}/{d.feed}": d for a in accounts for each in a.definitions for d in each.datasets}
        console.print(observation_table(datasets.get(flow.table), said, f"what reports said of {delivered}"))
    arrived = services.ledger.objects.of_day(feed, delivered)
    archived = any(o.archived_key for o in arrived)
    there = archived_now(services.store, flow, delivered) if flow is not None and archived else None
    objects = Table("#", long("object"), "bytes", "state", "seen by", "seen at (UTC)", long("now at"), title="objects")
    for o in arrived:
        state = f"{o.state}: {o.reason}" if o.reason else o.state
        if pattern and o.state is ObjectState.IGNORED:
            state += f"; under the present declaration {verdict(pattern.source, o)}"
        expired = o.archived_key and there is not None and o.archived_key not in there
        elsewhere = "deleted" if o.state is ObjectState.WITHDRAWN else "landing"
        place = "expired" if expired else o.archived_key or elsewhere
        objects.add_row(str(o.number or ""), o.key, str(o.size), state, o.seen_by, instant(o.seen_at), place)
    console.print(objects)
    delivery = services.ledger.deliveries.get(feed, delivered)
    if delivery.error:
        console.print(Text.assemble((f"{delivery.state}: ", "red"), delivery.error), soft_wrap=True)
    versions = services.ledger.publications.of_feed(feed, delivered)
    console.print(publication_table([(feed, v) for v in versions], title="versions"))
    for version in versions[-1:]:
        files = Table(long("file"), "outcome", "rows in", "clean", "superseded", "quarantined", "left out", "sha256",
                      long("reason"), title=f"files of version {version.version}")  # fmt: skip
        for f in services.ledger.publications.file_outcomes(feed, delivered, version.version):
            counts = [str(n) for n in (f.rows_in, f.clean, f.superseded, f.quarantined, f.left_out)]
            files.add_row(f"{f.origin}\n{f.file_id}".rstrip(), f.outcome, *counts, f.sha256[:12], _why(f))
        console.print(files)


def _why(file: FileOutcome) -> str:
    skipped = f"{file.skipped:,} members of it are not read" if file.skipped else ""
    return "; ".join(filter(None, (file.reason, skipped)))


def _print_pauses(ledger: Ledger, feed: str | None) -> None:
    for pause in ledger.pauses.every():
        if feed is None or feed.partition("/")[0] == pause.source:
            console.print(Text(str(pause), style="yellow"), soft_wrap=True)


def _print_budgets(services: Services, patterns: Sequence[Pattern], feed: str | None) -> None:
    """What is kept back because a source has used what it may."""
    for source in (each.source for each in patterns if feed is None or feed.partition("/")[0] == each.source.name):
        found = standings(services.ledger, source.name, budget_of(services.settings, source.budget))
        if over := [each for each in found if each.over]:
            console.print(Text(kept_back(over), style="yellow"), soft_wrap=True)


def of_file(services: Services, patterns: Sequence[Pattern], wanted: str) -> list[str]:
    """What the ledger knows of a file that something else names by its id.

    Raises:
        PermanentFailure: no declared source has such a file.
    """
    owners = dict.fromkeys(pattern.source.name for pattern in patterns)
    found = next((each for owner in owners if (each := services.ledger.objects.named_by(owner, wanted))), None)
    if found is None:
        raise PermanentFailure(f"{wanted}: no declared source has such a file")
    feed, obj = found
    member, key = wanted.partition("#")[2], obj.archived_key or obj.key
    there = services.store.is_there(obj.bucket, key)
    return [
        f"{feed} {obj.day}: {obj.uri}",
        *([f"the row is of data file {member} by name in this archive"] if member else []),
        f"version {obj.version}, {obj.size} bytes, {obj.state}{f': {obj.reason}' if obj.reason else ''}",
        f"now at {key}" if there else "expired: the bucket has it no more",
    ]


def _print_details(services: Services, feed: str, day: date) -> None:
    for version in services.ledger.publications.of_feed(feed, day)[-1:]:
        found = read_details(services.store, version)
        for text in (*found.locations, *reason_lines(found.reasons).splitlines()):
            console.print(text, highlight=False, soft_wrap=True)


def _print_schema(services: Services, flow: FeedFlow) -> None:
    """How the newest files of a feed differ from what is declared."""
    from adplatform.flow.schema_message import standing  # noqa: PLC0415 - few commands need it

    for line in standing(flow, services.ledger.schemas.get(flow.name)):
        console.print(line, highlight=False, soft_wrap=True)


def _print_overview(services: Services, patterns: Sequence[Pattern], wanted: str | None) -> None:
    if not _print_merges(services.ledger, patterns, wanted):
        console.print(_delivery_table(services, patterns, wanted))
        for flow in (each for pattern in patterns for each in pattern.deliveries(services.ledger)):
            if flow.name == wanted:
                _print_schema(services, flow)
        _print_ignored(services.ledger, patterns, wanted)


def _print_merges(ledger: Ledger, patterns: Sequence[Pattern], wanted: str | None) -> bool:
    """Where the merges of tables stand; whether what is wanted is such a table."""
    tables = [(pattern.source.name, table) for pattern in patterns for table in pattern.source.merges]
    for source, table in tables:
        if wanted in (None, source, f"{source}/{table}"):
            line = merge_line(ledger.folds.get(source, table))
            console.print(line, highlight=False, soft_wrap=True)
    return wanted in {f"{source}/{table}" for source, table in tables}


def _print_ignored(ledger: Ledger, patterns: Sequence[Pattern], wanted: str | None) -> None:
    """The ignored objects of a feed; of more than one, how many each has."""
    for source in (pattern.source for pattern in patterns if pattern.source.takes_files):
        names = [*(flow.name for flow in source.feeds), f"{source.name}/{UNPLACED}"]
        if wanted in names:
            table = ignored_table(source, ignored_of(ledger, source, wanted))
            if table:
                console.print(table)
        elif wanted in (None, source.name):
            counts = Counter(at.feed for at in ledger.objects.ignored(source.name))
            for name, count in sorted(counts.items()):
                console.print(f"{name}: {count} ignored objects; `adplatform ledger {name}` says why", soft_wrap=True)


def _delivery_table(services: Services, patterns: Sequence[Pattern], wanted: str | None) -> Table:
    """One row per delivery; of several scopes of a table, one for all dates of a scope that stand alike."""
    flows = {flow.name: (pattern, flow) for pattern in patterns for flow in pattern.deliveries(services.ledger)}
    names = [name for name in flows if wanted is None or f"{name}/".startswith(f"{wanted}/")]
    if not names and wanted is not None:
        names = [wanted]
        tables = {flow.table for pattern in patterns for flow in pattern.source.feeds}
        if not wanted.endswith(UNPLACED) and wanted not in tables:
            find_feed(patterns, wanted)
    table = Table(long("feed"), "date", "state", "version", "pending", "changed (UTC)", long("note"))
    for name in names:
        deliveries = services.ledger.deliveries.of_feed(name)
        scoped = name in flows and flows[name][1].scope is not None
        if scoped and len(names) > 1:
            for state in sorted({d.state for d in deliveries}):
                alike = [d for d in deliveries if d.state is state]
                first, last = min(d.day for d in alike), max(d.day for d in alike)
                changed = instant(max(d.changed_at for d in alike if d.changed_at))
                note = next((d.error for d in alike if d.error), "")
                counted = f"{dates(first, last)}, {len(alike)} dates" if len(alike) > 1 else str(first)
                table.add_row(name, counted, state, "", str(sum(d.pending for d in alike)), changed, note)
        else:
            for d in deliveries:
                wait = what_lacks(services, *flows[name], d) if name in flows and not scoped else None
                lacks = waits(wait) if wait and wait.because != d.error else ""
                changed, note = instant(d.changed_at), d.error or lacks or d.settled_because
                table.add_row(name, str(d.day), d.state, str(d.version), str(d.pending), changed, note)
    return table


def publication_table(rows: list[tuple[str, Publication]], title: str | None = None) -> Table:
    """Per version: files, where the rows went and why, the table, and how long it took."""
    table = Table(title=title, box=SIMPLE, pad_edge=False)
    table.add_column("feed, table", no_wrap=True)
    table.add_column("date", no_wrap=True)
    for heading in ("version", "files", "rows in", "clean", "super-\nseded", "quaran-\ntined", "left\nout"):
        table.add_column(heading, justify="right")
    table.add_column("of these, by reason")
    table.add_column("seconds", justify="right")
    table.add_column("state")
    for feed, p in rows:
        counts = (p.version, p.objects, p.rows_in, p.clean, p.superseded, p.quarantined, p.left_out)
        reasons = reason_lines(p.reasons, p.reason_count)
        named = f"{feed}\n{p.table}" if p.table else feed
        state = Text(f"{p.state}: {p.note}" if p.note else p.state, style="red" if p.error else "green")
        table.add_row(named, str(p.day), *(f"{n:,}" for n in counts), reasons, f"{p.seconds:.1f}", state)
    return table


def reason_lines(reasons: Mapping[str, int], known: int = 0) -> str:
    """A line for each reason that the ledger has, and how many there are beside."""
    more = [f"and {known - len(reasons):,} more reasons"] if known > len(reasons) else []
    return "\n".join([*(f"{count} {reason}" for reason, count in sorted(reasons.items())), *more])


def tables() -> None:
    """List the clean tables, their columns and partitions."""
    from adplatform.lake.query import open_tables  # noqa: PLC0415 - pyarrow.dataset brings all of pandas

    services = connect()
    listed = Table("table", "partitions", "columns")
    for found in open_tables(services.glue, services.settings.database_prefix):
        partitions = "iceberg" if found.iceberg else str(len(found.locations))
        listed.add_row(found.qualified, partitions, ", ".join(name for name, _ in found.columns))
    console.print(listed)


def query(
    sql: Annotated[str, typer.Argument(help="DuckDB SQL over the clean tables, e.g. select * from clean_acme.orders")],
    limit: Annotated[int, typer.Option(help="Rows to show at most.")] = 50,
) -> None:
    """Query the clean tables on this machine, through the catalog as any reader would."""
    from adplatform.lake.query import run_query  # noqa: PLC0415 - pyarrow.dataset brings all of pandas

    services = connect()
    names, rows = run_query(
        services.aws, services.glue, services.settings.database_prefix, sql, limit, services.settings.memory_limit
    )
    shown = Table(*names)
    for row in rows:
        shown.add_row(*("NULL" if v is None else str(v) for v in row))
    console.print(shown)
    if len(rows) == limit:
        console.print(f"the first {limit} rows; --limit shows more")


def collect(
    dry_run: Annotated[bool, typer.Option(help="Only say what would be removed.")] = False,
) -> None:
    """Remove table versions that nothing has referred to for ADPLATFORM_KEEP_DAYS, and forget runs of long ago."""
    from adplatform.engines.watches import engine_watches  # noqa: PLC0415 - brings all engines
    from adplatform.flow.collection import collect_source  # noqa: PLC0415 - brings what publishes

    services = connect()
    run_id = f"collect/{services.ledger.now().isoformat()}"
    patterns = declared_patterns(services.settings)
    for pattern in patterns if not dry_run else ():
        own = [pattern.watch(services)] if isinstance(pattern, EngineFiles) else []
        if rows := sum(watch.forget() for watch in (*engine_watches(services, pattern.source), *own)):
            console.print(f"{pattern.source.name}: forgot {rows} rows of runs of long ago")
    for source in (pattern.source for pattern in patterns):
        for flow, collected in collect_source(services, source, run_id, dry_run=dry_run):
            for location in collected.removed:
                console.print(f"{'would remove' if dry_run else 'removed'} {location}", highlight=False, soft_wrap=True)
            for folder in collected.repaired:
                console.print(f"{'would repair' if dry_run else 'repaired'} {folder}", highlight=False, soft_wrap=True)
            for sentence in (*collected.compared.repaired, *collected.compared.to_report):
                console.print(sentence, highlight=False, soft_wrap=True)
            if collected.compared.unclear:
                console.print(f"{flow.table}: nothing is removed until that is clear")
            if collected.originals:
                how = "would be removed" if dry_run else "were removed"
                console.print(f"{flow.table}: {collected.originals} originals that are merged {how}")
            if collected.waiting:
                console.print(f"{flow.table}: {len(collected.waiting)} replaced locations wait for their time")


def crawl(
    feed: Annotated[str, typer.Argument(help="A feed, as source/feed.", show_default=False)],
    role: Annotated[str, typer.Option(help="Role that the crawler reads with, by name or ARN.")] = "",
    database: Annotated[str, typer.Option(help="Database for the crawler alone.")] = "adplatform_crawled",
) -> None:
    """Let a Glue crawler read a table's files and compare what it finds with what is registered."""
    from adplatform.lake.crawler import CrawlSettings, compare_with_crawler  # noqa: PLC0415

    services = connect()
    _, flow = find_feed(declared_patterns(services.settings), feed)
    reader = role or services.settings.crawler_role
    differences = compare_with_crawler(
        services.lake,
        flow.table,
        table_name(flow.table, services.settings.database_prefix),
        CrawlSettings(reader, database, poll=timedelta(seconds=1 if services.settings.env == "local" else 5)),
        declared=[column.name for column in output_columns(flow.feed.contract)],
        sleep=time.sleep,
    )
    for difference in differences:
        console.print(difference, highlight=False, soft_wrap=True)
    if differences:
        raise typer.Exit(1)
    console.print("the crawler finds what is registered")
