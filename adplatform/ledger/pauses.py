"""Sources that somebody has paused: nothing is started for them, and nothing of theirs is lost."""

from dataclasses import dataclass
from datetime import datetime

from adplatform.ledger.table import NEW, Table

PAUSES = "_pauses"
"""In the place of a feed."""
_PAUSED = "source#"


def pause_key(source: str) -> str:
    """The sort key of a source's pause."""
    return f"{_PAUSED}{source}"


@dataclass(frozen=True)
class Pause:
    """Since when a source is paused, who did that, and why, "" where nobody said so."""

    source: str
    since: datetime
    by: str
    why: str = ""

    @property
    def sort_key(self) -> str:
        return pause_key(self.source)

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return (
            f"{self.source} is paused since {self.since:%Y-%m-%d %H:%M} UTC by {self.by}{why}; "
            f"`adplatform resume {self.source}` goes on"
        )


@dataclass(frozen=True)
class Pauses:
    """The pauses of all sources. Each step is one write, which is there or is not."""

    table: Table

    def of(self, source: str) -> Pause | None:
        return self.table.get(Pause, PAUSES, pause_key(source))

    def every(self) -> list[Pause]:
        return list(self.table.query(Pause, PAUSES, _PAUSED))

    def begin(self, source: str, by: str, why: str = "") -> Pause | None:
        """Pause a source; None where it is paused already, and stays as it is."""
        pause = Pause(source, self.table.now(), by, why)
        return pause if self.table.put_if(PAUSES, pause, NEW, {}) else None

    def end(self, source: str) -> Pause | None:
        """Resume a source; the pause that has ended, None where there was none."""
        pause = self.of(source)
        if pause is not None:
            self.table.delete(PAUSES, pause.sort_key)
        return pause
