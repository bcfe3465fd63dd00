"""What an account says of all its tables."""

import pytest

from adplatform.amazon.sources import SellingPartnerSource
from adplatform.contracts.usual_volume import UsualVolume
from adplatform.pull.account import account_of


@pytest.mark.parametrize(
    ("period", "usual"),
    [
        ("DAY", UsualVolume(weekdays=6, holidays=("US",))),
        ("WEEK", UsualVolume(weekdays=6)),
        ("MONTH", UsualVolume(months=6)),
        ("QUARTER", None),
    ],
)
def test_reports_are_compared_as_often_as_they_come(period: str, usual: UsualVolume | None) -> None:
    declared = {
        "source": "seller",
        "credentials": "seller/secret",
        "start_date": "2026-01-01",
        "usual_volume": {"weekdays": 6, "holidays": "US"},
        "reports": [{"name": "terms", "extends": "search_terms", "options": {"reportPeriod": period}}],
    }
    [(_, table)] = account_of(SellingPartnerSource.model_validate(declared)).tables()
    assert table.feed.usual_volume == usual
