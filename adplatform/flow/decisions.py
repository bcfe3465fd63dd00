"""What an operator may decide about a delivery. Each decision is remembered in the ledger and makes a version due."""

from datetime import date

from adplatform.failures import PermanentFailure, listed
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import ObjectState, is_file_id


def try_again(ledger: Ledger, flow: FeedFlow, day: date) -> Delivery:
    """Process the delivery again from its originals: the contract, a key or the service is mended.

    Raises:
        PermanentFailure: nothing has arrived for that date.
    """
    if not ledger.deliveries.get(flow.name, day).arrivals:
        raise PermanentFailure(f"{flow.name} {day}: nothing has arrived for that date")
    return ledger.deliveries.reopen(flow.name, day)


def leave_out(ledger: Ledger, flow: FeedFlow, day: date, key: str) -> str:
    """Go on without the object whose key ends with ``key``, or that messages call so; it will be archived. Returns its
    whole key. Where every version of a key is a file, ``?versionId=`` behind it says which.

    Raises:
        PermanentFailure: no object, or more than one, has such a key.
    """
    name, _, version = key.partition("?versionId=")
    by_id = is_file_id(key)
    arrived = [
        o
        for o in ledger.objects.of_day(flow.name, day)
        if o.state is ObjectState.ARRIVED
        and (o.file_id == key if by_id else o.key.endswith(name) and version in ("", o.version))
    ]
    several = flow.every_version and (by_id or len(arrived) > 1)
    named = {o: f"{o.key}?versionId={o.version}" if several or version else o.key for o in arrived}
    names = sorted(set(named.values()))
    if len(names) != 1:
        found = listed(names) or "none"
        raise PermanentFailure(f"{flow.name} {day}: name one object; {key!r} is the end of {found}")
    for obj in arrived:
        ledger.objects.exclude(flow.name, obj, "left out by an operator")
    ledger.deliveries.reopen(flow.name, day)
    return names[0]
