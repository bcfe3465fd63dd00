"""The life of one run of a delivery: claim it, and say how it ended.

Objects may arrive at any moment, so every step here applies to the delivery as it is, not as it was when the run began.
"""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from adplatform.failures import ClaimLost, EnvironmentFailure, PermanentFailure
from adplatform.flow.hindrances import begin_hindrance, end_hindrances
from adplatform.flow.patience import after_failure, after_hindrance
from adplatform.flow.services import Services
from adplatform.flow.shown import shown
from adplatform.flow.source import FeedFlow
from adplatform.ledger.rows import Delivery, DeliveryState

DELIVERIES = "deliveries"
_HINDERED_LATELY = timedelta(days=1)
"""A hindered delivery is tried every few hours; one that rests for longer has no feed any more."""


def claim(services: Services, flow: FeedFlow, day: date, run_id: str) -> Delivery:
    """Take the latest settled version of the delivery for this run. Claiming it again in the same run is no harm.

    Raises:
        PermanentFailure: nothing has settled for that date.
        ClaimLost: another run has it. If that run is dead, the next tick of the source's sensor frees the delivery.
    """

    def take(seen: Delivery) -> Delivery | None:
        if seen.version == 0:
            raise PermanentFailure(
                f"{flow.name} {day}: no delivery has settled; `adplatform ledger {flow.name} {day}` shows what arrived"
            )
        if seen.state is DeliveryState.RUNNING:
            return None
        return replace(seen, state=DeliveryState.RUNNING, run_id=run_id, not_before=None, error="", permanent=False)

    return services.ledger.advance(flow.name, day, take) or claimed_by(services, flow, day, run_id)


def release(services: Services, flow: FeedFlow, day: date, run_id: str) -> None:
    """Let go of a delivery that this run does not publish, because it was stopped or was not meant to; the next tick
    runs what is still due."""
    delivery = services.ledger.delivery(flow.name, day)
    row = services.ledger.publication(flow.name, day, delivery.version)
    closed = row is not None and row.state is DeliveryState.PUBLISHED

    def released(seen: Delivery) -> Delivery | None:
        if not holds(seen, run_id):
            return None
        state = DeliveryState.PUBLISHED if closed and seen.published == seen.version else DeliveryState.SETTLED
        return replace(seen, state=state, run_id="", launches=seen.launch + 1)

    services.ledger.advance(flow.name, day, released)


def claimed_by(services: Services, flow: FeedFlow, day: date, run_id: str) -> Delivery:
    """The delivery, if this run still holds it.

    Raises:
        ClaimLost: another run holds it.
    """
    delivery = services.ledger.delivery(flow.name, day)
    if not holds(delivery, run_id):
        raise ClaimLost(f"{flow.name} {day} is held by run {delivery.run_id or 'none'}; this one stops")
    return delivery


def holds(delivery: Delivery, run_id: str) -> bool:
    return delivery.state is DeliveryState.RUNNING and delivery.run_id == run_id


def fail(services: Services, flow: FeedFlow, day: date, run_id: str, error: Exception) -> bool:
    """Write the failure to the ledger, where the next tick finds it; False when this run has lost the delivery, and
    nothing has failed.

    What hinders a source's deliveries where they run is told once, when it begins.
    """
    delivery = services.ledger.delivery(flow.name, day)
    if not holds(delivery, run_id):
        return False
    text = str(error)
    visible = shown(services.ledger, flow, delivery)
    row = services.ledger.publication(flow.name, day, delivery.version)
    if row is not None:
        state = row.state if visible else DeliveryState.FAILED
        services.ledger.note_publication(flow.name, replace(row, state=state, run_id=run_id, error=text))

    def failed(seen: Delivery) -> Delivery | None:
        if not holds(seen, run_id):
            return None
        changes = _after(services, seen, error)
        if visible:
            changes["published"] = seen.version
        return replace(seen, state=DeliveryState.FAILED, error=text, **changes)

    if services.ledger.advance(flow.name, day, failed) is None:
        return False
    if isinstance(error, EnvironmentFailure):
        _tell_hindered(services, flow, delivery, error)
    elif delivery.hindered:
        no_longer_hindered(services, flow, day)
    return True


def _after(services: Services, seen: Delivery, error: Exception) -> dict[str, Any]:
    """What a failure of its kind changes: the counts, and until when the delivery rests."""
    if isinstance(error, PermanentFailure):
        return {"permanent": True, "hindered": 0}
    now = services.ledger.now()
    if isinstance(error, EnvironmentFailure):
        times = seen.hindered + 1
        return {"hindered": times, "not_before": now + after_hindrance(times)}
    return {"attempt": seen.attempt + 1, "hindered": 0, "not_before": now + after_failure(seen.attempt)}


def _tell_hindered(services: Services, flow: FeedFlow, delivery: Delivery, error: EnvironmentFailure) -> None:
    """Tell people of what hinders a source, unless they know."""
    facts = {"feed": flow.name, "date": delivery.day.isoformat(), "error": str(error)}
    subject = f"{flow.source}: deliveries wait for the place where they run"
    if not delivery.hindered:
        no_longer_hindered(services, flow, delivery.day)
    begin_hindrance(
        services,
        flow.source,
        DELIVERIES,
        error,
        lambda: services.notifier(flow.topics).failure("delivery_hindered", subject, facts),
    )


def no_longer_hindered(services: Services, flow: FeedFlow, day: date) -> None:
    """Nothing hinders a delivery; once nothing does any of a source, the next time is told again."""
    since = services.ledger.now() - _HINDERED_LATELY
    active = services.ledger.active_deliveries(flow.source)
    others = (other for name, other in active if (name, other.day) != (flow.name, day))
    if not any(other.hindered and other.changed_at and other.changed_at > since for other in others):
        end_hindrances(services, flow.source, DELIVERIES)
