"""The pattern of a database whose changes AWS DMS writes to S3."""

from dataclasses import dataclass

from adplatform.changes.followed import Followed, changes_feed
from adplatform.contracts.changes import ChangesSource
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.source import declared_source
from adplatform.platform.settings import Settings


@dataclass(frozen=True)
class ChangedFiles(PushedFiles):
    """As ``adplatform.flow.pattern.Pattern``: its feeds are those of changes, and ``followed`` are the tables that are
    made of them."""

    followed: tuple[Followed, ...] = ()


def database_changes(declared: ChangesSource, settings: Settings) -> ChangedFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: AWS takes no queue of the source's name.
    """
    settings.queue_name(declared.source)
    feeds = [changes_feed(table) for table in declared.feeds]
    source = declared_source(declared.model_copy(update={"feeds": feeds}), settings.raw_bucket)
    tables = zip(declared.feeds, source.feeds, strict=True)
    return ChangedFiles(source, followed=tuple(Followed(source.name, table, flow) for table, flow in tables))
