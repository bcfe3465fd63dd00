"""Where everything stands, on a terminal."""

import json
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from adplatform.cli.context import connect, console
from adplatform.cli.pauses import require_source
from adplatform.cli.standing import long
from adplatform.operations.board import Board, look_over
from adplatform.operations.sections import Section, sections
from adplatform.patterns import declared_patterns

SOURCE = typer.Argument(help="A source; by default all.", show_default=False)


def status(
    source: Annotated[str | None, SOURCE] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers for a program.")] = False,
) -> None:
    """Show how fresh tables are, what waits and why, what has failed, and what it all costs; ends with status 1 where
    something has failed or is overdue."""
    services = connect()
    patterns = declared_patterns(services.settings)
    if source is not None:
        require_source(source, [pattern.source.name for pattern in patterns])
    report(look_over(services, [each for each in patterns if source in (None, each.source.name)]), as_json=as_json)


def report(board: Board, *, as_json: bool = False) -> None:
    """Print the board, as JSON with instants and dates in ISO 8601, amounts of budgets as numbers and its troubles as
    sentences.

    Raises:
        Exit: with status 1; something has failed or is overdue.
    """
    if as_json:
        document = {**asdict(board), "troubles": board.troubles}
        typer.echo(json.dumps(document, default=_plain, indent=1))
    else:
        show(board, console)
    if board.troubles:
        raise typer.Exit(1)


def _plain(value: date | Decimal) -> str | float:
    return float(value) if isinstance(value, Decimal) else value.isoformat()


def show(board: Board, to: Console) -> None:
    """Print the board: what is wrong, and then what there is of each of its sections."""
    for section in sections(board):
        show_section(section, to)
    to.print(f"{len(board.troubles)} failed or overdue" if board.troubles else "nothing has failed, nothing is overdue")


def show_section(section: Section, to: Console) -> None:
    """Print a section, or that there is nothing of it."""
    if not section.rows:
        to.print(section.none)
        return
    table = Table(*map(long, section.headings), title=section.title, box=SIMPLE, pad_edge=False)
    for row in section.rows:
        table.add_row(*row)
    to.print(table, markup=False)
