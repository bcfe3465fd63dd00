"""The tables of a source that services read."""

from collections.abc import Iterator

from adplatform.changes.fitness import consumed_table as of_changes
from adplatform.consumers.table import ConsumedTable
from adplatform.engines.changes import ChangedFiles
from adplatform.flow.fitness import consumed_table
from adplatform.flow.pattern import Pattern
from adplatform.lake.table import DATABASE_PREFIX


def consumed_tables(pattern: Pattern, database_prefix: str = DATABASE_PREFIX) -> Iterator[ConsumedTable]:
    """
    Raises:
        PermanentFailure: a contract makes no table.
    """
    for flow in pattern.source.feeds:
        # Of which scope it is makes no difference to the table.
        if (table := consumed_table(pattern.part(flow, "any") if pattern.part else flow, database_prefix)) is not None:
            yield table
    for made in pattern.followed if isinstance(pattern, ChangedFiles) else ():
        if (table := of_changes(made, database_prefix)) is not None:
            yield table
