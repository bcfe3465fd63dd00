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
from itertools import pairwise

from adplatform.amazon.restatement import RESTATED_FOR

ROWS = "rows"
"""The metric under which a change of the number of rows is reported."""
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

    def value(self, metric: str) -> Decimal | None:
        """The total of a metric, or the number of rows; without rows zero, None for a metric that is not there."""
        if metric == ROWS:
            return Decimal(self.rows)
        return self.totals.get(metric, None if self.rows else Decimal(0))


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
    """The changes that are out of line, in the order given, each by the first of these rules that fits.

    * All rows of a date vanished. (Its other changes of that moment are not reported as well.)
    * A metric changed after its final age.
    * Impressions, clicks or cost changed when invalid-traffic correction was over.
    * A metric changed by more than ``least_share``, and swung more than ``swing_factor`` times as far as any other date
      did. Compared are the steps of the same metric between the same age bands in
      ``observations``, if other dates have ``least_history`` of them and the greater of the two values is at least
      ``least_volume``, in the metric's own unit. A swing is the difference over the square root of the greater value:
      a few orders more or less are much for a date with ten orders, and happen every day.

    The second and third rule are the Ads API's; without ``attribution_days`` they do not apply. They judge by the age
    of the earlier observation: a change between ages 2 and 9 may well have happened at age 3. A difference below
    ``least_difference`` is never reported: amounts come as binary floating-point numbers, whose sums differ in the last
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
            findings.append(Finding(change, f"{_described(change)}, though {reason}"))
        elif _greater(change) >= least_volume and (change.relative is None or abs(change.relative) > least_share):
            others = [_swing(step) for step in history[_peers(change)] if step.day != change.day]
            if len(others) >= least_history and (usual := _outlier(change, others, swing_factor)):
                findings.append(Finding(change, f"{_described(change)}; {usual}"))
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
    return [name for name in names if None not in (earlier.value(name), later.value(name))]


def _step(earlier: Observation, later: Observation, metric: str) -> Change:
    before, after = earlier.value(metric) or Decimal(0), later.value(metric) or Decimal(0)
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


def _described(change: Change) -> str:
    by = f" ({change.relative:+.1%})" if change.relative is not None else ""
    return (
        f"{change.day}: {change.metric} changed from {_number(change.before)} to {_number(change.after)}{by} "
        f"between ages {change.age_before} and {change.age}"
    )


def _number(value: Decimal) -> str:
    """Whole numbers as they are, others to the cent."""
    return f"{value:.0f}" if value == value.to_integral_value() else f"{value:.2f}"
