"""What dbt is given of clean tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel

from adplatform.cli.context import connect, console
from adplatform.contracts.yaml_files import Declared
from adplatform.dbt.amazon_ads import models_of
from adplatform.dbt.sources import sources_yaml
from adplatform.described.tables import tables_of
from adplatform.described.written import write_files
from adplatform.failures import PermanentFailure, described, wrapped
from adplatform.flow.pattern import Pattern
from adplatform.patterns import faultless_defs, pattern_of
from adplatform.platform.settings import read_settings
from adplatform.pull.account import Account
from adplatform.pull.pattern import PulledReports


def export(
    source: Annotated[str, typer.Argument(help="A source.", show_default=False)],
    to: Annotated[Path, typer.Option(help="A folder below the models of a dbt project.", show_default=False)],
    fivetran: Annotated[
        bool, typer.Option("--fivetran", help="Models in the shape that the package fivetran/amazon_ads reads, too.")
    ] = False,
) -> None:
    """Write the tables of a source as sources of dbt, with descriptions, tests, freshness and the assets that they are.

    The same declarations and catalog give the same bytes. A file that this command did not write is never replaced.
    """
    declared = {str(getattr(each.model, "source", "")): each for each in faultless_defs()}
    if source not in declared:
        raise PermanentFailure(f"no source {source!r}; there are {wrapped(declared)}")
    settings = read_settings()
    pattern = pattern_of(declared[source], settings)
    models = models_of(_account(pattern, source), _places(declared[source])) if fivetran else None
    catalog = connect().lake.catalog
    tables = tables_of(pattern, settings.database_prefix, catalog.table, path_copies=settings.path_copies)
    files = {"sources.yml": sources_yaml(source, tables, settings.clean_bucket), **(models.files if models else {})}
    command = f"adplatform dbt export {source}"
    try:
        for path, became in write_files(to, command, files):
            console.print(f"{path}: {became}", highlight=False, soft_wrap=True)
    except OSError as e:
        raise PermanentFailure(f"{to} cannot be written: {described(e, to)}") from e
    for text in models.said if models else ():
        console.print(text, highlight=False, soft_wrap=True)


def _account(pattern: Pattern, source: str) -> Account:
    if not isinstance(pattern, PulledReports) or pattern.account.api != "ads":
        raise PermanentFailure(
            f"{source} is no account of Amazon Ads, which alone the package reads: leave out --fivetran"
        )
    return pattern.account


def _places(declared: Declared[BaseModel]) -> Callable[[str], str]:
    """Where reports of an account are declared, by name."""
    names = [getattr(each, "name", each) for each in getattr(declared.model, "reports", ())]
    return lambda report: f"{declared.file}:{declared.line_of('reports', names.index(report))}"
