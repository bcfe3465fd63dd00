"""Files of changes become a table of rows: what a database has, whatever order its changes come in."""

import random
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest

from adplatform.changes.fold import fold
from adplatform.changes.folds_due import folds_due
from adplatform.changes.generations import next_generation
from adplatform.changes.loads import open_load
from adplatform.contracts.types import parse_type
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.lake.parquet import arrow_type
from adplatform_tests.support.changes import ORDERS, SCHEMA, START, followed_as, followed_source, sequence
from adplatform_tests.support.event_buses import Bus
from adplatform_tests.support.plainly import NoRunIsAlive
from adplatform_tests.support.platforms import TODAY

SEEDS = [(0, 30), *(pytest.param(seed, 60, marks=pytest.mark.slow) for seed in range(30))]


@pytest.mark.slow
@pytest.mark.parametrize("table_format", ["parquet", pytest.param("iceberg", marks=pytest.mark.slow)])
def test_a_load_and_the_changes_since_become_the_rows_of_the_table(services: Services, table_format: str) -> None:
    shop = followed_source(services, [{**ORDERS, "table_format": table_format}])
    shop.load({"id": 1, "status": "new", "amount": Decimal("1.50")}, {"id": 2, "status": "new"})
    assert (first := shop.merge()) and first.changes == 2
    assert shop.rows() == [(1, "new", Decimal("1.50")), (2, "new", None)]
    shop.file(
        shop.change("U", id=1, status="paid", amount=Decimal("1.50")),
        shop.change("D", id=2),
        shop.change("I", id=3, status="new", amount=Decimal(7)),
    )
    done = shop.merge()
    assert done and (done.changes, done.applied, done.superseded) == (3, 3, 0)
    assert shop.seen(_="id, status, amount", _deleted="id, status") == [
        [(1, "paid", Decimal("1.50")), (3, "new", Decimal("7.00"))],
        [(2, "new")],
    ]
    assert shop.fold() is None


def test_each_merge_is_an_event_and_wants_what_services_do_with_the_rows(services: Services) -> None:
    bus = Bus.of(services).made()
    shop = followed_source(
        bus.services, [{**ORDERS, "outputs": ["current"], "consumers": {"quicksight": {"columns": ["id", "status"]}}}]
    )
    source, changes = shop.pattern.source.name, shop.followed.changes.feed.name
    shop.load({"id": 1, "status": "new", "amount": Decimal("1.50")})
    shop.merge()
    seen = [event["detail"] for event in bus.read()]
    assert [(each["table"], each["version"], each["rows"]) for each in seen] == [(changes, 1, 1), ("orders", 1, 1)]
    shop.file(shop.change("I", id=2, status="new"))
    shop.merge()
    ids = [event["detail"]["id"] for event in bus.read()]
    assert [each for each in ids if each.startswith(f"{source}/orders/")] == [f"{source}/orders/{TODAY}/v2"]
    wanted = services.ledger.engine_runs.pursued(source)
    assert sorted((each.target, each.key) for each in wanted) == [
        ("quicksight-orders", f"{source}/orders/{TODAY}/v{version}") for version in (1, 2)
    ]


@pytest.mark.slow
def test_files_in_any_order_and_again_come_to_the_same_rows(services: Services) -> None:
    shop = followed_source(services, [{**ORDERS, "outputs": ["current", "history"]}])
    first = [shop.change("I", id=1, status="a"), shop.change("U", id=1, status="b"), shop.change("I", id=2, status="a")]
    second = [shop.change("D", id=1), shop.change("I", id=1, status="c"), shop.change("U", id=2, status="b")]
    shop.file(*second)
    shop.merge()
    shop.file(*first)
    done = shop.merge()
    assert done and (done.superseded, done.rebuilt) == (3, 2)
    shop.file(*first, name="20261101-000000077.parquet")
    again = shop.merge()
    assert again and again.applied == 0
    assert shop.rows(columns="id, status, _seq") == [(1, "c", sequence(5)), (2, "b", sequence(6))]
    assert shop.rows("_history", "id, status, _closed_by") == [
        (1, "a", sequence(2)),
        (1, "b", sequence(4)),
        (2, "a", sequence(6)),
    ]


def test_every_version_of_every_row_is_in_one_view(services: Services) -> None:
    shop = followed_source(services, [{**ORDERS, "outputs": ["current", "history"]}])
    shop.file(
        shop.change("I", id=1, status="a"), shop.change("U", id=1, status="b"), shop.change("I", id=2, status="a")
    )
    shop.merge()
    shop.file(shop.change("D", id=2))
    shop.merge()
    at = [START + timedelta(seconds=n) for n in range(5)]
    assert shop.rows("_versions", "id, status, _valid_from, _valid_to") == [
        (1, "a", at[1], at[2]),
        (1, "b", at[2], None),
        (2, "a", at[3], at[4]),
    ]


def test_changes_that_are_not_merged_yet_show_in_a_view(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"}, {"id": 3, "status": "a"})
    shop.merge()
    shop.file(shop.change("U", id=1, status="b"), shop.change("D", id=2), shop.change("I", id=4, status="new"))
    shop.file(shop.change("U", id=4, status="newer"))
    shop.process()
    assert shop.rows(columns="id, status") == [(1, "a"), (2, "a"), (3, "a")]
    live = [(1, "b"), (3, "a"), (4, "newer")]
    assert shop.rows("_live", "id, status") == live
    shop.fold()
    assert shop.rows("_live", "id, status") == shop.rows(columns="id, status") == live


def test_a_merge_of_one_change_reads_only_the_bucket_that_it_falls_into(services: Services) -> None:
    shop = followed_source(services, [{**ORDERS, "buckets": 16}])
    shop.load(*({"id": n, "status": "a"} for n in range(200)))
    shop.merge()
    shop.file(shop.change("U", id=1, status="b"), shop.change("D", id=1))
    shop.process()
    read: list[str] = []
    due = folds_due(services, [shop.followed], NoRunIsAlive(), everything=True)
    claimed = services.ledger.folds.claim(due[0].fold, "counted")
    base = due[0].fold.locations[shop.followed.name].partition("://")[2].partition("/")[2]
    services.s3.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: read.append(params["Key"])
    )
    assert claimed
    with TemporaryDirectory() as work:
        fold(services, shop.followed, claimed, "counted", Path(work))
    assert len([key for key in read if key.startswith(base)]) == 1
    assert len(shop.rows(columns="id")) == 199


def test_a_view_whose_tables_are_gone_is_named(services: Services) -> None:
    shop = followed_source(services)
    shop.file(shop.change("I", id=1, status="a"))
    shop.merge()
    database, _, name = shop.table("_deleted").partition(".")
    services.glue.delete_table(DatabaseName=database, Name=name)
    with pytest.raises(PermanentFailure, match=rf"view {shop.table('_live')} cannot be read: .*orders_deleted"):
        shop.rows("_live")


@pytest.mark.slow
def test_a_row_that_was_deleted_does_not_come_back_by_a_change_that_is_late(services: Services) -> None:
    shop = followed_source(services)
    insert, update, delete = (
        shop.change("I", id=1, status="a"),
        shop.change("U", id=1, status="b"),
        shop.change("D", id=1),
    )
    shop.file(insert, delete)
    shop.merge()
    shop.file(update)
    shop.merge()
    assert shop.seen(_="id, status, amount", _deleted="id, status") == [[], [(1, "a")]]


def test_a_value_that_did_not_change_is_kept_also_where_the_change_that_brought_it_is_late(services: Services) -> None:
    shop = followed_source(services, [{**ORDERS, "unchanged": ["status"]}])
    insert, update = shop.change("I", id=1, status="long text"), shop.change("U", id=1, amount=Decimal(5))
    shop.file(update)
    shop.merge()
    shop.file(insert)
    done = shop.merge()
    assert done and done.rebuilt == 1
    assert shop.rows() == [(1, "long text", Decimal("5.00"))]


def test_a_change_that_breaks_the_contract_waits_in_quarantine_and_is_merged_once_it_is_mended(
    services: Services,
) -> None:
    shop = followed_source(services, [{**ORDERS, "columns": {**ORDERS["columns"], "status": {"allowed": ["a", "b"]}}}])
    shop.file(shop.change("I", id=1, status="a"), shop.change("U", id=1, status="surprise"))
    shop.merge()
    assert shop.rows() == [(1, "a", None)]
    mended = followed_as(shop, [ORDERS])
    ledger = services.ledger
    ledger.deliveries.reopen(mended.followed.changes.name, TODAY)
    mended.merge()
    assert mended.rows() == [(1, "surprise", None)]


