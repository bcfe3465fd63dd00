"""Counts what is asked of AWS."""

from collections.abc import Callable, Iterator
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


@dataclass(frozen=True)
class WatchedAws(Aws):
    """Calls ``called`` before each call of its clients of ``services``, and ``after`` it. What it raises passes."""

    called: Callable[[], object] = lambda: None
    services: frozenset[str] = frozenset()
    after: bool = True

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._watched(service, super().client(service, budget))

    def client_once(self, service: str) -> Any:
        return self._watched(service, super().client_once(service))

    def _watched(self, service: str, client: Any) -> Any:
        if service in self.services:
            for event in ("before-call", *(["after-call"] if self.after else [])):
                client.meta.events.register(event, lambda **_: self.called())
        return client
