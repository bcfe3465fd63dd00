"""The command that has a table loaded again whose changes are followed."""

from collections.abc import Sequence
from typing import Annotated

import typer

from adplatform.changes.followed import Followed
from adplatform.cli.context import connect, console
from adplatform.engines.changes import ChangedFiles
from adplatform.engines.changes import reload as load_again
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.services import Services
from adplatform.patterns import declared_patterns, of_kind
from adplatform.platform.aws_errors import aws_failures


def reload(
    table: Annotated[
        str, typer.Argument(help="A table whose changes are followed, as source/feed.", show_default=False)
    ],
    reason: Annotated[str, typer.Option(help="Why; the ledger keeps it.")] = "somebody asked for it",
    whole: Annotated[
        bool, typer.Option("--whole", help="Where nobody asks DMS: all files of the load that began are there.")
    ] = False,
) -> None:
    """Load a table again, without a gap: changes from before never replace what the load brings. Rows that are not in
    it end once it is whole."""
    services = connect()
    patterns = of_kind(declared_patterns(services.settings), ChangedFiles)
    console.print(reloaded(services, patterns, table, reason, whole=whole), highlight=False, soft_wrap=True)


def reloaded(services: Services, patterns: Sequence[ChangedFiles], table: str, reason: str, *, whole: bool) -> str:
    """What the command does, and says of it.

    Raises:
        PermanentFailure: it cannot be done.
    """
    pattern, followed = _find(patterns, table)
    folds, watched = services.ledger.folds, pattern.dms(services) is not None
    if not whole:
        generation = load_again(services, pattern, followed, reason)
        todo = "have DMS load the table now, and say --whole once all of its files are there"
        if watched:
            return f"{table}: load {generation.number} is asked for; DMS loads it now, and says when it began"
        return f"{table}: load {generation.number} begins with sequence {generation.sequence}; {todo}"
    known = folds.generations(followed.source, followed.declared.name)
    if watched or not known or known[-1].loaded_at is not None:
        why = "DMS says itself when a load is whole" if watched else "no load has begun that is not whole"
        raise PermanentFailure(f"{table}: {why}; leave --whole out")
    came = _recorded(services, pattern, followed)
    folds.loaded(followed.source, followed.declared.name, known[-1], None)
    return f"{table}: {came}load {known[-1].number} is whole; the next merge ends what is not in it"


def _recorded(services: Services, pattern: ChangedFiles, followed: Followed) -> str:
    """Record what of a table nobody has heard of yet, so that the load is not taken for whole without it."""
    prefix = followed.changes.layout.prefix
    with aws_failures(services.zones.raw_uri(prefix)):
        new = services.settler(pattern.source).arrivals.reconcile(prefix)
    return f"{new} files have come that are to be processed first; " if new else ""


def _find(patterns: Sequence[ChangedFiles], table: str) -> tuple[ChangedFiles, Followed]:
    every = [(pattern, each) for pattern in patterns for each in pattern.followed]
    for pattern, each in every:
        if each.name == table:
            return pattern, each
    known = wrapped(each.name for _, each in every) or "none"
    raise PermanentFailure(f"no table {table!r} whose changes are followed; there are {known}")
