"""Leases: a name that one holder at a time has, for steps that must not overlap."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from adplatform.failures import TransientFailure
from adplatform.ledger.table import Table, Write, wire
from adplatform.platform.at_once import Pool

_KEEPS = 3
_MARGIN = 1.2
_FRESH = 1 / 6
"""The part of a lease's time for which what was written of it is believed without asking."""


class LeaseHeld(TransientFailure):
    """Somebody else has the lease."""


@dataclass
class _Written:
    """When this process last asked for the lease and got it, and until when it got it."""

    asked: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Beside:
    """What is to be written before a lease is held: by the transaction that takes it, and ``alone``, which says what is
    wrong, where that is refused."""

    writes: Sequence[Write]
    alone: Callable[[], None]


@dataclass(frozen=True)
class Lease:
    """A lease that this process tries to hold or holds."""

    table: Table
    name: str
    owner: str
    ttl: timedelta
    _written: _Written = field(default_factory=_Written, repr=False, compare=False)

    def take(self, *others: Write) -> bool:
        """Take the lease, or keep it for another ``ttl``; False while another holder's has not run out. ``others`` are
        written together with it, or neither is."""
        return self._put(
            "attribute_not_exists(pk) OR #o = :o OR #u < :n",
            {":o": self.owner, ":n": self.table.now().isoformat()},
            {"#o": "owner", "#u": "until"},
            others=others,
        )

    def check(self, needs: timedelta = timedelta(0)) -> None:
        """Keep the lease before a step that must not overlap. At the return it lasts for ``needs`` at least, which is
        what the step may take. Just after it was written that is known without asking: nobody takes a lease before its
        time runs out, so what may be believed is what this process itself last wrote.

        Raises:
            TransientFailure: it ran out and another holder took it, even one that has released it since, or the ledger
                answers too slowly to keep it.
        """
        if not self._is_fresh(needs):
            self._keep(needs)

    def _keep(self, needs: timedelta) -> None:
        for _ in range(_KEEPS):
            asked = self.table.now()
            if not self._put("#o = :o", {":o": self.owner}, {"#o": "owner"}, needs):
                raise TransientFailure(
                    f"lease {self.name} was lost to another run: this one stops before it overwrites newer work"
                )
            if self.table.now() + needs <= asked + self._length(needs):
                return
        raise TransientFailure(f"the ledger answers too slowly to keep lease {self.name}; run the step again")

    @contextmanager
    def kept(self, needs: timedelta = timedelta(0)) -> Iterator[None]:
        """Keep the lease during one long step, whose single calls may take ``needs``. A loss shows at the next
        :meth:`check`."""
        done = threading.Event()
        pause = self.ttl / 3

        def keep() -> None:
            while not done.wait(pause.total_seconds()):
                self._keep(needs + pause if needs else needs)

        with Pool(max_workers=1) as keeper:
            keeper.submit(keep)
            try:
                yield
            finally:
                done.set()

    def release(self) -> None:
        self._conditional(
            lambda condition: self.table.client.delete_item(
                TableName=self.table.name, Key=wire(self._key()), **condition
            ),
            "#o = :o",
            {":o": self.owner},
            {"#o": "owner"},
        )

    def _key(self) -> dict[str, Any]:
        return {"pk": f"lease#{self.name}", "sk": "lease"}

    def _length(self, needs: timedelta) -> timedelta:
        """For how long the lease is kept at once; the margin is for the call that keeps it."""
        return max(self.ttl, needs * _MARGIN)

    def _is_fresh(self, needs: timedelta) -> bool:
        asked, until, now = self._written.asked, self._written.until, self.table.now()
        if asked is None or until is None:
            return False
        return asked <= now <= asked + (until - asked) * _FRESH and now + needs <= until

    def _put(
        self,
        expression: str,
        values: dict[str, Any],
        names: dict[str, str],
        needs: timedelta = timedelta(0),
        others: Sequence[Write] = (),
    ) -> bool:
        asked = self.table.now()
        until = asked + self._length(needs)
        item = wire({**self._key(), "owner": self.owner, "until": until.isoformat()})
        put = {"TableName": self.table.name, "Item": item}
        if others:
            got = self.table.transact([{"Put": {**put, **_condition(expression, values, names)}}, *others])
        else:
            got = self._conditional(
                lambda condition: self.table.client.put_item(**put, **condition), expression, values, names
            )
        self._written.asked, self._written.until = (asked, until) if got else (None, None)
        return got

    def _conditional(
        self, call: Callable[[dict[str, Any]], Any], expression: str, values: dict[str, Any], names: dict[str, str]
    ) -> bool:
        try:
            call(_condition(expression, values, names))
        except self.table.client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _condition(expression: str, values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {
        "ConditionExpression": expression,
        "ExpressionAttributeValues": wire(values),
        "ExpressionAttributeNames": names,
    }


@contextmanager
def leased(
    table: Table,
    name: str,
    owner: str,
    *,
    ttl: timedelta,
    wait: timedelta,
    sleep: Callable[[float], None],
    beside: Beside | None = None,
) -> Iterator[Lease]:
    """Hold ``name`` alone. A holder that died is displaced after ``ttl``. ``beside`` is written before.

    Raises:
        LeaseHeld: another holder kept it for longer than ``wait``.
    """
    held = Lease(table, name, owner, ttl)
    give_up = table.now() + wait
    taken = beside is not None and held.take(*beside.writes)
    if beside is not None and not taken:
        beside.alone()
    while not taken and not held.take():
        if table.now() >= give_up:
            raise LeaseHeld(f"lease {name} is held by another run; try again when that run has ended")
        sleep(0.2)
    try:
        yield held
    finally:
        held.release()
