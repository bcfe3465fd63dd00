"""What OpenLineage's receiver and a collector of traces get of a delivery, sent beside the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Literal

from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.ledger.delivery import Delivery
from adplatform.ledger.publications import Publication
from adplatform.platform.beside import Beside
from adplatform.platform.late import Late
from adplatform.platform.traces import called, outermost
from adplatform.transform.values import OutputColumn

LINEAGE = Beside("OpenLineage")
CATALOG = Beside("SageMaker Catalog")
_openlineage = Late("adplatform.flow.openlineage")

Kind = Literal["START", "COMPLETE", "ABORT", "FAIL"]


@dataclass(frozen=True)
class DeliveryEvent:
    """Something that happened to a delivery, as OpenLineage calls it (``kind``). Without a ``publication`` its run made
    nothing visible; ``error`` says why it failed."""

    kind: Kind
    at: datetime
    flow: FeedFlow
    day: date
    version: int
    run_id: str
    publication: Publication | None = None
    error: str = ""

    @property
    def key(self) -> str:
        """What this run's work on the delivery is called."""
        return f"{self.flow.name}/{self.day}/{self.version}/{self.run_id}"


@dataclass(frozen=True)
class TablesMade:
    """Tables that a run has made of others, of both the columns by name, and how many rows it knows them to have;
    ``number`` counts such runs of the job ``name``. A column that is made of others has their name."""

    name: str
    number: int
    run_id: str
    began: datetime
    ended: datetime
    sources: Mapping[str, Sequence[OutputColumn]]
    tables: Mapping[str, Sequence[OutputColumn]]
    rows: Mapping[str, int]


def run_key(source: str, run_id: str) -> str:
    """What the trace of an engine's run is called."""
    return f"{source}@{run_id}"


def emit_began(services: Services, flow: FeedFlow, delivery: Delivery) -> None:
    """A run has claimed the delivery."""
    _event(services, "START", flow, delivery)


def emit_published(services: Services, flow: FeedFlow, delivery: Delivery, publication: Publication) -> None:
    """Readers see the claimed version."""
    _event(services, "COMPLETE", flow, delivery, publication)


def emit_failed(services: Services, flow: FeedFlow, delivery: Delivery, error: Exception) -> None:
    """The run has failed, and the ledger knows it."""
    _event(services, "FAIL", flow, delivery, error=error)


def emit_let_go(services: Services, flow: FeedFlow, delivery: Delivery, *, done: bool) -> None:
    """The run publishes nothing: it is ``done`` with the delivery, or was stopped."""
    _event(services, "COMPLETE" if done else "ABORT", flow, delivery)


def emit_made(services: Services, made: TablesMade) -> None:
    """Readers see tables that were made of others."""
    _happened(services, made)


def _event(
    services: Services,
    kind: Kind,
    flow: FeedFlow,
    delivery: Delivery,
    publication: Publication | None = None,
    error: Exception | None = None,
) -> None:
    now = services.ledger.now()
    event = DeliveryEvent(
        kind, now, flow, delivery.day, delivery.version, delivery.run_id, publication, str(error or "")
    )
    _happened(services, event)
    called(event.key)
    if kind != "START":
        facts = {
            "source": flow.source,
            "feed": flow.name,
            "day": delivery.day.isoformat(),
            "version": delivery.version,
            "run_id": delivery.run_id,
        }
        counted = {"rows_in": publication.rows_in, "rows_clean": publication.clean} if publication else {}
        outermost("delivery", delivery.changed_at or now, type(error).__name__ if error else "", **facts, **counted)


def _happened(services: Services, happened: DeliveryEvent | TablesMade) -> None:
    """Each receiver has a thread of its own, which alone imports what makes events."""
    if services.settings.lineage:
        LINEAGE.give(partial(_emit, services, happened))
    if services.settings.lineage_domain:
        CATALOG.give(partial(_post, services, happened))


def _emit(services: Services, happened: DeliveryEvent | TablesMade) -> None:
    _openlineage.emit(services, happened)


def _post(services: Services, happened: DeliveryEvent | TablesMade) -> None:
    _openlineage.post(services, happened)
