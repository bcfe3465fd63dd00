"""The command that makes date keys of older tables strings."""

from collections.abc import Collection
from typing import Annotated

import typer

from adplatform.cli.context import connect, console
from adplatform.failures import PermanentFailure, wrapped
from adplatform.lake.catalog import Catalog
from adplatform.lake.string_keys import dated_tables


def string_keys(
    tables: Annotated[list[str] | None, typer.Argument(help="Tables, as database.table; all by default.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be changed.")] = False,
) -> None:
    """Make partition columns of older tables that are dates strings, by which engines have Glue filter.

    Values, partitions and files stay as they are. Queries that compare with `date '2026-11-27'` have to compare with
    `'2026-11-27'` then.
    """
    services = connect()
    change(services.lake.catalog, services.settings.database_prefix, tables or (), dry_run=dry_run)


def change(catalog: Catalog, database_prefix: str, wanted: Collection[str], *, dry_run: bool) -> None:
    """
    Raises:
        PermanentFailure: no table of ours has one of the names and a date as a key.
    """
    found = {
        f"{table.database}.{table.name}": (table, keys) for table, keys in dated_tables(catalog.glue, database_prefix)
    }
    if unknown := sorted(set(wanted) - found.keys()):
        raise PermanentFailure(
            f"{', '.join(unknown)}: no such table with a date as a key; there are {wrapped(sorted(found)) or 'none'}"
        )
    for name in sorted(wanted or found):
        table, keys = found[name]
        changed = keys if dry_run else catalog.make_keys_strings(table)
        if changed:
            what = "would be a string" if dry_run else "is a string now"
            console.print(f"{name}: {', '.join(changed)} {what}", highlight=False, soft_wrap=True)
    if not found:
        console.print("no table has a date as a key")
