"""The state of what a thread of the embedded AWS does, in the place of one that moto moves by its own clock."""

import time
from datetime import datetime

from moto.core.utils import utcnow

_LOOK_AGAIN_SECONDS = 0.02


class ReportedState:
    """Goes before a class of moto whose instances have a state: it is what was last said, and looking at it changes
    nothing. ``error`` is why the work failed, ``end_time`` (UTC, naive) when it ended."""

    error: str | None = None
    end_time: datetime | None = None
    _status: str | None

    @property
    def status(self) -> str:
        return str(self._status)

    @status.setter
    def status(self, value: str) -> None:
        self._status = value

    def advance(self) -> None: ...

    def finish(self, status: str, error: str | None = None) -> None:
        self.status, self.error, self.end_time = status, error, utcnow()

    def stay(self, seconds: float) -> None:
        """Wait until somebody says another state, or the seconds are over where there are any."""
        end, before = time.monotonic() + seconds, self.status
        while self.status == before and (not seconds or time.monotonic() < end):
            time.sleep(_LOOK_AGAIN_SECONDS)

    @property
    def told(self) -> dict[str, str]:
        """What a description has of it beside moto's."""
        return {"ErrorMessage": self.error} if self.error else {}
