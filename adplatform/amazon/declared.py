"""What the declared reports of both APIs have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from adplatform.amazon.definitions import ReportDefinition
from adplatform.contracts.durations import Duration
from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.strict import Strict
from adplatform.failures import wrapped

T = TypeVar("T")


class Restatement(Strict):
    """What may be changed of a report's restatement policy. Ages are in days."""

    daily: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Ages at which a date has a request of its own; by default the report's."""
    waves: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Later ages at which a date is asked for again; by default the report's."""
    grace: int | None = Field(default=None, ge=0)
    """How many days a wave may wait for a request that it can share with other dates; by default the report's."""
    requests_per_day: int | None = Field(default=None, ge=1)
    """The most requests of one profile or marketplace a day; by default the report's, and never fewer than there are
    ages where a request brings one date only."""
    backfill_per_day: int | None = Field(default=None, ge=1)
    """The most requests a day for history that was never read; by default the report's."""
    every: Duration | None = None
    """For a report by the hour: after how long today is asked for again; by default the report's."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        ages = [*(self.daily or ()), *(self.waves or ())]
        if ages != sorted(set(ages)):
            raise ValueError("daily and waves are ages that grow: for example daily [1, 2, 3], waves [7, 14]")
        if self.daily == ():
            raise ValueError("daily is empty: name at least the age of the first request")
        if self.every is not None and self.every < timedelta(hours=1):
            raise ValueError("every is shorter than an hour, and Amazon has whole hours: give 1h or more")
        return self

    def applied(self, definition: ReportDefinition) -> ReportDefinition:
        """The definition with what is given here. Where a request brings one date only, there may be as many a day as
        there are ages.

        Raises:
            ValueError: no age is within what Amazon keeps, the report is a snapshot, or ``every`` says something of
                one that is not by the hour.
        """
        changes: dict[str, Any] = {name: value for name, value in self if value is not None}
        if not changes:
            return definition
        if definition.snapshot:
            raise ValueError(f"{definition.name}: a snapshot is asked for once a day: leave restatement out")
        every, hours = changes.pop("every", None), definition.policy.hours
        if every and hours is None:
            raise ValueError(f"{definition.name}: every goes with reports by the hour: leave it out")
        if every and hours:
            changes["hours"] = replace(hours, every=every)
        policy = replace(definition.policy, **changes)
        if policy.max_range_days == 1 and self.requests_per_day is None:
            ages = len(policy.daily) + len(policy.waves)
            policy = replace(policy, requests_per_day=max(policy.requests_per_day, ages))
        return replace(definition, policy=policy)


def ready_made(name: str, known: Mapping[str, T]) -> T:
    """The ready-made report of this name.

    Raises:
        ValueError: there is none; with those that there are.
    """
    if name not in known:
        raise ValueError(
            f"there is no ready-made report {name!r}{did_you_mean(name, known)}; there are {wrapped(known)}"
        )
    return known[name]


def changed(names: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """The names of columns with some added and some removed.

    Raises:
        ValueError: one to remove is not there.
    """
    unknown = sorted(set(remove) - set(names))
    if unknown:
        raise ValueError(f"{', '.join(unknown)} cannot be removed: the report has {wrapped(names)}")
    return tuple(dict.fromkeys((*(name for name in names if name not in remove), *add)))
