"""The command that writes the declaration of a database's tables from its catalogue."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Annotated, Any

import typer

from adplatform.cli.context import connect
from adplatform.contracts.database import DatabaseSource
from adplatform.extract.connection import Connecting, database, database_failures, read_credentials
from adplatform.extract.declaration import feed_yaml
from adplatform.extract.described import described, tables_of
from adplatform.extract.reading import split_name
from adplatform.extract.table import opened
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.patterns import faultless_defs


def describe(
    source: Annotated[str, typer.Argument(help="A declared database, or the secret of one.", show_default=False)],
    table: Annotated[
        list[str] | None, typer.Option("--table", help="Tables, as schema.table; * stands for any. By default all.")
    ] = None,
    tls: Annotated[bool, typer.Option(help="For a secret: off for a database of this machine.")] = True,
) -> None:
    """Write the declaration of a database's tables, as its catalogue describes them; what to decide says REVIEW."""
    services = connect()
    start = datetime.now(UTC).date()
    patterns = [split_name(each) for each in table or ["*"]]
    found = 0
    with _opened(services, source, tls=tls) as engine, database_failures(source):
        typer.echo("feeds:")
        for schema in dict.fromkeys(schema for schema, _ in patterns):
            wanted = [name for each, name in patterns if each == schema]
            for name in tables_of(engine, schema):
                if any(fnmatchcase(name, pattern) for pattern in wanted):
                    typer.echo(feed_yaml(schema, name, described(engine, schema, name), start, "  "), nl=False)
                    found += 1
    if not found:
        raise PermanentFailure(f"{source} has no table that is called {', '.join(table or ['*'])}")


def _opened(services: Services, source: str, *, tls: bool) -> AbstractContextManager[Any]:
    declared = {each.model.source: each.model for each in faultless_defs() if isinstance(each.model, DatabaseSource)}
    if source in declared:
        return opened(services.secrets, declared[source])
    return database(read_credentials(services.secrets, source), Connecting(tls))
