"""The command that compares what ledger, catalog and raw zone say, and restores the ledger."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from adplatform.cli.context import connect, console, declared_accounts, declared_sources
from adplatform.failures import PermanentFailure
from adplatform.flow.doctor import ExaminedTable, examine
from adplatform.flow.reports.fact import all_tables
from adplatform.flow.settings import Settings


def doctor(
    name: Annotated[str | None, typer.Argument(help="A source, or source/feed; all when not given.")] = None,
    repair: Annotated[bool, typer.Option(help="Restore what the ledger lacks; without it nothing is written.")] = False,
) -> None:
    """Compare ledger, catalog and raw zone, and restore a ledger that was lost or put back from a backup."""
    services = connect()
    tables = [t for t in _tables(services.settings) if name is None or f"{t.flow.table}/".startswith(f"{name}/")]
    if not tables:
        raise PermanentFailure(f"no source or feed {name!r}; `adplatform ledger` lists them")
    run_id = f"doctor/{services.ledger.now().isoformat()}"
    shown = Table("feed", "date", "difference", "what to do")
    left = found = 0
    for table in tables:
        for each in examine(services, table, run_id, repair=repair):
            found += 1
            left += not each.repaired
            shown.add_row(each.feed, str(each.day or ""), each.problem, each.remedy)
    if found:
        console.print(shown)
    console.print(f"{len(tables)} tables examined, {found} differences, {found - left} repaired")
    if left:
        raise typer.Exit(1)


def _tables(settings: Settings) -> Iterator[ExaminedTable]:
    for source in declared_sources(settings):
        yield from map(ExaminedTable, source.feeds)
    for account in declared_accounts():
        for table in all_tables(account):
            yield ExaminedTable(table, partial(account.scoped, table))
