"""A table that is made of changes after an erasure: it is made anew of the changes that are left."""

from typing import Any

import pytest

from adplatform.flow.services import Services
from adplatform_tests.flow.persons import erase_jane, jane, places_of
from adplatform_tests.flow.rotations import Club
from adplatform_tests.support.changes import Changes, followed_source

JANE = "jane.doe@example.com"
PEOPLE: dict[str, Any] = {
    "name": "people",
    "table": "public.people",
    "start_date": "2026-01-01",
    "buckets": 3,
    "columns": {"id": {"type": "bigint", "required": True}, "status": {"pii": "email"}, "amount": "decimal(10,2)"},
    "key": "id",
    "bounds": {"max_quarantined": 0.9},
    "outputs": ["current", "history"],
}


def merged(shop: Changes) -> list[str]:
    shop.fold()
    return []


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_a_person_leaves_rows_deleted_rows_and_history_of_a_table_of_changes(
    services: Services, table_format: str
) -> None:
    for bucket in (services.zones.raw_bucket, services.zones.clean_bucket):
        services.s3.create_bucket(Bucket=bucket)
        enabled = {"Status": "Enabled"}
        services.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    shop = followed_source(services, [{**PEOPLE, "table_format": table_format}])
    shop.file(*(shop.change("I", id=n, status=who) for n, who in ((1, JANE), (2, "bob@x.org"), (3, "eve@x.org"))))
    shop.merge()
    shop.file(shop.change("U", id=2, status="robert@x.org"), shop.change("U", id=1, status=JANE, amount=1))
    shop.merge()
    shop.file(shop.change("I", id=4, status=JANE), shop.change("D", id=4, status=JANE))
    shop.merge()
    club = Club(services, shop.pattern.source)
    person = jane(club)
    assert {place.split("/")[2] for place in places_of(club, person) if place.startswith("table-versions")} >= {
        "people", "people_changes", "people_history", "people_deleted",
    }  # fmt: skip
    before = [row for row in shop.rows(columns="id") if row != (1,)]
    receipt = erase_jane(club, follow=lambda: merged(shop))
    assert receipt.problems == ()
    assert places_of(club, person) == []
    assert shop.seen(_="id", _history="id", _deleted="id") == [before, [(2,)], []]
    shop.file(shop.change("U", id=3, status="eva@x.org"))
    shop.merge()
    assert shop.rows(columns="id") == before
