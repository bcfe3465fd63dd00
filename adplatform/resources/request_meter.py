"""Requests that a process makes for a source, counted in the ledger some at a time: a write for each would double what
they cost there."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.util import Finalize
from threading import Lock

from adplatform.ledger.ledger import Ledger

MOST, LONGEST = 25, timedelta(minutes=1)
"""How many are counted together, and how long one may wait for others. So many are not counted where a process is
killed."""


@dataclass
class _Waiting:
    ledger: Ledger
    since: datetime
    requests: int = 0


@dataclass
class RequestMeter:
    """What waits to be counted, by source."""

    waiting: dict[str, _Waiting] = field(default_factory=dict)
    _changing: Lock = field(default_factory=Lock)
    _at_the_end: Finalize | None = None

    def count(self, ledger: Ledger, source: str) -> None:
        """One request more."""
        now = ledger.now()
        with self._changing:
            if self._at_the_end is None:
                self._at_the_end = Finalize(None, self.flush, exitpriority=1)
            mine = self.waiting.setdefault(source, _Waiting(ledger, now))
            mine.ledger, mine.requests = ledger, mine.requests + 1
            due = self.waiting.pop(source) if mine.requests >= MOST or now - mine.since >= LONGEST else None
        if due is not None:
            ledger.spendings.add(source, {"requests": due.requests})

    def flush(self) -> None:
        """Count what waits."""
        with self._changing:
            left = dict(self.waiting)
            self.waiting.clear()
        for source, each in left.items():
            each.ledger.spendings.add(source, {"requests": each.requests})
