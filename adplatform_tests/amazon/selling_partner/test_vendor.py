"""Reports of vendors as Amazon writes them, by the simulated Amazon."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from adplatform.amazon.selling_partner.definitions import READY_MADE
from adplatform.amazon.sources import SellingPartnerSource
from adplatform.local.world.amazon.accounts import DEMO_ACCOUNTS
from adplatform.local.world.amazon.selling_served import Asked
from adplatform.local.world.amazon.selling_vendor import SERVED
from adplatform_tests.amazon.selling_partner.contract import read

DAY = date(2026, 9, 18)
BEGIN = datetime(2026, 9, 17, 22, tzinfo=UTC)
"""When it begins in Berlin."""
NAMES = (
    *("vendor_real_time_sales", "vendor_real_time_traffic", "vendor_real_time_inventory"),
    *("vendor_net_pure_margin", "vendor_forecast"),
)


def asked(start: datetime, end: datetime, as_of: datetime, **options: str) -> Asked:
    return Asked(7, [DEMO_ACCOUNTS.marketplaces[2]], start, end, options, as_of)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_in_the_table(name: str, tmp_path: Path) -> None:
    definition = READY_MADE[name]
    served = SERVED[definition.report_type]
    start = BEGIN if definition.policy.hours else datetime(2026, 9, 18, tzinfo=UTC)
    order = asked(start, start + timedelta(days=1, seconds=0 if definition.policy.hours else -1), start
        + timedelta(days=5), **dict(definition.configuration))  # fmt: skip
    assert served.ending(order).status == "DONE"
    tables = read(definition, served.document(order, empty=False), DAY, DAY, tmp_path)
    rows = [row for table in tables.values() for row in table]
    assert len(rows) == len(served.rows(order)) > 0
    assert {row["dt"] for row in rows} == {DAY}


@pytest.mark.parametrize(
    ("name", "hours", "ago", "status"),
    [
        ("vendor_real_time_sales", 1, 0.9, "FATAL"),
        ("vendor_real_time_traffic", 1, 3, "FATAL"),
        ("vendor_real_time_traffic", 48, 4, "DONE"),
        ("vendor_real_time_inventory", 25, 4, "FATAL"),
        ("vendor_real_time_inventory", 24, 145, "FATAL"),
    ],
)
def test_the_simulated_amazon_has_hours_when_amazon_has_them(name: str, hours: int, ago: float, status: str) -> None:
    end = BEGIN + timedelta(hours=hours)
    order = asked(BEGIN, end, end + timedelta(hours=ago))
    assert SERVED[READY_MADE[name].report_type].ending(order).status == status


def test_today_may_be_asked_for_as_often_as_somebody_says() -> None:
    def definition(name: str, every: str) -> timedelta:
        report = {"name": name, "restatement": {"every": every}}
        settings = {"source": "s", "credentials": "c", "start_date": "2026-01-01", "reports": [report]}
        [found] = SellingPartnerSource.model_validate(settings).definitions()
        return found.policy.hours.every if found.policy.hours else timedelta(0)

    assert definition("vendor_real_time_sales", "1h") == timedelta(hours=1)
    with pytest.raises(ValueError, match="shorter than an hour"):
        definition("vendor_real_time_sales", "10m")
    with pytest.raises(ValueError, match="every goes with reports by the hour"):
        definition("vendor_traffic", "1h")
