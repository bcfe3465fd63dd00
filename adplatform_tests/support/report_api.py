"""A report API in memory, with what an account remembers between calls: its orders, and data that is restated."""

import gzip
import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from adplatform.amazon.reports import (
    Created,
    DateIsOver,
    Discovered,
    Document,
    PastRetention,
    Progress,
    ReportOrder,
    ReportStatus,
)
from adplatform.failures import AccessRefused, CredentialsRefused, TransientFailure
from adplatform.ledger.scopes import Scope

Rows = Callable[[str, date, datetime], list[dict[str, Any]]]
"""Scope, date and as-of instant to rows."""


@dataclass
class Ordered:
    order: ReportOrder
    at: datetime
    ready_at: datetime
    outcome: ReportStatus = ReportStatus.READY


@dataclass
class MemoryReports:
    """An account whose reports are ready ``takes`` after they were ordered. ``outcomes`` are those of the next orders;
    ``lose`` counts orders that are taken but whose answer is lost."""

    now: Callable[[], datetime]
    rows: Rows
    profiles: tuple[Scope, ...] = (Scope("111", "America/Los_Angeles", "US", "USD"),)
    takes: timedelta = timedelta(minutes=10)
    outcomes: list[ReportStatus] = field(default_factory=list)
    lose: int = 0
    broken_downloads: int = 0
    placed: dict[str, Ordered] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Profiles that may not be read at present."""
    revoked: bool = False
    down: bool = False
    kept_from: date = date.min
    calls: int = 0

    def _called(self, scope: str = "") -> None:
        self.calls += 1
        if self.revoked:
            raise CredentialsRefused("invalid_grant")
        if scope in self.refused:
            raise AccessRefused(f"Not authorized to access scope {scope}")
        if self.down and scope:
            raise TransientFailure("HTTP 503")

    def scopes(self) -> list[Scope]:
        self._called()
        return list(self.profiles)

    def create(
        self, order: ReportOrder, intended_at: datetime, *, again: bool, others: Collection[str] = ()
    ) -> Created:
        self._called(order.scope)
        if order.is_over(self.now()):
            raise DateIsOver(order.end)
        if order.start < self.kept_from:
            raise PastRetention(f"data retention start date ({self.kept_from})", self.kept_from)
        for report_id, placed in self.placed.items():
            if placed.order == order and self.now() < placed.ready_at:
                return Created(report_id, adopted=True)
        report_id = f"report-{len(self.placed) + 1:05d}"
        outcome = self.outcomes.pop(0) if self.outcomes else ReportStatus.READY
        self.placed[report_id] = Ordered(order, self.now(), self.now() + self.takes, outcome)
        if self.lose:
            self.lose -= 1
            raise TransientFailure("no answer (ReadTimeout)")
        return Created(report_id)

    def progress(self, order: ReportOrder, report_id: str) -> Progress:
        self._called(order.scope)
        placed = self.placed[report_id]
        assert placed.order == order
        if self.now() < placed.ready_at:
            return Progress(report_id, ReportStatus.PROCESSING)
        if placed.outcome is ReportStatus.FAILED:
            return Progress(report_id, ReportStatus.FAILED, reason="internal error", retryable=True)
        if placed.outcome is ReportStatus.EMPTY:
            return Progress(report_id, ReportStatus.EMPTY)
        return Progress(report_id, ReportStatus.READY, document=report_id)

    def fetch(self, order: ReportOrder, progress: Progress, target: Path) -> Document:
        self._called(order.scope)
        placed = self.placed[progress.report_id]
        days = [order.start + timedelta(days=n) for n in range((order.end - order.start).days + 1)]
        rows = [row for day in days for row in self.rows(order.scope, day, placed.at)]
        body = gzip.compress(json.dumps(rows).encode(), mtime=0)
        if self.broken_downloads:
            self.broken_downloads -= 1
            body = body[:-5]
        target.write_bytes(body)
        return Document(target, len(body), hashlib.sha256(body).hexdigest())

    def cancel(self, order: ReportOrder, report_id: str) -> None:
        self.cancelled.append(report_id)

    def discover(self, report_type: str, since: datetime) -> list[Discovered]:
        return []
