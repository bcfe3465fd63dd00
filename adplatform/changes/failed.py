"""Merges that have failed and stay so until somebody mends what they met."""

from collections.abc import Iterable
from dataclasses import dataclass

from adplatform.changes.made import MadeTable
from adplatform.flow.retried import Retried
from adplatform.flow.services import Services
from adplatform.ledger.folds import Fold, FoldState
from adplatform.ledger.ledger import Ledger


@dataclass(frozen=True)
class FailedFold:
    """As ``adplatform.flow.pattern.Failed``."""

    fold: Fold
    counts: bool = True

    @property
    def name(self) -> str:
        return self.fold.name

    def retry(self, services: Services) -> Retried:
        changed = services.ledger.folds.retry(self.fold)
        what = "is due again" if changed else "changed meanwhile and was left alone"
        return Retried(f"{self.name}: merge {self.fold.next} {what}", changed is not None)

    def __str__(self) -> str:
        row = self.fold
        seen = f"; readers see merge {row.number}" if row.number else ""
        return f"{row.name}: merge {row.next}: {row.error}{seen}; mend it, then `adplatform retry {row.name}`"


def failed_folds(ledger: Ledger, followed: Iterable[MadeTable]) -> list[FailedFold]:
    """The merges of these tables that have failed."""
    rows = (ledger.folds.get(each.source, each.target) for each in followed if each.tables)
    return [FailedFold(row) for row in rows if row.state is FoldState.FAILED]
