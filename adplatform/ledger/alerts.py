"""Causes of which people were told and which have not ended: each is opened once, and closed once.

What is said of one is written in the transaction with it, so that whoever is killed in between has it sent by the next
look. All of them are in one place, for there are few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adplatform.ledger.messages import Unsent
from adplatform.ledger.table import NEW, Table


@dataclass(frozen=True)
class OpenAlert:
    """A cause by the name of its thread. Of each kind of what happened (:attr:`adplatform.platform.alert.Alert.kind`)
    ``said`` has when it was said last, and ``times`` how often it did; ``last`` is the digest of what happened last, so
    that the same is not counted twice. ``facts`` are those of the first message, in JSON, and ``event`` is its event.
    """

    thread: str
    event: str
    facts: str
    since: datetime
    last: str = ""
    said: Mapping[str, str] = field(default_factory=dict)
    times: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0

    @property
    def sort_key(self) -> str:
        return f"alert#{self.thread}"

    def is_quiet(self, kind: str, now: datetime, quiet_for: timedelta) -> bool:
        """Whether it was said so lately that it is not said again."""
        at = self.said.get(kind)
        return at is not None and now - datetime.fromisoformat(at) < quiet_for


@dataclass(frozen=True)
class OpenAlerts:
    """Those of the whole platform, in the partition ``name``, which also has the messages that are still to be sent."""

    table: Table
    name: str

    def every(self) -> list[OpenAlert]:
        return list(self.table.query(OpenAlert, self.name, "alert#"))

    def get(self, thread: str) -> OpenAlert | None:
        return self.table.get(OpenAlert, self.name, f"alert#{thread}")

    def write(self, seen: OpenAlert | None, new: OpenAlert, messages: Sequence[Unsent]) -> bool:
        """Put the alert and what is to be said of it; False when somebody wrote it since it was ``seen``."""
        row = replace(new, revision=seen.revision + 1 if seen else 1)
        condition, values = ("revision = :r", {":r": seen.revision}) if seen else (NEW, None)
        put = self.table.put_write(self.name, row, condition, values)
        return self.table.transact([put, *(self.table.put_write(self.name, each) for each in messages)])

    def end(self, seen: OpenAlert, messages: Sequence[Unsent]) -> bool:
        """It has ended, with what is to be said of that; False when somebody ended it, or something happened since."""
        gone = self.table.delete_write(self.name, seen.sort_key, "revision = :r", {":r": seen.revision})
        return self.table.transact([gone, *(self.table.put_write(self.name, each) for each in messages)])
