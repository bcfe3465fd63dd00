"""Feeds as data contracts in a standard, and contracts of others as declarations."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ValidationError

from adplatform.cli.context import connect, console, errors, parse_day
from adplatform.contracts.feed import Feed
from adplatform.contracts.yaml_files import Declared
from adplatform.described.documents import yaml_of
from adplatform.described.tables import tables_of
from adplatform.described.written import write_files
from adplatform.failures import PermanentFailure, described, wrapped
from adplatform.flow.pattern import Pattern
from adplatform.odcs.declaration import attributes, declaration
from adplatform.odcs.exported import Origin, Readers, contract_of
from adplatform.odcs.imported import PARTNER, Imported, imported
from adplatform.odcs.notes import one_line
from adplatform.patterns import Models, faultless_defs, pattern_of
from adplatform.platform.clock import utc_now
from adplatform.platform.settings import read_settings


class Standard(StrEnum):
    """Standards of data contracts."""

    ODCS = "odcs"


_FORMAT = typer.Option("--format", help="The standard: odcs, the Open Data Contract Standard 3.")


def export(
    name: Annotated[str, typer.Argument(help="A source, or source/feed.", show_default=False)],
    standard: Annotated[Standard, _FORMAT] = Standard.ODCS,
    to: Annotated[Path | None, typer.Option(help="A folder; by default contracts are printed.")] = None,
    account: Annotated[
        str | None, typer.Option(help="The AWS account, to name the Glue catalogue as a server.")
    ] = None,
    results: Annotated[
        str | None, typer.Option(help="Where Athena puts results (s3://...), to name it as a server.")
    ] = None,
) -> None:
    """Write each feed of a source as a data contract: its table, what is promised of it, and how its files are read.

    The same declarations and catalog give the same bytes. A file that this command did not write is never replaced.
    """
    source, _, feed = name.partition("/")
    declared = {str(getattr(each.model, "source", "")): each for each in faultless_defs()}
    if source not in declared:
        raise PermanentFailure(f"no source {source!r}; there are {wrapped(declared)}")
    settings = read_settings()
    pattern = pattern_of(declared[source], settings)
    tables = tables_of(
        pattern, settings.database_prefix, connect().lake.catalog.table, path_copies=settings.path_copies
    )
    by_table = {table.feed: table for table in tables if table.feed}
    readers = Readers(settings.clean_bucket, settings.region, account, results)
    contracts = {
        each.name: yaml_of(contract_of(each, by_table[f"{source}/{each.name}"], origin, readers))
        for each, origin in told_feeds(declared[source], pattern)
        if f"{source}/{each.name}" in by_table and feed in ("", each.name)
    }
    if not contracts:
        raise PermanentFailure(f"no feed {name!r}; there are {wrapped(by_table)}")
    if to is None:
        typer.echo("---\n".join(contracts.values()), nl=False)
        return
    for each, text in contracts.items():
        files = {f"{each}.odcs.yaml": text}
        try:
            for path, became in write_files(to, f"adplatform contract export {source}/{each}", files):
                console.print(f"{path}: {became}", highlight=False, soft_wrap=True)
        except OSError as e:
            raise PermanentFailure(f"{to} cannot be written: {described(e, to)}") from e


def told_feeds(declared: Declared[BaseModel], pattern: Pattern) -> Iterator[tuple[Feed, Origin]]:
    """Every feed that is a table, as it is declared, or as the platform makes it of what is."""
    model = declared.model
    written = {each.name: each for each in getattr(model, "feeds", ())}
    for name, flow in {flow.feed.name: flow for flow in (*pattern.source.feeds, *pattern.source.derived)}.items():
        owners, retention = tuple(getattr(model, "owners", ())), getattr(model, "retention", None)
        made = name not in written
        yield written.get(name, flow.feed), Origin(pattern.source.name, declared.kind, made, owners, retention)


def import_(
    file: Annotated[Path, typer.Argument(help="A contract.", exists=True, dir_okay=False)],
    standard: Annotated[Standard, _FORMAT] = Standard.ODCS,
    to: Annotated[Path | None, typer.Option(help="A file that is not there yet; by default it is printed.")] = None,
    source: Annotated[str | None, typer.Option(help="What the source is to be called.")] = None,
    start: Annotated[
        str | None, typer.Option(help="The first delivery date (YYYY-MM-DD) where the contract has none; today.")
    ] = None,
) -> None:
    """Make the declaration of a source of a data contract.

    The YAML goes to the standard output, all else to the standard error: what is not carried with the reason and what
    to do. What has to be decided says REVIEW in the YAML. A file that is there is never replaced.
    """
    first = parse_day(start) if start else utc_now().date()
    try:
        found = imported(file.read_text(encoding="utf-8"), first.isoformat())
    except UnicodeDecodeError as e:
        raise PermanentFailure(f"{file} is no text in UTF-8: {e}") from e
    except PermanentFailure as e:
        raise PermanentFailure(f"{file}: {e}") from e
    component = PARTNER if found.made else found.component
    said: dict[str, Any] = {**attributes(found), **({"source": source} if source else {})}
    problems = list(_problems(component, said))
    text = declaration(
        component, said, one_line(f"{file.name}, {found.about}"), [*_asked(found), *found.asks, *problems]
    )
    for left in found.left:
        errors.print(f"not carried: {left}", highlight=False, soft_wrap=True)
    if to is None:
        typer.echo(text, nl=False)
        return
    if problems:
        raise PermanentFailure("nothing was written, since it would be wrong:\n" + "\n".join(problems))
    _write(to, text)
    console.print(f"written to {to}: look at what says REVIEW", soft_wrap=True, highlight=False)


def _asked(found: Imported) -> Sequence[str]:
    if not found.made:
        return ()
    return (f"the feed was made by the platform for a source of {found.component}: declare that to have it again",)


def _problems(component: str, said: dict[str, Any]) -> Iterator[str]:
    """What is wrong with a declaration, or missing."""
    if component not in Models():
        yield f"there is no component {component}; there are {wrapped(Models())}"
        return
    try:
        Models()[component].model_validate(said)
    except ValidationError as e:
        for each in e.errors(include_url=False, include_input=False, include_context=False):
            place = ".".join(str(part) for part in each["loc"])
            said_of_it = str(each["msg"]).removeprefix("Value error, ")
            yield one_line(f"{place}: {said_of_it}" if place else said_of_it)


def _write(to: Path, text: str) -> None:
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError as e:
        raise PermanentFailure(f"{to} is there: nothing was written. Name another file") from e
    except OSError as e:
        raise PermanentFailure(f"{to} cannot be written: {described(e, to)}") from e
