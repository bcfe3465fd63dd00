"""The command that compares what a store or a server elsewhere has with what has landed and been delivered."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from adplatform.cli.context import connect, console
from adplatform.cli.engine_runs import last_part
from adplatform.engines.inventory import Inventory, take_inventory
from adplatform.engines.pattern import TASK, EngineFiles
from adplatform.engines.sftp.connector import is_listing
from adplatform.engines.sftp.inventory import take_inventory as listed_files
from adplatform.engines.sftp.targets import FILES
from adplatform.failures import PermanentFailure, wrapped
from adplatform.ledger.engine_run import EngineRun
from adplatform.patterns import declared_patterns, of_kind


def inventory(
    source: Annotated[str, typer.Argument(help="A source whose files are replicated or fetched.", show_default=False)],
    files: Annotated[bool, typer.Option("--files", help="List every file with its state.")] = False,
) -> None:
    """Compare what a store or a server elsewhere has with what has landed and been delivered; nothing is downloaded."""
    services = connect()
    patterns = of_kind(declared_patterns(services.settings), EngineFiles)
    known = {each.source.name: each for each in patterns if _is_known(each)}
    if source not in known:
        raise PermanentFailure(f"no store or server is known of {source!r}; there are {wrapped(known) or 'none'}")
    pattern = known[source]
    replicated = TASK in pattern.names_of_targets
    found = take_inventory(services, pattern) if replicated else listed_files(services, pattern.source)
    show(source, found)
    if files:
        for item in found.items:
            why = f": {item.reason}" if item.reason else ""
            line = f"{item.state:<22}{item.size:>16,}  {item.path}{why}"
            console.print(line, highlight=False, soft_wrap=True)


def _is_known(pattern: EngineFiles) -> bool:
    names = pattern.names_of_targets
    return any(name in (TASK, FILES) or is_listing(name) for name in names)


def show(source: str, found: Inventory) -> None:
    console.print(f"{source}: {found.seen}", highlight=False, soft_wrap=True)
    table = Table("state", "files", "bytes", box=SIMPLE)
    for state, (files, size) in found.counts().items():
        table.add_row(str(state), f"{files:,}", f"{size:,}")
    console.print(table)
    if found.initial is None:
        console.print("no run has brought anything yet")
        return
    console.print(f"first run: {_told(found.initial)}", soft_wrap=True, highlight=False)
    if found.latest is not None and found.later:
        console.print(
            f"since then {found.later:,} more, the last: {_told(found.latest)}", soft_wrap=True, highlight=False
        )


def _told(run: EngineRun) -> str:
    at = f" of {run.started_at:%Y-%m-%d %H:%M} UTC" if run.started_at else ""
    size = f", {run.bytes:,} bytes" if run.bytes is not None else ""
    return f"{last_part(run.run_id)}{at}, {run.objects:,} files{size}"
