"""Deliveries that have failed and stay so: they wait for somebody, or for a while."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from adplatform.flow.patience import is_given_up
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery, DeliveryState


@dataclass(frozen=True)
class FailedDelivery:
    flow: FeedFlow
    delivery: Delivery

    @property
    def name(self) -> str:
        return self.flow.name

    def __str__(self) -> str:
        d = self.delivery
        seen = f"; readers see version {d.published}" if d.published else ""
        return f"{self.name} {d.day}: {d.error or 'failed'}{seen}{self._next()}"

    def _next(self) -> str:
        d = self.delivery
        if not is_given_up(d) and d.not_before:
            return f"; it is tried again from {instant(d.not_before)}"
        return f"; mend it, then `adplatform retry {self.name} {d.day}`"


def failed_deliveries(services: Services, source: str, flows: Mapping[str, FeedFlow]) -> list[FailedDelivery]:
    """The deliveries of a source that have failed, of the feeds in ``flows``, which are by name."""
    active = services.ledger.deliveries.active(source)
    return [
        FailedDelivery(flows[name], delivery)
        for name, delivery in active
        if name in flows and delivery.state is DeliveryState.FAILED
    ]


def instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
