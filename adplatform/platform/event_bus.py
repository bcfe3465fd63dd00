"""Events of the platform on a bus of EventBridge, for whoever has a rule for them."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)

SOURCE = "adplatform"
"""What events name as their source."""


@dataclass(frozen=True)
class EventBus:
    """A bus by name or ARN. ``events`` is a boto3 client of EventBridge."""

    events: Any
    name: str

    def put(self, detail_type: str, detail: Mapping[str, Any]) -> bool:
        """Put one event; whether the bus has it. What cannot be put is logged: it must not stop the work that goes
        on."""
        entry = {"Source": SOURCE, "DetailType": detail_type, "Detail": json.dumps(detail, default=str)}
        try:
            answer = self.events.put_events(Entries=[{"EventBusName": self.name, **entry}])
        except (BotoCoreError, ClientError) as e:
            log.error("no event %r was put on %s: %s", detail_type, self.name, e)
            return False
        if answer["FailedEntryCount"]:
            log.error("no event %r was put on %s: %s", detail_type, self.name, answer["Entries"][0].get("ErrorCode"))
            return False
        return True
