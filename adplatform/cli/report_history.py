"""The life of reports on a terminal: what was asked of Amazon, where each stands, and what it said of each date."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from adplatform.amazon.definitions import Dataset, ReportDefinition
from adplatform.cli.context import connect, console
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.services import Services
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.observations import Observation
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.scopes import Scope
from adplatform.patterns import declared_patterns, of_kind
from adplatform.pull.account import Account
from adplatform.pull.pattern import PulledReports

_COLORS = {
    ReportState.DONE: "green",
    ReportState.EMPTY: "green",
    ReportState.UNPUBLISHED: "red",
    ReportState.FAILED: "red",
}


@dataclass(frozen=True)
class ReportFeed:
    """The reports of one definition and scope."""

    account: Account
    definition: ReportDefinition
    scope: Scope

    @property
    def name(self) -> str:
        return f"{self.account.source}/{self.definition.name}/{self.scope.id}"


def reports(
    feed: Annotated[str | None, typer.Argument(help="source, source/report or source/report/profile.")] = None,
    report: Annotated[
        str | None, typer.Argument(help="Amazon's id of a report, its beginning, or the report's key: shows its life.")
    ] = None,
    days: Annotated[int, typer.Option(help="Asked for within so many days.")] = 7,
) -> None:
    """Show the reports that were asked of Amazon and where each stands, or the whole life of one."""
    services = connect()
    accounts = [pulled.account for pulled in of_kind(declared_patterns(services.settings), PulledReports)]
    feeds = report_feeds(services.ledger, accounts, feed)
    if report is not None:
        for part in life(services, *find_report(services.ledger, feeds, report)):
            console.print(part)
        return
    since = services.ledger.now().date() - timedelta(days=days)
    tables = list(report_tables(services.ledger, feeds, since))
    for table in tables:
        console.print(table)
    if not tables:
        console.print(f"nothing was asked for within {days} days; --days looks further back")


def report_feeds(ledger: Ledger, accounts: Sequence[Account], wanted: str | None = None) -> list[ReportFeed]:
    """The reports called ``wanted``: all of a source, of a report, or those of one profile or marketplace.

    Raises:
        PermanentFailure: there are none of that name; says which there are.
    """
    known = [
        ReportFeed(account, definition, scope)
        for account in accounts
        for scopes in [ledger.scopes.of_source(account.source)]
        for definition in account.definitions
        for scope in scopes
    ]
    found = [each for each in known if wanted is None or f"{each.name}/".startswith(f"{wanted}/")]
    names = [f"{account.source}/{definition.name}" for account in accounts for definition in account.definitions]
    if found or wanted is None or any(f"{name}/".startswith(f"{wanted}/") for name in names):
        return found
    raise PermanentFailure(f"no report {wanted!r}; there are {wrapped(names)}, each with /<profile or marketplace>")


def report_tables(ledger: Ledger, feeds: Iterable[ReportFeed], since: date | None = None) -> Iterator[Table]:
    """A table for each account that asked for something since: what was asked for when, where it stands, what it
    brought."""
    for source, members in groupby(feeds, key=lambda each: each.account.source):
        rows = [(each, r) for each in members for r in ledger.reports.of_feed(each.name, since)]
        if not rows:
            continue
        table = Table(title=f"reports of {source}", box=SIMPLE, pad_edge=False)
        for heading in (
            f"report,\n{rows[0][0].account.dimension}",
            "dates,\nreport id",
            "state",
            "asked,\nlanded (UTC)",
        ):
            table.add_column(heading, overflow="fold")
        for heading in ("polls", "rows"):
            table.add_column(heading, justify="right")
        table.add_column("note", overflow="fold")
        for each, r in rows:
            table.add_row(
                f"{r.name}\n{r.scope}",
                f"{dates(r.start, r.end)}\n{r.report_id}",
                _state(r),
                f"{instant(r.requested_at)}\n{instant(r.landed_at)}",
                str(r.polls),
                f"{r.rows:,}",
                "; ".join(_notes(each.definition, r, ledger.now())),
            )
        yield table


def find_report(ledger: Ledger, feeds: Iterable[ReportFeed], wanted: str) -> tuple[ReportFeed, Report]:
    """The report with that key or id, or whose id begins like that.

    Raises:
        PermanentFailure: there is none, or there are several.
    """
    every = [(each, r) for each in feeds for r in ledger.reports.of_feed(each.name)]
    found = [(each, r) for each, r in every if wanted in (r.key, r.report_id)]
    found = found or [(each, r) for each, r in every if r.report_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise PermanentFailure(f"no report {wanted!r}; `adplatform reports <feed> --days 100` lists ids")
    listed = ", ".join(f"{r.feed} {r.report_id or r.key}" for _, r in found[:5])
    raise PermanentFailure(f"{len(found)} reports are called {wanted!r}: {listed}; name the feed or more of the id")


def life(services: Services, feed: ReportFeed, report: Report) -> Iterator[RenderableType]:
    """Everything the ledger knows of one report."""
    yield Text(f"{report.feed} {report.key}", style="bold")
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in _facts(services, feed, report):
        if value:
            facts.add_row(name, value)
    yield facts
    yield _steps(report)
    for dataset in feed.definition.datasets:
        name = feed.account.flow(dataset, report.scope).name
        said = [
            row
            for day in _days(report)
            for row in judged(services.ledger.observations.of_day(name, day))
            if row[0].report_id == report.report_id
        ]
        if said:
            yield observation_table(dataset, said, f"what it said of the dates of {name}", by="date")


def _facts(services: Services, feed: ReportFeed, r: Report) -> Iterator[tuple[str, RenderableType]]:
    scope, zones, current = feed.scope, services.zones, feed.definition.definition_hash == r.definition
    again = services.ledger.reports.get(r.feed, f"{r.key[:-2]}{r.sequence + 1:02d}")
    yield "state", _state(r)
    yield "note", "; ".join(_notes(feed.definition, r, services.ledger.now()))
    yield "report id", r.report_id
    yield "type", f"{r.report_type}, definition {r.definition}{'' if current else ', which was changed since'}"
    yield feed.account.dimension, " ".join(filter(None, (scope.id, scope.country, scope.currency, scope.timezone)))
    yield "dates", f"{dates(r.start, r.end)}, asked for on {r.asked_on} there"
    yield "ages due", _ages(r.waves)
    yield "order", f"number {r.sequence} of these dates on that day" if r.sequence > 1 else ""
    yield "next order", f"{again.key}: {again.state}" if again else ""
    yield "attempts", f"{r.attempt} of the present step" if r.attempt and not r.ended else ""
    yield "polls", str(r.polls)
    yield "run", r.run_id
    yield "document", zones.raw_uri(r.raw_key) if r.raw_key else ""
    yield "bytes", f"{r.bytes:,}" if r.bytes else ""
    yield "sha256", r.sha256
    yield "rows", f"{r.rows:,}" if r.landed_at else ""
    yield "rows kept aside", f"{r.outside_rows:,} in {zones.raw_uri(r.outside_key)}" if r.outside_key else ""


def _steps(r: Report) -> Table:
    """When each step was taken, and how long after the one before."""
    ended = r.changed_at if r.ended else None
    steps = (
        *(("intended", r.intended_at), ("asked for", r.requested_at), ("last polled", r.polled_at)),
        *(("ready", r.ready_at), ("stored", r.stored_at), ("landed", r.landed_at), (str(r.state), ended)),
    )
    table = Table("step", "at (UTC)", "seconds later", box=SIMPLE, pad_edge=False)
    before = None
    for name, at in steps:
        if at is not None:
            table.add_row(name, instant(at), f"{(at - before).total_seconds():,.1f}" if before else "")
            before = at
    return table


def observation_table(
    dataset: Dataset | None, rows: Sequence[tuple[Observation, str]], title: str, *, by: str = "report id"
) -> Table:
    """What reports said of dates, one row each, with the totals of every metric that is followed."""
    reported = {name for observed, _ in rows for name in observed.totals}
    metrics = [name for name in (dataset.plotted if dataset else ()) if name in reported]
    table = Table(title=title, box=SIMPLE, pad_edge=False)
    table.add_column("date" if by == "date" else "asked (UTC)", no_wrap=True)
    for heading in ("age", "wave", "rows", *metrics):
        table.add_column(heading, justify="right")
    table.add_column("brought")
    if by != "date":
        table.add_column("report id", overflow="fold")
    for observed, brought in rows:
        first = str(observed.day) if by == "date" else instant(observed.as_of)
        values = [plain(observed.totals[name]) if name in observed.totals else "" for name in metrics]
        counts = (str(observed.age), str(observed.wave), f"{observed.rows:,}")
        table.add_row(first, *counts, *values, brought, *(() if by == "date" else (observed.report_id,)))
    return table


def judged(observations: Iterable[Observation]) -> list[tuple[Observation, str]]:
    """Each observation of one date, in order of asking, with what it brought to the table."""
    rows: list[tuple[Observation, str]] = []
    for observed in observations:
        before = rows[-1][0] if rows else None
        if observed.landed:
            brought = "the first rows" if before is None else "other rows"
        elif before is not None and (before.rows, before.content) == (observed.rows, observed.content):
            brought = "the same rows"
        elif observed.age == 0 and observed.rows:  # on its own date only a snapshot is asked for
            brought = "nothing: a date keeps its first snapshot"
        else:
            brought = "nothing: a newer report was there"
        rows.append((observed, brought))
    return rows


def dates(start: date, end: date) -> str:
    return f"{start}" if start == end else f"{start} to {end}"


def instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def plain(value: Decimal) -> str:
    """Without the zeros that a decimal column brings."""
    return f"{value:,f}".rstrip("0").rstrip(".") if value != value.to_integral_value() else f"{value:,.0f}"


def _state(r: Report) -> Text:
    if r.overdue and not r.ended:
        return Text(f"{r.state}, overdue", style="yellow")
    return Text(str(r.state), style=_COLORS.get(r.state, ""))


def _notes(definition: ReportDefinition, r: Report, now: datetime) -> Iterator[str]:
    if r.error:
        yield r.error
    if r.doubt:
        yield f"look at it: {r.doubt}"
    if definition.discovered:
        yield "made by Amazon itself"
    elif r.adopted:
        yield "Amazon had the order already; its report was taken over"
    if r.outside_rows:
        yield f"{r.outside_rows:,} rows of other dates kept aside"
    if not r.ended and r.not_before and r.not_before > now:
        yield f"rests until {instant(r.not_before)}"


def _ages(waves: Mapping[str, int]) -> str:
    """The dates that were due, each with the age in days for which it was."""
    return ", ".join(f"{day}: {age}" for day, age in sorted(waves.items()))


def _days(report: Report) -> list[date]:
    return [report.start + timedelta(days=n) for n in range((report.end - report.start).days + 1)]