def test_an_added_column_has_its_declared_default_in_older_rows_and_a_dropped_one_no_value(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"})
    shop.merge()
    columns = {
        **ORDERS["columns"],
        "status": {"optional": True},
        "channel": {"optional": True, "default": "web"},
    }
    wider = followed_as(shop, [{**ORDERS, "columns": columns}])
    schema = pa.schema([f for f in SCHEMA if f.name != "status"] + [("channel", pa.string())])
    wider.file(wider.change("U", id=1, channel="app"), wider.change("I", id=3), schema=schema)
    wider.merge()
    assert wider.rows(columns="id, status, channel") == [(1, None, "app"), (2, "a", "web"), (3, None, None)]


@pytest.mark.slow
def test_a_type_may_become_wider_in_an_iceberg_table(services: Services) -> None:
    """Rows of buckets that nothing falls into stay in files of the narrower type."""
    wider_types: dict[str, tuple[str, str, object]] = {
        "whole": ("int", "bigint", 2**40),
        "amount": ("decimal(4,2)", "decimal(12,2)", Decimal(10) ** 9),
        "sum": ("decimal(10,2)", "decimal(20,2)", Decimal(10) ** 17),
    }
    narrow, wide = ({**ORDERS["columns"], **{name: types[n] for name, types in wider_types.items()}} for n in (0, 1))
    shop = followed_source(services, [{**ORDERS, "columns": narrow, "table_format": "iceberg"}])
    written = {name: arrow_type(parse_type(str(wide_type))) for name, (_, wide_type, _) in wider_types.items()}
    schema = pa.schema([f for f in SCHEMA if f.name not in written] + list(written.items()))
    shop.load(*({"id": n, **dict.fromkeys(written, n)} for n in range(8)), schema=schema)
    shop.merge()
    wider = followed_as(shop, [{**ORDERS, "columns": wide, "table_format": "iceberg"}])
    values = {name: value for name, (_, _, value) in wider_types.items()}
    wider.file(wider.change("U", id=1, **values), schema=schema)
    wider.merge()
    found = wider.rows(columns=", ".join(["id", *written]))
    assert found == [(n, *(values.values() if n == 1 else [n] * 3)) for n in range(8)]


@pytest.mark.slow
def test_a_new_load_ends_rows_that_are_not_in_it_and_old_changes_do_not_count(services: Services) -> None:
    shop = followed_source(services)
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "a"}, {"id": 4, "status": "a"})
    shop.file(shop.change("U", id=1, status="b"))
    shop.merge()
    late = shop.change("U", id=1, status="lost and late")
    folds, source, target = services.ledger.folds, shop.pattern.source.name, "orders"
    opened = next_generation(folds.generations(source, target), services.now() - timedelta(seconds=5), "a test")
    assert folds.open(source, target, opened)
    shop.load({"id": 1, "status": "loaded"}, {"id": 3, "status": "loaded"}, number=1)
    shop.merge()
    # Until the load is known to be whole nothing is missing from it.
    assert shop.rows(columns="id, status") == [(1, "loaded"), (2, "a"), (3, "loaded"), (4, "a")]
    folds.loaded(source, target, opened, 2)
    since = {"Op": "I", "dms_ts": "2026-11-28 00:00:00", "id": 4, "status": "since", "ar_h_change_seq": "9" * 35}
    shop.file(late, since)
    shop.merge()
    assert shop.seen(_="id, status", _deleted="id, status") == [
        [(1, "loaded"), (3, "loaded"), (4, "since")],
        [(2, "a")],
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"buckets": 7}, marks=pytest.mark.slow),
        pytest.param({"key": ["id", "status"]}, marks=pytest.mark.slow),
        {"outputs": ["current", "history"]},
    ],
)
def test_what_is_declared_otherwise_makes_the_table_anew(services: Services, change: dict[str, Any]) -> None:
    columns = {**ORDERS["columns"], "status": {"required": True}}
    shop = followed_source(services, [{**ORDERS, "columns": columns}])
    shop.load({"id": 1, "status": "a"}, {"id": 2, "status": "b"})
    shop.file(shop.change("U", id=1, status="a", amount=Decimal(1)), shop.change("D", id=2, status="b"))
    shop.merge()
    other = followed_as(shop, [{**ORDERS, "columns": columns, **change}])
    assert other.fold()
    assert other.seen(_="id, status, amount", _deleted="id") == [[(1, "a", Decimal("1.00"))], [(2,)]]
    if "outputs" in change:
        assert other.rows("_history", "id, status, amount") == [(1, "a", None), (2, "b", None)]
    assert other.fold() is None


def test_nobody_sees_a_table_before_its_first_load_is_whole(services: Services) -> None:
    shop = followed_source(services)
    folds, source = services.ledger.folds, shop.pattern.source.name
    load = open_load(services.ledger, shop.followed, services.now() - timedelta(seconds=5), "a test")
    shop.load({"id": 1}, {"id": 2}, number=1)
    assert shop.merge() is None
    folds.loaded(source, "orders", load, 3)
    assert shop.merge() is None, "one row is still to come"
    shop.load({"id": 3}, number=2)
    shop.merge()
    assert shop.rows(columns="id") == [(1,), (2,), (3,)]


@pytest.mark.slow
def test_an_empty_table_is_one_after_its_load_which_brings_no_file(services: Services) -> None:
    shop = followed_source(services)
    load = open_load(services.ledger, shop.followed, services.now() - timedelta(seconds=5), "a test")
    services.ledger.folds.loaded(shop.pattern.source.name, "orders", load, 0)
    assert (done := shop.merge()) and done.changes == 0
    assert shop.rows() == []
    shop.file({**shop.change("I", id=1, status="first"), "ar_h_change_seq": "9" * 35})
    shop.merge()
    assert shop.rows(columns="id, status") == [(1, "first")]


