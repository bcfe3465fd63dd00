"""Alerts as events of PagerDuty's Events API v2, without the routing key: the integration that is subscribed has it.

Source: PagerDuty's developer documentation, "Send an alert event" and "PD-CEF": ``dedup_key`` has up to 255 characters,
``summary`` up to 1,024.
"""

from hashlib import sha256
from typing import Any

from adplatform.failures import clipped
from adplatform.platform.alert import Alert, Phase
from adplatform.platform.facts import bounded, shown

DEDUP_KEY, SUMMARY = 255, 1024
_LONGEST, _MOST = 1000, 20
"""Characters of a detail, and how many there are: a message of SNS may have 256 KB."""


def pagerduty_body(alert: Alert) -> dict[str, Any]:
    """An event that opens the incident of the alert's thread, or resolves it."""
    facts = bounded(dict(list(alert.facts.items())[:_MOST]), _MOST, _LONGEST)
    details = {name: clipped(shown(value), _LONGEST) for name, value in facts.items()}
    return {
        "event_action": "resolve" if alert.phase is Phase.END else "trigger",
        "dedup_key": dedup_key(alert.thread),
        "client": "adplatform",
        "payload": {
            "summary": alert.said(SUMMARY),
            "source": alert.source or "adplatform",
            "severity": str(alert.severity),
            "timestamp": alert.at,
            "component": alert.feed or "adplatform",
            "group": alert.source or "adplatform",
            "class": alert.event,
            "custom_details": {
                **details,
                **({"note": alert.note} if alert.note else {}),
                **({"next": "; ".join(command for command, _ in alert.steps())} if alert.steps() else {}),
            },
        },
    }


def dedup_key(thread: str) -> str:
    """The key of a cause; of one whose name is too long its beginning and a digest."""
    key = f"adplatform/{thread}"
    return key if len(key) <= DEDUP_KEY else f"{key[:200]}/{sha256(key.encode()).hexdigest()[:32]}"
