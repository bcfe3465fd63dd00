"""The command that shows what managed workflows found of the files that a partner uploaded."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table

from adplatform.cli.context import connect, console
from adplatform.engines.sftp.server import UploadedFiles
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.failed import instant
from adplatform.ledger.uploads import Finding, Upload
from adplatform.patterns import declared_patterns, of_kind


def uploads(
    source: Annotated[str, typer.Argument(help="A source whose partner uploads by SFTP.", show_default=False)],
    last: Annotated[int, typer.Option(help="How many to show, the newest.", min=1)] = 20,
    bad: Annotated[bool, typer.Option("--bad", help="Only files that were refused, cut off or failed.")] = False,
) -> None:
    """Show what the managed workflow found of uploaded files. One that is not here had none: what becomes of files
    does not depend on it, see `adplatform ledger`."""
    services = connect()
    known = {each.source.name for each in of_kind(declared_patterns(services.settings), UploadedFiles)}
    if source not in known:
        raise PermanentFailure(f"nobody uploads to {source!r}; there are {wrapped(sorted(known)) or 'none'}")
    console.print(upload_table(services.ledger.uploads.of_source(source), last, bad))


def upload_table(found: Iterable[Upload], last: int, bad: bool) -> Table:
    """The newest of these uploads, the last one at the end; ``bad`` only of those that nobody reads."""
    wanted = [each for each in found if not bad or each.finding not in (Finding.CHECKED, Finding.REPLACED)]
    table = Table("when", "user", "file", "bytes", "found", "reason", box=SIMPLE)
    for each in sorted(wanted, key=lambda upload: upload.at)[-last:]:
        table.add_row(instant(each.at), each.user, each.key, f"{each.size:,}", str(each.finding), each.reason)
    return table
