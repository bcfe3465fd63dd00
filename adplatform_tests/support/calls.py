"""Counts what is asked of AWS."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import adplatform
from adplatform.platform.aws import CALL_BUDGET, Aws

_OURS = f"{Path(adplatform.__file__).parent}/"


@dataclass(frozen=True)
class CountedAws(Aws):
    """Keeps the names of the calls of all its clients, and in ``places``, where wanted, each with where in our code it
    was made."""

    names: list[str] = field(default_factory=list)
    places: list[tuple[str, str]] | None = None

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        client = super().client(service, budget)
        client.meta.events.register("before-call", self._count)
        return client

    def _count(self, model: Any, **_: Any) -> None:
        self.names.append(model.name)
        if self.places is not None:
            self.places.append((model.name, place()))

    @contextmanager
    def most(self, calls: int) -> Iterator[None]:
        """What is done within asks AWS at most so often."""
        before = len(self.names)
        yield
        asked = self.names[before:]
        assert len(asked) <= calls, f"{len(asked)} calls instead of {calls}: {', '.join(asked)}"


def place() -> str:
    """The innermost line of the platform's code that is being called, and those of it that called that one, without
    what only hands calls on to boto3: ``flow/raw.py:82 land``."""
    found = []
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_OURS) and not path.endswith("/ledger/table.py"):
            found.append(f"{path.removeprefix(_OURS)}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return " < ".join(found[:2])


@dataclass(frozen=True)
class WatchedAws(Aws):
    """Calls ``called`` before each call of its clients of ``services``, and ``after`` it. What it raises passes."""

    called: Callable[[], object] = lambda: None
    services: frozenset[str] = frozenset()
    after: bool = True

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._watched(service, super().client(service, budget))

    def client_once(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._watched(service, super().client_once(service, budget))

    def _watched(self, service: str, client: Any) -> Any:
        if service in self.services:
            for event in ("before-call", *(["after-call"] if self.after else [])):
                client.meta.events.register(event, lambda **_: self.called())
        return client
