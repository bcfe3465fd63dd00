"""The runs of managed engines on a terminal: what was wanted, what ran, whoever started it, and what it brought."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from adplatform.cli.context import connect, console, errors, say_if_paused
from adplatform.engines.engine import Engine, Finding
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Target, Watch, again, asked
from adplatform.engines.watches import engine_watches
from adplatform.engines.window_flows import Window, WindowFlows, feed_name, windows_between
from adplatform.failures import PermanentFailure, TransientFailure, plain, wrapped
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import PURSUED, WROTE, EngineRun, Intention, IntentState
from adplatform.ledger.ledger import Ledger
from adplatform.patterns import declared_patterns, of_kind

SOURCE = typer.Argument(help="A source, or one of its flows, tasks or crawlers as source/name.", show_default=False)


def runs(
    name: Annotated[str | None, SOURCE] = None,
    most: Annotated[int, typer.Option(help="How many runs of each flow, task or crawler to show.")] = 20,
) -> None:
    """Show the runs of flows, tasks and crawlers, whoever started them, and what is wanted and has not run yet."""
    services = connect()
    for watch, target in _targets(services, name):
        table = run_table(services.ledger, watch.source.name, target.name, most)
        if table.row_count or not (target.release or target.only_wanted):
            console.print(table)


def start(
    name: Annotated[str, typer.Argument(help="A flow, task or crawler, as source/name.", show_default=False)],
) -> None:
    """Want a run of a flow, task or crawler now; the next look starts it."""
    services = connect()
    [(watch, target)] = _targets(services, _whole(name))
    if isinstance(target.engine, WindowFlows):
        raise PermanentFailure(f"{name} are windows of the past: `adplatform engines backfill` takes the days")
    if target.only_wanted and target.alike is None:
        raise PermanentFailure(f"{name} transforms deliveries, which start it: `adplatform retry` has one made again")
    watch.intend(target, asked(services.now()))
    console.print(f"a run of {name} is wanted; the next look at the source starts it")
    say_if_paused(services, watch.source.name)


def cancel(
    name: Annotated[str, typer.Argument(help="A flow, task or crawler, as source/name.", show_default=False)],
    run: Annotated[str, typer.Argument(help="The id of the run, or its beginning.", show_default=False)],
) -> None:
    """Stop exactly one run. What it wrote until then is not delivered."""
    services = connect()
    [(watch, target)] = _targets(services, _whole(name))
    found = one_going(services.ledger.engine_runs.runs(watch.source.name, target.name), name, run)
    watch.cancel(target, found)
    console.print(f"run {found.run_id} is being stopped")


def backfill(
    source: Annotated[str, typer.Argument(help="A source whose flows run in AppFlow.", show_default=False)],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, in UTC.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, in UTC.")],
    feed: Annotated[str | None, typer.Option(help="A feed; by default every feed of the source.")] = None,
    days_per_run: Annotated[int | None, typer.Option(min=1, help="Days of a run; by default all in one.")] = None,
) -> None:
    """Want a window of the past: a copy of the flow pulls what changed in it, and is deleted after its run."""
    services = connect()
    wanted = windows_between(first.date(), last.date(), days_per_run, services.now())
    whole = backfilled(services, _windows(services, source, feed), wanted)
    say_if_paused(services, source)
    if not whole:
        raise typer.Exit(1)


def backfilled(
    services: Services, targets: Sequence[tuple[Watch, Target, WindowFlows]], wanted: Sequence[Window]
) -> bool:
    """Want these windows of each feed whose flow can be copied, and say why others cannot; whether all can."""
    refused = 0
    for watch, target, engine in targets:
        try:
            for window in wanted:
                engine.request(window)
        except PermanentFailure as e:
            errors.print(str(e), soft_wrap=True)
            refused += 1
            continue
        became = Counter(_want(services, watch, target, window) for window in wanted)
        name = f"{watch.source.name}/{target.name}"
        said = ", ".join(f"{count} {what}" for what, count in became.items())
        console.print(f"{name}: windows: {said}; see `adplatform runs {name}`", soft_wrap=True, highlight=False)
    return not refused


def _want(services: Services, watch: Watch, target: Target, window: Window) -> str:
    """Want a run for the window, once more where all before have failed; what became of that."""
    intentions = services.ledger.engine_runs.intentions(watch.source.name, target.name)
    same = [i for i in intentions if (i.window_start, i.window_end) == (window.start, window.end)]
    if any(each.state in PURSUED for each in same):
        return "on their way already"
    if any(each.state is IntentState.FULFILLED for each in same):
        return "pulled already"
    key = again(window.key, services.now()) if same else window.key
    watch.intend(target, key, window.start, window.end)
    return "wanted now"


def _windows(services: Services, source: str, feed: str | None) -> list[tuple[Watch, Target, WindowFlows]]:
    """
    Raises:
        PermanentFailure: the source or the feed has no flow of AppFlow.
    """
    found = [
        (watch, target, target.engine)
        for watch, target in _targets(services, source)
        if isinstance(target.engine, WindowFlows) and feed in (None, feed_name(target.name))
    ]
    if not found:
        what = source if feed is None else f"{source}/{feed}"
        raise PermanentFailure(f"{what} is brought by no flow of AppFlow, whose windows can be pulled")
    return found


def one_going(runs: Sequence[EngineRun], name: str, begins: str) -> EngineRun:
    """The only run of a target that goes on and whose id, or the end of whose ARN, begins so.

    Raises:
        PermanentFailure: there is none, or there are several; lists those that go on.
    """
    known = [each for each in runs if not each.final]
    found = [each for each in known if each.run_id.startswith(begins) or last_part(each.run_id).startswith(begins)]
    if len(found) != 1:
        going = wrapped(last_part(each.run_id) for each in known) or "none"
        raise PermanentFailure(f"{name}: {len(found)} runs that go on begin with {begins!r}; going on: {going}")
    return found[0]


def check() -> None:
    """Compare every declared flow, task and crawler with what AWS has, and say what to change."""
    services = connect()
    if not checked(
        [(f"{watch.source.name}/{target.name}", target.engine) for watch, target in _targets(services, None)]
    ):
        raise typer.Exit(1)


def checked(targets: Sequence[tuple[str, Engine]]) -> bool:
    """Say what is to be changed of each named target, and in the end how many are fit to run; whether all are."""
    unfit = 0
    for name, engine in targets:
        found = _findings(engine)
        for finding in found:
            (errors if finding.fatal else console).print(f"{name}: {finding.text}", soft_wrap=True)
        unfit += any(finding.fatal for finding in found)
    if unfit:
        errors.print(f"{unfit} of {len(targets)} flows, tasks and crawlers are not fit to run")
    else:
        console.print(f"every flow, task and crawler is fit to run ({len(targets)})")
    return not unfit


def _findings(engine: Engine) -> Sequence[Finding]:
    """What keeps one target from being looked at says nothing of the others."""
    try:
        return engine.check()
    except (PermanentFailure, TransientFailure) as e:
        return [Finding(str(e))]


def run_table(ledger: Ledger, source: str, target: str, most: int) -> Table:
    """The newest runs of one flow, task or crawler, the newest first, below what is wanted and has none yet."""
    intentions, runs = ledger.engine_runs.intentions(source, target), ledger.engine_runs.runs(source, target)[-most:]
    windows = any(row.window_start for row in intentions) or any(row.window_start for row in runs)
    about = ("wanted for", *(["window"] if windows else []))
    table = Table(*about, "run", "state", "started", "records", "objects", "note", box=SIMPLE)
    table.title = f"{source}/{target}"
    wanted = [i for i in intentions if i.state is not IntentState.FULFILLED]
    for why, window, *row in (*_wanted(wanted), *_ran(reversed(runs))):
        shown = (why, *([window] if windows else []), *row)
        table.add_row(*(Text(each) if isinstance(each, str) else each for each in shown))
    return table


def _wanted(intentions: Sequence[Intention]) -> Iterator[tuple[str, ...]]:
    for each in reversed(intentions):
        if not each.run_id:
            yield _reason(each.key), _pulled(each), "", str(each.state), "", "", "", plain(each.error)


def _ran(runs: Iterator[EngineRun]) -> Iterator[tuple[str | Text, ...]]:
    for run in runs:
        color = "green" if run.state in WROTE else "red" if run.final else "yellow"
        state = Text(f"{run.state}{', overdue' if run.overdue and not run.ended else ''}", color)
        yield (
            _reason(run.intent) or "somebody else",
            _pulled(run),
            last_part(run.run_id),
            state,
            _shown(run.started_at),
            "" if run.records is None else f"{run.records:,}",
            f"{run.objects:,}" if run.ended else "",
            plain(run.error or run.message),
        )


def last_part(run_id: str) -> str:
    """What tells a run from others of its target: all of an id, and the end of an ARN."""
    return run_id.rpartition("/")[2]


def _reason(key: str) -> str:
    """Why a run is wanted, without the window, which has a column of its own."""
    wanted, _, again = key.partition(" ")
    return f"window {again}".strip() if wanted.startswith("window/") else key


def _pulled(row: EngineRun | Intention) -> str:
    """What it pulls, where that is a window; times of day only where they matter."""
    if row.window_start is None or row.window_end is None:
        return ""
    return " to ".join(f"{at:%Y-%m-%d %H:%M}".removesuffix(" 00:00") for at in (row.window_start, row.window_end))


def _shown(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def _whole(name: str) -> str:
    if name.count("/") != 1:
        raise PermanentFailure(f"{name!r} names no flow, task or crawler: write source/name")
    return name


def _targets(services: Services, name: str | None) -> list[tuple[Watch, Target]]:
    """
    Raises:
        PermanentFailure: there is none of that name; lists those there are.
    """
    patterns = declared_patterns(services.settings)
    watches = [pattern.watch(services) for pattern in of_kind(patterns, EngineFiles)]
    watches += [watch for pattern in patterns for watch in engine_watches(services, pattern.source)]
    known = [(watch, target) for watch in watches for target in watch.targets]
    found = [
        (watch, target)
        for watch, target in known
        if name in (None, watch.source.name, f"{watch.source.name}/{target.name}")
    ]
    if name is not None and not found:
        there = wrapped(f"{watch.source.name}/{target.name}" for watch, target in known) or "none"
        raise PermanentFailure(f"no flow, task or crawler {name!r}; there are {there}")
    return found
