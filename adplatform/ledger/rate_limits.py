"""Token buckets that all runs share through the ledger.

A bucket is one instant, the theoretical arrival time of the next call if calls came evenly (generic cell rate
algorithm): it needs no refill, survives any crash, and one conditional write takes a token.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class RateLimits:
    """The buckets in the ledger's table."""

    ledger: Ledger

    def take(self, name: str, rate: float, burst: int) -> float:
        """Take a token of ``rate`` per second, ``burst`` at once; 0, or the seconds to wait before asking again."""
        client, table = self.ledger.client, self.ledger.table
        while True:
            now = self.ledger.now()
            found = client.get_item(TableName=table, Key=_key(name), ConsistentRead=True).get("Item", {})
            seen = found.get("at", {}).get("S", "")
            at = max(datetime.fromisoformat(seen), now) if seen else now
            between = timedelta(seconds=1 / rate)
            wait = (at - between * (burst - 1) - now).total_seconds()
            if wait > 0:
                return wait
            condition = {
                "ConditionExpression": "#a = :seen" if seen else "attribute_not_exists(#a)",
                "ExpressionAttributeNames": {"#a": "at"},
                **({"ExpressionAttributeValues": {":seen": {"S": seen}}} if seen else {}),
            }
            if self._put(name, at + between, condition):
                return 0.0

    def pause(self, name: str, until: datetime, rate: float, burst: int) -> None:
        """Let nobody take a token before ``until``: the service said that it has had enough."""
        self._put(name, until + timedelta(seconds=1 / rate) * (burst - 1), {})

    def _put(self, name: str, at: datetime, condition: dict[str, Any]) -> bool:
        client = self.ledger.client
        try:
            client.put_item(TableName=self.ledger.table, Item={**_key(name), "at": {"S": at.isoformat()}}, **condition)
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _key(name: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"rate#{name}"}, "sk": {"S": "rate"}}
