"""How the dates of a feed changed each time they were asked for again, and which of those changes are unusual.

What is usual: impressions, clicks and cost are corrected for invalid traffic for up to 72 hours; conversions are booked
on the date of the ad interaction, within the attribution window, and restated 1, 7 and 28 days after they happened
(Amazon Ads API, reporting version 3, frequently asked questions). So conversions of a date may change until it is
``attribution window + 28`` days old, and other metrics hardly ever after the fourth day.
"""

import re
from bisect import bisect_left, bisect_right
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
    attribution_days: int | None,
    least_share: Decimal = Decimal("0.4"),
    swing_factor: Decimal = Decimal("1.5"),
    least_history: int = 20,
    least_volume: Decimal = Decimal(100),
    least_difference: Decimal = Decimal("0.01"),
) -> list[Finding]:
    """The changes that are out of line, in the order given; each is told once, by the first of these rules that fits.

    * All rows of a date vanished. (Its other changes of that moment are not told as well.)
    * A metric changed after its final age.
    * Impressions, clicks or cost changed when invalid-traffic correction was over.
    * A metric changed by more than ``least_share``, and swung more than ``swing_factor`` times as far as any other date
      did. Compared are the steps of the same metric between the same age bands in
      ``observations``, if other dates have ``least_history`` of them and the greater of the two values is at least
      ``least_volume``, in the metric's own unit. A swing is the difference over the square root of the greater value:
      a few orders more or less are much for a date with ten orders, and happen every day.

    The second and third rule are the Ads API's; without ``attribution_days`` they do not apply. They judge by the age
    of the earlier observation: a change between ages 2 and 9 may well have happened at age 3. A difference below
    ``least_difference`` is never told: amounts come as binary floating-point numbers, whose sums differ in the last
    digits.
    """
    judged = [change for change in changes if abs(change.after - change.before) >= least_difference]
    vanished = {(c.day, c.age_before, c.age) for c in judged if _vanished(c)}
    history: dict[tuple[str, int, int], list[Change]] = defaultdict(list)
    for step in _steps(observations):
        history[_peers(step)].append(step)
    findings = []
    for change in judged:
        if _vanished(change):
            findings.append(
                Finding(change, f"{change.day}: all {_number(change.before)} rows vanished at age {change.age}")
            )
        elif (change.day, change.age_before, change.age) in vanished:
            continue
        elif attribution_days is not None and (reason := _reason(change, attribution_days)):
            findings.append(Finding(change, f"{_told(change)}, though {reason}"))
        elif _greater(change) >= least_volume and (change.relative is None or abs(change.relative) > least_share):
            others = [_swing(step) for step in history[_peers(change)] if step.day != change.day]
            if len(others) >= least_history and (usual := _outlier(change, others, swing_factor)):
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


def _greater(step: Change) -> Decimal:
    return max(abs(step.before), abs(step.after))


def _swing(step: Change) -> Decimal:
    """How far a value moved, by the measure of chance: a count of n varies by about the square root of n."""
    return abs(step.after - step.before) / _greater(step).sqrt() if step.after != step.before else Decimal(0)


def _outlier(change: Change, others: Sequence[Decimal], swing_factor: Decimal) -> str:
    """What is usual, where the change is not; "" where it is. Restatements are rare and large for an account of few
    orders, so the measure is the farthest that another date moved, not what most dates do."""
    farthest = max(others)
    if not farthest:
        return "no other date changed at that age"
    if _swing(change) <= swing_factor * farthest:
        return ""
    return f"no other date changed by more than {_number(farthest * _greater(change).sqrt())} at that age, for its size"


def _told(change: Change) -> str:
    by = f" ({change.relative:+.1%})" if change.relative is not None else ""
    return (
        f"{change.day}: {change.metric} changed from {_number(change.before)} to {_number(change.after)}{by} "
        f"between ages {change.age_before} and {change.age}"
    )


def _number(value: Decimal) -> str:
    """Whole numbers as they are, others to the cent."""
    return f"{value:.0f}" if value == value.to_integral_value() else f"{value:.2f}"


# -- the picture

_WIDTH, _PANEL_HEIGHT = 9.0, 2.3
_DPI = 72
_COLUMNS = 3
_INK, _AXIS, _GRID = "#333333", "#999999", "#e6e6e6"
_BANDS_SHOWN = ((0.0, 1.0, "#dbe7f3"), (0.25, 0.75, "#a9c6e3"))
_MEDIAN, _UNUSUAL = "#1f4e83", "#c62828"
_UNUSUAL_SHOWN = 3
_MARKED_AGES = (1, 7, 14, 21, 28, 42, 58, 90)
_LEAST_WIDTH = 7
"""Ages that are shown at least. A panel ends soon after the last change of any date."""


def plot(observations: Iterable[Observation], metrics: Sequence[str], findings: Iterable[Finding] = ()) -> bytes:
    """A PNG, 648 pixels wide: how much of its last known value each date had at each age.

    One panel per metric: the middle of all dates, their middle half and their whole range, and over them the newest
    dates of ``findings``, each labelled where it changed. A panel ends when no date changes any more. A date keeps a
    value until it was observed again. It is left out of a panel where its last known value is zero or where it was
    observed only once.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second to load, and few processes draw

    by_day: dict[date, list[Observation]] = defaultdict(list)
    for observation in sorted(observations, key=lambda o: (o.day, o.as_of)):
        by_day[observation.day].append(observation)
    if not by_day or not metrics:
        figure = Figure(figsize=(_WIDTH, _PANEL_HEIGHT / 2), dpi=_DPI)
        text = "No date was observed yet" if metrics else "No metric to show"
        figure.text(0.5, 0.5, text, ha="center", va="center", color=_INK)
        return _png(figure)
    columns = min(_COLUMNS, len(metrics))
    panels = ceil(len(metrics) / columns)
    figure = Figure(figsize=(_WIDTH, _PANEL_HEIGHT * panels + 0.5), dpi=_DPI, layout="constrained")
    figure.suptitle(
        f"How the dates {min(by_day)} to {max(by_day)} were restated: 100 % is what Amazon said last of each date\n"
        "line: the middle date; dark: half of the dates; pale: all dates; red: dates with an unusual change",
        fontsize=8,
        color=_INK,
    )
    unusual_ages: dict[str, dict[date, int]] = defaultdict(dict)
    for finding in findings:
        unusual_ages[finding.change.metric][finding.change.day] = finding.change.age
    axes = figure.subplots(panels, columns, squeeze=False)
    for number, panel in enumerate(axes.flat):
        if number >= len(metrics):
            panel.set_axis_off()
        else:
            metric = metrics[number]
            _draw(panel, metric, _shares(by_day, metric), unusual_ages[metric])
            if number >= len(metrics) - columns:
                panel.set_xlabel("days after the date", fontsize=7, color=_INK)
    return _png(figure)


def _shares(by_day: Mapping[date, Sequence[Observation]], metric: str) -> dict[date, dict[int, float]]:
    """Percent of its last known value, by date and by every age from the first to the last at which it was observed."""
    found = {}
    for day, seen in by_day.items():
        known = [(o.age, value) for o in seen if (value := _value(o, metric)) is not None]
        if len(known) > 1 and known[-1][1]:
            percent = {age: float(value / known[-1][1] * 100) for age, value in known}
            ages = sorted(percent)
            found[day] = {age: percent[ages[bisect_right(ages, age) - 1]] for age in range(ages[0], ages[-1] + 1)}
    return found


def _draw(
    panel: "Axes",
    metric: str,
    shares: Mapping[date, Mapping[int, float]],
    unusual_ages: Mapping[date, int],
) -> None:
    panel.set_title(metric.split(".", 1)[-1], fontsize=9, color=_INK, loc="left")
    panel.tick_params(labelsize=7, colors=_INK, length=2)
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(_AXIS)
    if not shares:
        panel.set_xticks([])
        panel.set_yticks([])
        panel.text(0.5, 0.5, "nothing to compare yet", transform=panel.transAxes, ha="center", fontsize=8, color=_INK)
        return
    by_age: dict[int, list[float]] = defaultdict(list)
    for percents in shares.values():
        for age, percent in percents.items():
            by_age[age].append(percent)
    ages = sorted(by_age)
    last = max((age for points in shares.values() for age in points if _moved(points, age)), default=0)
    end = min(max(last + max(2, last // 8), _LEAST_WIDTH), max(_LEAST_WIDTH, ages[-1]))
    panel.set_xlim(min(ages[0], 1), end)
    panel.set_xticks([age for age in (range(1, end + 1) if end <= 10 else _MARKED_AGES) if age <= end])
    for low, high, color in _BANDS_SHOWN:
        lower, upper = ([_quantile(by_age[age], share) for age in ages] for share in (low, high))
        panel.fill_between(ages, lower, upper, color=color, linewidth=0)
    panel.plot(ages, [median(by_age[age]) for age in ages], color=_MEDIAN, linewidth=1.4)
    for day in sorted(unusual_ages.keys() & shares.keys())[-_UNUSUAL_SHOWN:]:
        points, age = shares[day], unusual_ages[day]
        panel.plot(list(points), list(points.values()), color=_UNUSUAL, linewidth=0.9, drawstyle="steps-post")
        panel.plot([age], [points[age]], color=_UNUSUAL, marker="o", markersize=3)
        at = (age, points[age])
        side, shift = ("left", 4) if age < end * 0.7 else ("right", -4)
        panel.annotate(
            f"{day:%d %b}",
            at,
            (shift, 4),
            textcoords="offset points",
            ha=side,
            fontsize=7,
            color=_UNUSUAL,
            weight="bold",
        )
    values = [percent for seen in by_age.values() for percent in seen]
    # At least a tenth is shown, so that a constant or a rounding difference does not look like a mountain.
    panel.set_ylim(min(95.0, min(values) - 2), max(105.0, max(values) * 1.05))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    panel.grid(color=_GRID, linewidth=0.6)
    panel.set_axisbelow(True)


def _moved(points: Mapping[int, float], age: int) -> bool:
    """By as much as can be seen."""
    return age - 1 in points and abs(points[age] - points[age - 1]) > 0.1


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


def _png(figure: "Figure") -> bytes:
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
