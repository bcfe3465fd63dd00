"""A clock for tests that goes on by itself and can be set."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Clock:
    """A clock that goes on from where a test sets it."""

    ahead: timedelta

    @classmethod
    def at(cls, instant: datetime) -> "Clock":
        return cls(instant - datetime.now(UTC))

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead
