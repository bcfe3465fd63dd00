"""Every row comes back from DynamoDB as it went in, whatever the values."""

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal, Inexact, Rounded
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adplatform.ledger.delivery import BUSY, Delivery, DeliveryState
from adplatform.ledger.derived import Stale
from adplatform.ledger.ledger import Ledger
from adplatform.ledger.objects import Ignored, ObjectState, RawObject, Refused, unversioned
from adplatform.ledger.observations import Observation
from adplatform.ledger.placements import Placement, Retired, Slice
from adplatform.ledger.publications import FileOutcome, Outcome, Publication
from adplatform.ledger.report import Report, ReportState
from adplatform.ledger.rows import digest, from_item, to_item
from adplatform.ledger.scopes import Planned, Scope
from adplatform.ledger.table import table_definition, unwire, wire
from adplatform.platform.aws import Aws
from adplatform_tests.support.examples import examples

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))
COUNTS = st.integers(0, 10**15)
INSTANTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))]), allow_imaginary=False)
ROWS: dict[type, st.SearchStrategy[Any]] = {
    RawObject: st.builds(
        RawObject, DAYS, TEXTS, TEXTS, TEXTS, COUNTS, TEXTS, INSTANTS, COUNTS, COUNTS,
        st.sampled_from(ObjectState), TEXTS, st.none() | INSTANTS, TEXTS, TEXTS,
    ),
    Delivery: st.builds(
        Delivery, DAYS, COUNTS, st.sampled_from(DeliveryState), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS,
        COUNTS, st.none() | INSTANTS, TEXTS, TEXTS, st.none() | INSTANTS, TEXTS, st.none() | INSTANTS, TEXTS,
        st.booleans(), TEXTS, st.none() | INSTANTS, TEXTS, TEXTS,
    ),
    Ignored: st.builds(Ignored, TEXTS, TEXTS, DAYS),
    Refused: st.builds(Refused, TEXTS, TEXTS, COUNTS, TEXTS, INSTANTS, TEXTS),
    Publication: st.builds(
        Publication, DAYS, st.integers(1, 9999), COUNTS, TEXTS, INSTANTS, TEXTS,
        reasons=st.dictionaries(TEXTS.filter(bool), COUNTS, max_size=3),
        locations=st.lists(TEXTS, max_size=3).map(tuple),
        seconds=st.decimals(0, 10**6, places=3),
        finished_at=st.none() | INSTANTS,
    ),
    FileOutcome: st.builds(FileOutcome, DAYS, st.integers(1, 9999), TEXTS, st.sampled_from(Outcome), TEXTS, COUNTS),
    Slice: st.builds(Slice, TEXTS, DAYS, COUNTS, TEXTS, COUNTS),
    Placement: st.builds(Placement, DAYS, COUNTS),
    Retired: st.builds(Retired, TEXTS, INSTANTS),
    Report: st.builds(
        Report, TEXTS, TEXTS, TEXTS, DAYS, DAYS, DAYS, st.integers(1, 99), TEXTS, TEXTS, st.sampled_from(ReportState),
        waves=st.dictionaries(TEXTS.filter(bool), COUNTS, max_size=3), not_before=st.none() | INSTANTS,
        overdue=st.booleans(), bytes=COUNTS, error=TEXTS,
    ),
    Observation: st.builds(
        Observation, DAYS, INSTANTS, COUNTS, COUNTS, TEXTS, COUNTS, TEXTS, st.booleans(),
        st.dictionaries(TEXTS.filter(bool), st.decimals(-(10**9), 10**9, places=6), max_size=3),
    ),
    Stale: st.builds(Stale, DAYS, COUNTS, INSTANTS),
    Planned: st.builds(Planned, TEXTS, TEXTS, DAYS, TEXTS, COUNTS, COUNTS),
    Scope: st.builds(Scope, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.none() | INSTANTS),
}  # fmt: skip


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_a_row_survives_dynamodb(aws: Aws, kind: Any) -> None:
    ledger = Ledger(aws.client("dynamodb"), f"ledger-{uuid.uuid4().hex}")
    ledger.client.create_table(**table_definition(ledger.table))

    @settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
    @given(ROWS[kind])
    def check(row: Any) -> None:
        ledger.access.put("acme/orders", [row])
        assert ledger.access.get(kind, "acme/orders", row.sort_key) == row

    check()


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.__name__)
def test_a_row_survives_its_item(kind: Any) -> None:
    @settings(max_examples=examples(40), deadline=None)
    @given(ROWS[kind])
    def check(row: Any) -> None:
        assert from_item(kind, to_item("acme/orders", row)) == row

    check()


