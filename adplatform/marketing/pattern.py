"""The pattern of a table that is made of those of other sources: nobody delivers it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adplatform.contracts.marketing import MarketingSource
from adplatform.flow.failed import failed_deliveries
from adplatform.flow.pattern import Failed
from adplatform.flow.retried import Retried
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.zones import Zones
from adplatform.ledger.derived import Basis
from adplatform.marketing.fact import Fact, fact_of
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class FailedDate:
    """A date that cannot be made of what its tables show; as ``adplatform.flow.pattern.Failed``."""

    flow: FeedFlow
    basis: Basis
    counts: bool = True

    @property
    def name(self) -> str:
        return self.flow.name

    def retry(self, services: Services) -> Retried:
        """Have the next look find that it is due, whether or not its tables have changed."""
        services.ledger.derived.note_basis(self.flow.table, replace(self.basis, inputs="", error=""))
        return Retried(f"{self.name} {self.basis.day}: it is built again", True)

    def __str__(self) -> str:
        return f"{self.basis.error}; it is built again when one of its tables changes"


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
        flow = self.fact.flow
        stuck = [each for each in services.ledger.derived.bases(flow.table).values() if each.error]
        days = {each.day for each in stuck}
        failed = failed_deliveries(services.ledger, self.source.name, [flow])
        return [*(FailedDate(flow, each) for each in stuck), *(f for f in failed if f.delivery.day not in days)]


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
