"""The command that tries a file against a feed's contract."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from adplatform.cli.context import console
from adplatform.cli.trials import show_counts, show_other_format, show_rows, show_suggestions
from adplatform.drafting.trial import try_contract
from adplatform.failures import PermanentFailure
from adplatform.flow.pattern import find_feed
from adplatform.patterns import declared_patterns
from adplatform.platform.settings import read_settings


def check_file(
    feed: Annotated[str, typer.Argument(help="A feed, as source/feed.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="A decrypted file.", exists=True, dir_okay=False)],
    limit: Annotated[int, typer.Option(help="Rows at most that are shown.", min=0)] = 20,
    reveal: Annotated[bool, typer.Option(help="Show values of all columns, and raw text.")] = False,
) -> None:
    """Try a decrypted file against a feed's contract, on this machine, without any service.

    Rows that it does not read are shown with line, column and reason, and with the settings that would read them, as
    far as any does. Values are masked as by `quarantine show`. Ends with status 1 where a row is quarantined,
    or the file put aside.
    """
    _, flow = find_feed(declared_patterns(read_settings()), feed)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        try:
            trial = try_contract(flow.feed.contract, file, work / "trial", flow.feed.limits)
        except PermanentFailure:
            show_other_format(flow.feed.contract, file, work, console)
            raise
        show_counts(trial, console)
        show_rows(trial, console, limit, reveal=reveal)
        show_suggestions(trial, file, work, console)
    if trial.staged.quarantined or trial.staged.refused:
        raise typer.Exit(1)
