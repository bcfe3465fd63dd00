"""When to ask again for a date that Amazon restates: a pure plan from ages, ranges, retention and a budget.

Impressions and clicks are corrected for up to 3 days. Conversions are booked on the date of the ad interaction, within
the attribution window, and restated 1, 7 and 28 days after they happened, so a date can change until it is
``attribution window + 28`` days old: 42 days for 14-day columns, 58 for 30-day columns (Amazon Ads API, reporting
version 3, frequently asked questions). Data older than a report type's retention cannot be had at all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property

from adplatform.amazon.hours import Hours

RESTATED_FOR = 28
"""Days after a conversion in which Amazon still restates it."""
SAFETY = 2
"""Days before the end of retention that are left alone: it slides at midnight in the scope's time zone, while a request
may be under way, and clocks differ."""
ABOUT_TO_LEAVE = 3
"""From how many days before the last day on which a date can be had it counts as being at risk."""
CLOSED_BY = 90
"""The age at which a date is closed also where Amazon keeps it for years: no restatement comes that late."""


class Period(StrEnum):
    """What one report is about: a day, or a whole week from Sunday, month, quarter or year. The last date of a period
    stands for it (Selling Partner API, ``reportPeriod``)."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"

    @property
    def longest(self) -> int:
        """In days."""
        return {"DAY": 1, "WEEK": 7, "MONTH": 31, "QUARTER": 92, "YEAR": 366}[self]

    def ends_on(self, day: date) -> bool:
        return self.first_date(day + timedelta(days=1)) > day

    def first_date(self, day: date) -> date:
        """Of the period in which the date lies."""
        match self:
            case Period.WEEK:
                return day - timedelta(days=(day.weekday() + 1) % 7)
            case Period.MONTH:
                return day.replace(day=1)
            case Period.QUARTER:
                return date(day.year, day.month - (day.month - 1) % 3, 1)
            case Period.YEAR:
                return date(day.year, 1, 1)
            case _:
                return day


@dataclass(frozen=True)
class RestatementPolicy:
    """At which ages, in days, a date is asked for, and within which limits.

    Each age in ``daily`` has a request of its own. The later ``waves`` may wait up to ``grace`` days for a request that
    they can share. ``max_range_days`` and ``retention_days`` are the report type's limits. ``requests_per_day`` is for
    one scope and definition; history that was never had may take ``backfill_per_day`` instead. Where ``period`` is
    longer than a day, only the last dates of periods are asked for, each with a request for its whole period.
    A ``snapshot`` says what is so at the moment of asking: a date is asked for on that date itself or never.
    """

    daily: tuple[int, ...] = tuple(range(1, 15))
    waves: tuple[int, ...] = (21, 28, 35, 42)
    grace: int = 6
    max_range_days: int = 31
    retention_days: int = 95
    requests_per_day: int = 2
    backfill_per_day: int = 4
    closes: bool = True
    """Whether the data as it is when retention ends matters; not where retention outlasts every restatement by far."""
    period: Period = Period.DAY
    made_every: timedelta = timedelta(0)
    """How long Amazon makes no newer report after one that it made."""
    snapshot: bool = False
    hours: Hours | None = None
    """Of a report by the hour; its dates are also asked for while they last, which is the age 0."""

    def __post_init__(self) -> None:
        if self.period is not Period.DAY and self.max_range_days != 1:
            raise ValueError(f"max_range_days is {self.max_range_days}, but a request is for one {self.period}: set 1")
        if self.snapshot and (self.daily, self.waves, self.last_age, self.period) != ((0,), (), 0, Period.DAY):
            raise ValueError("a snapshot is asked for once, on its own date: leave ages, waves, period and limits out")
        if self.first_age > self.last_age:
            raise ValueError(
                f"a date is first asked for at an age of {self.first_age} days, but may be at {self.last_age} at most"
                f" with retention_days {self.retention_days}"
            )

    @property
    def first_age(self) -> int:
        return self.daily[0]

    @property
    def last_age(self) -> int:
        """The greatest age at which a date may be asked for."""
        return self.retention_days - SAFETY - (self.period.longest - 1)

    @cached_property
    def deadlines(self) -> Mapping[int, int]:
        """Every wave, as an age, with the age by which it must have been asked for; the closing wave comes last.

        All deadlines come before a date is at risk, so that one outage or failure does not lose a wave. The closing
        wave takes what there is at the end: also what came on the day of the last wave after that wave was asked for.
        It may wait longest, so that it costs about one request a month.
        """
        safe = self.last_age - ABOUT_TO_LEAVE
        found = {age: age for age in self.daily if age <= self.last_age}
        found |= {age: max(age, min(age + self.grace, safe)) for age in self.waves if age <= self.last_age}
        end = min(safe, CLOSED_BY)
        closing = max(max(found) + self.grace + 1, end - RESTATED_FOR + 1)
        return found | {closing: end} if self.closes and closing <= end else found

    def wave_at(self, age: int) -> int:
        """The last wave that a date of this age has reached; 0 when it has reached none."""
        return max((wave for wave in self.deadlines if wave <= age), default=0)

    def can_be_had(self, day: date, today: date) -> bool:
        return self.first_age <= (today - day).days <= self.last_age and self.period.ends_on(day)


