"""Commands that bring files in and move deliveries on."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from adplatform.cli.context import connect, console, declared_accounts, declared_sources, errors, find_feed, parse_day
from adplatform.failures import PermanentFailure
from adplatform.flow.clean import try_file
from adplatform.flow.decisions import try_again
from adplatform.flow.provision import open_settler, provision
from adplatform.flow.settings import read_settings
from adplatform.flow.settling import BUSY

FeedName = Annotated[str, typer.Argument(help="A feed, as source/feed.", show_default=False)]
Day = Annotated[str, typer.Argument(help="The delivery date, YYYY-MM-DD.", show_default=False)]
Files = Annotated[list[Path], typer.Argument(help="Files as the partner would send them.", exists=True, dir_okay=False)]


def push(
    feed: FeedName,
    files: Files,
    date: Annotated[str | None, typer.Option(help="Delivery date; today in UTC if not given.")] = None,
    name: Annotated[str | None, typer.Option(help="Name to give a single file.")] = None,
) -> None:
    """Drop files into a feed's landing zone, as a partner would."""
    services = connect()
    source, flow = find_feed(declared_sources(services.settings), feed)
    if flow.scope:
        raise PermanentFailure(f"{feed} is filled from reports that Amazon makes; nothing can be pushed to it")
    day = parse_day(date) if date else datetime.now(UTC).date()
    if name and len(files) > 1:
        raise PermanentFailure("--name is for a single file")
    if services.settings.env == "local":
        provision(services, [source])
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        for file in files:
            key = flow.layout.key(day, name or file.name)
            task = progress.add_task(file.name, total=file.stat().st_size)
            services.s3.upload_file(
                str(file),
                services.zones.raw_bucket,
                key,
                ExtraArgs=services.zones.put_arguments,
                Callback=lambda sent, task=task: progress.advance(task, sent),
            )
            console.print(f"pushed s3://{services.zones.raw_bucket}/{key}", highlight=False, soft_wrap=True)


def check_file(feed: FeedName, file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)]) -> None:
    """Try a decrypted file against a feed's contract, on this machine, without any service."""
    _, flow = find_feed(declared_sources(read_settings()), feed)
    with tempfile.TemporaryDirectory() as work:
        staged = try_file(flow, file, Path(work))
    table = Table("rows", "count")
    for label, count in (("in", staged.rows_in), ("clean", staged.clean), ("superseded", staged.superseded)):
        table.add_row(label, str(count))
    for reason, count in staged.reasons.items():
        table.add_row(f"quarantined: {reason}", str(count))
    console.print(table)
    if staged.quarantined:
        raise typer.Exit(1)


def process(
    wait: Annotated[float, typer.Option(help="Stop when nothing was due for this many seconds.")] = 0,
) -> None:
    """Process whatever is due, here and now, without sensors or a daemon."""
    from adplatform.cli.headless import process_all  # noqa: PLC0415 - Dagster takes seconds to import

    services = connect()
    if services.settings.env == "local":
        provision(services, declared_sources(services.settings))
    if not process_all(services, declared_accounts(), wait, console, errors):
        raise typer.Exit(1)


def settle(feed: FeedName, day: Day) -> None:
    """Settle a delivery with what is there, without waiting for the rest."""
    services = connect()
    source, flow = find_feed(declared_sources(services.settings), feed)
    if flow.scope:
        raise PermanentFailure(f"{feed} is filled from reports, whose dates settle by themselves; see `retry`")
    settler = open_settler(services, source)
    settler.receive()
    settler.reconcile(flow.layout.day_prefix(parse_day(day)))
    delivery = services.ledger.delivery(flow.name, parse_day(day))
    if not delivery.pending:
        raise PermanentFailure(f"{feed} {day}: nothing is waiting")
    if delivery.state in BUSY:
        raise PermanentFailure(
            f"{feed} {day}: version {delivery.version} is {delivery.state}; settle when it has ended"
        )
    settled = settler.settle(flow, delivery, anyway=True)
    if settled is None:
        raise PermanentFailure(
            f"{feed} {day} changed meanwhile; look at `adplatform ledger {feed} {day}` and try again"
        )
    console.print(f"{feed} {day}: version {settled.version} settled; the sensor or `adplatform process` runs it")


def retry(feed: FeedName, day: Day) -> None:
    """Process a delivery again as a new version: after a fix of the contract, a key or the partner's file."""
    services = connect()
    _, flow = find_feed(declared_sources(services.settings), feed)
    try_again(services, flow, parse_day(day))
    console.print(f"{feed} {day}: reopened; the sensor or `adplatform process` runs it")
