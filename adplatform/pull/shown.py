"""What readers of an account's tables see, on local disk."""

from datetime import date
from pathlib import Path

from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow
from adplatform.lake import formats
from adplatform.lake.compacted import shown_slice
from adplatform.lake.shown_files import download_shown
from adplatform.lake.table import table_spec
from adplatform.lake.zones import JOINT
from adplatform.transform.compile import output_columns


def download(services: Services, flow: FeedFlow, day: date, folder: Path) -> list[Path] | None:
    """The files that readers of a table see of that date and scope; None when nothing has been published.

    Raises:
        TransientFailure: they were removed between looking and reading, because newer ones took their place.
    """
    if flow.scope is None:
        raise PermanentFailure(f"{flow.name} is a table of all scopes; a date of one scope is wanted")
    contract = flow.feed.contract
    prefix = services.settings.database_prefix
    spec = table_spec(
        flow.table,
        contract,
        output_columns(contract),
        database_prefix=prefix,
        scope=flow.scope.column,
        compacted=flow.compacted,
    )
    if flow.compacted:
        shown = shown_slice(services.lake, formats.partition(services.lake, spec, day.isoformat()), flow.scope.value)
    else:
        shown = formats.partition(services.lake, spec, f"{day.isoformat()}{JOINT}{flow.scope.value}")
    if shown is None:
        return None
    return download_shown(services.store, shown, folder, f"{flow.name} {day}")
