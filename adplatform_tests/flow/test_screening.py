"""What keeps a delivered file from being read at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adplatform.contracts.feed import Feed
from adplatform.failures import EnvironmentFailure
from adplatform.files.malware import SCAN_TAG
from adplatform.flow.provision import provision
from adplatform.flow.raw import land
from adplatform.flow.screening import screened
from adplatform.flow.services import Services
from adplatform.flow.source import FeedFlow, make_source
from adplatform.flow.version import VersionObject
from adplatform.ledger.objects import RawObject
from adplatform.ledger.publications import Outcome
from adplatform_tests.support.calls import CountedAws
from adplatform_tests.support.platforms import YESTERDAY

FEED = Feed.model_validate({"name": "orders", "start_date": "2026-01-01", "columns": {"id": "bigint"}})
Put = Callable[..., VersionObject]


@pytest.fixture
def flow(services: Services) -> FeedFlow:
    [found] = make_source("acme", services.settings.raw_bucket, [FEED]).feeds
    return found


@pytest.fixture
def put(services: Services) -> Put:
    provision(services, [])

    def made(name: str, body: bytes = b"id\n1\n", **tags: str) -> VersionObject:
        key, tagging = f"landing/acme/orders/{name}", "&".join(f"{each}={value}" for each, value in tags.items())
        bucket = services.settings.raw_bucket
        version = services.s3.put_object(Bucket=bucket, Key=key, Body=body, Tagging=tagging)["VersionId"]
        head = services.s3.head_object(Bucket=bucket, Key=key)
        obj = RawObject(YESTERDAY, bucket, key, version, len(body), head["ETag"].strip('"'), head["LastModified"])
        return VersionObject(obj, None, None, obj.uri, overwritten=False)

    return made


def with_settings(services: Services, **settings: object) -> Services:
    return replace(services, settings=replace(services.settings, **settings))


def reasons(services: Services, flow: FeedFlow, *items: VersionObject) -> list[str]:
    """Of those that are refused, by their names."""
    found = screened(services, flow, items)
    return [found[item.object.identity][0] for item in items if item.object.identity in found]


def test_a_file_that_is_too_large_is_refused(services: Services, flow: FeedFlow, put: Put) -> None:
    small, large = put("small.csv"), put("large.csv", b"x" * 11)
    assert reasons(with_settings(services, largest_file=10), flow, small) == []
    assert reasons(with_settings(services, largest_file=10), flow, small, large) == ["too_large"]


@pytest.mark.parametrize("policy", ["if_scanned", "required"])
def test_a_file_in_which_something_was_found_is_refused(
    services: Services, flow: FeedFlow, put: Put, policy: str
) -> None:
    clean, bad = put("a.csv", **{SCAN_TAG: "NO_THREATS_FOUND"}), put("b.csv", **{SCAN_TAG: "THREATS_FOUND"})
    unknown = put("c.csv", **{SCAN_TAG: "ACCESS_DENIED"})
    found = reasons(with_settings(services, malware_scan=policy), flow, clean, bad, unknown)
    assert found == ["malware", "malware"]


def test_a_file_without_a_scan_waits_only_where_one_is_required(services: Services, flow: FeedFlow, put: Put) -> None:
    item, empty = put("a.csv"), put("empty.csv", b"")
    assert reasons(with_settings(services, malware_scan="if_scanned"), flow, item) == []
    strict = with_settings(services, malware_scan="required")
    assert reasons(strict, flow, empty) == []
    with pytest.raises(EnvironmentFailure, match="not scanned for malware yet"):
        screened(strict, flow, [item])


def test_what_is_in_the_archive_is_not_scanned_again(services: Services, flow: FeedFlow, put: Put) -> None:
    item = put("a.csv")
    archived = replace(item, object=replace(item.object, archived_key="archive/acme/orders/a.csv"))
    assert reasons(with_settings(services, malware_scan="required"), flow, archived) == []


def test_scans_cost_no_call_where_they_do_not_count(services: Services, flow: FeedFlow, put: Put) -> None:
    item = put("a.csv", **{SCAN_TAG: "THREATS_FOUND"})
    counted = CountedAws(services.aws.region, services.aws.endpoint_url)
    with counted.most(0):
        assert reasons(Services(services.settings, counted), flow, item) == []


def test_a_file_that_was_cut_off_is_refused_by_its_version(services: Services, flow: FeedFlow, put: Put) -> None:
    partial, whole = put("a.csv", b"id\n"), put("a.csv")
    obj = partial.object
    services.ledger.uploads.cut_off("acme", obj.bucket, obj.key, obj.version, "acme")
    assert reasons(services, flow, partial, whole) == []  # nobody uploads these in sessions
    assert reasons(services, replace(flow, uploaded=True), partial, whole) == ["partial"]


def test_what_is_refused_is_an_outcome_and_is_not_opened(
    services: Services, flow: FeedFlow, put: Put, tmp_path: Path
) -> None:
    items = [put("small.csv"), put("large.csv", b"x" * 11)]
    outcomes = land(with_settings(services, largest_file=10), flow, YESTERDAY, 1, items, tmp_path)
    assert [outcome.outcome for outcome in outcomes] == [Outcome.LOADED, Outcome.REFUSED]
    assert "10 are allowed" in outcomes[1].reason
