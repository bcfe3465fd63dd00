"""What services that read tables are to have for them: planned, made, and compared with what is declared."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console

from adplatform.cli.context import connect, console, errors
from adplatform.consumers.registration.changes import Change
from adplatform.consumers.registration.kinds import is_deployed
from adplatform.consumers.registration.registered import (
    Clients,
    Declared,
    declared,
    planned,
    registered,
    undeclared,
)
from adplatform.consumers.registration.resource import SOURCE, TABLE, Place, place_of
from adplatform.consumers.table import ConsumedTable
from adplatform.engines.consumed import consumed_tables
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.patterns import declared_patterns

Source = Annotated[str | None, typer.Option(help="A source; by default all.")]
Feed = Annotated[str | None, typer.Option(help="A feed of the source; by default all.")]


@dataclass(frozen=True)
class _Looked:
    """The tables that a command is about, what they declare, and what asks AWS for it."""

    tables: Sequence[ConsumedTable]
    known: Declared
    clients: Clients
    place: Place


def plan(source: Source = None, feed: Feed = None) -> None:
    """Say what `apply` would make and change, and why it would not."""
    looked = _looked(connect(), source, feed)
    changes = list(planned(looked.clients, looked.known.wanted))
    for change in changes:
        _say(change)
    for each in looked.known.given:
        _print(console, f"{'for you':<12} {each.consumer}: {each.table}: what you give the service yourself")
        _print(console, json.dumps(each.definition, indent=2))
    _say_undeclared(looked, source, feed)
    if _say_refused(looked.known) or any(each.refusals for each in changes):
        raise typer.Exit(1)


def apply(source: Source = None, feed: Feed = None) -> None:
    """Make what is missing and change what differs; nothing is deleted. It may be repeated."""
    if not applied(connect(), source, feed):
        raise typer.Exit(1)


def applied(services: Services, source: str | None = None, feed: str | None = None) -> bool:
    """Do so and say what was done; whether all of it is as declared now."""
    looked = _looked(services, source, feed)
    failed = 0
    deployed = [each for each in looked.known.wanted if is_deployed(each, services.settings)]
    for each in deployed:
        line = f"{'deployed':<12} {each.consumer}: {each.key} ({each.table})"
        _print(console, f"{line}: the deployment makes it (`consumers: deployment`)")
    for done in registered(looked.clients, [each for each in looked.known.wanted if each not in deployed]):
        _say(done.change, done.failure)
        failed += bool(done.failure)
    return not (_say_refused(looked.known) or failed)


def check(source: Source = None, feed: Feed = None) -> None:
    """Compare what is there with what is declared; status 1 where something differs."""
    looked = _looked(connect(), source, feed)
    changes = [each for each in planned(looked.clients, looked.known.wanted) if each.state != "as declared"]
    for change in changes:
        _say(change)
    _say_undeclared(looked, source, feed)
    if _say_refused(looked.known) or changes:
        raise typer.Exit(1)
    console.print(f"services have what is declared ({len(looked.known.wanted)})")


def _looked(services: Services, source: str | None, feed: str | None) -> _Looked:
    """
    Raises:
        PermanentFailure: no table of that source or feed is read by services.
    """
    prefix = services.settings.database_prefix
    every = [t for pattern in declared_patterns(services.settings) for t in consumed_tables(pattern, prefix)]
    tables = [t for t in every if source in (None, t.source) and feed in (None, t.feed.partition("/")[2])]
    if not tables and (source or feed):
        there = ", ".join(t.feed for t in every) or "none"
        raise PermanentFailure(f"no table of {source or 'any source'}/{feed or '*'} has consumers; there are {there}")
    if not tables:
        _print(console, "no feed has consumers")
    place = place_of(services.settings, services.account)
    known = declared(tables, place, lambda table: services.lake.catalog.table(table) is not None)
    return _Looked(tables, known, Clients(services.aws), place)


def _say(change: Change, failure: str = "") -> None:
    wanted = change.wanted
    out = errors if failure or change.refusals else console
    lines = [f"{change.state:<12} {wanted.consumer}: {wanted.key} ({wanted.table})"]
    lines += [f"  {each}" for each in change.differences]
    lines += [f"  {each}" for each in ([failure] if failure else change.refusals)]
    for line in lines:
        _print(out, line)


def _say_refused(known: Declared) -> bool:
    """Say which tables are not registered, and why; whether there are such."""
    for each in known.refused:
        for reason in each.reasons:
            _print(errors, f"{'refused':<12} {each.consumer}: {each.table}: {reason}")
    return bool(known.refused)


def _say_undeclared(looked: _Looked, source: str | None, feed: str | None) -> None:
    tables = {table.qualified for table in looked.tables}
    found, failures = undeclared(looked.clients, looked.place, looked.known)
    for each in found:
        if source in (None, each.tags[SOURCE]) and (feed is None or each.tags[TABLE] in tables):
            line = f"{'undeclared':<12} {each.kind} {each.name} ({each.tags[TABLE]}): nothing declares it any more"
            _print(console, f"{line}; delete it if it is not used")
    for failure in failures:
        _print(errors, f"what nothing declares any more was not looked for: {failure}")


def _print(out: Console, line: str) -> None:
    out.print(line, highlight=False, soft_wrap=True)
