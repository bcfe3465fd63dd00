"""Rows as a test wants to find them, written past the steps that lead there."""

from dataclasses import replace
from typing import Any

from adplatform.ledger.delivery import Delivery
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import RawObject
from adplatform.ledger.report import Report


def put_delivery(ledger: Ledger, feed: str, delivery: Delivery, **changes: Any) -> Delivery:
    row = replace(delivery, **changes, revision=delivery.revision + 1, changed_at=ledger.now())
    ledger.access.put(feed, [row])
    return row


def put_report(ledger: Ledger, report: Report, **changes: Any) -> Report:
    row = replace(report, **changes, revision=report.revision + 1, changed_at=ledger.now())
    ledger.access.put(report.feed, [row])
    return row


def put_object(ledger: Ledger, feed: str, obj: RawObject, **changes: Any) -> None:
    ledger.access.put(feed, [replace(obj, **changes)])
