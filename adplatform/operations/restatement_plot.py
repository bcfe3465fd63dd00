"""The pictures of the restatement watch: how much of its last known value each date had at each age."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from statistics import median

from adplatform.amazon.restatement_watch import Finding, Observation
from adplatform.operations.svg import BAD, BASE, GOOD, TOP, WIDTH, picture

_BANDS = ((0.0, 1.0, "#cde"), (0.25, 0.75, "#8be"))
_UNUSUAL_SHOWN = 2
_AGES = (1, 2, 3, 4, 7, 14, 21, 28, 42, 58, 90)
"""Those of which a point is drawn, beside the first and the last."""
_LEAST_WIDTH = 7
"""Ages that are shown at least. A picture ends soon after the last change of any date."""

Shares = Mapping[int, float]
"""Percent of its last known value that a date had, by every age from the first to the last at which it was seen."""
Point = tuple[int, int]
"""Pixels from the left and from the top."""


def plots(
    observations: Iterable[Observation], metrics: Sequence[str], findings: Iterable[Finding] = ()
) -> Iterator[tuple[str, str]]:
    """Those of ``metrics`` of which some date has changed by as much as can be seen, and a picture of each as markdown.

    It has the whole range of all dates, their middle half and the middle one, and over them in red the newest dates of
    ``findings``. A date keeps a value until it was observed again. It is left out of a picture where its last
    known value is zero or where it was observed only once.
    """
    by_day: dict[date, list[Observation]] = defaultdict(list)
    for observation in sorted(observations, key=lambda o: (o.day, o.as_of)):
        by_day[observation.day].append(observation)
    unusual: dict[str, dict[date, int]] = defaultdict(dict)
    for finding in findings:
        unusual[finding.change.metric][finding.change.day] = finding.change.age
    for metric in metrics:
        shares = _shares(by_day, metric)
        if any(_moved(points, age) for points in shares.values() for age in points):
            yield metric, _drawn(shares, unusual[metric])


def _shares(by_day: Mapping[date, Sequence[Observation]], metric: str) -> dict[date, Shares]:
    found: dict[date, Shares] = {}
    for day, seen in by_day.items():
        known = [(o.age, value) for o in seen if (value := o.value(metric)) is not None]
        if len(known) > 1 and known[-1][1]:
            percent = {age: float(value / known[-1][1] * 100) for age, value in known}
            ages = sorted(percent)
            found[day] = {age: percent[ages[bisect_right(ages, age) - 1]] for age in range(ages[0], ages[-1] + 1)}
    return found


def _drawn(shares: Mapping[date, Shares], unusual: Mapping[date, int]) -> str:
    by_age: dict[int, list[float]] = defaultdict(list)
    for points in shares.values():
        for age, percent in points.items():
            by_age[age].append(percent)
    first, newest = min(by_age), max(by_age)
    last = max(age for points in shares.values() for age in points if _moved(points, age))
    end = min(max(last + max(2, last // 8), first + _LEAST_WIDTH), newest)
    values = [percent for age, seen in by_age.items() if age <= end for percent in seen]
    # At least a tenth is shown, so that a constant or a rounding difference does not look like a mountain.
    low, high = min(95.0, *values), max(105.0, *values)

    def at(age: int, percent: float) -> Point:
        x = round(WIDTH * (age - first) / max(end - first, 1))
        return x, round(BASE - (BASE - TOP) * (percent - low) / (high - low))

    ages = [age for age in sorted({first, end, *_AGES}) if age in by_age and age <= end]
    drawn = []
    for least, most, color in _BANDS:
        above, below = ([at(age, _quantile(by_age[age], share)) for age in ages] for share in (most, least))
        drawn.append(f"<path fill='{color}' d='{_path([*above, *reversed(below)])}'/>")
    drawn.append(_lines(GOOD, [[at(age, median(by_age[age])) for age in ages]]))
    shown = sorted(unusual.keys() & shares.keys())[-_UNUSUAL_SHOWN:]
    if shown:
        drawn.append(_lines(BAD, [_line(shares[day], unusual[day], ages, at) for day in shown]))
    # Not the metric, whose name may be of any length.
    title = f"{low:.0f} to {high:.0f} % of what a date has last" + (
        f"; red: {', '.join(map(_short, shown))}" if shown else ""
    )
    return picture(title, drawn, f"day {first}", f"day {end} after the date")


def _quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[round(share * (len(values) - 1))]


def _line(points: Shares, changed: int, ages: Iterable[int], at: Callable[[int, float], Point]) -> list[Point]:
    """A date, which has one value before it ``changed`` and another from then on."""
    shown = {*ages, changed - 1, changed} & points.keys()
    return [at(age, points[age]) for age in sorted(shown)]


def _short(day: date) -> str:
    return f"{day:%d %b}"


def _lines(color: str, lines: Iterable[Sequence[Point]]) -> str:
    return f"<path fill='none' stroke='{color}' d='{''.join(map(_path, lines))}'/>"


def _path(points: Sequence[Point]) -> str:
    """By differences, which are shorter than places."""
    steps = (f"{x - before_x}{y - before_y:+d}" for (before_x, before_y), (x, y) in pairwise(points))
    (x, y), *_ = points
    return f"M{x} {y}l{' '.join(steps)}"


def _moved(points: Shares, age: int) -> bool:
    """By as much as can be seen."""
    return age - 1 in points and abs(points[age] - points[age - 1]) > 0.1
