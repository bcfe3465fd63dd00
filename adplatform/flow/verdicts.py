"""What becomes of a bad file, and of the delivery that it belongs to."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from adplatform.failures import MAX_TEXT, SenderFailure, clipped, listed
from adplatform.files.bad_file import BadFile
from adplatform.flow.source import FeedFlow
from adplatform.flow.version import VersionObject
from adplatform.ledger.publications import FileOutcome, Outcome

if TYPE_CHECKING:
    from adplatform.contracts.schema_change import SchemaChange

log = logging.getLogger(__name__)


class FilesRefused(SenderFailure):
    """``changes`` are how columns of the refused files differ from the declared ones."""

    def __init__(self, message: str, changes: "tuple[SchemaChange, ...]" = ()) -> None:
        super().__init__(message)
        self.changes = changes


def verdict(flow: FeedFlow, item: VersionObject) -> Outcome:
    """What becomes of a bad file: put aside where the feed allows it, or it was sent again, else refused."""
    aside = flow.feed.bad_file == "quarantine" or item.overwritten
    return Outcome.QUARANTINED if aside else Outcome.REFUSED


def refused(outcome: FileOutcome, reason: str, text: str) -> FileOutcome:
    log.warning("refused %s: %s", outcome.called, text)
    return replace(outcome, outcome=Outcome.REFUSED, reason=f"{reason}: {text}")


def bad(flow: FeedFlow, item: VersionObject, outcome: FileOutcome, bad: BadFile) -> FileOutcome:
    log.warning("%s", bad)
    return replace(outcome, outcome=verdict(flow, item), reason=str(bad))


def require_no_bad_file(
    flow: FeedFlow, outcomes: Iterable[FileOutcome], changes: "Iterable[SchemaChange]" = ()
) -> None:
    """Refuse the delivery when a file of it was refused, unless the feed goes on without bad files. ``changes`` are as
    of :class:`FilesRefused`.

    Raises:
        FilesRefused: names every refused file and its reason.
    """
    bad = [o for o in outcomes if o.outcome is Outcome.REFUSED]
    if bad:
        reasons = clipped(listed(map(_named, bad), separator="; "), MAX_TEXT // 2)
        raise FilesRefused(
            f"{flow.name}: {len(bad)} file(s) refused, nothing published: {reasons}. {flow.remedy}, or "
            "leave them out with `adplatform quarantine drop`. `adplatform ledger <file:...>` tells a file's name.",
            tuple(changes),
        )


def _named(outcome: FileOutcome) -> str:
    return outcome.reason if outcome.called in outcome.reason else f"{outcome.called}: {outcome.reason}"
