"""The pattern of tables that are pulled from a relational database."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from adplatform.changes.failed import failed_folds
from adplatform.changes.made import names_of_merges
from adplatform.changes.pulled import Pulled, pulled_tables, with_keys
from adplatform.contracts.database import KEYS, DatabaseSource, TableFeed
from adplatform.engines.declared_glue_jobs import provide, put_script
from adplatform.engines.engine import Engine
from adplatform.engines.extractor import Extractor
from adplatform.engines.glue_job import GlueJobEngine
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Target
from adplatform.engines.table_findings import table_findings
from adplatform.extract.table import Table, opened
from adplatform.flow.pattern import Failed
from adplatform.flow.services import Services
from adplatform.flow.source import declared_source
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class PulledFiles(EngineFiles):
    """``pulled`` are the tables that are made of its feeds."""

    pulled: tuple[Pulled, ...] = ()

    def failing(self, ledger: "Ledger") -> list[str]:
        return [*super().failing(ledger), *(each.name for each in self.pulled)]

    def failed(self, services: Services) -> Sequence[Failed]:
        return [*super().failed(services), *failed_folds(services.ledger, self.pulled)]


def database_tables(declared: DatabaseSource, settings: Settings) -> PulledFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: a landing template is invalid, or two feeds have the same.
    """
    declared = with_keys(declared)
    source = replace(declared_source(declared, settings.raw_bucket), takes_files=False)
    pulled = pulled_tables(declared, source)
    derived = tuple(flow for each in pulled for flow in each.flows)
    source = replace(source, derived=derived, merges=names_of_merges(pulled))

    def targets(services: Services) -> Sequence[Target]:
        def connect() -> AbstractContextManager[Any]:
            return opened(services.secrets, declared)

        def engine(feed: TableFeed) -> Engine:
            table, kin = Table(declared, feed), _kin(declared, feed)
            replaces = feed.incremental is None
            findings = partial(table_findings, table, connect)
            embedded = Extractor(services, declared.source, feed.name, findings, kin, replaces)
            if declared.engine == "embedded":
                return embedded
            once = partial(services.aws.client_once, "glue")
            return GlueJobEngine(services, table, services.glue, once, embedded, kin, len(declared.feeds))

        return [Target(feed.name, engine(feed), feed.every, feed.offset) for feed in declared.feeds]

    return PulledFiles(
        source,
        topics=declared.topics,
        targets=targets,
        provision=lambda services: provide(services, declared, len(declared.feeds)),
        fill=lambda services: put_script(services, declared),
        simulated_database=declared.connection if declared.simulated else None,
        names_of_targets=tuple(feed.name for feed in declared.feeds),
        pulled=pulled,
    )


def _kin(declared: DatabaseSource, feed: TableFeed) -> tuple[str, ...]:
    """The targets that read the same table for the same rows."""
    base = feed.name.removesuffix(KEYS)
    return tuple(
        each.name for each in declared.feeds if each.name != feed.name and each.name in (base, f"{base}{KEYS}")
    )
