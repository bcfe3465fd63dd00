"""The board in words: tables of texts, which a terminal and a page of Dagster show each in its own way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rich.filesize import decimal

from adplatform.contracts.durations import write_duration
from adplatform.flow.cost_guard import Standing
from adplatform.operations.board import DAYS, RUNS, ArrivalStanding, Board, Counts


@dataclass(frozen=True)
class Section:
    """Rows of texts below headings, few enough for a page of Dagster to be wide enough. ``none`` is what to say where
    there are no rows."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    none: str


def sections(board: Board) -> Iterator[Section]:
    """What the board shows, in the order in which people need it, in each first what is wrong; instants are in UTC."""
    yield Section(
        "failed",
        ("what, why, and what to do",),
        tuple((each.text,) for each in board.failed),
        "nothing has failed",
    )
    yield Section(
        "waiting",
        ("feed", "date", "state", "since", "next"),
        tuple((each.name, str(each.day), each.state, _at(each.since), each.next) for each in board.waiting),
        "no delivery waits",
    )
    yield Section(
        "freshness",
        ("table", "published", "age", "allowed", "newest date"),
        tuple(
            (
                each.table,
                _at(each.published_at) or "never",
                ", ".join(filter(None, (lasting(each.age_seconds), "stale" if each.stale else ""))),
                lasting(each.fresh_within_seconds),
                _day(each.newest),
            )
            for each in sorted(board.tables, key=lambda table: (not table.stale, table.table))
        ),
        "no table is declared",
    )
    yield Section(
        "arrivals",
        ("feed", "date", "complete", "by its deadline"),
        tuple(
            (each.name, str(each.day), _at(each.arrived), _kept(each))
            for each in sorted(board.arrivals, key=lambda each: (each.overdue, each.day, each.name), reverse=True)
        ),
        "no feed has a deadline",
    )
    yield Section(
        "engines at work",
        ("of", "state", "since", "run", "note"),
        tuple(
            (
                each.name,
                f"{each.state}, overdue" if each.overdue else each.state,
                _at(each.since),
                each.run_id,
                each.note,
            )
            for each in sorted(board.runs, key=lambda run: (not run.overdue, run.name))
        ),
        "no engine is at work",
    )
    most_first = sorted(board.tables, key=lambda table: table.counts.bytes, reverse=True)
    nothing = f"nothing was published of the last {DAYS} dates"
    yield Section(
        f"tables, {DAYS} dates",
        ("table", *_COUNTED),
        tuple((each.table, *_counted(each.counts)) for each in most_first if each.counts.files),
        nothing,
    )
    yield Section(
        "dates, all tables",
        ("date", *_COUNTED),
        tuple((str(each.day), *_counted(each.counts)) for each in reversed(board.days) if each.counts.files),
        nothing,
    )
    yield Section(
        f"engines, {RUNS} scheduled runs",
        ("of", "runs", "seconds", "records", "bytes", "charged by"),
        tuple(
            (
                each.name,
                str(each.runs),
                f"{each.seconds:,.1f}",
                f"{each.records:,}",
                decimal(each.bytes) if each.bytes else "",
                ", ".join(f"{name} {amount:,.3f}" for name, amount in sorted(each.usage.items())),
            )
            for each in board.engines
        ),
        "no engine has run by a schedule",
    )
    yield budgets(board.budgets)
    yield Section("paused", ("source",), tuple((each,) for each in board.paused), "no source is paused")


def budgets(found: Sequence[Standing]) -> Section:
    """What sources have used of what they may; those at a limit come first."""
    return Section(
        "budgets",
        ("source", "of this", "used", "of", "forecast"),
        tuple(
            (each.source, each.period, each.shown(each.used), each.shown(each.limit), _forecast(each))
            for each in sorted(found, key=lambda each: (not each.over, each.forecast <= each.limit))
        ),
        "no source has a budget",
    )


def _forecast(each: Standing) -> str:
    said = "reached" if each.over else "over by then" if each.forecast > each.limit else ""
    return ", ".join(filter(None, (each.shown(each.forecast), said)))


_COUNTED = ("rows in", "clean", "quarantined", "files", "bytes", "seconds")


def _counted(counts: Counts) -> tuple[str, ...]:
    return (
        f"{counts.rows_in:,}",
        f"{counts.clean:,}",
        _share(counts.quarantined_share),
        f"{counts.files:,}",
        decimal(counts.bytes) if counts.bytes else "",
        f"{counts.seconds:,.1f}",
    )


def _share(share: float | None) -> str:
    return "" if share is None else "0" if not share else f"{share:.1%}" if share >= 0.001 else "< 0.1%"


def _kept(arrival: ArrivalStanding) -> str:
    took = lasting(abs(arrival.late_seconds))
    if arrival.arrived is None:
        return f"overdue, {took}" if arrival.overdue else "not there"
    return f"{took} {'late' if arrival.late_seconds > 0 else 'before'}"


def _at(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def _day(day: date | None) -> str:
    return str(day) if day else ""


def lasting(seconds: float | None) -> str:
    """To the minute up to some hours, to the hour up to some days."""
    if seconds is None:
        return ""
    unit = next(each for each, most in _ROUNDED if seconds < most)
    return write_duration(timedelta(seconds=round(seconds / unit) * unit))


_ROUNDED: Sequence[tuple[int, float]] = ((60, 3 * 3_600), (3_600, 4 * 86_400), (86_400, float("inf")))
