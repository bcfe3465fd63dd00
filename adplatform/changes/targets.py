"""What engines make of merges: what that is called among the targets of a source, and which merges they have."""

from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.ledger.engine_run import Intention
from adplatform.ledger.folds import Fold, FoldState

TARGET = "merge-"
"""How targets are called that merge the changes of a table; its name follows."""


def target_name(table: str) -> str:
    """What the merges of a table are called among the targets of its source. No table has a name with a hyphen."""
    return f"{TARGET}{table}"


def with_engines(services: Services, source: Source) -> list[Fold]:
    """The merges of a source that engines have."""
    rows = (services.ledger.folds.get(source.name, table) for table in source.merges)
    return [row for row in rows if row.state is FoldState.WITH_ENGINE]


def last_intention(services: Services, row: Fold) -> Intention | None:
    """Why an engine was given the merge last, as far as that is remembered."""
    if not row.job:
        return None
    return services.ledger.engine_runs.intention(row.source, target_name(row.target), row.job)


def table_of(intention: Intention) -> tuple[str, str]:
    """The source and the table that an intention is about."""
    source, table, _, _ = intention.key.split("/")
    return source, table
