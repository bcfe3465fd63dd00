"""Faults of the simulated CRM."""

from collections.abc import Mapping
from dataclasses import dataclass

from adplatform.local.world import faults
from adplatform.local.world.faults import Kind

API = ("query", "more", "describe", "objects", "limits")
OPERATIONS = ("token", *API)

AT_ANY_REQUEST: Mapping[str, Kind] = {
    "throttle": Kind("429 with Retry-After", OPERATIONS),
    "server_error": Kind("500", OPERATIONS),
    "unavailable": Kind("503", OPERATIONS),
    "drop": Kind("drops the connection and does nothing", OPERATIONS),
    "truncate": Kind("drops the connection in the middle of the body", OPERATIONS),
    "slow": Kind("answers after `seconds`", OPERATIONS),
    "expired_session": Kind("refuses a good token: 401 INVALID_SESSION_ID", API),
    "forbidden": Kind("403 INSUFFICIENT_ACCESS", API),
    "over_budget": Kind("403 REQUEST_LIMIT_EXCEEDED, as when the API requests of the day are used up", API),
    "invalid_client": Kind("400: the client secret is not good any more", ("token",)),
    "invalid_grant": Kind("400: the refresh token is not good any more", ("token",)),
}
"""Those that need no knowledge of the operation."""
_OF_ONE_OPERATION: Mapping[str, Kind] = {
    "empty": Kind("there are no records", ("query",)),
    "lost_cursor": Kind("400 INVALID_QUERY_LOCATOR: the cursor of the next page is gone", ("more",)),
    "duplicate": Kind("the page begins with the last record of the one before", ("more",)),
}
KINDS: Mapping[str, Kind] = {**AT_ANY_REQUEST, **_OF_ONE_OPERATION}
MATCHED = ("object",)


@dataclass
class Fault(faults.Fault):
    """One fault of this server. ``match`` is about ``object``."""

    def __post_init__(self) -> None:
        self.check(OPERATIONS, KINDS, MATCHED)
