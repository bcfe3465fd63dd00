"""How many rows a date of a feed usually has: which earlier dates tell, and which dates are like no others."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from itertools import count, islice
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.percent import WRITTEN, share
from adplatform.contracts.strict import Names, Strict
from adplatform.failures import wrapped
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import holidays as public
else:
    public = Late("holidays")

FEWEST = 3
"""Of fewer dates nothing is said."""
_MOST = 10
_ONCE_A_MONTH = re.compile(r"@(monthly|yearly|annually)|\S+ \S+ [0-9l,]+ \S+ [*?]", re.IGNORECASE)


def _share(given: Any) -> Any:
    if isinstance(given, int | float) and given > _MOST:
        raise ValueError(f"{given:g} is {given:.0%} of the usual number of rows: write {given:g}% or {given / 100:g}")
    return share(given)


Share = Annotated[
    float,
    BeforeValidator(_share, json_schema_input_type=Annotated[float, Field(gt=0, le=_MOST)] | WRITTEN),
    Field(gt=0, le=_MOST),
]
"""Such as ``50%``, or 0.5."""


class UsualVolume(Strict):
    """What the clean rows of a date are compared with. Whatever comes of it, the date is published."""

    within: Share = 0.5
    """By how much of the usual number of rows, the median of dates that are compared, a date may have more or fewer:
    ``50%`` (default), or 0.5."""
    weekdays: int = Field(default=8, ge=FEWEST, le=26)
    """How many earlier dates of the same weekday are compared: the newest that were published, of twice as many
    weeks."""
    months: int | None = Field(default=None, ge=FEWEST, le=26)
    """In the place of ``weekdays`` for a feed that comes once a month: how many dates of earlier months are compared,
    of the same day of the month, or the last."""
    holidays: Names = ()
    """Countries (ISO 3166-1), or parts of them (ISO 3166-2), such as ``[DE, US-CA]``, whose public holidays are
    compared with nothing; by default none."""
    closed: tuple[date, ...] = ()
    """Further dates that are compared with nothing, such as ``["2026-12-24"]``."""

    @field_validator("holidays")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            known = public.list_supported_countries()
            country, _, part = name.partition("-")
            if country not in known:
                raise ValueError(f"no holidays are known of {name!r}{did_you_mean(country, known)}: give codes as DE")
            if name != country and part not in known[country]:
                parts = wrapped(f"{country}-{each}" for each in known[country]) if known[country] else "no parts"
                raise ValueError(f"no holidays are known of {name!r}; of {country} there are {parts}")
        return names

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.months is not None and (self.holidays or "weekdays" in self.model_fields_set):
            raise ValueError("months compares whole months: leave weekdays and holidays out")
        return self

    @property
    def most(self) -> int:
        """How many dates are compared."""
        return self.months or self.weekdays

    def set_apart(self, day: date) -> str:
        """Why a date is like no others; "" where it is not."""
        if day in self.closed:
            return "is one of the dates that are closed"
        named = ((name, _holidays(name).get(day)) for name in self.holidays)
        return next((f"is {holiday} ({name})" for name, holiday in named if holiday), "")

    def comparable(self, day: date) -> tuple[date, ...]:
        """Earlier dates that are like ``day``, the newest first, more than are compared, for some may have not come;
        none where it is set apart."""
        if self.set_apart(day):
            return ()
        earlier = _months_before(day) if self.months else (day - timedelta(weeks=number) for number in count(1))
        return tuple(each for each in islice(earlier, 2 * self.most) if not self.set_apart(each))

    def by_months(self) -> Self:
        """The same for dates that come once a month."""
        own = self.model_dump(include={"within", "closed"}, exclude_unset=True)
        return type(self)(**own, months=self.most)


def _declared(given: Any) -> Any:
    return {} if given is True else None if given is False else given


DeclaredUsualVolume = Annotated[
    UsualVolume | None, BeforeValidator(_declared, json_schema_input_type=bool | UsualVolume | None)
]


def require_comparable(usual: UsualVolume | None, schedule: str | None) -> None:
    """
    Raises:
        ValueError: dates come once a month, and earlier ones of the same weekday are to be compared.
    """
    if usual is not None and usual.months is None and schedule and _ONCE_A_MONTH.fullmatch(schedule):
        raise ValueError(
            f"usual_volume compares the same weekdays, and schedule {schedule!r} comes once a month: "
            "write usual_volume: {months: 6}"
        )


@cache
def _holidays(name: str) -> "public.HolidayBase":
    country, _, part = name.partition("-")
    return public.country_holidays(country, subdiv=part or None, language="en_US")


def _months_before(day: date) -> Iterator[date]:
    """Dates with the same number, or the last of months that have none; of a last of the month the last ones."""
    is_last = (day + timedelta(days=1)).day == 1
    first = day.replace(day=1)
    while True:
        last = first - timedelta(days=1)
        first = last.replace(day=1)
        yield last if is_last else last.replace(day=min(day.day, last.day))
