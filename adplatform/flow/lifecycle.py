"""The life of one run of a delivery: claim it, and say how it ended.

Objects may arrive at any moment, so every step here applies to the delivery as it is, not as it was when the run began.
"""

from dataclasses import replace
from datetime import date

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.rows import Delivery, DeliveryState


def claim(services: Services, flow: FeedFlow, day: date, run_id: str) -> Delivery:
    """Take the latest settled version of the delivery for this run. Claiming it again in the same run is no harm.

    Raises:
        PermanentFailure: nothing has settled for that date.
        TransientFailure: another run has it. If that run is dead, the next tick of the source's sensor frees the
            delivery.
    """

    def take(seen: Delivery) -> Delivery | None:
        if seen.version == 0:
            raise PermanentFailure(
                f"{flow.name} {day}: no delivery has settled; `adplatform ledger {flow.name} {day}` shows what arrived"
            )
        if seen.state is DeliveryState.RUNNING:
            return None
        return replace(seen, state=DeliveryState.RUNNING, run_id=run_id, error="", permanent=False)

    return services.ledger.advance(flow.name, day, take) or claimed_by(services, flow, day, run_id)


def release(services: Services, flow: FeedFlow, day: date, run_id: str) -> None:
    """Let go of a delivery that this run does not mean to publish; the next tick runs what is still due."""

    def released(seen: Delivery) -> Delivery | None:
        if not holds(seen, run_id):
            return None
        shown = seen.published == seen.version
        return replace(seen, state=DeliveryState.PUBLISHED if shown else DeliveryState.SETTLED, run_id="")

    services.ledger.advance(flow.name, day, released)


def claimed_by(services: Services, flow: FeedFlow, day: date, run_id: str) -> Delivery:
    """The delivery, if this run still holds it.

    Raises:
        TransientFailure: another run holds it.
    """
    delivery = services.ledger.delivery(flow.name, day)
    if not holds(delivery, run_id):
        raise TransientFailure(f"{flow.name} {day} is held by run {delivery.run_id or 'none'}; this one stops")
    return delivery


def holds(delivery: Delivery, run_id: str) -> bool:
    return delivery.state is DeliveryState.RUNNING and delivery.run_id == run_id


def fail(services: Services, flow: FeedFlow, day: date, run_id: str, error: Exception) -> None:
    """Write the failure to the ledger, where the next tick finds it. A run that lost the delivery changes nothing."""
    delivery = services.ledger.delivery(flow.name, day)
    if not holds(delivery, run_id):
        return
    text, permanent = str(error), isinstance(error, PermanentFailure)
    row = services.ledger.publication(flow.name, day, delivery.version)
    if row is not None:
        services.ledger.put_publication(flow.name, replace(row, state=DeliveryState.FAILED, run_id=run_id, error=text))

    def failed(seen: Delivery) -> Delivery | None:
        return (
            replace(seen, state=DeliveryState.FAILED, error=text, permanent=permanent) if holds(seen, run_id) else None
        )

    services.ledger.advance(flow.name, day, failed)