def test_personal_data_is_hashed_alike_in_loads_and_changes_so_that_a_personal_key_can_be_merged(
    services: Services,
) -> None:
    people = {
        **ORDERS,
        "columns": {"id": {"type": "bigint"}, "status": {"pii": "email", "required": True}, "amount": "decimal(10,2)"},
        "key": "status",
    }
    shop = followed_source(services, [people])
    shop.load({"id": 1, "status": "Ann@Example.com"}, {"id": 2, "status": "bob@example.com"})
    shop.file(shop.change("U", id=7, status="ann@example.com"), shop.change("I", id=8, status="no address"))
    done = shop.merge()
    assert done and done.unplaced == 1
    assert shop.rows(columns="id, length(status_lake)") == [(2, 64), (7, 64)]


@pytest.mark.parametrize(("seed", "number"), SEEDS)
def test_any_workload_split_shuffled_repeated_and_delayed_comes_to_what_the_database_has(
    services: Services, seed: int, number: int
) -> None:
    draw = random.Random(seed)
    unchanged = bool(draw.getrandbits(1))
    feed = {**ORDERS, "outputs": ["current", "history"], "unchanged": ["status"] if unchanged else []}
    shop = followed_source(services, [{**feed, "table_format": "iceberg" if seed % 2 else "parquet"}])
    truth: dict[int, tuple[str | None, Decimal | None]] = {}
    opened: dict[int, tuple[Any, ...]] = {}
    ended: list[tuple[Any, ...]] = []
    changes = []
    for _ in range(number):
        id, status, amount = draw.randint(1, 5), draw.choice([None, "a", "b", ""]), draw.choice([None, Decimal("1.25")])
        before = truth.get(id)
        if before is None:
            changes.append(shop.change("I", id=id, status=status, amount=amount))
            truth[id] = (status, amount)
        elif draw.random() < 0.25:
            changes.append(shop.change("D", id=id))
            del truth[id]
        else:
            stays = unchanged and status is None
            changes.append(shop.change("U", id=id, status=None if stays else status, amount=amount))
            truth[id] = (before[0] if stays else status, amount)
        if before is not None:
            ended.append((id, *before, opened.pop(id), sequence(shop.at)))
        if id in truth:
            opened[id] = sequence(shop.at)
    files = []
    while changes:
        size = draw.randint(1, 12)
        files.append([changes.pop(0) for _ in range(min(size, len(changes)))])
    files += [draw.choice(files) for _ in range(2)]
    draw.shuffle(files)
    while files:
        for _ in range(draw.randint(1, 4)):
            if files:
                shop.file(*files.pop())
        shop.process()
        if draw.random() < 0.6:
            shop.fold()
    shop.merge()
    assert shop.rows() == sorted((id, *values) for id, values in truth.items())
    found = shop.rows("_history", "id, status, amount, _seq, _closed_by")
    assert sorted(found, key=str) == sorted(ended, key=str)


@pytest.mark.parametrize(
    "feed", [pytest.param(ORDERS, marks=pytest.mark.slow), {**ORDERS, "outputs": ["current", "history"]}]
)
def test_a_change_that_comes_twice_with_less_or_at_another_time_is_one(
    services: Services, feed: dict[str, Any]
) -> None:
    shop = followed_source(services, [feed])
    first = shop.change("I", id=1, status="a", amount=Decimal(1))
    gone = shop.change("D", id=2)
    shop.file(shop.change("I", id=3, status="c"), first, {**first, "dms_ts": "2026-11-02 00:00:00"})
    shop.file(gone, {**gone, "status": "b"})
    shop.merge()
    assert shop.seen(_="id, status, amount", _deleted="id, status") == [
        [(1, "a", Decimal("1.00")), (3, "c", None)],
        [(2, None)],
    ]
    shop.file({**first, "amount": None}, name="20261101-000000077.parquet")
    done = shop.merge()
    assert done and (done.applied, done.superseded) == (0, 1)


@pytest.mark.parametrize("again", [{"status": "b"}, pytest.param({"Op": "D"}, marks=pytest.mark.slow)])
def test_two_changes_of_one_sequence_that_differ_are_refused_also_in_two_merges(
    services: Services, again: dict[str, Any]
) -> None:
    shop = followed_source(services)
    change = shop.change("I", id=1, status="a")
    shop.file(change)
    shop.merge()
    shop.file({**change, **again})
    with pytest.raises(PermanentFailure, match="two different changes of one sequence"):
        shop.merge()
    assert shop.rows(columns="id, status") == [(1, "a")]
