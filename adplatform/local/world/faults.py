"""Faults of a simulated partner that a test orders: which operation fails, how, how often, and for whom."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What a fault does, and the operations that have it."""

    does: str
    operations: Collection[str]


@dataclass
class Fault:
    """One fault: for ``times`` requests (None for all) after the first ``skip`` that match.

    ``match`` holds texts that the request must have. ``seconds`` is how long "slow" waits and what "throttle" tells as
    Retry-After.
    """

    operation: str
    fault: str
    times: int | None = 1
    skip: int = 0
    match: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0

    def check(self, operations: Collection[str], kinds: Mapping[str, Kind], matched: Collection[str]) -> None:
        """
        Raises:
            ValueError: there is no such fault; lists those there are.
        """
        if self.operation not in operations:
            raise ValueError(f"unknown operation {self.operation!r}; known are {', '.join(operations)}")
        known = sorted(name for name, kind in kinds.items() if self.operation in kind.operations)
        if self.fault not in known:
            raise ValueError(f"{self.operation} has no fault {self.fault!r}; known are {', '.join(known)}")
        if unknown := sorted(set(self.match) - set(matched)):
            raise ValueError(f"a fault cannot match {', '.join(unknown)}, only {', '.join(matched)}")


class Faults:
    """The faults that are still to come, in the order in which they were added."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._pending.append(fault)

    def clear(self) -> None:
        self._pending.clear()

    def pending(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._pending]

    def take(self, operation: str, about: Mapping[str, str], kinds: Collection[str]) -> Fault | None:
        """The next fault of these kinds for a request, counted down."""
        for fault in self._pending:
            if fault.operation != operation or fault.fault not in kinds:
                continue
            if any(about.get(name) != value for name, value in fault.match.items()):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._pending.remove(fault)
            return fault
        return None
