"""Persons in tables whose scopes share the partition of a date: they are erased, and their digests get another key."""

from dataclasses import replace
from pathlib import Path

import pytest

from adplatform.contracts.feed import Feed
from adplatform.flow.provision import provision
from adplatform.flow.source import ScopeKey, make_source, scoped
from adplatform.platform.aws import Aws
from adplatform_tests.flow.persons import JANE, PURCHASES, erase_jane, jane, places_of, purchases
from adplatform_tests.flow.rotations import Club, day
from adplatform_tests.support.platforms import make_services

SCOPES = ("1", "2")


def shared(aws: Aws, home: Path) -> Club:
    """A club of two shops, whose purchases of a date share a partition."""
    services = make_services(aws, home)
    feed = Feed.model_validate({**PURCHASES, "landing": "{feed}/dt={date}/{scope}/{file}"})
    bare = make_source("club", services.settings.raw_bucket, [feed.model_copy(update={"landing": "x/{file}"})])
    table = replace(bare.feeds[0], feed=feed, compacted=True)
    feeds = tuple(scoped(table, bare.prefix, ScopeKey("shop", scope)) for scope in SCOPES)
    source = replace(bare, feeds=feeds)
    provision(services, [source])
    for bucket in (services.zones.raw_bucket, services.zones.clean_bucket):
        services.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return Club(services, source)


def put(club: Club, scope: str, *rows: tuple[str, str]) -> None:
    flow = next(each for each in club.flows if each.scope and each.scope.value == scope)
    key = flow.layout.key(day(3), "part.ndjson")
    club.services.s3.put_object(Bucket=club.services.zones.raw_bucket, Key=key, Body=purchases(*rows))
    club.process()


@pytest.mark.parametrize("gone", [pytest.param(False, marks=pytest.mark.slow), True], ids=["originals", "rows"])
def test_a_person_goes_and_others_stay_under_the_newest_key(aws: Aws, tmp_path: Path, gone: bool) -> None:
    club = shared(aws, tmp_path / "home")
    put(club, "1", (JANE, "1.00"), ("bob@example.com", "2.00"))
    put(club, "2", ("eve@x.org", "3.00"))
    before = club.key_id
    club.rotate()
    assert club.keys("purchases") == {club.key_id} != {before}
    services = club.services
    if gone:
        held = services.s3.list_object_versions(Bucket=services.zones.raw_bucket, Prefix="archive/")["Versions"]
        services.store.delete_versions(services.zones.raw_bucket, [(v["Key"], v["VersionId"]) for v in held])
    assert any("shop=1" in place for place in places_of(club, jane(club)))
    receipt = erase_jane(club)
    assert receipt.problems == ()
    assert places_of(club, jane(club)) == []
    rows = club.query("select shop, cast(amount as varchar) from {purchases}")
    assert rows == [("1", "2.00"), ("2", "3.00")]
