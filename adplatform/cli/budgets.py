"""Commands about what sources may use."""

from decimal import Decimal
from typing import Annotated

import typer

from adplatform.cli.actions import user_here
from adplatform.cli.context import connect, console
from adplatform.cli.pauses import SourceName, require_source
from adplatform.cli.status import show_section
from adplatform.flow import cost_guard
from adplatform.flow.cost_guard import budget_of, standings
from adplatform.operations.sections import budgets
from adplatform.patterns import declared_patterns

_GIGABYTE = 10**9


def show(
    source: Annotated[str | None, typer.Argument(help="A source; all if not given.", show_default=False)] = None,
) -> None:
    """Show what sources have used of what they may, and what that will come to."""
    services = connect()
    patterns = declared_patterns(services.settings)
    if source is not None:
        require_source(source, [pattern.source.name for pattern in patterns])
    wanted = [pattern.source for pattern in patterns if source in (None, pattern.source.name)]
    found = [
        each
        for one in wanted
        for each in standings(services.ledger, one.name, budget_of(services.settings, one.budget))
    ]
    if not found:
        console.print("no budget is declared: `budget` of a source, or ADPLATFORM_BUDGET for all", soft_wrap=True)
        return
    show_section(budgets(found), console)


def allow(
    source: SourceName,
    requests: Annotated[int | None, typer.Option(min=1, help="So many requests more today.")] = None,
    dpu_hours: Annotated[float | None, typer.Option(min=0, help="So many DPU-hours more today.")] = None,
    vcpu_hours: Annotated[float | None, typer.Option(min=0, help="So many vCPU-hours more today.")] = None,
    gigabytes: Annotated[float | None, typer.Option(min=0, help="So many gigabytes more today.")] = None,
    why: Annotated[str, typer.Option(help="Why, for those who wonder. No personal data.")] = "",
    by: Annotated[str, typer.Option(help="Who allows it; the user and machine if not given.")] = "",
) -> None:
    """Allow a source to use more today (UTC) than its budget; without an amount, as much again of each. It counts for
    the month, too."""
    services = connect()
    patterns = {pattern.source.name: pattern.source for pattern in declared_patterns(services.settings)}
    require_source(source, list(patterns))
    given = {"requests": requests, "dpu_hours": dpu_hours, "vcpu_hours": vcpu_hours}
    more = {unit: Decimal(str(amount)) for unit, amount in given.items() if amount is not None}
    if gigabytes is not None:
        more["bytes"] = Decimal(str(gigabytes)) * _GIGABYTE
    found = cost_guard.allow(services, patterns[source], more, by or user_here(), why)
    show_section(budgets(found), console)
