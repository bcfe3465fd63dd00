"""Commands that keep a source still, and have it go on."""

from typing import Annotated

import typer

from adplatform.cli.actions import user_here
from adplatform.cli.context import connect, console
from adplatform.contracts.hints import did_you_mean
from adplatform.failures import PermanentFailure, wrapped
from adplatform.patterns import declared_patterns

SourceName = Annotated[str, typer.Argument(help="A source.", show_default=False)]


def pause(
    source: SourceName,
    why: Annotated[str, typer.Option(help="Why, for those who wonder. No personal data: it is shown everywhere.")] = "",
    by: Annotated[str, typer.Option(help="Who pauses it; the user and machine if not given.")] = "",
) -> None:
    """Start nothing more of a source: no run, no order, no engine, no retry. What is running ends. What arrives is
    noted and settles, and waits; after `adplatform resume` everything is caught up."""
    services = connect()
    known = [pattern.source.name for pattern in declared_patterns(services.settings)]
    require_source(source, known)
    begun = services.ledger.pauses.begin(source, by or user_here(), why)
    if begun is None:
        console.print(f"nothing changed: {services.ledger.pauses.of(source)}", highlight=False, soft_wrap=True)
        return
    console.print(
        f"{source} is paused: nothing more is started for it, what is running ends, and what arrives waits. "
        f"`adplatform resume {source}` goes on",
        highlight=False,
        soft_wrap=True,
    )


def resume(source: SourceName) -> None:
    """Go on with a paused source: whatever is due is caught up by the next look at it."""
    services = connect()
    ended = services.ledger.pauses.end(source)
    if ended is not None:
        console.print(
            f"{source} goes on after its pause since {ended.since:%Y-%m-%d %H:%M} UTC; the sensor or "
            "`adplatform process` starts what is due",
            highlight=False,
            soft_wrap=True,
        )
        return
    paused = [each.source for each in services.ledger.pauses.every()]
    require_source(source, [pattern.source.name for pattern in declared_patterns(services.settings)], paused)
    console.print(f"nothing changed: {source} is not paused", highlight=False, soft_wrap=True)


def require_source(source: str, known: list[str], paused: list[str] | None = None) -> None:
    if source in known:
        return
    feed = "; a source is paused as a whole" if source.partition("/")[0] in known else ""
    there = f"; paused are {', '.join(paused)}" if paused else ""
    names = wrapped(known)
    raise PermanentFailure(f"no source {source!r}{did_you_mean(source, known)}{feed}{there}; there are {names}")
