"""Dates that somebody wants to be made again or asked for, as a backfill of Dagster."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from operator import attrgetter
from typing import Annotated

import typer
from rich.filesize import decimal

from adplatform.amazon.definitions import ReportDefinition
from adplatform.cli.context import connect, console, parse_day, say_if_paused
from adplatform.failures import PermanentFailure, listed
from adplatform.flow.backfills import Past, Reason, Wanted, by_contract, past
from adplatform.flow.cost_guard import held
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.patterns import declared_patterns
from adplatform.pull.account import Account
from adplatform.pull.pattern import PulledReports
from adplatform.pull.plan import asking


def backfill(
    feed: Annotated[str, typer.Argument(help="A feed or report, as source/name.", show_default=False)],
    since: Annotated[str | None, typer.Option("--from", help="The first date, YYYY-MM-DD.", show_default=False)] = None,
    until: Annotated[str | None, typer.Option("--to", help="The last date; that of --from by default.")] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only dates whose rows another contract has made than the present one.")
    ] = False,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="A profile or marketplace of a report; by default all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
) -> None:
    """Publish dates of a feed once more from their originals, or ask Amazon for dates of a report. Dagster's daemon
    works on it, behind ordinary deliveries and the newest date first; `adplatform process` works on none."""
    services = connect()
    pattern = _pattern(declared_patterns(services.settings), feed)
    if isinstance(pattern, PulledReports):
        if changed:
            raise PermanentFailure("--changed is for feeds: a report whose definition changed is asked for by itself")
        wanted = _of_report(services, pattern.account, feed, _days(since, until), scope or [])
    else:
        if scope:
            raise PermanentFailure(f"{feed} has no scopes: leave --scope out")
        wanted = _of_feed(services, pattern, feed, since, until, changed=changed)
    if not wanted:
        return
    if over := held(services, pattern.source.name, pattern.source.budget):
        console.print(f"it would wait: {over}", highlight=False, soft_wrap=True)
    if dry_run:
        console.print("nothing was started; leave --dry-run out to start it", highlight=False)
        return
    from adplatform.cli.headless import opened  # noqa: PLC0415 - Dagster takes seconds to import
    from adplatform.components.assembly.backfills import launch  # noqa: PLC0415 - as above
    from adplatform.definitions import defs  # noqa: PLC0415 - as above

    graph = defs().resolve_asset_graph()
    with opened(services.settings) as instance:
        for each in wanted:
            said = launch(instance, graph, pattern, each)
            console.print(said or f"{each.feed}: none of these dates is a partition", highlight=False, soft_wrap=True)
    console.print("Dagster's page Backfills shows how it goes on, and its daemon works on it (`adplatform dev`)")
    say_if_paused(services, pattern.source.name)


def _pattern(patterns: Sequence[Pattern], feed: str) -> Pattern:
    """
    Raises:
        PermanentFailure: there is no such feed or report; lists those there are.
    """
    known = {name: pattern for pattern in patterns for name in _names(pattern)}
    if feed not in known:
        raise PermanentFailure(f"no feed or report {feed!r}; there are {listed(known)}")
    return known[feed]


def _names(pattern: Pattern) -> list[str]:
    if isinstance(pattern, PulledReports):
        return [f"{pattern.source.name}/{each.name}" for each in pattern.account.definitions]
    return [flow.name for flow in pattern.source.feeds if not flow.made_of]


def _days(since: str | None, until: str | None) -> list[date]:
    """
    Raises:
        PermanentFailure: no date is given, or the last is before the first.
    """
    if since is None:
        raise PermanentFailure("say which dates: --from 2026-11-01 --to 2026-11-30")
    first = parse_day(since)
    last = parse_day(until) if until else first
    if last < first:
        raise PermanentFailure(f"--to {last} is before --from {first}")
    return [last - timedelta(days=n) for n in range((last - first).days + 1)]


def _of_feed(
    services: Services, pattern: Pattern, name: str, since: str | None, until: str | None, *, changed: bool
) -> list[Wanted]:
    flow = next(each for each in pattern.source.feeds if each.name == name)
    within = _days(since, until) if since or not changed else None
    if changed:
        found = by_contract(services.ledger, flow, also_unrecorded=True)
        days = [day for day in (found.days if found else ()) if within is None or day in within]
    else:
        days = within or []
    known = past(services.ledger, flow, days)
    _say_past(flow, known, changed=changed)
    if not known.days:
        return []
    why = f"asked for by hand: {_span(known.days)} of {name}"
    return [Wanted(name, known.days, Reason.BY_HAND, why, of=uuid.uuid4().hex)]


def _say_past(flow: FeedFlow, known: Past, *, changed: bool) -> None:
    if not known.days:
        nothing = "was made by another contract" if changed else "was published"
        console.print(f"{flow.name}: no date of these {nothing} and can be made again", highlight=False)
    else:
        minutes = float(known.seconds) / 60
        console.print(
            f"{flow.name}: {len(known.days):,} dates, {known.objects:,} files of {decimal(known.bytes)}, "
            f"{known.rows:,} rows; when they were last made that took {minutes:,.1f} minutes of one process",
            highlight=False,
            soft_wrap=True,
        )
    for days, why in ((known.gone, "their originals have expired"), (known.absent, "nothing was published of them")):
        if days:
            console.print(f"without {_span(days)}: {why}", highlight=False, soft_wrap=True)


def _of_report(
    services: Services, account: Account, feed: str, days: list[date], scopes: Sequence[str]
) -> list[Wanted]:
    definition = account.definition(feed.split("/")[1])
    if definition is None:
        return []
    known = [each.id for each in services.ledger.scopes.of_source(account.source) if account.wants(each)]
    if unknown := sorted(set(scopes) - set(known)):
        raise PermanentFailure(
            f"no {account.dimension} {listed(unknown)} of {account.source}; there are {listed(known)}"
        )
    lacking = {each: _lacking(services, account, definition, each, days) for each in scopes or known}
    found = [asking(services.ledger, account, definition, scope, left) for scope, left in lacking.items()]
    made = [each for each in found if each is not None]
    if not made:
        why = (
            "Amazon makes these by itself"
            if known
            else f"no {account.dimension} is known yet: the orders job finds them"
        )
        console.print(f"{feed}: nothing can be asked for: {why}", highlight=False, soft_wrap=True)
        return []
    requests, coming, not_had = (sum(len(part(each)) for each in made) for part in (_RANGES, _COMING, _NOT_HAD))
    console.print(
        f"{feed}: {len(days):,} dates of {len(made):,} {account.dimension}s, of which "
        f"{sum(map(len, lacking.values())):,} are not there: {requests:,} requests to Amazon; {coming:,} are on their "
        f"way, and {not_had:,} cannot be had",
        highlight=False,
        soft_wrap=True,
    )
    one = Wanted(feed, tuple(days), Reason.BY_HAND, f"asked for by hand: {_span(days)} of {feed}", of=uuid.uuid4().hex)
    return [replace(one, scope=each.scope) for each in made]


def _lacking(
    services: Services, account: Account, definition: ReportDefinition, scope: str, days: Sequence[date]
) -> set[date]:
    """The days of which some table of the report has had nothing yet."""
    deliveries = services.ledger.deliveries
    there = [
        {each.day for each in deliveries.of_feed(account.flow(dataset, scope).name) if each.arrivals}
        for dataset in definition.datasets
    ]
    return {day for day in days if not all(day in known for known in there)}


_RANGES, _COMING, _NOT_HAD = map(attrgetter, ("ranges", "coming", "not_had"))


def _span(days: Sequence[date]) -> str:
    if len(days) == 1:
        return str(days[0])
    return f"{len(days):,} dates of {min(days)} to {max(days)}"
