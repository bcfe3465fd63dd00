"""Counts what is asked of AWS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adplatform.platform.aws import CALL_BUDGET, Aws


@dataclass(frozen=True)
class CountedAws(Aws):
    """Keeps the names of the calls of all its clients."""

    names: list[str] = field(default_factory=list)

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        client = super().client(service, budget)
        client.meta.events.register("before-call", lambda model, **_: self.names.append(model.name))
        return client

    @contextmanager
    def most(self, calls: int) -> Iterator[None]:
        """What is done within asks AWS at most so often."""
        before = len(self.names)
        yield
        asked = self.names[before:]
        assert len(asked) <= calls, f"{len(asked)} calls instead of {calls}: {', '.join(asked)}"
