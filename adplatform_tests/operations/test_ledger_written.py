"""The ledger as tables, as readers see them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from adplatform.failures import named
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.query import run_query
from adplatform.ledger.delivery import Delivery, DeliveryState
from adplatform.ledger.publications import Publication
from adplatform.operations.ledger_tables import schema_changes
from adplatform.operations.ledger_written import write_ledger
from adplatform.platform import names
from adplatform_tests.operations.history import FEED, NOON, acme, days_before, fail, publish
from adplatform_tests.support.ledger_rows import put_delivery


@pytest.fixture
def timed(services: Services) -> Services:
    moved = replace(services, now=lambda: NOON)
    provision(moved, [])
    return moved


def asked(services: Services, sql: str) -> list[tuple[Any, ...]]:
    """``{}`` in ``sql`` is the database."""
    prefix = services.settings.database_prefix
    return run_query(services.aws, services.glue, prefix, sql.format(f"{prefix}{names.META}"), 1_000)[1]


def later(services: Services, **by: float) -> Services:
    return replace(services, now=lambda: NOON + timedelta(**by))


def test_what_the_ledger_has_of_deliveries_and_versions_can_be_asked_for(timed: Services) -> None:
    source = acme(timed, {**FEED, "name": "events"}, FEED)
    counts = {"rows_in": 100, "clean": 88, "superseded": 2, "quarantined": 10, "reasons": {"type:id": 10}, "bytes": 7}
    for n in range(3):
        publish(timed, "acme/orders", days_before(n), NOON - timedelta(days=n), **counts, seconds=Decimal("1.5"))
    fail(timed, "acme/events", days_before(1))
    put_delivery(timed.ledger, "acme/events", Delivery(days_before(2), arrivals=3, waiting=f"no {named('jo@x.de')}"))
    written = {each.table.partition(".")[2]: each.rows for each in write_ledger(timed, [source])}
    assert written == {"deliveries": 5, "publications": 3, "schema_changes": 0}
    assert asked(timed, "select feed, state, pending, waiting, error from {}.deliveries where feed = 'events'") == [
        ("events", "open", 3, "no ***", None),
        ("events", "failed", 0, None, "*** is damaged"),
    ]
    [version] = asked(
        timed,
        "select source, scope, version, finished_at, as_of, seconds, files, rows_in - clean - superseded - quarantined "
        f"- left_out, reasons from {{}}.publications where day = date '{days_before(1)}'",
    )
    at = NOON - timedelta(days=1)
    assert version == ("acme", None, 1, at, NOON, 1.5, 2, 0, '{"type:id":10}')
    files = list(timed.store.listing(timed.settings.clean_bucket, ""))
    held = b"".join(timed.s3.get_object(Bucket=timed.settings.clean_bucket, Key=f.key)["Body"].read() for f in files)
    assert (len(files), b"ann@example.com" in held, b"jo@x.de" in held) == (3, False, False)


class Dies(Exception):
    pass


class DyingGlue:
    """A client of the catalog in a process that is gone when it would change a table."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def update_table(self, **_: Any) -> Any:
        raise Dies


def test_a_writer_that_dies_before_it_shows_what_it_wrote_leaves_the_old_and_its_files_go(timed: Services) -> None:
    source = acme(timed)
    publish(timed, "acme/orders", days_before(1), NOON)
    write_ledger(timed, [source])
    publish(timed, "acme/orders", days_before(2), NOON)
    dying = later(timed, days=1)
    vars(dying)["glue"] = DyingGlue(timed.glue)
    with pytest.raises(Dies):
        write_ledger(dying, [source])
    assert asked(timed, "select count(*), max(as_of) from {}.deliveries") == [(1, NOON)]
    write_ledger(later(timed, days=20), [source])
    write_ledger(later(timed, days=2), [source])  # it was slow
    assert asked(timed, "select count(*), max(as_of) from {}.deliveries") == [(2, NOON + timedelta(days=20))]
    write_ledger(later(timed, days=40), [source])
    listed = timed.store.listing(timed.settings.clean_bucket, f"table-versions/{names.META}/deliveries/")
    assert [each.key.split("/")[3][:8] for each in listed] == ["20260630", "20260720"]


def version(day: int, number: int, at: int, **known: Any) -> Publication:
    finished = NOON + timedelta(hours=at)
    row = Publication(days_before(-day), number, 1, "m", finished, "count", DeliveryState.PUBLISHED)
    return replace(row, finished_at=finished, rows_in=1, **known)


@pytest.mark.parametrize(
    ("before", "now", "changes"),
    [
        ({}, {}, []),
        ({}, {"evolved": ("color",)}, [("column_added", "color")]),
        ({"evolved": ("color",)}, {"evolved": ("color",)}, []),
        ({}, {"lacking": {"amount": 1}}, [("column_lacking", "amount")]),
        ({"lacking": {"amount": 1}}, {}, [("column_back", "amount")]),
        ({"contract": "a"}, {"contract": "b"}, [("contract", "")]),
        ({}, {"contract": "b"}, []),
    ],
)
def test_a_version_with_another_schema_than_the_one_published_before_is_a_change(
    before: Mapping[str, Any], now: Mapping[str, Any], changes: list[tuple[str, str]]
) -> None:
    unseen = replace(version(2, 1, 2, evolved=("never",)), state=DeliveryState.FAILED, finished_at=None)
    found = list(schema_changes([version(1, 1, 3, **now), version(5, 1, 1, **before), unseen]))
    assert [(change["change"], change["column_name"]) for _, change in found] == changes
    assert {each.version for each, _ in found} <= {1}
