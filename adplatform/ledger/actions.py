"""What people have done by commands: who, what, of what, when, and how it ended. No row has what a command was given
beside that."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from adplatform.ledger.rows import plain
from adplatform.ledger.table import Table

ACTIONS = "_actions"
"""In the place of a feed."""
_ACTION = "action#"


class ActionOutcome(StrEnum):
    """BEGUN: it is under way, or its process was killed. STOPPED: by whoever had called it."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Action:
    """A command that was called. ``of`` is the source, feed or target that it was given, "" where it was for
    everything, with the dates that it was given. ``release`` is that of the platform, "" where it is not installed."""

    id: str
    command: str
    by: str
    release: str
    begun_at: datetime
    of: str = ""
    first_day: date | None = None
    last_day: date | None = None
    outcome: ActionOutcome = ActionOutcome.BEGUN
    ended_at: datetime | None = None

    @property
    def sort_key(self) -> str:
        return f"{_ACTION}{plain(self.begun_at)}#{self.id}"


@dataclass(frozen=True)
class Actions:
    """The actions of all commands."""

    table: Table

    def every(self) -> list[Action]:
        """All that are remembered, the oldest first."""
        return list(self.table.query(Action, ACTIONS, _ACTION))

    def put(self, action: Action) -> None:
        """Remember it as it is now."""
        self.table.put(ACTIONS, [action])

    def forget(self, before: datetime) -> None:
        """Those that began before an instant."""
        for old in self.table.range(Action, ACTIONS, _ACTION, f"{_ACTION}{plain(before)}"):
            self.table.delete(ACTIONS, old.sort_key)
