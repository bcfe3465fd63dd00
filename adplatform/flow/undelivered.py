"""A date of which nothing has settled: what is said about it, and who is notified how often."""

from datetime import date

from adplatform.flow.outbox import notify
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.messages import Unsent


def undelivered(ledger: Ledger, flow: FeedFlow, day: date) -> str:
    """What to know and do about a date of which nothing has settled; "" when something has."""
    delivery = ledger.deliveries.get(flow.name, day)
    if delivery.version:
        return ""
    why = f"It cannot settle: {delivery.error}. " if delivery.error else ""
    todo = (
        f"`adplatform runs {flow.source}` shows what its engine brought; `adplatform engines start` wants another run, "
        "`adplatform engines backfill` a window of the past where AppFlow brings it."
        if flow.by_runs
        else "ask the sender, or settle what is there with `adplatform settle`."
    )
    return f"{flow.name} {day} was not delivered. {why}`adplatform ledger {flow.name} {day}` shows what arrived; {todo}"


def notify_undelivered(
    services: Services, flow: FeedFlow, day: date, error: str, run_id: str, *, missed: bool = False, backfill: str = ""
) -> None:
    """Notify the failure topic of the source of a deadline that was ``missed`` once a date, of a ``backfill``
    once for all its dates, of a run that somebody started each time."""
    what = f"deadline/{day}" if missed else f"backfill/{backfill}" if backfill else ""
    note = services.ledger.messages.note_notified(flow.name, what) if what else None
    if what and note is None:
        return
    facts = {"feed": flow.name, "date": day.isoformat(), "run_id": run_id, "error": error}
    if backfill and not missed:
        subject = f"{flow.name}: backfill {backfill} asks for dates that were not delivered, for example {day}"
        facts |= {"backfill": backfill, "dates": "the failed checks `delivered` of the backfill say which"}
    else:
        subject = f"{flow.name} {day}: not delivered" + (" in time" if missed else "")
    event = "delivery_missed" if missed else "not_delivered"
    if note is None or missed:  # no other run says so
        notify(services, flow.source, Unsent.of(flow.topics.failure, event, subject, facts))
    elif not services.notifier(flow.topics).failure(event, subject, facts):
        services.ledger.messages.clear_notified(flow.name, note)
