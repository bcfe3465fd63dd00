"""The pattern of tables that are pulled from a relational database."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from adplatform.contracts.database import DatabaseSource
from adplatform.engines.extractor import Extractor
from adplatform.engines.pattern import EngineFiles
from adplatform.engines.runs import Target
from adplatform.extract.table import Table, opened
from adplatform.flow.services import Services
from adplatform.flow.source import declared_source
from adplatform.platform.settings import Settings


def database_tables(declared: DatabaseSource, settings: Settings) -> EngineFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: a landing template is invalid, or two feeds have the same.
    """
    source = replace(declared_source(declared, settings.raw_bucket), takes_files=False)

    def targets(services: Services) -> Sequence[Target]:
        def connect() -> AbstractContextManager[Any]:
            return opened(services.secrets, declared)

        return [
            Target(feed.name, Extractor(services, Table(declared, feed), connect), feed.every, feed.offset)
            for feed in declared.feeds
        ]

    return EngineFiles(
        source,
        topics=declared.topics,
        targets=targets,
        simulated_database=declared.connection if declared.simulated else None,
        names_of_targets=tuple(feed.name for feed in declared.feeds),
    )
