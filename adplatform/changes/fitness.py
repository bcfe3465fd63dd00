"""Whether a table of rows that is made of changes is fit for the services that its declaration names."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.changes.made import MadeTable
from adplatform.consumers.fitness import fit_for
from adplatform.consumers.table import ConsumedTable, consumed
from adplatform.flow.services import Services
from adplatform.lake.audit import AuditFinding
from adplatform.lake.remote_file import RemoteFile
from adplatform.lake.table import DATABASE_PREFIX
from adplatform.transform.values import OutputColumn

if TYPE_CHECKING:
    from adplatform.changes.fold import Folded


def consumed_table(made: MadeTable, database_prefix: str = DATABASE_PREFIX) -> ConsumedTable | None:
    """The table of rows, for the services that are to read it; None where there are none."""
    if not made.consumers.declared:
        return None
    columns = made.columns((column.name, column.type) for column in made.stored.values())
    return _consumed(made, columns, database_prefix)


def merged_fitness(services: Services, made: MadeTable, done: "Folded") -> list[AuditFinding]:
    """The same of the files that readers are led to, by their footers.

    Raises:
        TransientFailure, PermanentFailure: as reading S3 does.
    """
    consumers, location = made.consumers, done.row.locations.get(made.name, "")
    if not consumers.declared or not location:
        return []
    zones, settings = services.zones, services.settings
    found = services.store.listing(zones.clean_bucket, zones.clean_key(location))
    opened = [RemoteFile(services.s3, zones.clean_bucket, file.key, file.size) for file in found]
    table = _consumed(made, done.columns, settings.database_prefix)
    return fit_for(table, opened, Path(settings.temp), settings.memory_limit, settings.threads)


def _consumed(made: MadeTable, columns: Iterable[OutputColumn], prefix: str) -> ConsumedTable:
    return consumed(made.spec(made.name, tuple(columns), "", prefix), made.declared.contract, made.consumers)
