"""The long lists of a publication: bounded in the ledger, whole in S3, read in one way."""

from datetime import UTC, date, datetime

from adplatform.lake.details import KEPT, read_details, with_details
from adplatform.lake.lake import Lake
from adplatform.ledger.item_size import MAX_ITEM, item_size
from adplatform.ledger.publications import Publication
from adplatform.ledger.rows import to_item

FEED, DAY = "partner/orders", date(2026, 3, 1)
ROW = Publication(DAY, 1, 1, "m", datetime(2026, 3, 2, tzinfo=UTC), "quiet")
LOCATIONS = tuple(f"s3://clean/table-versions/partner/orders/token/region={n:04d}{'é' * 250}/" for n in range(5000))
REASONS = {f"not_allowed:{'c' * 120}{n:04d}": n + 1 for n in range(5000)}


def test_long_lists_are_whole_in_s3_and_bounded_in_the_ledger(lake: Lake) -> None:
    row = with_details(lake.store, FEED, ROW, LOCATIONS, REASONS)
    assert item_size(to_item(FEED, row)) < MAX_ITEM / 4
    assert row.details_key.startswith("publications/partner/orders/dt=2026-03-01/v0001-")
    assert (row.location_count, row.reason_count) == (5000, 5000)
    assert row.locations == LOCATIONS[:KEPT]
    assert min(row.reasons.values()) == 5000 - KEPT + 1, "the most frequent"

    lake.ledger.publications.put(FEED, row)
    stored = lake.ledger.publications.get(FEED, DAY, 1)
    assert stored is not None
    found = read_details(lake.store, stored)
    assert found.locations == LOCATIONS
    assert found.reasons == REASONS


def test_short_lists_need_no_object_and_rows_without_one_still_read(lake: Lake) -> None:
    row = with_details(lake.store, FEED, ROW, LOCATIONS[:KEPT], {"bad_int:a": 3})
    assert row.details_key == ""
    found = read_details(lake.store, row)
    assert (found.locations, found.reasons) == (LOCATIONS[:KEPT], {"bad_int:a": 3})
    assert not list(lake.store.listing(lake.store.zones.raw_bucket, "publications/"))


def test_the_same_lists_twice_are_one_object(lake: Lake) -> None:
    first, second = (with_details(lake.store, FEED, ROW, LOCATIONS, {}) for _ in range(2))
    assert first == second
    assert len(list(lake.store.listing(lake.store.zones.raw_bucket, "publications/"))) == 1
