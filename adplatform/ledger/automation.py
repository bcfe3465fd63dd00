"""Which orchestrator starts runs by itself: one for each ledger, because two would each take the other's runs for dead.

The owner renews its row with every tick; one that has not been seen for a while is followed by whoever comes first.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from adplatform.ledger.ledger import Ledger
from adplatform.ledger.pauses import PAUSES, Pause, pause_key
from adplatform.ledger.rows import from_item
from adplatform.ledger.table import key, unwire

RENEW_EVERY = timedelta(minutes=1)
EXPIRES_AFTER = timedelta(minutes=10)
_KEY = {"pk": {"S": "automation"}, "sk": {"S": "owner"}}


@dataclass(frozen=True)
class Owner:
    """An orchestrator that owns the automation: its id, the machine and directory it runs in, since when."""

    id: str
    host: str
    home: str
    since: datetime
    seen_at: datetime


@dataclass(frozen=True)
class Automation:
    """The row in the ledger's table."""

    ledger: Ledger

    def owner(self) -> Owner | None:
        answer = self.ledger.client.get_item(TableName=self.ledger.table, Key=_KEY, ConsistentRead=True)
        return _owner(answer.get("Item"))

    def owner_and_pause(self, source: str) -> tuple[Owner | None, Pause | None]:
        """The owner, and whether the source is paused, by one call."""
        paused = key(PAUSES, pause_key(source))
        wanted = {self.ledger.table: {"Keys": [_KEY, paused], "ConsistentRead": True}}
        answer = self.ledger.client.batch_get_item(RequestItems=wanted)
        if answer.get("UnprocessedKeys"):
            return self.owner(), self.ledger.pauses.of(source)
        found = {(item["pk"]["S"], item["sk"]["S"]): item for item in answer["Responses"].get(self.ledger.table, ())}
        pause = found.get((paused["pk"]["S"], paused["sk"]["S"]))
        return _owner(found.get((_KEY["pk"]["S"], _KEY["sk"]["S"]))), from_item(Pause, unwire(pause)) if pause else None

    def hold(self, id: str, host: str, home: str) -> Owner | None:
        """Own the automation, or go on owning it; the owner when that is another one, which was seen lately."""
        return self._hold(id, host, home, self.owner())

    def hold_for(self, source: str, id: str, host: str, home: str) -> tuple[Owner | None, Pause | None]:
        """The same, and whether the source is paused."""
        owner, pause = self.owner_and_pause(source)
        return self._hold(id, host, home, owner), pause

    def _hold(self, id: str, host: str, home: str, owner: Owner | None) -> Owner | None:
        while True:
            now = self.ledger.now()
            mine = owner is not None and owner.id == id
            if owner is not None and mine and now - owner.seen_at < RENEW_EVERY:
                return None
            if owner is not None and not mine and now - owner.seen_at < EXPIRES_AFTER:
                return owner
            since = owner.since if owner is not None and mine else now
            if self._put(Owner(id, host, home, since, now), owner):
                return None
            owner = self.owner()

    def take_over(self, id: str, host: str, home: str) -> None:
        """Own the automation whoever has it: somebody decided so."""
        now = self.ledger.now()
        while not self._put(Owner(id, host, home, now, now), self.owner()):
            continue

    def _put(self, new: Owner, seen: Owner | None) -> bool:
        """Write the row if it is as it was seen."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen is not None:
            condition = {
                "ConditionExpression": "id = :id AND seen_at = :seen",
                "ExpressionAttributeValues": {":id": {"S": seen.id}, ":seen": {"S": seen.seen_at.isoformat()}},
            }
        values = {"id": new.id, "host": new.host, "home": new.home}
        instants = {"since": new.since.isoformat(), "seen_at": new.seen_at.isoformat()}
        item = {**_KEY, **{name: {"S": value} for name, value in (values | instants).items()}}
        client = self.ledger.client
        try:
            client.put_item(TableName=self.ledger.table, Item=item, **condition)
        except client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _owner(item: dict[str, Any] | None) -> Owner | None:
    if item is None:
        return None
    text = {name: value["S"] for name, value in item.items()}
    instants = {name: datetime.fromisoformat(text[name]) for name in ("since", "seen_at")}
    return Owner(text["id"], text["host"], text["home"], **instants)
