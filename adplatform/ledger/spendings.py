"""What sources have used, day by day, and how much more of it somebody has allowed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal

from adplatform.ledger.table import Table, Write

UNITS = ("requests", "dpu_hours", "vcpu_hours", "bytes")
_SPENT = "spent#"


@dataclass(frozen=True)
class Spent:
    """What a source has used on a day (UTC) of each of the :data:`UNITS`. ``more`` of it than its budget says was
    allowed on that day, by whom, and why."""

    day: date
    requests: Decimal = Decimal(0)
    dpu_hours: Decimal = Decimal(0)
    vcpu_hours: Decimal = Decimal(0)
    bytes: Decimal = Decimal(0)
    more_requests: Decimal = Decimal(0)
    more_dpu_hours: Decimal = Decimal(0)
    more_vcpu_hours: Decimal = Decimal(0)
    more_bytes: Decimal = Decimal(0)
    allowed_by: str = ""
    allowed_because: str = ""

    @property
    def sort_key(self) -> str:
        return f"{_SPENT}{self.day}"

    def used(self, unit: str) -> Decimal:
        return Decimal(getattr(self, unit))

    def more(self, unit: str) -> Decimal:
        return Decimal(getattr(self, f"more_{unit}"))


@dataclass(frozen=True)
class Spendings:
    """The days of all sources. Amounts are added, so that nobody need have read a row before."""

    table: Table

    def since(self, source: str, first: date) -> list[Spent]:
        """The days from ``first`` on of which something is known, in their order."""
        return list(self.table.range(Spent, source, f"{_SPENT}{first}", f"{_SPENT}{self.today}"))

    @property
    def today(self) -> date:
        return self.table.now().astimezone(UTC).date()

    def written(self, source: str, used: Mapping[str, Decimal | int]) -> list[Write]:
        """What is used, as a part of a transaction; none where that is nothing."""
        amounts = {unit: used[unit] for unit in UNITS if used.get(unit)}
        return [self._added(source, amounts)] if amounts else []

    def add(self, source: str, used: Mapping[str, Decimal | int]) -> None:
        """What is used, by a write of its own."""
        for write in self.written(source, used):
            while not self.table.transact([write]):
                continue

    def allow(self, source: str, more: Mapping[str, Decimal | int], by: str, why: str) -> None:
        """Allow so much more of each unit on this day, beside what was allowed on it before."""
        added = {f"more_{unit}": amount for unit, amount in more.items()}
        while not self.table.transact([self._added(source, added, allowed_by=by, allowed_because=why)]):
            continue

    def _added(self, source: str, amounts: Mapping[str, Decimal | int], **texts: str) -> Write:
        said = {"day": self.today.isoformat(), **texts}
        set_ = ", ".join(f"#{name} = :{name}" for name in said)
        add = ", ".join(f"#{name} :{name}" for name in amounts)
        values = {f":{name}": value for name, value in {**said, **amounts}.items()}
        update = f"SET {set_} ADD {add}"
        return self.table.update_write(source, f"{_SPENT}{self.today}", update, values, names=(*said, *amounts))
