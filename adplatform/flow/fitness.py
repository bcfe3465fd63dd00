"""Whether the table of a feed is fit for the services that its declaration names: as declared, and as delivered."""

from collections.abc import Iterable
from pathlib import Path

from adplatform.consumers.fitness import fit_for
from adplatform.consumers.table import ConsumedTable, consumed
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.lake.table import DATABASE_PREFIX, table_spec
from adplatform.platform.settings import Settings
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn, Staged


def consumed_table(flow: FeedFlow, database_prefix: str = DATABASE_PREFIX) -> ConsumedTable | None:
    """The table of a feed, for the services that are to read it; None where there are none.

    Raises:
        PermanentFailure: the contract makes no table.
    """
    if not flow.feed.consumers.declared:
        return None
    return _consumed(flow, output_columns(flow.feed.contract), database_prefix)


def delivered_fitness(settings: Settings, flow: FeedFlow, staged: Staged, work: Path) -> list[AuditFinding]:
    """The same of the files of a delivery that were written. Of a feed that no service reads nothing is looked at.

    Raises:
        TransientFailure: memory or the disk ran out.
    """
    if not flow.feed.consumers.declared:
        return []
    table = _consumed(flow, staged.columns, settings.database_prefix)
    opened = [file.opened() for file in staged.files]
    return fit_for(table, opened, work, settings.memory_limit, settings.threads)


def _consumed(flow: FeedFlow, columns: Iterable[OutputColumn], prefix: str) -> ConsumedTable:
    contract, scope = flow.feed.contract, flow.scope.column if flow.scope else None
    spec = table_spec(flow.table, contract, columns, database_prefix=prefix, scope=scope, compacted=flow.compacted)
    return consumed(spec, contract, flow.feed.consumers)
