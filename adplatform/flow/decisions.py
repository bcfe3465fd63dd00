"""What an operator may decide about a delivery. Each decision is remembered in the ledger and makes a version due."""

from datetime import date

from adplatform.failures import PermanentFailure, listed
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import ObjectState


def try_again(ledger: Ledger, flow: FeedFlow, day: date) -> Delivery:
    """Process the delivery again from its originals: the contract, a key or the service is mended.

    Raises:
        PermanentFailure: nothing has arrived for that date.
    """
    if not ledger.deliveries.get(flow.name, day).arrivals:
        raise PermanentFailure(f"{flow.name} {day}: nothing has arrived for that date")
    return ledger.deliveries.reopen(flow.name, day)


def leave_out(ledger: Ledger, flow: FeedFlow, day: date, key: str) -> str:
    """Go on without the object whose key ends with ``key``; it will be archived. Returns its whole key.

    Raises:
        PermanentFailure: no object, or more than one, has such a key.
    """
    arrived = [o for o in ledger.objects.of_day(flow.name, day) if o.state is ObjectState.ARRIVED]
    keys = sorted({o.key for o in arrived if o.key.endswith(key)})
    if len(keys) != 1:
        found = listed(keys) or "none"
        raise PermanentFailure(f"{flow.name} {day}: name one object; {key!r} is the end of {found}")
    for obj in arrived:
        if obj.key == keys[0]:
            ledger.objects.exclude(flow.name, obj, "left out by an operator")
    ledger.deliveries.reopen(flow.name, day)
    return keys[0]
