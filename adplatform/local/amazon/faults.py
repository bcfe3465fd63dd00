"""Faults that a test orders: which operation fails, how, how often, and for whom."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

AT_ANY_REQUEST = frozenset(
    {
        *("throttle", "throttle_silent", "server_error", "bad_gateway", "unauthorized", "revoke_scope"),
        *("reset", "drop", "truncate", "slow"),
    }
)
"""Those that need no knowledge of the operation."""
FATES = frozenset({"fail", "stuck", "cancel", "fatal", "fatal_document"})
"""Those that stay with a report."""
KINDS = (
    AT_ANY_REQUEST
    | FATES
    | {
        *("expired_url", "complete_without_url", "not_gzip", "identity_flagged_gzip", "corrupt_gzip", "error_text"),
        *("forget", "duplicate_without_id", "duplicate_foreign", "bigger_range"),
    }
)
OPERATIONS = (
    *("token", "profiles", "create_report", "get_report", "delete_report", "download"),
    *("sp_create", "sp_get", "sp_reports", "sp_cancel", "sp_document", "sp_restricted_token", "sp_participations"),
)


@dataclass
class Fault:
    """One fault: for ``times`` requests (None for all) after the first ``skip`` that match.

    ``match`` holds texts that the request must have: ``scope``, ``report_type``, ``region`` or ``report_id``.
    ``seconds`` is how long "slow" waits and what "throttle" tells as Retry-After.
    """

    operation: str
    fault: str
    times: int | None = 1
    skip: int = 0
    match: dict[str, str] = field(default_factory=dict)
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise ValueError(f"unknown operation {self.operation!r}; known are {', '.join(OPERATIONS)}")
        if self.fault not in KINDS:
            raise ValueError(f"unknown fault {self.fault!r}; known are {', '.join(sorted(KINDS))}")


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
            if any(about.get(name) != str(value) for name, value in fault.match.items()):
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
