"""Whether the table of a feed is fit for the services that its declaration names: as declared, and as delivered."""

from collections.abc import Iterable
from pathlib import Path

from adplatform.consumers.finding import Finding
from adplatform.consumers.fitness import fit_for, fitness
from adplatform.consumers.table import Table, as_seen
from adplatform.contracts.consumers import ConsumerName
from adplatform.flow.source import FeedFlow
from adplatform.lake.audit import AuditFinding
from adplatform.lake.table import table_spec
from adplatform.platform.settings import Settings
from adplatform.transform.compile import output_columns
from adplatform.transform.values import OutputColumn, Staged


def declared_fitness(flow: FeedFlow) -> dict[ConsumerName, list[Finding]]:
    """What each service that is to read the table could not take, by the contract alone.

    Raises:
        PermanentFailure: the contract makes no table.
    """
    consumers = flow.feed.consumers.declared
    if not consumers:
        return {}
    table = _table(flow, output_columns(flow.feed.contract))
    return {name: fitness(table, settings) for name, settings in consumers.items()}


def delivered_fitness(settings: Settings, flow: FeedFlow, staged: Staged, work: Path) -> list[AuditFinding]:
    """The same of the files of a delivery that were written. Of a feed that no service reads nothing is looked at.

    Raises:
        TransientFailure: memory or the disk ran out.
    """
    if not flow.feed.consumers.declared:
        return []
    table = _table(flow, staged.columns)
    opened = [file.opened() for file in staged.files]
    return fit_for(table, flow.feed.consumers, opened, work, settings.memory_limit, settings.threads)


def _table(flow: FeedFlow, columns: Iterable[OutputColumn]) -> Table:
    contract, scope = flow.feed.contract, flow.scope.column if flow.scope else None
    return as_seen(table_spec(flow.table, contract, columns, scope=scope), contract)
