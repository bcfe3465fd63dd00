"""How the dates of a feed changed each time they were asked for again, and which of those changes are unusual.

What is usual: impressions, clicks and cost are corrected for invalid traffic for up to 72 hours; conversions are booked
on the date of the ad interaction, within the attribution window, and restated 1, 7 and 28 days after they happened
(Amazon Ads API, reporting version 3, frequently asked questions). So conversions of a date may change until it is
``attribution window + 28`` days old, and other metrics hardly ever after the fourth day.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from itertools import pairwise
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

from adplatform.amazon.restatement import RESTATED_FOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = "rows"
"""The metric under which a change of the number of rows is told."""
TRAFFIC = frozenset({"impressions", "clicks", "cost", "spend"})
TRAFFIC_FINAL = 4
"""The age in days from which invalid-traffic correction is over: a date ends at age 1, and 72 hours later it is 4."""

_WINDOW = re.compile(r"(\d+)d$")
_BANDS = (1, 2, 3, 7, 14, 28)
"""The last age of each band but the open last one: dates of one band change by similar shares."""


@dataclass(frozen=True)
class Observation:
    """What one report said of one date. ``age`` is in days, from the date to the scope-local date of asking;
    ``totals`` are the sums over all ``rows``."""

    day: date
    as_of: datetime
    age: int
    totals: Mapping[str, Decimal]
    rows: int


@dataclass(frozen=True)
class Change:
    """A total of one date that differs between two observations that follow each other.

    ``relative`` is the difference as a share of the size of ``before``; None where that is zero.
    """

    day: date
    metric: str
    age_before: int
    age: int
    before: Decimal
    after: Decimal
    relative: Decimal | None


@dataclass(frozen=True)
class Finding:
    """A change that is out of line, and why, in one sentence."""

    change: Change
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def changes(observations: Iterable[Observation]) -> list[Change]:
    """What changed between the observations of each date, in order of date, time of asking and metric.

    The number of rows counts as a metric named ``rows``. Without rows every total is zero. A metric that one of the two
    observations does not have did not change.
    """
    return [step for step in _steps(observations) if step.before != step.after]


def final_age(metric: str, attribution_days: int) -> int:
    """The age in days from which a metric no longer changes.

    Sponsored Products columns name their attribution window (``purchases7d``, ``sales14d``); ``attribution_days`` is
    for all others.
    """
    named = _WINDOW.search(metric)
    return (int(named[1]) if named else attribution_days) + RESTATED_FOR


def unusual(
    changes: Iterable[Change],
    observations: Iterable[Observation],
    *,
    attribution_days: int,
    least_share: Decimal = Decimal("0.25"),
    spread_factor: int = 6,
    least_history: int = 8,
    least_volume: Decimal = Decimal(100),
) -> list[Finding]:
    """The changes that are out of line, in the order given; each is told once, by the first of these rules that fits.

    * All rows of a date vanished. (Its other changes of that moment are not told as well.)
    * A metric changed after its final age.
    * Impressions, clicks or cost changed when invalid-traffic correction was over.
    * The share by which a metric changed lies farther from the median of other dates than ``least_share`` and than
      ``spread_factor`` times their median absolute deviation. Compared are the steps of the same metric between the
      same age bands in ``observations``, those without a change included, if other dates have ``least_history`` of
      them and the greater of the two values is at least ``least_volume``, in the metric's own unit. Growth from zero
      has no share: it is out of line where no other date did so.

    The second and third rule judge by the age of the earlier observation: a change between ages 2 and 9 may well have
    happened at age 3.
    """
    judged = list(changes)
    vanished = {(c.day, c.age_before, c.age) for c in judged if _vanished(c)}
    history: dict[tuple[str, int, int], list[Change]] = defaultdict(list)
    for step in _steps(observations):
        history[_peers(step)].append(step)
    findings = []
    for change in judged:
        if _vanished(change):
            findings.append(Finding(change, f"{change.day}: all {change.before:f} rows vanished at age {change.age}"))
        elif (change.day, change.age_before, change.age) in vanished:
            continue
        elif reason := _reason(change, attribution_days):
            findings.append(Finding(change, f"{_told(change)}, though {reason}"))
        elif max(abs(change.before), abs(change.after)) >= least_volume:
            others = [step.relative for step in history[_peers(change)] if step.day != change.day]
            usual = (
                _outlier(change.relative, others, least_share, spread_factor) if len(others) >= least_history else ""
            )
            if usual:
                findings.append(Finding(change, f"{_told(change)}; {usual}"))
    return findings


def _steps(observations: Iterable[Observation]) -> list[Change]:
    """Every pair of values that follow each other, equal ones included."""
    by_day: dict[date, list[Observation]] = defaultdict(list)
    for observation in observations:
        by_day[observation.day].append(observation)
    return [
        _step(earlier, later, metric)
        for _, seen in sorted(by_day.items())
        for earlier, later in pairwise(sorted(seen, key=lambda o: o.as_of))
        for metric in _shared(earlier, later)
    ]


def _shared(earlier: Observation, later: Observation) -> list[str]:
    names = sorted(earlier.totals.keys() | later.totals.keys() | {ROWS})
    return [name for name in names if None not in (_value(earlier, name), _value(later, name))]


def _value(observation: Observation, metric: str) -> Decimal | None:
    if metric == ROWS:
        return Decimal(observation.rows)
    return observation.totals.get(metric, None if observation.rows else Decimal(0))


def _step(earlier: Observation, later: Observation, metric: str) -> Change:
    before, after = _value(earlier, metric) or Decimal(0), _value(later, metric) or Decimal(0)
    if before == after:
        relative: Decimal | None = Decimal(0)
    else:
        relative = (after - before) / abs(before) if before else None
    return Change(later.day, metric, earlier.age, later.age, before, after, relative)


def _peers(step: Change) -> tuple[str, int, int]:
    """What a step is compared with: those of its metric that lead from and to dates of similar ages."""
    return step.metric, bisect_left(_BANDS, step.age_before), bisect_left(_BANDS, step.age)


def _vanished(change: Change) -> bool:
    return change.metric == ROWS and change.after == 0


def _reason(change: Change, attribution_days: int) -> str:
    final = final_age(change.metric, attribution_days)
    if change.age_before >= final:
        return f"it should be final from age {final}"
    if change.metric in TRAFFIC and change.age_before >= TRAFFIC_FINAL:
        return f"invalid traffic is corrected before age {TRAFFIC_FINAL}"
    return ""


def _outlier(
    relative: Decimal | None, others: Sequence[Decimal | None], least_share: Decimal, spread_factor: int
) -> str:
    """What is usual, where the share is not; "" where it is."""
    shares = [share for share in others if share is not None]
    if relative is None:
        return "no other date grew from zero at that age" if len(shares) == len(others) else ""
    if not shares:
        return ""
    middle = median(shares)
    spread = median(abs(share - middle) for share in shares)
    allowed = max(least_share, spread_factor * spread)
    if abs(relative - middle) <= allowed:
        return ""
    return f"at that age {_percent(middle - allowed)} to {_percent(middle + allowed)} is usual"


def _told(change: Change) -> str:
    by = f" ({_percent(change.relative)})" if change.relative is not None else ""
    return (
        f"{change.day}: {change.metric} changed from {change.before:f} to {change.after:f}{by} "
        f"between ages {change.age_before} and {change.age}"
    )


def _percent(share: Decimal) -> str:
    return f"{share:+.1%}"


# -- the picture

_WIDTH = 9.0
_PANEL_HEIGHT = 2.4
_DPI = 100
_COLUMNS = 3
_INK = "#333333"
_PALE, _DARK = (0.80, 0.86, 0.92), (0.03, 0.19, 0.42)


def plot(observations: Iterable[Observation], metrics: Sequence[str]) -> bytes:
    """A PNG, 900 pixels wide: how much of its last known value each date had at each age.

    One panel per metric, one line per date, the newest the darkest. A date is left out of a panel where its last known
    value is zero or where it was observed only once.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second to load, and few processes draw

    by_day: dict[date, list[Observation]] = defaultdict(list)
    for observation in sorted(observations, key=lambda o: (o.day, o.as_of)):
        by_day[observation.day].append(observation)
    if not by_day or not metrics:
        figure = Figure(figsize=(_WIDTH, _PANEL_HEIGHT), dpi=_DPI)
        figure.text(
            0.5,
            0.5,
            "No date was observed yet" if metrics else "No metric to show",
            ha="center",
            va="center",
            color=_INK,
        )
        return _png(figure)
    columns = min(_COLUMNS, len(metrics))
    panels = ceil(len(metrics) / columns)
    figure = Figure(figsize=(_WIDTH, _PANEL_HEIGHT * panels + 0.5), dpi=_DPI, layout="constrained")
    first, last = min(by_day), max(by_day)
    figure.suptitle(
        f"Share of the last known value, by age in days; one line per date, {first} (pale) to {last} (dark)",
        fontsize=9,
        color=_INK,
    )
    axes = figure.subplots(panels, columns, squeeze=False, sharex=True)
    oldest = max(observation.age for seen in by_day.values() for observation in seen)
    for number, panel in enumerate(axes.flat):
        if number >= len(metrics):
            panel.set_axis_off()
            continue
        if number + columns >= len(metrics):
            panel.xaxis.set_tick_params(labelbottom=True)
        _draw(panel, by_day, metrics[number], oldest)
    return _png(figure)


