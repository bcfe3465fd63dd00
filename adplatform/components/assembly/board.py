"""The operations board: an asset whose metadata say where the platform stands, and the schedule that rebuilds it."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from adplatform.components.assembly.ownership import automated
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.pattern import Pattern
from adplatform.operations.board import Board, look_over
from adplatform.operations.pictures import SHOWN_AT_ONCE, Bar, bars
from adplatform.operations.sections import Section, sections
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.calls import PLATFORM_RUN, acting
from adplatform.resources.named import LedgerResource, MachineResource, services_of

KEY = dg.AssetKey("operations_board")
GROUP = "operations"


def board_definitions(patterns: Callable[[], Sequence[Pattern]], status: dg.DefaultScheduleStatus) -> dg.Definitions:
    """``patterns`` are the declared sources."""
    asset = board_asset(patterns)
    return dg.Definitions(assets=[asset], schedules=[board_schedule(asset, status)])


def board_asset(patterns: Callable[[], Sequence[Pattern]]) -> dg.AssetsDefinition:
    @dg.asset(
        key=KEY,
        group_name=GROUP,
        kinds={"dashboard", "dynamodb"},
        tags={"zone": "operations"},
        description="Where the platform stands, by the ledger alone: how fresh tables are, what waits and why, what "
        "has failed, arrivals against deadlines, rows and cost of each date, and engines at work. `adplatform status` "
        "prints the same.",
    )
    @acting(PLATFORM_RUN)
    def operations_board(ledger: LedgerResource, machine: MachineResource) -> dg.MaterializeResult[None]:
        services = services_of(ledger, machine)
        try:
            with aws_failures("the operations board"):
                board = look_over(services, patterns())
        except (PermanentFailure, TransientFailure) as e:
            raise dg.Failure(str(e)) from e
        return dg.MaterializeResult(metadata=board_metadata(board))

    return operations_board


def board_schedule(asset: dg.AssetsDefinition, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="operations_board_hourly",
        target=[asset],
        cron_schedule="7 * * * *",
        execution_timezone="UTC",
        default_status=status,
        description="Rebuilds the operations board.",
    )
    @automated
    def rebuild(context: dg.ScheduleEvaluationContext, ledger: LedgerResource) -> dg.RunRequest:
        return dg.RunRequest()

    return rebuild


def board_metadata(board: Board) -> Mapping[str, dg.MetadataValue]:
    """What the page of the asset shows without a click: pictures, then tables as far as there is room. Numbers are
    plotted by Dagster from one board to the next."""
    days = [each.counts for each in board.days]
    ends = (str(board.days[0].day), str(board.days[-1].day)) if board.days else ("", "")
    pictures = {
        "rows a day": [Bar(each.rows_in, each.quarantined_share or 0) for each in days],
        "bytes a day": [Bar(each.bytes) for each in days],
        "seconds a day": [Bar(each.seconds) for each in days],
    }
    highest = {name: max((each.value for each in values), default=0) for name, values in pictures.items()}
    shown: dict[str, dg.MetadataValue] = {
        name: dg.MetadataValue.md(bars(f"{name}, at most {highest[name]:,.0f}", values, *ends))
        for name, values in pictures.items()
    }
    troubles = board.troubles
    return {
        "troubles": dg.MetadataValue.int(len(troubles)),
        **shown,
        **{each.title: dg.MetadataValue.md(markdown(each)) for each in sections(board)},
        "stale tables": dg.MetadataValue.int(sum(each.stale for each in board.tables)),
        "waiting deliveries": dg.MetadataValue.int(len(board.waiting)),
        "overdue arrivals": dg.MetadataValue.int(sum(each.overdue for each in board.arrivals)),
    }


def markdown(section: Section, most: int = SHOWN_AT_ONCE) -> str:
    """A table in ``most`` characters, with as many rows as there is room for; at the end how many more there are."""
    if not section.rows:
        return section.none
    lines = ["", _line(section.headings), _line(("---",) * len(section.headings))]
    for number, row in enumerate(section.rows):
        left = len(section.rows) - number
        more = f"\n\nand {left:,} more: `adplatform status`"
        if len("\n".join([*lines, _line(row)])) + len(more) > most:
            return "\n".join(lines) + more
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(each.replace('|', chr(92) + '|').replace(chr(10), ' ') for each in cells)} |"
