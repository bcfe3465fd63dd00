"""The board in words: tables of texts, which a terminal and a page of Dagster show each in its own way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from rich.filesize import decimal

from adplatform.contracts.durations import write_duration
from adplatform.operations.board import DAYS, Board, Counts


@dataclass(frozen=True)
class Section:
    """Rows of texts below headings. ``none`` is what to say where there are no rows."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    none: str


def sections(board: Board) -> Iterator[Section]:
    """What the board shows, in the order in which people need it; all instants are in UTC."""
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
    yield Section("tables", _TABLE_HEADINGS, tuple(_tables(board)), "no table is declared")
    late_first = sorted(board.arrivals, key=lambda each: (each.overdue, each.day, each.late_seconds), reverse=True)
    yield Section(
        "arrivals",
        ("feed", "date", "due", "complete", "by its deadline"),
        tuple(
            (each.name, str(each.day), _at(each.due), _at(each.arrived), _kept(each.arrived, each.late_seconds))
            for each in late_first
        ),
        "no feed has a deadline",
    )
    yield Section(
        "runs of engines",
        ("of", "run", "state", "since", "note"),
        tuple(
            (
                each.name,
                each.run_id,
                f"{each.state}, overdue" if each.overdue else each.state,
                _at(each.since),
                each.note,
            )
            for each in board.runs
        ),
        "no engine is at work",
    )
    yield Section(
        "days",
        ("date", *_COUNTED),
        tuple((str(each.day), *_counted(each.counts)) for each in reversed(board.days) if each.counts.files),
        f"nothing was published of the last {DAYS} dates",
    )
    yield Section("paused", ("source",), tuple((each,) for each in board.paused), "no source is paused")


_COUNTED = ("rows in", "clean", "quarantined", "files", "bytes", "seconds")
_TABLE_HEADINGS = ("table", "published", "age", "allowed", "newest date", *_COUNTED)


def _tables(board: Board) -> Iterator[tuple[str, ...]]:
    for each in sorted(board.tables, key=lambda table: (not table.stale, table.table)):
        yield (
            each.table,
            _at(each.published_at) or "never",
            f"{_lasting(each.age_seconds)}{', stale' if each.stale else ''}".removeprefix(", "),
            _lasting(each.fresh_within_seconds),
            _day(each.newest),
            *_counted(each.counts),
        )


def _counted(counts: Counts) -> tuple[str, ...]:
    share = counts.quarantined_share
    return (
        f"{counts.rows_in:,}",
        f"{counts.clean:,}",
        f"{share:.1%}" if share is not None else "",
        f"{counts.files:,}",
        decimal(counts.bytes) if counts.bytes else "",
        f"{counts.seconds:,.1f}",
    )


def _kept(arrived: datetime | None, late: float) -> str:
    if arrived is None:
        return f"not there, {_lasting(late)} overdue"
    return f"{_lasting(abs(late))} {'late' if late > 0 else 'before'}"


def _at(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""


def _day(day: date | None) -> str:
    return str(day) if day else ""


def _lasting(seconds: float | None) -> str:
    """To the minute up to some hours, to the hour up to some days."""
    if seconds is None:
        return ""
    unit = next(each for each, most in _ROUNDED if seconds < most)
    return write_duration(timedelta(seconds=round(seconds / unit) * unit))


_ROUNDED: Sequence[tuple[int, float]] = ((60, 3 * 3_600), (3_600, 4 * 86_400), (86_400, float("inf")))