def test_only_a_delivery_with_work_due_is_in_the_index() -> None:
    day = date(2026, 3, 14)
    idle = [Delivery(day=day), Delivery(day=day, state=DeliveryState.PUBLISHED, arrivals=3, settled_arrivals=3)]
    busy = [Delivery(day=day, state=state) for state in BUSY]
    waiting = [Delivery(day=day, arrivals=1), Delivery(day=day, state=DeliveryState.FAILED)]
    assert not any("active_feed" in to_item("acme/orders", d) for d in idle)
    assert all(to_item("acme/orders", d)["active_feed"] == "deliveries#acme" for d in busy + waiting)


def test_versions_sort_as_numbers_do() -> None:
    assert [f"version#2026-03-14#{n:04d}" for n in (2, 10)] == sorted(
        Publication(date(2026, 3, 14), n, 0, "", datetime.now(UTC), "").sort_key for n in (10, 2)
    )


def test_a_digest_keeps_the_parts_apart() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert len(digest("x" * 5000)) == 32


def test_an_object_without_a_version_id_is_named_by_etag_and_size() -> None:
    day, now = date(2026, 3, 14), datetime(2026, 3, 14, tzinfo=UTC)
    assert RawObject(day, "raw", "k", unversioned('"abc"', 5), 5, "abc", now).version_id is None
    assert RawObject(day, "raw", "k", "3sL4kqtJlcpXroDTDmJ", 5, "abc", now).version_id == "3sL4kqtJlcpXroDTDmJ"


def test_rows_of_an_earlier_release_have_left_nothing_out() -> None:
    day, now = date(2026, 3, 14), datetime(2026, 3, 14, tzinfo=UTC)
    version = Publication(day, 1, 2, "m", now, "quiet", rows_in=5, left_out=2)
    file = FileOutcome(day, 1, "s3://raw/k", Outcome.LOADED, rows_in=5, left_out=2)
    for row in (version, file):
        item = to_item("f", row)
        assert item.pop("left_out") == 2
        assert from_item(type(row), item) == replace(row, left_out=0)


def test_numbers_of_a_publication_come_back_as_numbers() -> None:
    row = Publication(date(2026, 3, 14), 1, 2, "m", datetime(2026, 3, 14, tzinfo=UTC), "quiet", reasons={"type": 3})
    item = {**to_item("f", row), "objects": Decimal(2), "version": Decimal(1), "reasons": {"type": Decimal(3)}}
    assert from_item(Publication, item) == row


_VALUES = st.recursive(
    st.one_of(
        st.text(max_size=5),
        st.sampled_from(DeliveryState),
        st.booleans(),
        st.none(),
        st.integers(-(10**38) + 1, 10**38 - 1),
        st.sampled_from([Decimal("0.10"), Decimal("-7"), Decimal("1E+3")]),
    ),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=3), _VALUES, max_size=5))
def test_values_go_to_dynamodb_and_come_back_as_boto3_has_them(item: dict[str, Any]) -> None:
    serialize, deserialize = TypeSerializer().serialize, TypeDeserializer().deserialize
    wired = {name: serialize(value) for name, value in item.items()}
    assert wire(item) == wired
    back = unwire(wired)
    assert back == {name: deserialize(value) for name, value in wired.items()}
    assert [type(value) for value in back.values()] == [type(deserialize(value)) for value in wired.values()]


def test_a_number_with_more_digits_than_dynamodb_keeps_is_refused() -> None:
    with pytest.raises((Inexact, Rounded)):
        wire({"n": 10**38 + 1})
