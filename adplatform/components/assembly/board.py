"""The operations board: an asset whose metadata say where the platform stands, and the schedule that rebuilds it."""

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from adplatform.components.assembly.ownership import automated
from adplatform.components.assembly.runs import AHEAD
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.pattern import Pattern
from adplatform.operations.board import Board, look_over
from adplatform.operations.pictures import pictures
from adplatform.operations.sections import Section, sections
from adplatform.operations.svg import SHOWN_AT_ONCE
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.calls import PLATFORM_RUN, acting
from adplatform.resources.named import LedgerResource, MachineResource, services_of

KEY = dg.AssetKey("operations_board")
GROUP = "operations"
MOST_ROWS = 50


def board_definitions(patterns: Callable[[], Sequence[Pattern]], status: dg.DefaultScheduleStatus) -> dg.Definitions:
    """``patterns`` are the declared sources."""
    asset = board_asset(patterns)
    return dg.Definitions(assets=[asset], schedules=[board_schedule(asset, status)])


def board_asset(patterns: Callable[[], Sequence[Pattern]]) -> dg.AssetsDefinition:
    @dg.asset(
        key=KEY,
        group_name=GROUP,
        kinds={"dashboard", "dynamodb"},
        tags={"category": "operations", "zone": "operations"},
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
    description = "Rebuilds the operations board."

    @dg.schedule(
        name="operations_board_hourly",
        job=dg.define_asset_job(f"{KEY.path[-1]}_rebuild", selection=[asset], description=description),
        cron_schedule="7 * * * *",
        execution_timezone="UTC",
        default_status=status,
        description=description,
    )
    @automated
    def rebuild(context: dg.ScheduleEvaluationContext, ledger: LedgerResource) -> dg.RunRequest:
        return dg.RunRequest(tags=AHEAD)

    return rebuild


def board_metadata(board: Board) -> Mapping[str, dg.MetadataValue]:
    """What the page of the asset shows without a click: pictures and tables. Numbers are plotted by Dagster from one
    board to the next."""
    return {
        "failed or overdue": dg.MetadataValue.int(len(board.troubles)),
        **{name: dg.MetadataValue.md(picture) for name, picture in pictures(board)},
        **{each.title: shown(each) for each in sections(board)},
        "stale tables": dg.MetadataValue.int(sum(each.stale for each in board.tables)),
        "waiting deliveries": dg.MetadataValue.int(len(board.waiting)),
        "overdue arrivals": dg.MetadataValue.int(sum(each.overdue for each in board.arrivals)),
    }


def shown(section: Section) -> dg.MarkdownMetadataValue | dg.TableMetadataValue:
    """A section as markdown where that is shown at once; otherwise as a table, which takes more room, with its first
    rows and how many more there are."""
    text = _markdown(section)
    if len(text) <= SHOWN_AT_ONCE:
        return dg.MetadataValue.md(text)
    rows, left = section.rows[:MOST_ROWS], len(section.rows) - MOST_ROWS
    if left > 0:
        rows = (*rows, (f"and {left:,} more: `adplatform status`", *([""] * (len(section.headings) - 1))))
    return dg.MetadataValue.table([dg.TableRecord(dict(zip(section.headings, row, strict=True))) for row in rows])


def _markdown(section: Section) -> str:
    if not section.rows:
        return section.none
    rule = ("---",) * len(section.headings)
    return "\n".join(["", *map(_line, (section.headings, rule, *section.rows))])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(each.replace('|', chr(92) + '|').replace(chr(10), ' ') for each in cells)} |"
