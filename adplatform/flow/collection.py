"""The retention of a source's tables, as its schedule and the command line both apply it."""

from collections.abc import Iterator
from datetime import timedelta

from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, Source
from adplatform.lake.retention import Collected, collect
from adplatform.lake.table import table_name


def collect_source(
    services: Services, source: Source, run_id: str, *, dry_run: bool = False
) -> Iterator[tuple[FeedFlow, Collected]]:
    """Remove what nothing has referred to for ``keep_days``, feed by feed.

    Raises:
        PermanentFailure, TransientFailure: as :func:`adplatform.lake.retention.collect`.
    """
    settings, now = services.settings, services.ledger.now()
    for flow in {flow.table: flow for flow in source.feeds}.values():
        table = table_name(flow.table, settings.database_prefix)
        keep = timedelta(days=settings.keep_days)
        yield flow, collect(services.lake, flow.table, table, keep=keep, now=now, run_id=run_id, dry_run=dry_run)
