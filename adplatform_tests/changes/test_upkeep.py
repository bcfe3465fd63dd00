"""The upkeep of the lake leaves a table that is made of changes as the next merge needs it."""

import io
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from adplatform.contracts.changes import ChangesSource
from adplatform.flow.collection import collect_source
from adplatform.flow.services import Services
from adplatform.lake.entry import MANIFEST
from adplatform.platform.clock import utc_now
from adplatform_tests.support.changes import ORDERS, Changes, Killed, changes_of, followed_source
from adplatform_tests.support.platforms import TODAY


def collect_for_long(services: Services, shop: Changes) -> None:
    for days in (2, 2 + services.settings.keep_days + 1, 2 * services.settings.keep_days + 4):
        ledger = replace(services.ledger, now=lambda days=days: utc_now() + timedelta(days=days))
        later = replace(services)
        later.__dict__["ledger"] = ledger
        list(collect_source(later, shop.pattern.source, f"upkeep-{days}"))


@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_a_table_that_rested_for_long_is_merged_with_what_comes_then(services: Services, table_format: str) -> None:
    shop = followed_source(services, [{**ORDERS, "buckets": 12, "table_format": table_format}])
    shop.load(*({"id": n, "status": "a"} for n in range(60)))
    shop.merge()
    collect_for_long(services, shop)
    assert len(shop.rows(columns="id")) == 60
    again = changes_of(services, shop.declared)
    again.file({"Op": "D", "dms_ts": "2026-11-28 00:00:00", "id": 7, "ar_h_change_seq": "2" * 35})
    again.merge()
    assert [id for (id,) in again.rows(columns="id")] == [n for n in range(60) if n != 7]


@pytest.mark.slow
def test_a_merge_that_stays_undone_for_long_goes_on_with_what_it_began_with(services: Services) -> None:
    """A try has shown its versions of deleted and ended rows, so nobody else refers to those before any more."""
    feed = {**ORDERS, "buckets": 1, "outputs": ["current", "history"], "unchanged": "status"}
    shop = followed_source(services, [feed])
    late = shop.change("U", id=1, status="real")
    shop.file(
        shop.change("I", id=1, status="a"), shop.change("U", id=1), shop.change("I", id=2), shop.change("D", id=2)
    )
    shop.merge()
    shop.file(shop.change("I", id=4), shop.change("D", id=4))
    shop.process()
    merged_at(services, shop.declared, 1)
    shop.file(late, shop.change("I", id=3), shop.change("D", id=3))
    shop.process()
    name, folds = shop.pattern.source.name, services.ledger.folds
    begun = folds.get(name, "orders")
    killed = services.zones.merge(shop.followed.name, begun.next)

    def is_shown(table: str) -> bool:
        spec = shop.followed.spec(table, (), "", services.settings.database_prefix)
        found = services.lake.catalog.table(spec)
        return found is not None and found.parameters[MANIFEST].startswith(killed)

    def die(**_: object) -> None:
        if is_shown(shop.followed.deleted):
            raise Killed

    services.glue.meta.events.register("before-call.glue.UpdateTable", die)
    with pytest.raises(Killed):
        merged_at(services, shop.declared, 2)
    services.glue.meta.events.unregister("before-call.glue.UpdateTable", die)
    assert (is_shown(shop.followed.deleted), is_shown(shop.followed.name)) == (True, False)
    assert folds.get(name, "orders").locations == begun.locations
    collect_for_long(services, shop)
    for days in (100, 101, 102):
        merged_at(services, shop.declared, days)
    assert folds.get(name, "orders").number == begun.next
    assert shop.seen(_deleted="id", _history="id, status") == [
        [(2,), (3,), (4,)],
        [(1, "a"), (1, "real"), (2, None), (3, None), (4, None)],
    ]


def merged_at(services: Services, declared: ChangesSource, days: int) -> None:
    later = replace(services, now=lambda: utc_now() + timedelta(days=days))
    later.__dict__["glue"] = services.glue
    changes_of(later, declared).fold()


def archived(services: Services, shop: Changes) -> list[str]:
    prefix = services.zones.archive_of(shop.followed.changes.name)
    found = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix=prefix)
    return [each["Key"] for each in found.get("Versions", ())]


def test_originals_go_once_they_are_merged_and_their_time_is_over_and_merges_go_on(services: Services) -> None:
    feed = {**ORDERS, "outputs": ["current", "history"], "unchanged": "status"}
    shop = followed_source(services, [feed], keep_originals="3d")
    first, late, second = (
        shop.change("I", id=1, status="a"),
        shop.change("U", id=1, status="late"),
        shop.change("U", id=1),
    )
    shop.file(first, second)
    shop.process()
    collect_later(services, shop, 5)
    assert len(archived(services, shop)) == 1  # nobody has merged it
    shop.fold()
    collect_later(services, shop, 3)
    assert len(archived(services, shop)) == 1
    collect_later(services, shop, 5, dry_run=True)
    assert len(archived(services, shop)) == 1
    collect_later(services, shop, 5)
    assert archived(services, shop) == []
    shop.file(late)
    done = shop.merge()
    assert done and done.rebuilt == 1
    assert shop.seen(_="id, status", _history="id, status") == [[(1, "late")], [(1, "a"), (1, "late")]]


def collect_later(services: Services, shop: Changes, days: int, *, dry_run: bool = False) -> None:
    later = replace(services)
    later.__dict__["ledger"] = replace(services.ledger, now=lambda: utc_now() + timedelta(days=days))
    list(collect_source(later, shop.pattern.source, f"upkeep-{days}", dry_run=dry_run))


def test_an_expiry_that_was_cut_short_is_gone_on_with(services: Services) -> None:
    shop = followed_source(services, [ORDERS], keep_originals="3d")
    for n in range(3):
        shop.file(shop.change("I", id=n, status="a"))
    shop.merge()
    versions = services.s3.list_object_versions(
        Bucket=services.zones.raw_bucket, Prefix=services.zones.archive_of(shop.followed.changes.name)
    )["Versions"]
    services.s3.delete_object(
        Bucket=services.zones.raw_bucket, Key=versions[0]["Key"], VersionId=versions[0]["VersionId"]
    )
    collect_later(services, shop, 5)
    assert archived(services, shop) == []
    assert shop.rows(columns="id") == [(0,), (1,), (2,)]


def test_changes_that_an_earlier_release_wrote_with_the_names_of_their_files_are_merged(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a", "amount": None})
    key = shop.file(shop.change("I", id=2, status="b"), shop.change("U", id=1, status="c"))
    shop.process()
    uris = {o.file_id: o.uri for o in services.ledger.objects.of_day(shop.followed.changes.name, TODAY)}
    assert key in str(uris)
    store, zones = services.store, services.zones
    placed = services.ledger.placements.get(shop.followed.changes.name, TODAY)
    assert placed
    for file in store.listing(zones.clean_bucket, zones.clean_key(placed.location)):
        body = services.s3.get_object(Bucket=zones.clean_bucket, Key=file.key)["Body"].read()
        table = pq.read_table(io.BytesIO(body))
        named = pa.array([uris[each] for each in table["_source_file"].to_pylist()], pa.string())
        written = io.BytesIO()
        place = table.schema.get_field_index("_source_file")
        pq.write_table(table.set_column(place, "_source_file", named), written)
        services.s3.put_object(Bucket=zones.clean_bucket, Key=file.key, Body=written.getvalue())
    done = shop.fold()
    assert done and done.changes == 3
    assert shop.rows(columns="id, status") == [(1, "c"), (2, "b")]
