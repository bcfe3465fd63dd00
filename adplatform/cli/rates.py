"""The command that has dates of a marketing fact take new rates of exchange."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

import typer

from adplatform.cli.context import connect, console, parse_day
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.services import Services
from adplatform.marketing.kept_rates import take_anew
from adplatform.marketing.pattern import MadeOfOthers
from adplatform.patterns import declared_patterns, of_kind

_LONGEST = 500


def rates(
    fact: Annotated[str, typer.Argument(help="A marketing fact, as source/table.", show_default=False)],
    first: Annotated[str, typer.Argument(help="The first date, YYYY-MM-DD.", show_default=False)],
    last: Annotated[str, typer.Argument(help="The last date, YYYY-MM-DD.", show_default=False)],
    reason: Annotated[str, typer.Option(help="Why; the ledger and the check rates_known keep it.", show_default=False)],
) -> None:
    """Have dates of a marketing fact take the rates that the table has now. Otherwise a date keeps those that it was
    first converted at."""
    services = connect()
    facts = of_kind(declared_patterns(services.settings), MadeOfOthers)
    said = retaken(services, facts, fact, parse_day(first), parse_day(last), reason)
    console.print(said, highlight=False, soft_wrap=True)


def retaken(services: Services, facts: Sequence[MadeOfOthers], name: str, first: date, last: date, reason: str) -> str:
    """What the command does, and says of it.

    Raises:
        PermanentFailure: there is no such fact, no date or no reason.
    """
    by_name = {each.fact.flow.name: each.fact for each in facts}
    if name not in by_name:
        known = f"there are {wrapped(by_name)}" if by_name else "none is declared"
        raise PermanentFailure(f"no marketing fact is called {name}; {known}")
    if last < first:
        raise PermanentFailure(f"the last date, {last}, is before the first, {first}")
    if not reason.strip() or len(reason) > _LONGEST:
        raise PermanentFailure(f"say why in at most {_LONGEST} characters: --reason")
    days = take_anew(services, by_name[name], first, last, reason.strip())
    if not days:
        raise PermanentFailure(f"{name}: no date from {first} to {last} was built, so none has rates to change")
    return f"{name}: {len(days)} dates from {days[0]} to {days[-1]} are built at the rates that there are now"
