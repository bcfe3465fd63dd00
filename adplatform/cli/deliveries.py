"""Commands that bring files in and move deliveries on."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from adplatform.cli.context import connect, console, errors, parse_day, say_if_paused
from adplatform.cli.pauses import require_source
from adplatform.engines.pattern import EngineFiles
from adplatform.failures import PermanentFailure
from adplatform.flow.cost_guard import guard
from adplatform.flow.decisions import try_again
from adplatform.flow.pattern import find_feed, require_known
from adplatform.flow.provision import open_settler, provision
from adplatform.ledger.delivery import BUSY
from adplatform.patterns import declared_patterns
from adplatform.platform.late import Late
from adplatform.sftp.places import remote_path

if TYPE_CHECKING:
    from adplatform.engines import watches
else:
    watches = Late("adplatform.engines.watches")

FeedName = Annotated[str, typer.Argument(help="A feed, as source/feed.", show_default=False)]
Day = Annotated[str, typer.Argument(help="The delivery date, YYYY-MM-DD.", show_default=False)]
Files = Annotated[list[Path], typer.Argument(help="Files as the partner would send them.", exists=True, dir_okay=False)]


def push(
    feed: FeedName,
    files: Files,
    date: Annotated[str | None, typer.Option(help="Delivery date; today in UTC if not given.")] = None,
    name: Annotated[str | None, typer.Option(help="Name to give a single file.")] = None,
) -> None:
    """Drop files into a feed's landing zone, as a partner would, or into the simulated store or server that they are
    brought from."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    from adplatform.resources.provisioning import provision_patterns  # noqa: PLC0415 - brings all engines

    services = connect()
    pattern, flow = find_feed(declared_patterns(services.settings), feed)
    store = pattern.task(services) if isinstance(pattern, EngineFiles) else None
    server = pattern.simulated_host if isinstance(pattern, EngineFiles) else None
    if not pattern.source.takes_files and not (store and store.simulated) and server is None:
        raise PermanentFailure(f"{feed} is filled by the platform itself; nothing can be pushed to it")
    day = parse_day(date) if date else datetime.now(UTC).date()
    if name and len(files) > 1:
        raise PermanentFailure("--name is for a single file")
    if server is not None:
        from adplatform.resources.simulated_host import put_file  # noqa: PLC0415 - brings HTTP

        provision_patterns(services, [pattern])
        for file in files:
            path = remote_path(flow.feed, day, name or file.name, datetime.now(UTC).date())
            put_file(services, server, path, file.read_bytes())
            console.print(f"put {path} on the simulated server", highlight=False, soft_wrap=True)
        return
    bucket, arguments = services.zones.raw_bucket, services.zones.put_arguments
    if store is not None:
        provision_patterns(services, [pattern])
        bucket, arguments = store.store_bucket, {}
    elif services.settings.env == "local":
        provision(services, [pattern.source])
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        for file in files:
            key = flow.layout.key(day, name or file.name)
            key = key if store is None else store.at_source(key)
            task = progress.add_task(file.name, total=file.stat().st_size)
            services.s3.upload_file(
                str(file),
                bucket,
                key,
                ExtraArgs=arguments,
                Callback=lambda sent, task=task: progress.advance(task, sent),
            )
            console.print(f"pushed s3://{bucket}/{key}", highlight=False, soft_wrap=True)


def process(
    source: Annotated[
        str | None, typer.Argument(help="A source, to work on that alone and say what is done.", show_default=False)
    ] = None,
    wait: Annotated[float, typer.Option(help="Stop when nothing was due for this many seconds.")] = 0,
    take_over: Annotated[
        bool, typer.Option(help="Start runs here from now on, whichever Dagster instance did before.")
    ] = False,
) -> None:
    """Process whatever is due, here and now, without sensors or a daemon. Ends with status 1 while anything has
    failed."""
    from adplatform.cli.headless import declared_automations, nobody, process_all  # noqa: PLC0415 - Dagster takes seconds to import
    from adplatform.resources.provisioning import provision_patterns  # noqa: PLC0415 - as above

    services = connect()
    patterns = declared_patterns(services.settings)
    if source is not None:
        require_source(source, [pattern.source.name for pattern in patterns])
        patterns = [pattern for pattern in patterns if pattern.source.name == source]
    if services.settings.env == "local":
        provision_patterns(services, patterns)
    guard(services, (pattern.source for pattern in patterns))
    every = declared_automations()
    automations = every if source is None else [each for each in every if each.source == source]
    told = partial(console.print, highlight=False, soft_wrap=True) if source is not None else nobody
    ok = process_all(services, automations, wait, console, errors, take_over=take_over, told=told)
    failed = [each for pattern in patterns for each in watches.everything_failed(services, pattern) if each.counts]
    for each in failed:
        console.print(Text.assemble(("has failed ", "red"), str(each)), soft_wrap=True)
    if failed or not ok:
        raise typer.Exit(1)


def settle(feed: FeedName, day: Day) -> None:
    """Settle a delivery with what is there, without waiting for the rest."""
    services = connect()
    pattern, flow = find_feed(declared_patterns(services.settings), feed)
    if not pattern.source.takes_files:
        raise PermanentFailure(f"{feed} is filled by the platform itself, and its dates settle so too; see `retry`")
    settler = open_settler(services, pattern.source)
    settler.arrivals.receive()
    settler.arrivals.reconcile(flow.layout.day_prefix(parse_day(day)))
    delivery = services.ledger.deliveries.get(flow.name, parse_day(day))
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
    say_if_paused(services, pattern.source.name)


def retry(
    name: Annotated[str | None, typer.Argument(help="A source, or a feed as source/feed.", show_default=False)] = None,
    day: Annotated[
        str | None, typer.Argument(help="A delivery date of a feed, YYYY-MM-DD.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that has failed.")] = False,
) -> None:
    """Process again what has failed: everything, all of a source or feed, or one delivery, failed or not, as a new
    version after a fix of the contract, a key or the partner's file."""
    if everything == (name is not None):
        raise PermanentFailure("say what to retry: a feed and a date, a source or feed, or --all")
    services = connect()
    patterns = declared_patterns(services.settings)
    if name is not None and day is not None:
        if name in {pattern.source.name for pattern in patterns}:
            raise PermanentFailure(f"{name} is a source: name one of its feeds before the date, or leave the date out")
        _, flow = find_feed(patterns, name)
        try_again(services.ledger, flow, parse_day(day))
        console.print(f"{name} {day}: reopened; the sensor or `adplatform process` runs it")
        say_if_paused(services, flow.source)
        return
    names = {each for pattern in patterns for each in watches.engine_names(pattern.source)}
    if name is not None and name not in names:
        require_known(services.ledger, patterns, name)
    every = (each for pattern in patterns for each in watches.everything_failed(services, pattern))
    failed = [each for each in every if _is_of(each.name, name)]
    done = [each.retry(services) for each in failed]
    for retried in done:
        console.print(retried.sentence, highlight=False, soft_wrap=True)
    nothing = f"nothing of {name} has failed" if name else "nothing has failed"
    count = sum(retried.changed for retried in done)
    console.print(f"{count} retried; the sensor or `adplatform process` runs them" if done else nothing)
    for source in dict.fromkeys(each.name.partition("/")[0] for each in failed):
        say_if_paused(services, source)


def _is_of(feed: str, wanted: str | None) -> bool:
    return wanted is None or f"{feed}/".startswith(f"{wanted}/")