def _draw(panel: "Axes", by_day: Mapping[date, Sequence[Observation]], metric: str, oldest: int) -> None:
    days = sorted(by_day)
    drawn = False
    for number, day in enumerate(days):
        known = [(o.age, value) for o in by_day[day] if (value := _value(o, metric)) is not None]
        if len(known) < 2 or not known[-1][1]:
            continue
        shares = [float(value / known[-1][1] * 100) for _, value in known]
        panel.plot([age for age, _ in known], shares, color=_shade(number, len(days)), linewidth=0.8)
        drawn = True
    panel.set_title(metric, fontsize=9, color=_INK, loc="left")
    panel.tick_params(labelsize=7, colors=_INK, length=2)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color("#999999")
    if drawn:
        panel.set_xlim(0, oldest + 1)
        panel.set_xticks(range(0, oldest + 2, 7) if oldest >= 14 else range(0, oldest + 2))
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        panel.grid(axis="y", color="#e6e6e6", linewidth=0.6)
        panel.set_axisbelow(True)
    else:
        panel.set_yticks([])
        panel.text(0.5, 0.5, "nothing to compare yet", transform=panel.transAxes, ha="center", fontsize=8, color=_INK)


def _shade(number: int, of: int) -> tuple[float, ...]:
    share = number / (of - 1) if of > 1 else 1.0
    return tuple(pale + (dark - pale) * share for pale, dark in zip(_PALE, _DARK, strict=True))


def _png(figure: "Figure") -> bytes:
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
