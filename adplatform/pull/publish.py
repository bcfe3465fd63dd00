"""Tables that have the newest snapshot alone: older dates lose their rows once readers see a newer one.

A date loses them as when Amazon takes rows away: by a slice without rows, which is its next version. So readers see the
older date, then both, then the newer one, and never none. A run that dies in between is run again, because its report
is not finished; what a failure left undone is done with the next date.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from adplatform.amazon.definitions import ReportDefinition
from adplatform.flow.services import Services
from adplatform.flow.slices import publish_slice
from adplatform.flow.source import FeedFlow
from adplatform.ledger.publications import Publication
from adplatform.platform.aws import longest_call
from adplatform.pull.land import empty_slice, landing_lease
from adplatform.transform.values import OutputColumn

Shown = tuple[Publication, tuple[OutputColumn, ...]]


def keep_newest(
    services: Services,
    definition: ReportDefinition,
    flow: FeedFlow,
    run_id: str,
    work: Path,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Shown]:
    """Take the rows of dates away that are older than the newest, of a snapshot of which that is kept alone; what
    readers see from each step on.

    Raises:
        PermanentFailure, ClaimLost, TransientFailure: as :func:`adplatform.flow.slices.publish_slice`.
    """
    for older in _outdated(services, flow) if definition.keep == "newest" else ():
        call = longest_call(services.s3)
        with landing_lease(services, flow, f"{run_id}/newest", sleep) as lease, lease.kept(call):
            empty_slice(services, flow, older, work)
        emptied = publish_slice(services, flow, older, run_id, work)
        if emptied is not None:
            yield emptied


def _outdated(services: Services, flow: FeedFlow) -> list[date]:
    """The dates with rows that readers see of a scope beside the newest that they see, the oldest first."""
    placed = services.ledger.placements.of_feed(flow.name)
    return [each.day for each in placed[:-1] if each.rows]
