"""Declared resources, made in the embedded AWS by whoever may be killed."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from adplatform.consumers.registration.registered import Clients, Declared, declared, planned, registered, undeclared
from adplatform.consumers.registration.resource import Place, Wanted, place_of
from adplatform.consumers.table import ConsumedTable
from adplatform.platform.aws import CALL_BUDGET, Aws
from adplatform.platform.calls import OPERATOR, acting
from adplatform.platform.settings import Settings
from adplatform_tests.consumers.tables import MEMBERS, consumed_of, feed

ACCOUNT = "123456789012"
_READS = ("Get", "List", "Describe", "BatchGet", "StartQueryExecution", "ExecuteStatement")
"""Queries by which services are asked leave nothing."""


class Killed(BaseException):
    """The process ends: what was asked is done, and nobody hears of it."""


@dataclass(frozen=True)
class MortalAws(Aws):
    """Raises after so many calls that write."""

    after: int = 0
    written: list[str] = field(default_factory=list)

    def client(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._mortal(super().client(service, budget))

    def client_once(self, service: str, budget: timedelta = CALL_BUDGET) -> Any:
        return self._mortal(super().client_once(service, budget))

    def _mortal(self, client: Any) -> Any:
        client.meta.events.register("after-call", self._count)
        return client

    def _count(self, model: Any, **_: Any) -> None:
        if not model.name.startswith(_READS):
            self.written.append(model.name)
            if len(self.written) == self.after:
                raise Killed


def place(**settings: Any) -> Place:
    return place_of(Settings(env="local", home=Path(), **settings), ACCOUNT)


def table(consumers: Any, columns: Mapping[str, Any] = MEMBERS, database: str = "", **of_feed: Any) -> ConsumedTable:
    """One of a database that no other test has, unless it is named."""
    prefix = f"clean_{uuid.uuid4().hex[:8]}_" if not database else database.removesuffix("acme")
    return consumed_of(feed(consumers, dict(columns), **of_feed), prefix)


def wanted_of(table: ConsumedTable, place: Place) -> tuple[Wanted, ...]:
    found = declared([table], place, lambda _: True)
    assert not found.refused, found.refused
    return found.wanted


def apply(aws: Aws, wanted: Iterable[Wanted]) -> dict[str, tuple[str, str]]:
    """What was done with a resource of each kind, and why nothing."""
    with acting(OPERATOR):
        done = list(registered(Clients(aws), list(wanted)))
    return {each.change.wanted.kind: (each.change.state, each.failure) for each in done}


def differences(aws: Aws, wanted: Iterable[Wanted]) -> dict[str, list[str]]:
    """Of the resources that are not as declared, by kind."""
    with acting(OPERATOR):
        changes = list(planned(Clients(aws), wanted))
    return {
        each.wanted.kind: [str(difference) for difference in each.differences] or [each.state]
        for each in changes
        if each.state != "as declared"
    }


def undeclared_of(aws: Aws, place: Place, known: Declared) -> list[str]:
    """The names of what has tags of this place's and is not declared."""
    with acting(OPERATOR):
        found, _ = undeclared(Clients(aws), place, known)
    return [each.name for each in found]


def made_by_mortals(aws: Aws, wanted: Iterable[Wanted]) -> list[str]:
    """Make what is wanted by one process after the other, each of which is killed after one call that writes, until one
    has nothing to write; the calls."""
    written: list[str] = []
    while True:
        mortal = MortalAws(aws.region, aws.endpoint_url, after=1)
        try:
            assert all(not failure for _, failure in apply(mortal, wanted).values())
        except Killed:
            written += mortal.written
            assert len(written) < 50, written
            continue
        assert mortal.written == []
        return written
