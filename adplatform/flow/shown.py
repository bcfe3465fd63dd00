"""What readers see of deliveries, which the ledger knows even of a run that died before it could say so."""

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


def shown_deliveries(ledger: Ledger, flow: FeedFlow) -> list[Placement]:
    """What readers see of each delivery, the oldest date first; of a table that deliveries replace, the last alone."""
    placed = {p.day: p for p in ledger.placements.of_feed(flow.name)}
    for delivery in ledger.deliveries.of_feed(flow.name):
        if delivery.published and delivery.day not in placed:
            version = ledger.publications.get(flow.name, delivery.day, delivery.published)
            rows, key_id = (version.clean, version.key_id) if version else (0, "")
            placed[delivery.day] = Placement(delivery.day, delivery.published, rows=rows, key_id=key_id)
    days = sorted(placed)
    return [placed[day] for day in (days[-1:] if flow.feed.contract.partition_by is None else days)]
