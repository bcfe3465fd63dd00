"""The upkeep of the lake leaves a table that is made of changes as the next merge needs it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from adplatform.flow.collection import collect_source
from adplatform.flow.services import Services
from adplatform.platform.clock import utc_now
from adplatform_tests.support.changes import ORDERS, changes_of, followed_source


@pytest.mark.parametrize("table_format", ["parquet", "iceberg"])
def test_a_table_that_rested_for_long_is_merged_with_what_comes_then(services: Services, table_format: str) -> None:
    shop = followed_source(services, [{**ORDERS, "buckets": 12, "table_format": table_format}])
    shop.load(*({"id": n, "status": "a"} for n in range(60)))
    shop.merge()
    for days in (2, 2 + services.settings.keep_days + 1, 2 * services.settings.keep_days + 4):
        ledger = replace(services.ledger, now=lambda days=days: utc_now() + timedelta(days=days))
        later = replace(services)
        later.__dict__["ledger"] = ledger
        list(collect_source(later, shop.pattern.source, f"upkeep-{days}"))
    assert len(shop.rows(columns="id")) == 60
    again = changes_of(services, shop.declared)
    again.file({"Op": "D", "dms_ts": "2026-11-28 00:00:00", "id": 7, "ar_h_change_seq": "2" * 35})
    again.merge()
    assert [id for (id,) in again.rows(columns="id")] == [n for n in range(60) if n != 7]
