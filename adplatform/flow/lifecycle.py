"""The life of one run of a delivery: claim it, and say how it ended.

Objects may arrive at any moment, so every step here applies to the delivery as it is, not as it was when the run began.
"""

from dataclasses import replace
from datetime import date, timedelta

from adplatform.failures import ClaimLost, EnvironmentFailure, PermanentFailure, kind_of
from adplatform.flow.hindrances import begin_hindrance, end_hindrances
from adplatform.flow.patience import after_failure, after_hindrance
from adplatform.flow.services import Services
from adplatform.flow.shown import shown
from adplatform.flow.source import FeedFlow
from adplatform.flow.telemetry import emit_failed, emit_let_go
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger

DELIVERIES = "deliveries"
_HINDERED_LATELY = timedelta(days=1)
"""A hindered delivery is tried every few hours; one that rests for longer has no feed any more."""


def claim(ledger: Ledger, flow: FeedFlow, day: date, run_id: str) -> Delivery:
    """Take the latest settled version of the delivery for this run. Claiming it again in the same run is no harm.

    Raises:
        PermanentFailure: nothing has settled for that date.
        ClaimLost: another run has it. If that run is dead, the next tick of the source's sensor frees the delivery.
    """
    taken, delivery = ledger.deliveries.claim(flow.name, day, run_id)
    return delivery if taken else _held(flow, delivery, run_id)


def release(services: Services, flow: FeedFlow, day: date, run_id: str, *, done: bool = True) -> None:
    """Let go of a delivery that this run does not publish, because it was stopped or is ``done`` with it; the next tick
    runs what is still due."""
    ledger = services.ledger
    delivery = ledger.deliveries.get(flow.name, day)
    row = ledger.publications.get(flow.name, day, delivery.version)
    closed = row is not None and row.state is DeliveryState.PUBLISHED
    ledger.deliveries.release(flow.name, day, run_id, closed=closed)
    if delivery.is_held_by(run_id):
        emit_let_go(services, flow, delivery, done=done)


def claimed_by(ledger: Ledger, flow: FeedFlow, day: date, run_id: str) -> Delivery:
    """The delivery, if this run still holds it.

    Raises:
        ClaimLost: another run holds it.
    """
    return _held(flow, ledger.deliveries.get(flow.name, day), run_id)


def _held(flow: FeedFlow, delivery: Delivery, run_id: str) -> Delivery:
    if not delivery.is_held_by(run_id):
        raise ClaimLost(f"{flow.name} {delivery.day} is held by run {delivery.run_id or 'none'}; this one stops")
    return delivery


def fail(services: Services, flow: FeedFlow, day: date, run_id: str, error: Exception) -> bool:
    """Write the failure to the ledger, where the next tick finds it; False when this run has lost the delivery, and
    nothing has failed.

    Of what hinders a source's deliveries where they run people are notified once, when it begins.
    """
    delivery = services.ledger.deliveries.get(flow.name, day)
    if not delivery.is_held_by(run_id):
        return False
    text = str(error)
    visible = shown(services.ledger, flow, delivery)
    row = services.ledger.publications.get(flow.name, day, delivery.version)
    if row is not None:
        state = row.state if visible else DeliveryState.FAILED
        services.ledger.publications.note(flow.name, replace(row, state=state, run_id=run_id, error=text))
    deliveries = services.ledger.deliveries
    if isinstance(error, PermanentFailure):
        failed = deliveries.fail_for_good(flow.name, day, run_id, text, visible=visible)
    elif isinstance(error, EnvironmentFailure):
        failed = deliveries.fail_hindered(flow.name, day, run_id, text, after_hindrance, visible=visible)
    else:
        failed = deliveries.fail_attempt(flow.name, day, run_id, text, after_failure, visible=visible)
    if failed is None:
        return False
    facts = {"feed": flow.name, "run_id": run_id, "day": day, "version": delivery.version}
    services.metrics.failed(flow.source, kind_of(error, sent=flow.sent), **facts)
    emit_failed(services, flow, delivery, error)
    if isinstance(error, EnvironmentFailure):
        _notify_hindered(services, flow, delivery, error)
    elif delivery.hindered:
        no_longer_hindered(services.ledger, flow, day)
    return True


def _notify_hindered(services: Services, flow: FeedFlow, delivery: Delivery, error: EnvironmentFailure) -> None:
    """Notify people of what hinders a source, unless they know."""
    facts = {"feed": flow.name, "date": delivery.day.isoformat(), "error": str(error)}
    subject = f"{flow.source}: deliveries wait for the place where they run"
    if not delivery.hindered:
        no_longer_hindered(services.ledger, flow, delivery.day)
    begin_hindrance(
        services.ledger,
        flow.source,
        DELIVERIES,
        error,
        lambda: services.notifier(flow.topics).failure("delivery_hindered", subject, facts),
    )


def no_longer_hindered(ledger: Ledger, flow: FeedFlow, day: date) -> None:
    """Nothing hinders a delivery; once nothing does any of a source, people are notified the next time."""
    since = ledger.now() - _HINDERED_LATELY
    active = ledger.deliveries.active(flow.source)
    others = (other for name, other in active if (name, other.day) != (flow.name, day))
    if not any(other.hindered and other.changed_at and other.changed_at > since for other in others):
        end_hindrances(ledger, flow.source, DELIVERIES)
