"""How long one look may take, and fair turns within it: what is cut short goes on at the next look."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Budget:
    """Work goes on until ``ends``, in seconds of ``clock``. Only a call that has begun may take longer."""

    clock: Callable[[], float]
    ends: float

    @classmethod
    def of(cls, seconds: float, clock: Callable[[], float] = time.monotonic) -> "Budget":
        return cls(clock, clock() + seconds)

    @property
    def spent(self) -> bool:
        return self.clock() >= self.ends

    def share(self, part: float) -> "Budget":
        """A ``part`` of what is left, from 0 to 1; what it leaves over belongs to the rest."""
        now = self.clock()
        return replace(self, ends=now + max(self.ends - now, 0) * part)


UNLIMITED = Budget(lambda: 0, math.inf)


def in_turns(groups: Iterable[Iterable[T]]) -> Iterator[T]:
    """One of each group, then the next of each, so that a long group holds up no short one."""
    waiting = deque(iter(group) for group in groups)
    while waiting:
        group = waiting.popleft()
        for item in group:
            yield item
            waiting.append(group)
            break
