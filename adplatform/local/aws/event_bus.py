"""Events of AWS services on the default bus, which moto's PutEvents alone would not take from anybody."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from moto.events.models import events_backends

log = logging.getLogger(__name__)


def deliver(account: str, region: str, event: Mapping[str, Any]) -> None:
    """Send the event to the targets of every rule that it matches. Callers hold the lock."""
    for rule in events_backends[account][region].event_buses["default"].rules.values():
        if rule.state != "ENABLED" or not rule.event_pattern.get_pattern():
            continue
        try:
            rule.send_to_targets(json.loads(json.dumps(event)), transform_input=False)
        except Exception:
            # As on AWS, a target that does not exist must not fail the request that caused the event.
            log.exception("rule %s: an event was not delivered", rule.name)
