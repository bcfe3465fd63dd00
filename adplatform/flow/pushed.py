"""The pattern of files that a sender puts into a landing zone, as often and as much as it likes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adplatform.contracts.source import PushedSource
from adplatform.flow.failed import failed_deliveries
from adplatform.flow.pattern import Failed
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source, declared_source
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class PushedFiles:
    """As ``adplatform.flow.pattern.Pattern``. Each feed has one delivery a date."""

    source: Source
    part: None = None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(flow.name for flow in self.source.feeds)

    def find(self, name: str) -> FeedFlow | None:
        return next((flow for flow in self.source.feeds if flow.name == name), None)

    def deliveries(self, ledger: "Ledger") -> list[FeedFlow]:
        return list(self.source.feeds)

    def arrivals(self, flow: FeedFlow) -> Source:
        return self.source

    def failing(self, ledger: "Ledger") -> list[str]:
        return list(self.names)

    def failed(self, services: Services) -> Sequence[Failed]:
        return failed_deliveries(services.ledger, self.source.name, self.source.feeds)


def pushed_files(declared: PushedSource, settings: Settings) -> PushedFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: AWS takes no queue of the source's name, a landing template is invalid, or two feeds have the
            same.
    """
    settings.queue_name(declared.source)
    return PushedFiles(declared_source(declared, settings.raw_bucket))
