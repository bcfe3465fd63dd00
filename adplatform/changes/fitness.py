"""Whether a table of rows that is made of changes is fit for the services that its declaration names."""

from collections.abc import Iterable
from pathlib import Path

from adplatform.changes.fold import Folded
from adplatform.changes.followed import Followed
from adplatform.changes.made import MadeTable
from adplatform.consumers.finding import Finding
from adplatform.consumers.fitness import fit_for, fitness
from adplatform.consumers.table import Table, as_seen
from adplatform.contracts.consumers import NO_CONSUMERS, ConsumerName, Consumers
from adplatform.flow.services import Services
from adplatform.lake.audit import AuditFinding
from adplatform.lake.remote_file import RemoteFile
from adplatform.transform.values import OutputColumn


def consumers_of(made: MadeTable) -> Consumers:
    """The services that read the table of rows: those of a declaration whose name it has."""
    return made.declared.consumers if isinstance(made, Followed) else NO_CONSUMERS


def declared_fitness(made: MadeTable) -> dict[ConsumerName, list[Finding]]:
    """What each service that is to read the table could not take, by its declaration alone."""
    table = _table(made, made.columns((column.name, column.type) for column in made.stored.values()))
    return {name: fitness(table, settings) for name, settings in consumers_of(made).declared.items()}


def merged_fitness(services: Services, made: MadeTable, done: Folded) -> list[AuditFinding]:
    """The same of the files that readers are led to, by their footers.

    Raises:
        TransientFailure, PermanentFailure: as reading S3 does.
    """
    consumers, location = consumers_of(made), done.row.locations.get(made.name, "")
    if not consumers.declared or not location:
        return []
    zones, settings = services.zones, services.settings
    found = services.store.listing(zones.clean_bucket, zones.clean_key(location))
    opened = [RemoteFile(services.s3, zones.clean_bucket, file.key, file.size) for file in found]
    table = _table(made, done.columns)
    return fit_for(table, consumers, opened, Path(settings.temp), settings.memory_limit, settings.threads)


def _table(made: MadeTable, columns: Iterable[OutputColumn]) -> Table:
    return as_seen(made.spec(made.name, tuple(columns), "", ""), made.declared.contract)
