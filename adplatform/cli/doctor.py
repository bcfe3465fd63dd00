"""The command that examines the ledger against everything else that knows."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from adplatform.cli.context import connect, console
from adplatform.flow.doctor import Finding, examine
from adplatform.flow.services import Services
from adplatform.patterns import declared_patterns


def doctor(
    repair: Annotated[bool, typer.Option(help="Restore what the ledger lacks; else only say what would be.")] = False,
) -> None:
    """Compare ledger, catalog, manifests and raw zone, for a ledger that was lost or restored from an older backup."""
    services = connect()
    if not show(_examined(services, repair), repair=repair):
        raise typer.Exit(1)


def show(found: Iterable[Finding], *, repair: bool) -> bool:
    """Print each finding as it comes, for a repair may be stopped; whether nothing is wrong any more."""
    none, left = True, False
    for each in found:
        none, left = False, left or not repair or not each.done
        what = f"{each.feed} {each.day}" if each.day else each.feed
        then = (
            f"{'done' if repair else 'with --repair'}: {each.done}" if each.done else "nothing is done, see the problem"
        )
        console.print(f"{what}: {each.problem}; {then}", highlight=False, soft_wrap=True)
    if none:
        console.print("ledger, catalog, manifests and raw zone agree")
    return not left


def _examined(services: Services, repair: bool) -> Iterator[Finding]:
    run_id = f"doctor/{services.ledger.now().isoformat()}"
    for pattern in declared_patterns(services.settings):
        yield from examine(services, pattern.source, run_id, repair=repair, part=pattern.part)
