"""What is said of a delivery's next step."""

from datetime import UTC, date, datetime

import pytest

from adplatform.files.arrivals import Wait
from adplatform.flow.standing import next_step
from adplatform.ledger.delivery import Delivery, DeliveryState

DAY = date(2026, 3, 14)
NINE = datetime(2026, 3, 14, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("delivery", "wait", "sentence"),
    [
        (Delivery(DAY), None, "nothing has arrived"),
        (Delivery(DAY, arrivals=1), Wait("1 of 2 files"), "waits: 1 of 2 files"),
        (Delivery(DAY, arrivals=1), Wait("quiet", NINE), "waits: quiet, until 2026-03-14 09:00:00 UTC"),
        (
            Delivery(DAY, arrivals=1, state=DeliveryState.FAILED, permanent=True, error="broken"),
            Wait("broken"),
            "judged again when an object comes; `adplatform settle acme/orders 2026-03-14` takes what is there",
        ),
        (Delivery(DAY, state=DeliveryState.SETTLED, attempt=2), None, "the next look starts attempt 2 of 3"),
        (Delivery(DAY, state=DeliveryState.RUNNING, run_id="abc"), None, "run abc is at work"),
        (Delivery(DAY, state=DeliveryState.FAILED, version=1, attempt=2), None, "it is tried again by itself"),
        (
            Delivery(DAY, state=DeliveryState.FAILED, version=1, attempt=2, not_before=NINE),
            None,
            "it is tried again by itself from 2026-03-14 09:00:00 UTC",
        ),
        (
            Delivery(DAY, state=DeliveryState.FAILED, version=1, attempt=4),
            None,
            "nothing until an object comes, or `adplatform retry acme/orders 2026-03-14`",
        ),
        (Delivery(DAY, state=DeliveryState.PUBLISHED), None, "nothing; a late or corrected file opens the date again"),
    ],
)
def test_the_ledger_says_what_happens_next(delivery: Delivery, wait: Wait | None, sentence: str) -> None:
    assert next_step("acme/orders", delivery, wait) == sentence
