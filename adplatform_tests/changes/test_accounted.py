"""What a merge says that it wrote against the files that readers are led to: one that is lost or too many is named."""

import re
from dataclasses import replace

import pytest

from adplatform.changes.accounted import unaccounted
from adplatform.changes.fold import Folded
from adplatform.flow.services import Services
from adplatform_tests.support.changes import ORDERS, Changes, followed_source

TABLES = ("", "_deleted", "_history", "_changes")


def merged(services: Services, table_format: str = "parquet") -> tuple[Changes, Folded]:
    """A table after two merges, with files in each of its tables, of which one change is in quarantine."""
    columns = {**ORDERS["columns"], "status": {"allowed": ["a", "b"]}}
    feed = {**ORDERS, "columns": columns, "outputs": ["current", "history"], "table_format": table_format}
    shop = followed_source(services, [feed])
    shop.load(*({"id": n, "status": "a"} for n in range(9)))
    shop.merge()
    shop.file(shop.change("U", id=1, status="b"), shop.change("D", id=2), shop.change("U", id=3, status="surprise"))
    done = shop.merge()
    assert done
    assert (done.read, done.set_aside, done.changes) == (3, 1, 2)
    return shop, done


def files(shop: Changes, done: Folded, table: str) -> list[str]:
    """The keys of the files that readers of a table see."""
    if table == "_changes":
        placement = shop.services.ledger.placements.get(shop.followed.changes.name, done.days[0])
        assert placement
        location = placement.location
    else:
        location = done.row.locations[f"{shop.followed.base}{table}"]
    zones = shop.services.zones
    return [file.key for file in shop.services.store.listing(zones.clean_bucket, zones.clean_key(location))]


@pytest.mark.slow
def test_what_was_published_whole_adds_up_also_in_iceberg(services: Services) -> None:
    shop, done = merged(services, "iceberg")
    assert unaccounted(services, shop.followed, done) == []


def test_what_was_published_whole_adds_up_until_a_file_is_lost_or_too_many_or_has_other_rows(
    services: Services,
) -> None:
    """One table after the other is damaged and mended again: what is made whole adds up each time."""
    shop, done = merged(services)
    bucket, s3 = services.zones.clean_bucket, services.s3
    for table in TABLES:
        assert unaccounted(services, shop.followed, done) == []
        key = files(shop, done, table)[0]
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.delete_object(Bucket=bucket, Key=key)
        [problem] = unaccounted(services, shop.followed, done)
        assert re.match(rf"{shop.followed.base}{table}[: ]", problem)
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        s3.put_object(Bucket=bucket, Key=f"{key}-again", Body=body)
        [problem] = unaccounted(services, shop.followed, done)
        assert re.match(rf"{shop.followed.base}{table}[: ]", problem)
        s3.delete_object(Bucket=bucket, Key=f"{key}-again")
    [gone] = files(shop, done, "_deleted")
    s3.copy_object(Bucket=bucket, Key=gone, CopySource={"Bucket": bucket, "Key": files(shop, done, "")[0]})
    [problem] = unaccounted(services, shop.followed, done)
    assert "and 1 were written" in problem


def test_rows_that_were_read_and_are_neither_merged_nor_set_aside_are_counted(services: Services) -> None:
    shop = followed_source(services)
    shop.file(*(shop.change("I", id=n, status="a") for n in range(4)))
    shop.process()
    publications, name = services.ledger.publications, shop.followed.changes.name
    [row] = publications.of_feed(name)
    outcomes = publications.file_outcomes(name, row.day, row.version)
    publications.put_file_outcomes(name, [replace(each, rows_in=each.rows_in + 2) for each in outcomes])
    done = shop.fold()
    assert done
    [problem] = unaccounted(services, shop.followed, done)
    assert problem.startswith("6 rows were read from files of the source, 0 of them were set aside")
