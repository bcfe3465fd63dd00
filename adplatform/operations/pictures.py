"""The pictures of the board."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.filesize import decimal

from adplatform.operations.board import Board
from adplatform.operations.sections import lasting
from adplatform.operations.svg import BAD, BASE, GOOD, TOP, WIDTH, picture


@dataclass(frozen=True)
class Bar:
    """A value of at least 0, and which part of it, 0 to 1, is ``bad``."""

    value: float
    bad: float = 0.0


def pictures(board: Board) -> Iterator[tuple[str, str]]:
    """The names of pictures, and each as markdown: of the dates of all tables, and how deadlines were kept."""
    counts = [each.counts for each in board.days]
    late = Counter(each.day for each in board.arrivals if each.arrived is None or each.late_seconds > 0)
    due = Counter(each.day for each in board.arrivals)
    drawn: Sequence[tuple[str, str, Callable[[float], str], list[Bar]]] = (
        ("rows", "red: quarantined", _number, [Bar(each.rows_in, each.quarantined_share or 0) for each in counts]),
        ("quarantined share", "", _percent, [Bar(each.quarantined_share or 0, 1) for each in counts]),
        ("arrivals", "red: late", _number, [Bar(due[n.day], late[n.day] / max(due[n.day], 1)) for n in board.days]),
        ("bytes", "", _bytes, [Bar(each.bytes) for each in counts]),
        ("run time", "", lasting, [Bar(each.seconds) for each in counts]),
    )
    for name, meaning, shown, values in drawn:
        most = shown(max((each.value for each in values), default=0))
        title = "; ".join(filter(None, (f"{name} a date, at most {most}", meaning)))
        yield f"{name} a date", bars(title, values, f"{board.days[0].day}", f"{board.days[-1].day}")


def bars(title: str, values: Sequence[Bar], first: str, last: str) -> str:
    """A picture of up to 14 bars as markdown, the highest as high as there is room; the bad part of each is red and at
    its foot. ``first`` and ``last`` are called the bars at the ends.

    Raises:
        ValueError: Dagster would not show it at once.
    """
    most = max((each.value for each in values), default=0) or 1
    step = WIDTH // max(len(values), 1)
    heights = [round((BASE - TOP) * each.value / most) for each in values]
    bad = [_at_least_seen(each.bad, height) for each, height in zip(values, heights, strict=True)]
    paths = (
        f"<path stroke='{color}' d='{d}'/>"
        for color, tall in ((GOOD, heights), (BAD, bad))
        if (d := "".join(f"M{n * step + step // 2} {BASE}v-{h}" for n, h in enumerate(tall) if h))
    )
    return picture(title, paths, first, last, right=step * len(values) - 4, attributes=f" stroke-width='{step - 4}'")


def _at_least_seen(share: float, height: int) -> int:
    return max(round(share * height), 2) if share and height else 0


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _bytes(value: float) -> str:
    return decimal(int(value))
