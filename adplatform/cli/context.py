"""What every command needs: the services, a console, and one way to report a failure.

AWS clients take longer to import than many a command to run, so they come with the first that needs them.
"""
# ruff: noqa: PLC0415

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.text import Text

from adplatform.cli.actions import note
from adplatform.failures import PermanentFailure, TransientFailure, plain

if TYPE_CHECKING:
    from adplatform.flow.services import Services

PIPED_WIDTH = 160
"""Characters of a line when nobody's terminal says otherwise."""

console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, markup=False, emoji=False)
"""Prints texts as they are: what stands in brackets or between colons in a value is no markup."""
errors = Console(stderr=True, markup=False, emoji=False)


def connect() -> "Services":
    from adplatform.platform.settings import read_settings
    from adplatform.resources.connection import open_services

    services = open_services(read_settings())
    note(services)
    return services


def say_if_paused(services: "Services", source: str) -> None:
    """Whoever wants something of a paused source hears that it waits."""
    if pause := services.ledger.pauses.of(source):
        console.print(f"it waits: {pause}", highlight=False, soft_wrap=True)


def parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise PermanentFailure(f"{text!r} is not a date: write YYYY-MM-DD") from e


@contextmanager
def reported() -> Iterator[None]:
    """Print a failure as one message and end with status 1; a traceback is for bugs only."""
    from adplatform.platform.aws_errors import aws_failures
    from adplatform.platform.extras import has_local

    try:
        with ExitStack() as stack:
            if has_local():
                from adplatform.local.endpoint import stopped_at_the_end

                stack.enter_context(stopped_at_the_end())
            stack.enter_context(aws_failures("AWS"))
            yield
    except (PermanentFailure, TransientFailure) as e:
        errors.print(Text.assemble(("failed: ", "bold red"), plain(str(e))), soft_wrap=True)
        raise typer.Exit(1) from e
