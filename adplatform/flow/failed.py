"""Deliveries that have failed and stay so: they wait for somebody, or for a while."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from adplatform.flow.patience import is_given_up
from adplatform.flow.retried import Retried
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class FailedDelivery:
    """As ``adplatform.flow.pattern.Failed``."""

    flow: FeedFlow
    delivery: Delivery
    counts: bool = True

    @property
    def name(self) -> str:
        return self.flow.name

    def retry(self, services: Services) -> Retried:
        """Run it again now. What cannot pass by itself was mended in the contract, a key or the file, so it is
        processed from its originals as a new version; all else goes on with the version that there is."""
        name, delivery = f"{self.flow.name} {self.delivery.day}", self.delivery
        if delivery.permanent or delivery.version == 0:
            services.ledger.deliveries.reopen(self.flow.name, delivery.day)
            return Retried(f"{name}: reopened, to be processed as a new version", True)
        changed = services.ledger.deliveries.retry(self.flow.name, delivery)
        what = f"version {delivery.version} is due again" if changed else "it changed meanwhile and was left alone"
        return Retried(f"{name}: {what}", changed is not None)

    def __str__(self) -> str:
        d = self.delivery
        seen = f"; readers see version {d.published}" if d.published else ""
        return f"{self.name} {d.day}: {d.error or 'failed'}{seen}{self._next()}"

    def _next(self) -> str:
        d = self.delivery
        if not is_given_up(d) and d.not_before:
            return f"; it is tried again from {instant(d.not_before)}"
        return f"; mend it, then `adplatform retry {self.name} {d.day}`"


def failed_deliveries(ledger: Ledger, source: str, flows: Iterable[FeedFlow]) -> list[FailedDelivery]:
    """The deliveries of these feeds of a source that have failed."""
    by_name = {flow.name: flow for flow in flows}
    return [
        FailedDelivery(by_name[name], delivery)
        for name, delivery in ledger.deliveries.active(source)
        if name in by_name and delivery.state is DeliveryState.FAILED
    ]


def instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
