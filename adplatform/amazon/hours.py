"""Reports by the hour: which hours of a date can be had by now, and when its next ones are asked for."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Hours:
    """Amazon gives whole hours (of UTC) that ended ``delay`` ago. While a date lasts it is asked for again after each
    ``every``, from its beginning on: one order more for each time, and one version more of the date."""

    every: timedelta
    delay: timedelta

    def begin(self, day: date, zone: tzinfo) -> datetime:
        """The first hour that begins on the date: where clocks differ from UTC by half an hour, after midnight."""
        midnight = datetime.combine(day, time(), zone).astimezone(UTC)
        return _whole(midnight + _HOUR - timedelta(microseconds=1))

    def had(self, start: date, end: date, zone: tzinfo, now: datetime) -> tuple[datetime, datetime]:
        """From when to when, the end excluded, there are hours of these dates; equal where there are none yet."""
        first, last = self.begin(start, zone), self.begin(end + timedelta(days=1), zone)
        return first, max(first, min(last, _whole(now - self.delay)))

    def turns(self, day: date, zone: tzinfo, now: datetime) -> int:
        """How often the date was to be asked for by now: first when all of the day before can be had."""
        passed = now - self.begin(day, zone) - self.delay
        return passed // self.every + 1 if passed >= timedelta(0) else 0

    def next_turn(self, day: date, zone: tzinfo, now: datetime) -> datetime:
        """When the date, or the one after it, is next to be asked for."""
        tomorrow = self.begin(day + timedelta(days=1), zone) + self.delay
        return min(tomorrow, self.begin(day, zone) + self.delay + self.every * self.turns(day, zone, now))


def _whole(instant: datetime) -> datetime:
    """The beginning of its hour, in UTC."""
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
