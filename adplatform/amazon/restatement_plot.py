"""The picture of the restatement watch: how much of its last known value each date had at each age."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from io import BytesIO
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

from adplatform.amazon.restatement_watch import Finding, Observation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
        known = [(o.age, value) for o in seen if (value := o.value(metric)) is not None]
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
