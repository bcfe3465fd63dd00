"""What records there are at an instant: a pure function of the seed, the first day and the instant, so that a restart
changes nothing and a test can ask for the truth. The persons are invented; their addresses and numbers are reserved for
examples (RFC 2606, the North American 555-01XX numbers).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from adplatform.local.world.draws import draw, number
from adplatform.local.world.saas import contents
from adplatform.local.world.saas.schema import OBJECTS

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LASTS = timedelta(days=45)
"""How long after its creation a record may still change."""
BIN = timedelta(days=15)
"""How long a deleted record is kept in the recycle bin, where only queryAll sees it."""


@dataclass(frozen=True)
class Origin:
    """What all records follow from. ``scale`` multiplies how many there are."""

    seed: int
    began: date
    scale: float = 1.0


@dataclass(frozen=True)
class Life:
    """When a record came, changed and went."""

    id: str
    day: date
    created: datetime
    changes: tuple[datetime, ...]
    deleted: datetime | None

    def version(self, at: datetime) -> int:
        return sum(change <= at for change in self.changes)

    def stamp(self, at: datetime) -> datetime:
        """When it was last changed before ``at``."""
        return max(instant for instant in (self.created, *self.changes, self.deleted) if instant and instant <= at)


def records(origin: Origin, name: str, at: datetime, *, since: datetime | None = None) -> Iterator[dict[str, Any]]:
    """The records of an object as they are at ``at``, those in the recycle bin included, in the order of creation; all
    that were changed at or after ``since``, and perhaps some that were not."""
    first = origin.began if since is None else max(origin.began, (since - _LASTS - timedelta(days=1)).date())
    for days in range((at.date() - first).days + 1):
        for life in _lives(origin, name, first + timedelta(days=days)):
            if life.created > at or (life.deleted is not None and life.deleted + BIN <= at):
                continue
            yield _record(origin, name, life, at)


def _record(origin: Origin, name: str, life: Life, at: datetime) -> dict[str, Any]:
    stamp = instant(life.stamp(at))
    drawn = contents.Drawn(origin.seed, life.id, life.version(at), life.created)
    some = {other: _some(origin, other, life) for other in contents.REFERS.get(name, ())}
    own = contents.CONTENTS[name](drawn, some)
    gone = life.deleted is not None and life.deleted <= at
    stamps = {"CreatedDate": instant(life.created), "LastModifiedDate": stamp, "SystemModstamp": stamp}
    return {"Id": life.id, "IsDeleted": gone, **own, **stamps}


def instant(moment: datetime) -> str:
    """As the REST API writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


@lru_cache(maxsize=8192)
def _lives(origin: Origin, name: str, day: date) -> tuple[Life, ...]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return tuple(_life(origin, name, midnight, n) for n in range(_count(origin, name, day)))


def _life(origin: Origin, name: str, midnight: datetime, n: int) -> Life:
    numbers = draw(origin.seed, name, midnight.date(), n, "life")
    created = midnight + timedelta(seconds=int(numbers[0] * 86_400))
    last = _LASTS.total_seconds()
    # Early changes are more frequent than late ones.
    pauses = (int(numbers[2 + k] ** 3 * last) + 60 for k in range(int(numbers[1] * 5)))
    changes = tuple(sorted(created + timedelta(seconds=pause) for pause in pauses))
    gone = created + timedelta(seconds=int(numbers[10] * last) + 60) if numbers[11] < 0.08 else None
    changes = tuple(change for change in changes if gone is None or change < gone)
    return Life(identity(name, midnight.date(), n), midnight.date(), created, changes, gone)


def _count(origin: Origin, name: str, day: date) -> int:
    rate, before = OBJECTS[name].a_day * origin.scale, (day - origin.began).days
    return int(rate * (before + 1)) - int(rate * before)


def _some(origin: Origin, other: str, life: Life) -> str | None:
    """The id of a record of another object that is a day older or more, perhaps deleted meanwhile; None without any."""
    days = (life.day - origin.began).days
    if days < 1:
        return None
    back = 1 + number(origin.seed, life.id, other, below=min(days, 60))
    for further in range(back, days + 1):
        day = life.day - timedelta(days=further)
        if count := _count(origin, other, day):
            return identity(other, day, number(origin.seed, life.id, other, "n", below=count))
    return None


def identity(name: str, day: date, n: int) -> str:
    """An id of 18 characters, whose last three say which of the others are capitals, as Salesforce's do."""
    value, digits = day.toordinal() * 100_000 + n, ""
    while value:
        value, digit = divmod(value, 62)
        digits = _DIGITS[digit] + digits
    short = f"{OBJECTS[name].prefix}Ad{digits:0>10}"
    parts = (short[at : at + 5] for at in (0, 5, 10))
    suffix = (sum(1 << at for at, character in enumerate(part) if character.isupper()) for part in parts)
    return short + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[bits] for bits in suffix)
