"""The command that erases a person. Who that is never stands on the command line, which others can read."""

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from adplatform.cli.context import connect, console, errors
from adplatform.contracts.durations import parse_duration
from adplatform.failures import PermanentFailure, wrapped
from adplatform.flow.pattern import Pattern
from adplatform.patterns import declared_patterns
from adplatform.privacy.person import Identifier, read_identifiers

if TYPE_CHECKING:
    from adplatform.flow.erasure.receipt import Receipt
    from adplatform.flow.services import Services

_SHOWN = 40


def erase(
    source: Annotated[str, typer.Argument(help="The source to erase from.")],
    given: Annotated[
        Path | None,
        typer.Option("--from", help="A file that says who; by default standard input.", exists=True, dir_okay=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what holds the person now.")] = False,
    readers: Annotated[str, typer.Option(help="How long queries under way may go on reading earlier files.")] = "1m",
    receipt: Annotated[Path | None, typer.Option(help="Write the receipt to this file, too.")] = None,
) -> None:
    """Erase a person from all that a source has stored, publish what is left, and print a receipt.

    Who it is comes from standard input or a file, one line for each thing that identifies the person: a kind (email,
    phone, device_id, generic_id), a blank and the value; or JSON, {"kind": ..., "value": ..., "country": ...}. May be
    stopped and run again.
    """
    identifiers = read_identifiers(given.read_text("utf-8") if given else sys.stdin.read())
    services = connect()
    patterns = declared_patterns(services.settings)
    pattern = next((each for each in patterns if each.source.name == source), None)
    if pattern is None:
        raise PermanentFailure(f"no source {source!r}; there are {wrapped(p.source.name for p in patterns)}")
    result = run(services, patterns, pattern, identifiers, _period(readers), dry_run=dry_run)
    if receipt:
        receipt.write_text(json.dumps(result.document, indent=1, sort_keys=True), "utf-8")
    show(result)


def run(
    services: "Services",
    patterns: Sequence[Pattern],
    pattern: Pattern,
    identifiers: Sequence[Identifier],
    readers: timedelta,
    *,
    dry_run: bool,
) -> "Receipt":
    """Erase with runs of Dagster in this process."""
    from adplatform.changes.targets import with_engines  # noqa: PLC0415 - brings the AWS clients
    from adplatform.cli import headless  # noqa: PLC0415 - Dagster takes seconds to import
    from adplatform.cli.key_runs import headless_work  # noqa: PLC0415 - as above
    from adplatform.flow.erasure.erase import RUN_PREFIX  # noqa: PLC0415 - brings the AWS clients
    from adplatform.flow.erasure.erase import erase as erased  # noqa: PLC0415 - as above
    from adplatform.flow.erasure.state import Wish  # noqa: PLC0415 - as above

    wish = Wish(identifiers, readers, dry_run)
    flows = pattern.deliveries(services.ledger)

    def follow() -> Iterator[str]:
        if not pattern.source.derived:
            return
        own = [each for each in headless.declared_automations() if each.source == pattern.source.name]
        given = set[str]()
        with headless.opened(services.settings) as instance:
            for finished in headless.process(services, instance, own, patience=0, watch=lambda _: None):
                if finished.given:
                    given.add(finished.feed)
                elif not finished.success:
                    yield f"{finished.feed} {finished.dates}: {finished.error}".strip()
        given |= {row.name for row in with_engines(services, pattern.source)}
        for name in sorted(given):
            yield f"{name}: an engine makes it; give the command again when that has ended"

    with headless_work(services, patterns, lambda _: None, RUN_PREFIX) as work:
        return erased(services, pattern.source, flows, wish, work, erasure_id=uuid.uuid4().hex, follow=follow)


def show(result: "Receipt") -> None:
    """Print what an erasure came to.

    Raises:
        PermanentFailure: it is not complete.
    """
    from adplatform.flow.erasure.receipt import OUT_OF_REACH  # noqa: PLC0415 - brings the AWS clients
    from adplatform.flow.erasure.state import ADVICE  # noqa: PLC0415 - as above

    table = Table("what", "where", "rows")
    for each in sorted(result.done, key=lambda each: (each.what, each.place))[:_SHOWN]:
        table.add_row(each.what, each.place, f"{each.rows:,}")
    if result.done:
        console.print(table)
    if len(result.done) > _SHOWN:
        console.print(f"and {len(result.done) - _SHOWN:,} more", highlight=False)
    for place in result.unreadable:
        errors.print(f"nobody here can say what it holds: {place}", highlight=False, soft_wrap=True)
    for key_id in result.lost_keys:
        errors.print(f"hashing key {key_id} cannot be had any more: digests under it were not looked for")
    if result.dry_run:
        console.print(f"{len(result.done):,} objects hold the person; nothing was changed", highlight=False)
        return
    for problem in result.problems:
        errors.print(problem, highlight=False, soft_wrap=True)
    if result.problems:
        raise PermanentFailure(
            f"erasure {result.erasure.id} is not complete: mend what is said above and run {ADVICE} again with the "
            "same identifiers"
        )
    said = ", ".join(f"{count:,} {what}" for what, count in result.counts.items()) or "nothing held the person"
    console.print(f"erasure {result.erasure.id}: {said}; a last look found nothing", highlight=False, soft_wrap=True)
    console.print(f"receipt: {result.erasure.receipt_key} in the raw bucket", highlight=False, soft_wrap=True)
    console.print("not reached: " + "; ".join(OUT_OF_REACH), highlight=False, soft_wrap=True)


def _period(text: str) -> timedelta:
    try:
        period: timedelta = parse_duration(text)
    except ValueError as e:
        raise PermanentFailure(f"--readers {text!r}: {e}") from e
    return period
