"""What is made once for all tests of a client."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shared:
    """Clients of the embedded AWS, and a ledger's table. One ledger serves all tests: buckets are told apart by the
    client's id (Ads) or the name of the secret (Selling Partner)."""

    secrets: Any
    dynamodb: Any
    table: str
