"""The command that examines the ledger against everything else that knows."""

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.table import Column, Table

from adplatform.cli.context import connect, console, declared_accounts, declared_sources
from adplatform.flow.doctor import Finding, examine
from adplatform.flow.reports.fact import account_source
from adplatform.flow.services import Services


def doctor(
    repair: Annotated[bool, typer.Option(help="Restore what the ledger lacks; else only say what would be.")] = False,
) -> None:
    """Compare ledger, catalog, manifests and raw zone, for a ledger that was lost or restored from an older backup."""
    services = connect()
    found = list(_examined(services, repair))
    if not found:
        console.print("ledger, catalog, manifests and raw zone agree")
        return
    heading = "restored" if repair else "--repair would"
    table = Table(Column("feed", overflow="fold"), "date", Column("problem", overflow="fold"), Column(heading))
    for each in found:
        table.add_row(each.feed, str(each.day or ""), each.problem, each.done or "nothing: see the problem")
    console.print(table)
    if not repair or any(not each.done for each in found):
        raise typer.Exit(1)


def _examined(services: Services, repair: bool) -> Iterator[Finding]:
    run_id = f"doctor/{services.ledger.now().isoformat()}"
    for source in declared_sources(services.settings):
        yield from examine(services, source, run_id, repair=repair)
    for account in declared_accounts():
        source = account_source(account, services.settings.raw_bucket)
        yield from examine(services, source, run_id, repair=repair, part=account.scoped)
