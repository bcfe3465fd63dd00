"""Events of AWS services on the default bus, which moto's PutEvents alone would not take from anybody."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from moto.events.models import EventPattern, events_backends

log = logging.getLogger(__name__)


def deliver(account: str, region: str, event: Mapping[str, Any]) -> None:
    """Send the event to the targets of every rule that it matches. Callers hold the lock."""
    plain = json.dumps(event)
    # Once for all rules, where moto makes two copies of the event for each of them.
    flat = EventPattern._flatten_dict(json.loads(plain))
    for rule in events_backends[account][region].event_buses["default"].rules.values():
        pattern = rule.event_pattern
        if rule.state != "ENABLED" or not pattern.get_pattern() or _names_another(pattern.get_pattern(), event):
            continue
        try:
            if pattern._does_event_match(flat, pattern.get_pattern()):
                rule.send_to_targets(json.loads(plain), transform_input=False)
        except Exception:
            # As on AWS, a target that does not exist must not fail the request that caused the event.
            log.exception("rule %s: an event was not delivered", rule.name)


def _names_another(pattern: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether a value that the pattern lists as it is, such as the name of a bucket, is another one in the event: most
    rules are of other buckets, and moto looks at everything else first."""
    for name, wanted in pattern.items():
        found = event.get(name)
        if isinstance(wanted, Mapping) and isinstance(found, Mapping):
            another = _names_another(wanted, found)
        else:
            listed = isinstance(wanted, list) and all(isinstance(each, str) for each in wanted)
            another = listed and isinstance(found, str) and found not in wanted
        if another:
            return True
    return False
