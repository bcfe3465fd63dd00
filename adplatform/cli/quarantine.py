"""Commands for files and rows that broke their contract: look at them, try them again, or leave them out."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from adplatform.cli.context import connect, console, parse_day
from adplatform.cli.deliveries import Day, FeedName, push
from adplatform.cli.history import reason_lines
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.decisions import leave_out, try_again
from adplatform.flow.pattern import Pattern, find_feed
from adplatform.flow.retention import has_expired
from adplatform.flow.source import FeedFlow
from adplatform.lake.quarantine import Entry, QuarantinedRow, export, latest_entries, read_rows
from adplatform.ledger.ledger import Ledger
from adplatform.patterns import declared_patterns

SHOWN_FILES = 20


def list_(feed: Annotated[str | None, typer.Argument(help="A feed; all when not given.")] = None) -> None:
    """List deliveries whose latest version has broken rows or files."""
    services = connect()
    patterns = declared_patterns(services.settings)
    flows = [find_feed(patterns, feed)[1]] if feed else _all_feeds(services.ledger, patterns)
    table = Table("feed", "date", "version", "rows", "reasons", "files", box=SIMPLE)
    for flow in flows:
        for entry in latest_entries(services.ledger, flow.name):
            rows = f"{entry.rows}, expired" if has_expired(flow, entry, services.ledger.now()) else str(entry.rows)
            reasons = reason_lines(entry.reasons, entry.reason_count)
            files = listed((f.reason for f in entry.files), SHOWN_FILES, "\n")
            table.add_row(flow.name, str(entry.day), str(entry.version), rows, reasons, Text(files))
    console.print(table)


def _all_feeds(ledger: Ledger, patterns: list[Pattern]) -> list[FeedFlow]:
    return [flow for pattern in patterns for flow in pattern.deliveries(ledger)]


def show(
    feed: FeedName,
    day: Day,
    limit: Annotated[int, typer.Option(help="Rows at most.")] = 20,
    reveal: Annotated[bool, typer.Option(help="Show values of all columns, raw text and file names.")] = False,
    to: Annotated[Path | None, typer.Option(help="Write all rows to this .csv or .ndjson file instead.")] = None,
) -> None:
    """Show the quarantined rows of a delivery's latest version, with reason and origin.

    Without --reveal only values of columns that are declared clear are shown: declared, not personal, and no free text.
    """
    services = connect()
    _, flow = find_feed(declared_patterns(services.settings), feed)
    entry = next((e for e in latest_entries(services.ledger, flow.name) if e.day == parse_day(day)), None)
    if entry is None or not entry.key:
        console.print(f"{feed} {day}: no rows in quarantine")
        return
    if not services.store.is_there(services.zones.raw_bucket, entry.key):
        console.print(
            f"{feed} {day}: {entry.rows} rows, expired: the quarantine does not keep them any more (`retention`); "
            f"`adplatform quarantine replay {feed} {day}` makes them again from the originals",
            soft_wrap=True,
        )
        return
    rows = read_rows(services.store, entry.key, flow.feed.contract, limit=None if to else limit, reveal=reveal)
    if reveal:
        rows = _with_names(services.ledger, flow, entry, rows)
    if to:
        with to.open("w", encoding="utf-8", newline="") as out:
            count = export(rows, "csv" if to.suffix == ".csv" else "ndjson", out)
        console.print(f"{count} rows written to {to}")
        return
    table = Table("file", "line", "reasons", "row", box=SIMPLE)
    for row in rows:
        text = row.raw if row.raw is not None else json.dumps(dict(row.fields or {}), ensure_ascii=False)
        file = row.source_file.rsplit("/", 1)[-1]
        table.add_row(Text(file), str(row.line or ""), "\n".join(row.reasons), Text(text))
    console.print(table)


def _with_names(
    ledger: Ledger, flow: FeedFlow, entry: Entry, rows: Iterator[QuarantinedRow]
) -> Iterator[QuarantinedRow]:
    """The rows with the names of their files, which the ledger has."""
    names = {obj.file_id: obj.uri for obj in ledger.objects.of_day(flow.name, entry.day)}
    for row in rows:
        file, joint, member = row.source_file.partition("#")
        yield replace(row, source_file=f"{names[file]}{joint}{member}") if file in names else row


def replay(
    feed: FeedName,
    day: Day,
    fixed: Annotated[
        list[Path] | None,
        typer.Option("--with", help="Files with corrected rows to add.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """Process the delivery again from its originals, under the contract as it is now, as a new version.

    Rows that meet the contract now move from the quarantine to the table. Files given with --with become part of the
    delivery, so its counts still add up.
    """
    services = connect()
    _, flow = find_feed(declared_patterns(services.settings), feed)
    delivery = services.ledger.deliveries.get(flow.name, parse_day(day))
    if not delivery.version:
        raise PermanentFailure(f"{feed} {day}: no version has settled, so nothing is in quarantine")
    if fixed and (flow.feed.pgp or flow.feed.arrival.complete_when == "manifest"):
        raise PermanentFailure(f"{feed} takes encrypted or listed files only: ask the partner for a corrected delivery")
    if fixed:
        push(feed, fixed, date=day)
    try_again(services.ledger, flow, delivery.day)
    console.print(f"{feed} {day}: reopened; the sensor or `adplatform process` runs it")


def drop(
    feed: FeedName,
    day: Day,
    key: Annotated[str, typer.Argument(help="The object's key, or the end of it; or file:..., as messages call it.")],
) -> None:
    """Leave a file out of its delivery for good. It is archived, and the ledger says that it was left out."""
    services = connect()
    _, flow = find_feed(declared_patterns(services.settings), feed)
    dropped = leave_out(services.ledger, flow, parse_day(day), key)
    console.print(f"{dropped} is left out; the sensor or `adplatform process` publishes the rest", soft_wrap=True)
