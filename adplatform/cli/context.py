"""What every command needs: the declared sources, the services, a console, and one way to report a failure."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.text import Text

from adplatform.amazon.sources import AdsSource, ReportSource, SellingPartnerSource
from adplatform.contracts.source import FileSource
from adplatform.contracts.yaml_files import read_declarations
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services, open_services
from adplatform.flow.source import FeedFlow, Source, declared_source
from adplatform.local.endpoint import stopped_at_the_end
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.settings import Settings, read_settings
from adplatform.pull.account import Account, account_of
from adplatform.pull.fact import account_source, all_tables

DEFS = Path(__file__).parents[1] / "defs"
SOURCE_MODELS: dict[str, type[BaseModel]] = {
    "PartnerPush": FileSource,
    "AmazonAdsReports": AdsSource,
    "SellingPartnerReports": SellingPartnerSource,
}

PIPED_WIDTH = 160
"""Characters of a line when nobody's terminal says otherwise."""

console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
errors = Console(stderr=True)


def declared_sources(settings: Settings) -> list[Source]:
    """Every source below ``defs/`` that brings files.

    Raises:
        PermanentFailure: a file has mistakes; names the first.
    """
    return [declared_source(model, settings.raw_bucket) for model in _declared() if isinstance(model, FileSource)]


def declared_accounts() -> list[Account]:
    """Every account below ``defs/`` whose reports are pulled.

    Raises:
        PermanentFailure: a file has mistakes; names the first.
    """
    return [account_of(model) for model in _declared() if isinstance(model, ReportSource)]


def _declared() -> list[BaseModel]:
    declared, mistakes = read_declarations(DEFS, SOURCE_MODELS)
    if mistakes:
        raise PermanentFailure(f"{mistakes[0]} (`adplatform validate` lists all)")
    return [d.model for d in declared]


def find_feed(sources: list[Source], name: str) -> tuple[Source, FeedFlow]:
    """The feed called ``source/feed``, or the part of a report's table called ``source/feed/scope``.

    Raises:
        PermanentFailure: there is none; lists those there are.
    """
    for source in sources:
        for flow in source.feeds:
            if flow.name == name:
                return source, flow
    tables = [(account, table) for account in declared_accounts() for table in all_tables(account)]
    for account, table in tables:
        if name.startswith(f"{table.table}/"):
            flow = account.scoped(table, name.removeprefix(f"{table.table}/"))
            return account_source(account, read_settings().raw_bucket, flow), flow
    known = ", ".join(
        [
            *(flow.name for source in sources for flow in source.feeds),
            *(f"{table.table}/<{account.dimension}>" for account, table in tables),
        ]
    )
    raise PermanentFailure(f"no feed {name!r}; there are {known}")


def connect() -> Services:
    return open_services(read_settings())


def parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise PermanentFailure(f"{text!r} is not a date: write YYYY-MM-DD") from e


@contextmanager
def reported() -> Iterator[None]:
    """Print a failure as one message and end with status 1; a traceback is for bugs only."""
    try:
        with stopped_at_the_end(), aws_failures("AWS"):
            yield
    except (PermanentFailure, TransientFailure) as e:
        errors.print(Text.assemble(("failed: ", "bold red"), str(e)), soft_wrap=True)
        raise typer.Exit(1) from e
