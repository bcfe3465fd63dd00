"""Messages of failures, and events, that are sent until they are: what the platform knows is no news only once somebody
got it."""

import json
from collections.abc import Iterable

from adplatform.contracts.source import Topics
from adplatform.flow.alerts import send_routed
from adplatform.flow.services import Services
from adplatform.ledger.messages import Unsent

_MOST_EVENTS = 100
"""Events that one look puts: a bus that was away for days must not hold up what is due."""


def notify(services: Services, source: str, message: Unsent) -> None:
    """Send a message, or keep it for :func:`send_unsent`."""
    if not _sent(services, message):
        services.ledger.messages.put_unsent(source, message)


def send_unsent(services: Services, source: str, unsent: Iterable[Unsent] | None = None) -> None:
    """Send what is still to be sent, ``unsent`` for who has just read it; what cannot be sent stays. A bus that does
    not take an event is offered no other."""
    refusing: set[str] = set()
    events = 0
    for message in services.ledger.messages.unsent(source) if unsent is None else unsent:
        if message.bus in refusing or (message.bus and events >= _MOST_EVENTS):
            continue
        events += bool(message.bus)
        if _sent(services, message):
            services.ledger.messages.clear_unsent(source, message)
        elif message.bus:
            refusing.add(message.bus)


def put_event(services: Services, event: Unsent) -> bool:
    """Put an event on its bus; whether that has it."""
    return services.event_bus(event.bus).put(event.event, json.loads(event.facts))


def _sent(services: Services, message: Unsent) -> bool:
    if message.bus:
        return put_event(services, message)
    if message.form:
        return send_routed(services.sns, services.topic_arn, message)
    notifier = services.notifier(Topics(failure=message.topic or None))
    return notifier.failure(message.event, message.subject, json.loads(message.facts))
