"""Feeds whose scopes, such as advertising profiles, are delivered apart into one table."""

from datetime import UTC, date, datetime

import pytest

from adplatform.contracts.feed import Feed
from adplatform.failures import PermanentFailure
from adplatform.files.landing import Part
from adplatform.flow.source import FeedFlow, ScopeKey, Source, make_source, scoped, to_object
from adplatform.ledger.objects import ObjectState
from adplatform_tests.flow.world import TODAY

PREFIX = "slices/ads/"
LANDING = "report_type={feed}/report_date={date}/profile={scope}/{file}"
NOW = datetime(2026, 3, 14, 9, tzinfo=UTC)


def unscoped(landing: str = LANDING) -> FeedFlow:
    declared = {"name": "campaigns", "start_date": "2026-01-01", "columns": {"id": "string"}, "landing": "x/{file}"}
    source = make_source("ads", "raw", [Feed.model_validate(declared)])
    flow = source.feeds[0]
    return FeedFlow("ads", flow.feed.model_copy(update={"landing": landing}), flow.layout)


def of(value: str, landing: str = LANDING) -> FeedFlow:
    return scoped(unscoped(landing), PREFIX, ScopeKey("profile_id", value))


def key(value: str, file: str = "part-0.json.gz", day: str = "2026-03-14") -> str:
    return f"{PREFIX}report_type=campaigns/report_date={day}/profile={value}/{file}"


def test_deliveries_are_named_after_the_scope_and_share_the_table() -> None:
    table, one, two = unscoped(), of("123"), of("456")
    assert (table.name, table.table) == ("ads/campaigns", "ads/campaigns")
    assert (one.name, two.name) == ("ads/campaigns/123", "ads/campaigns/456")
    assert one.table == two.table == "ads/campaigns"
    assert one.scope == ScopeKey("profile_id", "123")
    assert one.feed.contract == two.feed.contract == table.feed.contract
    assert "{scope}" in table.feed.landing


@pytest.mark.parametrize("other", ["12", "1234", "0123", "*", "{scope}", "", "abc"])
def test_a_layout_matches_keys_of_its_own_scope_only(other: str) -> None:
    flow = of("123")
    place = flow.layout.place(key("123"), NOW)
    assert place is not None
    assert (place.day, place.part, place.file) == (TODAY, Part.DATA, "part-0.json.gz")
    assert flow.layout.place(key(other), NOW) is None
    assert of("456").layout.place(key("123"), NOW) is None
    assert flow.layout.place(key("123").removeprefix(PREFIX), NOW) is None


def test_case_and_hyphens_tell_scopes_apart() -> None:
    values = ("A1", "a1", "A-1", "A_1")
    for value in values:
        assert [other for other in values if of(other).layout.place(key(value), NOW)] == [value]


def test_listings_and_keys_are_those_of_the_scope() -> None:
    flow = of("123")
    assert flow.layout.day_prefix(TODAY) == key("123", "")
    assert flow.layout.key(TODAY, "part-0.json.gz") == key("123")
    assert flow.layout.prefix == f"{PREFIX}report_type=campaigns/report_date="


def test_an_object_belongs_to_the_delivery_of_its_scope() -> None:
    flows = tuple(of(value) for value in ("123", "456"))
    both = Source("ads", "raw", PREFIX, flows)
    found = [
        to_object(
            both,
            key=key(value),
            version_id="v",
            size=1,
            etag="e",
            modified=NOW,
            seen_by="test",
        )
        for value in ("456", "123", "789")
    ]
    assert [name for name, _ in found] == ["ads/campaigns/456", "ads/campaigns/123", "ads/_unplaced"]
    assert [obj.state is ObjectState.IGNORED for _, obj in found] == [False, False, True]
    assert {obj.day for _, obj in found} == {date(2026, 3, 14)}


@pytest.mark.parametrize(
    "value", ["", "a/b", "a b", "a=b", "*", "{file}", "..", "a.", ".a", "a\n", "é", "1\x1f2", "1" * 65]
)
def test_a_value_that_cannot_be_part_of_a_key_is_refused(value: str) -> None:
    with pytest.raises(PermanentFailure, match="may hold only letters, digits"):
        of(value)


@pytest.mark.parametrize("value", ["1", "ENTITY2X-y_z", "amzn1.ads-account.g.x1", "1" * 64])
def test_usual_values_are_taken(value: str) -> None:
    assert of(value).name == f"ads/campaigns/{value}"
