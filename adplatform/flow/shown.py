"""Whether readers see a version, which the ledger knows even of a run that died before it could say so."""

from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.placements import Placement


def shown(ledger: Ledger, flow: FeedFlow, delivery: Delivery) -> bool:
    """Whether every partition shows the delivery's latest version, so that nothing but closing it is left to do."""
    return is_placed(ledger.placements.get(flow.name, delivery.day), delivery)


def is_placed(placement: Placement | None, delivery: Delivery) -> bool:
    """The same, of what is placed of the delivery."""
    if placement is None or not placement.version == delivery.version > 0:
        return False
    return placement.manifest in ("", delivery.manifest_key)
