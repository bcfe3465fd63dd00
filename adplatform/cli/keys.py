"""Commands for the hashing key: which tables are under which key, bring all to one, retire earlier ones."""

import secrets
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Annotated

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from adplatform.cli.context import connect, console, errors
from adplatform.cli.report_history import dates
from adplatform.contracts.durations import parse_duration
from adplatform.failures import PermanentFailure
from adplatform.flow import key_rotation
from adplatform.flow.again import Step
from adplatform.flow.hashing_keys import meets_deliveries
from adplatform.flow.key_rotation import Remake, RotationResult, Target, Wish, choose, plan, retire_keys, usage
from adplatform.flow.pattern import Pattern
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.keys import RotationState, TableRotation
from adplatform.ledger.ledger import Ledger
from adplatform.patterns import declared_patterns
from adplatform.privacy.key_versions import key_versions


def status() -> None:
    """Show the hashing key of the lake, and how many deliveries and rows of each table are under which key."""
    services = connect()
    ledger, now = services.ledger, services.ledger.now()
    versions = key_versions(services.secrets, services.settings.hash_key_secret)
    current = next((v.id for v in versions if v.current), "none")
    lake, rotations = ledger.keys.lake_key(), {r.table: r for r in ledger.keys.rotations()}
    lines = [f"current value of secret {services.settings.hash_key_secret}: key {current}"]
    if lake is not None:
        lines.append(f"key of the lake: {lake.key_id} since {lake.since:%Y-%m-%d}")
        if lake.rotating or lake.next_version:
            lines.append("a rotation is not finished: `adplatform keys rotate` goes on with it")
        elif lake.key_id != current:
            lines.append("the secret was given another value: `adplatform keys rotate` brings every table to it")
        if lake.dual(now):
            lines.append(f"digests under key {lake.previous_id} are stored, too, until {lake.dual_until:%Y-%m-%d} UTC")
    if earlier := sorted(v.id for v in versions if not v.current):
        lines.append(f"earlier keys that can be had: {', '.join(earlier)}")
    table = Table("table", "key", "deliveries", "rows", "note")
    wanted = lake.key_id if lake else current
    patterns = declared_patterns(services.settings)
    derived = {flow.table for flow in _derived(patterns)}
    for each in usage(services.ledger, [*_flows(services.ledger, patterns), *_derived(patterns)]):
        text = note(rotations.get(each.table), each.key_id, wanted, derived=each.table in derived)
        table.add_row(each.table, each.key_id or "not recorded", f"{each.deliveries:,}", f"{each.rows:,}", text)
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    console.print(table)


def rotate(
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would be made again, and under which key.")
    ] = False,
    new_key: Annotated[bool, typer.Option("--new-key", help="Make a new key even if a rotation was begun.")] = False,
    adopt: Annotated[bool, typer.Option("--adopt", help="Make no key: bring every table to the current one.")] = False,
    dual: Annotated[
        str | None, typer.Option(help="Store digests under the previous key, too, for example for 30d.")
    ] = None,
) -> None:
    """Bring every table to one hashing key, a new one unless a rotation was begun. May be stopped and run again."""
    if new_key and adopt:
        raise PermanentFailure("--new-key makes a key and --adopt makes none: give one of them")
    wish = Wish(new_key, adopt, _period(dual) if dual else None)
    services, version = connect(), str(uuid.uuid4())
    patterns = declared_patterns(services.settings)
    flows = _flows(services.ledger, patterns)
    target = choose(services, flows, wish, version)
    _show_plan(services, flows, target, target.previous_id if wish.dual else "")
    if plan:
        return
    from adplatform.cli.key_runs import headless_work  # noqa: PLC0415 - Dagster takes seconds to import

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors) as progress, headless_work(services, patterns, _watch(progress)) as work:
        result = key_rotation.rotate(services, flows, wish, work, version=version, random_bytes=secrets.token_bytes)
    show_result(result)


def retire(
    now: Annotated[
        bool, typer.Option("--now", help="End the time in which digests under two keys are stored.")
    ] = False,
) -> None:
    """Give up earlier keys that nothing needs any more."""
    services = connect()
    patterns = declared_patterns(services.settings)
    tables = [*_flows(services.ledger, patterns), *_derived(patterns)]
    retired, used = retire_keys(services, tables, end_dual=now)
    console.print(f"retired: {', '.join(retired) or 'none'}", highlight=False)
    for key_id in used:
        console.print(f"kept: {key_id}, which `adplatform keys` shows in use", highlight=False)


