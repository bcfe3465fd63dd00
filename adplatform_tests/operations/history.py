"""A source whose history a test makes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from adplatform.contracts.source import PushedSource
from adplatform.failures import named
from adplatform.flow.pushed import PushedFiles, pushed_files
from adplatform.flow.services import Services
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.publications import Publication
from adplatform_tests.support.ledger_rows import put_delivery

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)
TODAY = NOON.date()
FEED: dict[str, Any] = {
    "name": "orders",
    "start_date": "2026-06-01",
    "arrival": {"complete_when": "count", "expected_files": 2, "deadline": "9h"},
    "columns": {"id": "string"},
}


def acme(services: Services, *feeds: dict[str, Any], **attributes: Any) -> PushedFiles:
    declared = PushedSource.model_validate({"source": "acme", "feeds": list(feeds) or [FEED], **attributes})
    return pushed_files(declared, services.settings)


def publish(services: Services, feed: str, day: date, at: datetime, **counts: Any) -> None:
    """One version, with what readers see of the date."""
    row = Publication(day, 1, 2, "m", at - timedelta(minutes=1), "count", DeliveryState.PUBLISHED, finished_at=at)
    services.ledger.publications.put(feed, replace(row, **counts))
    put_delivery(services.ledger, feed, Delivery(day, state=DeliveryState.PUBLISHED, version=1, published=1))


def fail(services: Services, feed: str, day: date) -> None:
    """A version that was refused for a file whose name is somebody's address."""
    error = f"{named('ann@example.com.csv')} is damaged"
    failed = Delivery(day, state=DeliveryState.FAILED, version=1, permanent=True, error=error)
    put_delivery(services.ledger, feed, failed)


def days_before(days: int) -> date:
    return TODAY - timedelta(days=days)
