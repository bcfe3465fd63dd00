"""The clock of a simulated partner: real time plus an offset, or standing still."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


class Clock:
    """``real`` gives epoch seconds."""

    def __init__(self, real: Callable[[], float] = time.time) -> None:
        self._real = real
        self._offset = 0.0
        self._frozen: float | None = None

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._real() + self._offset if self._frozen is None else self._frozen, UTC)

    @property
    def frozen(self) -> bool:
        return self._frozen is not None

    def set(self, now: datetime, *, frozen: bool | None = None) -> None:
        """Set the time; ``frozen`` says whether it stands still from now on, None leaves that as it was."""
        stands = self.frozen if frozen is None else frozen
        self._frozen = now.timestamp() if stands else None
        self._offset = now.timestamp() - self._real()

    def advance(self, seconds: float) -> None:
        self.set(self.now() + timedelta(seconds=seconds))

    def saved(self) -> dict[str, Any]:
        return {"offset": self._offset, "frozen": self._frozen}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self._offset, self._frozen = saved["offset"], saved["frozen"]
