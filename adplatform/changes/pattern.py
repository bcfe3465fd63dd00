"""The pattern of a database whose changes AWS DMS writes to S3."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adplatform.changes.failed import failed_folds
from adplatform.changes.followed import Followed, changes_feed
from adplatform.contracts.changes import ChangesSource
from adplatform.flow.pattern import Failed
from adplatform.flow.pushed import PushedFiles
from adplatform.flow.services import Services
from adplatform.flow.source import declared_source
from adplatform.platform.settings import Settings

if TYPE_CHECKING:
    from adplatform.ledger.ledger import Ledger

_CONTROL = re.compile(r"(^|/)awsdms_[^/]*/")
"""Tables of DMS about its own work, beside those of the source (AWS DMS user guide, control table task settings)."""


@dataclass(frozen=True)
class ChangedFiles(PushedFiles):
    """As ``adplatform.flow.pattern.Pattern``: its feeds are those of changes, and ``followed`` are the tables that are
    made of them."""

    followed: tuple[Followed, ...] = ()

    def failing(self, ledger: "Ledger") -> list[str]:
        return [*self.names, *(each.name for each in self.followed if each.tables)]

    def failed(self, services: Services) -> Sequence[Failed]:
        return [*super().failed(services), *failed_folds(services.ledger, self.followed)]


def database_changes(declared: ChangesSource, settings: Settings) -> ChangedFiles:
    """The pattern that YAML declares.

    Raises:
        PermanentFailure: AWS takes no queue of the source's name.
    """
    settings.queue_name(declared.source)
    feeds = [changes_feed(table) for table in declared.feeds]
    source = declared_source(declared.model_copy(update={"feeds": feeds}), settings.raw_bucket)
    tables = zip(declared.feeds, source.feeds, strict=True)
    followed = tuple(Followed(source.name, table, flow) for table, flow in tables)
    derived = tuple(flow for each in followed for flow in each.flows)
    return ChangedFiles(replace(source, derived=derived, aside=_CONTROL), followed=followed)
