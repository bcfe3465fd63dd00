"""The pattern of a table that is made of those of other sources: nobody delivers it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adplatform.contracts.marketing import MarketingSource
from adplatform.flow.failed import failed_deliveries
from adplatform.flow.pattern import Failed
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.zones import Zones
from adplatform.marketing.fact import Fact, fact_of
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class MadeOfOthers:
    """As ``adplatform.flow.pattern.Pattern``, of one table, which has one delivery a date."""

    fact: Fact
    source: Source
    part: None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (self.fact.flow.name,)

    def find(self, name: str) -> FeedFlow | None:
        return self.fact.flow if name == self.fact.flow.name else None

    def deliveries(self, ledger: "Ledger") -> list[FeedFlow]:
        return [self.fact.flow]

    def arrivals(self, flow: FeedFlow) -> Source:
        return self.source

    def failing(self, ledger: "Ledger") -> list[str]:
        return list(self.names)

    def failed(self, services: Services) -> Sequence[Failed]:
        return failed_deliveries(services.ledger, self.source.name, [self.fact.flow])


def marketing_fact(declared: MarketingSource, settings: Settings) -> MadeOfOthers:
    """The pattern that YAML declares."""
    fact = fact_of(declared)
    source = Source(
        declared.source,
        settings.raw_bucket,
        Zones.slices(declared.source),
        (fact.flow,),
        takes_files=False,
        retention=declared.retention,
        pattern=MarketingSource.pattern,
    )
    return MadeOfOthers(fact, source)
