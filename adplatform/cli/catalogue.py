"""``adplatform amazon catalogue``: what can be asked of Amazon's reporting APIs, on a terminal, as JSON, and in the
README."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic_core import to_json
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from adplatform.amazon.catalogue import Api, CatalogueEntry, CatalogueTable, entry_of, readme_table
from adplatform.amazon.catalogue import catalogue as every_entry
from adplatform.cli.context import console
from adplatform.failures import PermanentFailure

_APIS: dict[Api, str] = {"ads": "AmazonAdsReports", "selling_partner": "SellingPartnerReports"}


def catalogue(
    type_: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="A report type, or a ready-made report: shows its columns.")
    ] = None,
    api: Annotated[Literal["ads", "selling_partner"] | None, typer.Option(help="Only what this API has.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    readme: Annotated[
        Path | None, typer.Option(help="Write the tables of ready-made reports into this file.", hidden=True)
    ] = None,
) -> None:
    """Show which reports can be asked for: columns with their types, groupings, filters, limits, ready-made reports.

    Types are those of columns in tables. Days are how long Amazon keeps a date, and how long a range one request may
    have.
    """
    if readme is not None:
        readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
        return
    try:
        entries = every_entry(api) if type_ is None else [entry_of(type_, api)]
    except ValueError as e:
        raise PermanentFailure(str(e)) from e
    if json:
        typer.echo(to_json([asdict(each) for each in entries], indent=2).decode())
    elif type_ is None:
        for name in _APIS:
            if of_api := [each for each in entries if each.api == name]:
                console.print(_listed(name, of_api))
    else:
        _show(entries[0])


def with_tables(text: str) -> str:
    """A document with the tables between its marks as the code has them now.

    Raises:
        PermanentFailure: it lacks a mark.
    """
    for api in _APIS:
        begin, end = marks(api)
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise PermanentFailure(f"the document lacks {begin} or {end}")
        text = "\n".join([before + begin, *readme_table(api), end + after])
    return text


def marks(api: Api) -> tuple[str, str]:
    """What stands before and after the table of an API."""
    return f"<!-- ready-made reports of {api}, by `make readme-tables` -->", f"<!-- end of {api} -->"


def _listed(api: Api, entries: Sequence[CatalogueEntry]) -> Table:
    options = {each.type: each.group_by if api == "ads" else tuple(each.options.get("", ())) for each in entries}
    title = f"{_APIS[api]}; what one has: adplatform amazon catalogue TYPE"
    return _table(
        title,
        {
            "type": [each.type for each in entries],
            "kept": [str(each.retention_days) for each in entries],
            "range": [str(each.longest_range_days) for each in entries],
            "attribution": [_numbers(each) for each in entries],
            "group_by" if api == "ads" else "options": [", ".join(options[each.type]) for each in entries],
            "ready-made": [", ".join(each.ready_made) for each in entries],
        },
        whole="type",
    )


def _table(title: str, columns: Mapping[str, Sequence[str]], whole: str = "") -> Table:
    """The columns that have any value; the one that ``whole`` names is not wrapped."""
    table = Table(box=SIMPLE, pad_edge=False, title=title or None, title_justify="left")
    some = {heading: values for heading, values in columns.items() if any(values)}
    for heading in some:
        table.add_column(heading, no_wrap=heading == whole, overflow="fold")
    for row in zip(*some.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _numbers(entry: CatalogueEntry) -> str:
    return ", ".join(map(str, entry.attribution_days))


def _show(entry: CatalogueEntry) -> None:
    said = {
        "component": _APIS[entry.api],
        "product": entry.product,
        "kept": _days(entry.retention_days),
        "longest range": _days(entry.longest_range_days),
        "attribution": f"{_numbers(entry)} days" if entry.attribution_days else "",
        "time units": ", ".join(entry.time_units),
        "group_by": ", ".join(entry.group_by),
        **{
            f"{'filters' if entry.api == 'ads' else 'options'} {group}".strip(): "; ".join(
                f"{name}: {', '.join(values) or 'any'}" for name, values in options.items()
            )
            for group, options in entry.options.items()
        },
    }
    told = Table(box=None, pad_edge=False, show_header=False)
    for name, value in said.items():
        if value:
            told.add_row(name, Text(value))
    for name, holds in entry.ready_made.items():
        told.add_row("ready-made", Text(f"{name}: {holds}"))
    console.print(Text(entry.type, style="bold"))
    console.print(told)
    for table in entry.tables:
        console.print(_columns(table, "only with group_by" if entry.group_by else "only with"))


def _columns(of: CatalogueTable, needs: str) -> Table:
    return _table(
        of.name,
        {
            "field": [each.name for each in of.columns],
            "column": [each.column for each in of.columns],
            "type": [each.type for each in of.columns],
            "known from": [f"{each.source}: {each.reason}" if each.reason else each.source for each in of.columns],
            needs: [(" or " if needs.endswith("group_by") else ", ").join(each.needs) for each in of.columns],
        },
    )


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"