def _flows(ledger: Ledger, patterns: Sequence[Pattern]) -> list[FeedFlow]:
    """Every feed as its deliveries are named."""
    return [flow for pattern in patterns for flow in pattern.deliveries(ledger)]


def _derived(patterns: Sequence[Pattern]) -> list[FeedFlow]:
    """The tables that are made of those of feeds; a merge brings each to the key of what it is made of."""
    return [flow for pattern in patterns for flow in pattern.source.derived]


def _period(text: str) -> timedelta:
    try:
        period: timedelta = parse_duration(text)
    except ValueError as e:
        raise PermanentFailure(f"--dual {text!r}: {e}") from e
    if period <= timedelta(0):
        raise PermanentFailure(f"--dual {text!r}: write a time above zero, such as 30d")
    return period


def note(rotation: TableRotation | None, key_id: str, wanted: str, *, derived: bool = False) -> str:
    """What to say of the deliveries of a table that are under ``key_id``, "" where that was not recorded; of a
    ``derived`` one that it follows the table that it is made of."""
    if derived:
        return "" if key_id == wanted else "the merge after the rotation of its changes makes it anew"
    if rotation is not None and rotation.state is RotationState.RUNNING:
        return f"on its way to {rotation.key_id}: {rotation.staged} of {rotation.deliveries} made; new deliveries wait"
    if rotation is not None and rotation.state is RotationState.KEPT:
        return f"stays under its key: originals of {rotation.left} deliveries are gone"
    if not key_id:
        return "nobody knows under which key: `adplatform keys rotate`"
    return "" if key_id == wanted else "joins with the others are wrong: `adplatform keys rotate`"


def _show_plan(services: Services, flows: Sequence[FeedFlow], target: Target, previous_id: str) -> None:
    console.print(f"to key {target.key_id}: {target.why}", highlight=False, soft_wrap=True)
    items = plan(services, flows, target.key_id, previous_id)
    table = Table("table", "deliveries", "dates", "originals", "bytes", "rows", "how")
    for flow, mine in key_rotation.tables_of(items):
        todo = [each for each in mine if not each.gone]
        if meets_deliveries(flow) and len(todo) < len(mine):
            how = "stays as it is: originals are gone"
        else:
            how = "as a whole" if meets_deliveries(flow) else "one by one"
        days = [each.day for each in mine]
        counts = (sum(e.objects for e in todo), sum(e.bytes for e in todo), sum(e.rows for e in mine))
        objects, size, rows = f"{counts[0]:,}", decimal(counts[1]), f"{counts[2]:,}"
        table.add_row(flow.table, f"{len(todo):,}", dates(min(days), max(days)), objects, size, rows, how)
    console.print(table if items else "every table is under that key", highlight=False)
    _show_left([each for each in items if each.gone])


def _show_left(left: Sequence[Remake]) -> None:
    for each in left:
        console.print(f"left as it is: {each.name}, {each.rows:,} rows: {each.gone}", highlight=False, soft_wrap=True)


def _watch(progress: Progress) -> Callable[[Step], None]:
    tasks: dict[str, TaskID] = {}

    def watch(step: Step) -> None:
        if step.table not in tasks:
            tasks[step.table] = progress.add_task(step.table)
        progress.update(
            tasks[step.table], description=f"{step.table} {step.what}", completed=step.done, total=step.total
        )

    return watch


def show_result(result: RotationResult) -> None:
    """What a rotation came to.

    Raises:
        PermanentFailure: it is not complete.
    """
    _show_left(result.left)
    key = result.key
    for lost in result.lost:
        errors.print(f"key {lost} cannot be had any more: nothing joins with exports made with it", soft_wrap=True)
    if not result.new_key:
        text = (
            f"no new key was made: key {key.key_id} is the one that a rotation was begun to, or that was there before"
        )
        console.print(f"{text}; `adplatform keys rotate --new-key` makes one", highlight=False, soft_wrap=True)
    if result.problems:
        for problem in result.problems:
            errors.print(problem, highlight=False, soft_wrap=True)
        raise PermanentFailure(
            f"{result.made} deliveries were made under key {key.key_id} and {len(result.problems)} were not; mend "
            "what is said above and run `adplatform keys rotate` again"
        )
    console.print(f"{result.made} deliveries were made again; the lake is under key {key.key_id}", highlight=False)
    if key.dual_until:
        console.print(
            f"columns ending in _lake_previous have digests under key {key.previous_id} until "
            f"{key.dual_until:%Y-%m-%d %H:%M} UTC; then `adplatform keys retire` gives that key up",
            highlight=False,
            soft_wrap=True,
        )
    elif key.previous_id:
        console.print(f"`adplatform keys retire` gives up key {key.previous_id}", highlight=False)
