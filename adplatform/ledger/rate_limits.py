"""Token buckets that all runs share through the ledger.

A bucket is one instant, the theoretical arrival time of the next call if calls came evenly (generic cell rate
algorithm): it needs no refill, survives any crash, and one conditional write takes a token.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from adplatform.ledger.ledger import Ledger

SLOWEST, FASTEST = 1 / 3600, 1000.0
"""Calls per second between which a rate that a service announces is believed."""
LONGEST_PAUSE = timedelta(hours=1)
"""For how long a service is believed that it wants no call."""


@dataclass(frozen=True)
class RateLimits:
    """The buckets in the ledger's table."""

    ledger: Ledger

    def take(self, name: str, rate: float, burst: int) -> float:
        """Take a token of ``rate`` per second, ``burst`` at once; 0, or the seconds to wait before asking again.

        A rate that was learned for the bucket is used in the place of ``rate``.
        """
        while True:
            now = self.ledger.now().astimezone(UTC)
            seen, learned = self._read(name)
            between = timedelta(seconds=1 / (learned or rate))
            at = max(datetime.fromisoformat(seen), now) if seen else now
            if at - now > LONGEST_PAUSE + between * (burst + 1):
                at = now  # written by a clock that was ahead
            wait = (at - between * (burst - 1) - now).total_seconds()
            if wait > 0:
                return wait
            unchanged = "#a = :seen" if seen else "attribute_not_exists(#a)"
            if self._update(name, "at", at + between, unchanged, {":seen": {"S": seen}} if seen else {}):
                return 0.0

    def pause(self, name: str, until: datetime, rate: float, burst: int) -> None:
        """Let nobody take a token before ``until``: the service said that it has had enough. A longer pause stays."""
        _, learned = self._read(name)
        at = until.astimezone(UTC) + timedelta(seconds=1 / (learned or rate)) * (burst - 1)
        self._update(name, "at", at, "attribute_not_exists(#a) OR #a < :new", {})

    def learn(self, name: str, announced: str) -> None:
        """Note the rate per second that a service announces for the bucket. What cannot be one is ignored."""
        rate = _number(announced)
        if SLOWEST <= rate <= FASTEST:
            self._update(name, "rate", rate, "attribute_not_exists(#a) OR #a <> :new", {})

    def _read(self, name: str) -> tuple[str, float | None]:
        """Instant and learned rate of a bucket; "" and None where there is none."""
        client, table = self.ledger.client, self.ledger.table
        found = client.get_item(TableName=table, Key=_key(name), ConsistentRead=True).get("Item", {})
        rate = found.get("rate", {}).get("N")
        return found.get("at", {}).get("S", ""), float(rate) if rate else None

    def _update(self, name: str, attribute: str, new: datetime | float, condition: str, values: dict[str, Any]) -> bool:
        """Set one attribute and leave the other; False if the condition does not hold.

        Instants are compared as texts: all of them are in UTC, where a fraction sorts after none.
        """
        client = self.ledger.client
        value = {"S": new.isoformat()} if isinstance(new, datetime) else {"N": repr(new)}
        try:
            client.update_item(
                TableName=self.ledger.table,
                Key=_key(name),
                UpdateExpression="SET #a = :new",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#a": attribute},
                ExpressionAttributeValues={":new": value, **values},
            )
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _key(name: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": f"rate#{name}"}, "sk": {"S": "rate"}}