def ads_policy(attribution_days: int, retention_days: int, max_range_days: int) -> RestatementPolicy:
    """The policy for a report of the Ads API whose longest attribution window is ``attribution_days``.

    Amazon asks for one or two requests a day (documentation of reporting version 3), also while history is read.
    """
    final = attribution_days + RESTATED_FOR
    waves = tuple(age for age in (21, 28, 35, 42) if age < final)
    return RestatementPolicy(
        waves=(*waves, final), retention_days=retention_days, max_range_days=max_range_days, backfill_per_day=2
    )


def single_day_policy(attribution_days: int, retention_days: int) -> RestatementPolicy:
    """The policy for a report of the Ads API that only sums over its whole range: to say something of a date it is
    asked for that date alone. No request serves two dates, so there are few waves, at five requests a day."""
    waves = (7, 14, 28, attribution_days + RESTATED_FOR)
    return RestatementPolicy(
        daily=(1,),
        waves=waves,
        max_range_days=1,
        retention_days=retention_days,
        requests_per_day=6,
        backfill_per_day=10,
        closes=False,
    )


SNAPSHOT = RestatementPolicy(
    daily=(0,),
    waves=(),
    max_range_days=1,
    retention_days=SAFETY,
    requests_per_day=1,
    backfill_per_day=1,
    closes=False,
    snapshot=True,
)
"""The policy for a report of a present state: one order a day, for that day. It has no history, is not restated, and a
day that nothing was had of stays without."""


@dataclass(frozen=True)
class Window:
    """One request: a range of dates, both ends included, and the dates in it that are due with the wave of each."""

    start: date
    end: date
    waves: Mapping[date, int]


@dataclass(frozen=True)
class Plan:
    """Today's requests, the most pressing first. ``postponed`` counts due dates that the budget leaves for another day;
    ``at_risk`` are those of them that will soon not be had any more."""

    windows: tuple[Window, ...]
    postponed: int
    at_risk: tuple[date, ...]


@dataclass(frozen=True)
class _Due:
    """A date with uncovered waves. It is ``urgent`` when one of them may wait no longer, ``never`` when nothing of the
    date was had yet."""

    day: date
    age: int
    wave: int
    urgent: bool
    never: bool


def plan(policy: RestatementPolicy, today: date, first: date, pulled: Mapping[date, date], *, spent: int = 0) -> Plan:
    """What to ask for on ``today``, a date in the scope's own time zone.

    ``first`` is the oldest date that is wanted. ``pulled`` maps a date to the last day on which it was asked for with
    success, or was asked for and may still come; asking at an age covers every wave up to that age. ``spent`` is the
    number of requests that today has seen already.
    """
    due = {d.day: d for d in _due(policy, today, first, pulled)}
    windows = list(_windows(policy, due))
    windows.sort(key=lambda window: _rank(policy, window, due))
    backfill = any(all(due[day].never for day in window.waves) for window in windows)
    budget = max(policy.requests_per_day, policy.backfill_per_day if backfill else 0) - spent
    chosen = tuple(windows[: max(budget, 0)])
    covered = {day for window in chosen for day in window.waves}
    left = [d for d in due.values() if d.urgent and d.day not in covered]
    at_risk = sorted(d.day for d in left if d.age > policy.last_age - ABOUT_TO_LEAVE)
    return Plan(chosen, len(left), tuple(at_risk))


def _due(policy: RestatementPolicy, today: date, first: date, pulled: Mapping[date, date]) -> Iterator[_Due]:
    for age in range(policy.first_age, policy.last_age + 1):
        day = today - timedelta(days=age)
        if day < first:
            return
        if not policy.period.ends_on(day):
            continue
        last = pulled.get(day)
        covered = (last - day).days if last else -1
        open_waves = [wave for wave in policy.deadlines if covered < wave <= age]
        if open_waves:
            deadline = min(policy.deadlines[wave] for wave in open_waves)
            yield _Due(day, age, max(open_waves), last is None or age >= deadline, last is None)


def _windows(policy: RestatementPolicy, due: Mapping[date, _Due]) -> Iterator[Window]:
    """The fewest ranges that hold every urgent date; other due dates ride along where that costs no request."""
    longest = timedelta(days=policy.max_range_days - 1)
    left = dict(due)
    while urgent := [day for day, d in left.items() if d.urgent]:
        newest = max(urgent)
        oldest = min(day for day in urgent if day >= newest - longest)
        end = max(day for day in left if newest <= day <= oldest + longest)
        inside = {day: left[day].wave for day in sorted(left) if end - longest <= day <= end}
        yield Window(min(inside), end, inside)
        for day in inside:
            del left[day]


def _rank(policy: RestatementPolicy, window: Window, due: Mapping[date, _Due]) -> tuple[int, int]:
    """What is about to leave retention first, then the newest dates, then restatements, then history, newest first."""
    dates = [due[day] for day in window.waves]
    youngest = min(d.age for d in dates)
    if any(d.urgent and d.age > policy.last_age - ABOUT_TO_LEAVE for d in dates):
        return (0, youngest)
    if youngest <= policy.first_age:
        return (1, youngest)
    return (3 if all(d.never for d in dates) else 2, youngest)
