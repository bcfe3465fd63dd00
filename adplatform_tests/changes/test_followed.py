"""Where the files of DMS belong, and what a declaration of followed tables makes of them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from adplatform.changes.followed import changes_feed
from adplatform.changes.generations import FIRST, is_load, next_generation, sequence_at, sequence_of_load
from adplatform.contracts.changes import ChangesSource
from adplatform.engines.changes import database_changes
from adplatform.failures import PermanentFailure
from adplatform.flow.source import to_object
from adplatform.ledger.folds import Generation
from adplatform.ledger.objects import UNPLACED, ObjectState
from adplatform.platform.settings import read_settings
from adplatform_tests.support.changes import ORDERS

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


def declared(**feed: Any) -> ChangesSource:
    return ChangesSource.model_validate({"source": "shop", "feeds": [{**ORDERS, **feed}]})


def test_bytes_of_followed_tables_that_are_no_text_are_read_unless_that_is_declined() -> None:
    def read(**feed: Any) -> set[str]:
        [table] = declared(**feed).feeds
        changes = changes_feed(table)
        assert changes.defaults == table.defaults
        return {column.bytes for column in changes.columns if not column.name.startswith("_")}

    assert read() == read(defaults={"trim": True}) == {"hex"}
    assert read(defaults={"bytes": "text"}) == {"text"}


@pytest.mark.parametrize(
    ("key", "feed"),
    [
        ("public/orders/LOAD00000001.parquet", "shop/orders_changes"),
        ("public/orders/LOAD0000000A.csv.gz", "shop/orders_changes"),
        ("public/orders/p2026/LOAD00000001.parquet", "shop/orders_changes"),
        ("public/orders/SEGMENT1_LOAD00000001.csv", "shop/orders_changes"),
        ("public/orders/20261128-120000123.parquet", "shop/orders_changes"),
        ("public/orders/20261128-1200001230.csv", "shop/orders_changes"),
        ("public/orders/2026/11/28/20261128-120000123.csv", "shop/orders_changes"),
        ("public/orders_old/LOAD00000001.parquet", f"shop/{UNPLACED}"),
        ("public/customers/LOAD00000001.parquet", f"shop/{UNPLACED}"),
        ("awsdms_status/20261128-120000123.parquet", f"shop/{UNPLACED}"),
    ],
)
def test_a_file_belongs_to_the_table_of_its_folders(key: str, feed: str) -> None:
    source = database_changes(declared(), read_settings()).source
    name, found = to_object(
        source, key=f"landing/shop/{key}", version_id="v", size=1, etag="e", modified=AT, seen_by="a test"
    )
    assert name == feed
    assert (found.state is ObjectState.IGNORED) == (feed == f"shop/{UNPLACED}")


def test_what_dms_notes_for_itself_is_nobody_s_and_needs_no_action() -> None:
    source = database_changes(declared(), read_settings()).source
    assert source.aside and source.aside.search("dbo/awsdms_history/LOAD00000001.csv")
    assert not source.aside.search("public/orders/awsdms.csv")


@pytest.mark.parametrize(
    ("feed", "said"),
    [
        ({"key": []}, "key is missing"),
        ({"outputs": ["history"]}, "history needs current"),
        ({"unchanged": "id"}, "unchanged names 'id'"),
        ({"unchanged": "nothing"}, "unchanged names 'nothing'"),
        ({"table": "orders"}, "write schema.table"),
        ({"table": "public.x{y}"}, r"table 'public.x\{y\}' cannot be followed"),
        ({"table": "public.or*ers"}, "have it renamed by a rule of the table mappings"),
        ({"landing": "x/{file}"}, "landing is where DMS writes"),
        ({"arrival": {"complete_when": "engine"}}, "complete_when is quiet"),
        ({"format": {"kind": "ndjson"}}, "not what DMS writes"),
        ({"format": {"header": False}}, "AddColumnName"),
        ({"partition_by": None}, "do not apply"),
        ({"skip_rows_where": "id = '0'"}, "skip_rows_where does not go with changes: a row that comes to meet it"),
        ({"columns": {"id": {"required": True}, "_seq": "string"}}, "'_seq' is a name the platform adds itself"),
        ({"columns": {"id": {"required": True}, "_at": "string"}}, "choose another and give field"),
        ({"columns": {"id": {"pii": {"kind": "email", "treatment": "mask"}, "required": True}}}, "lake or clear"),
    ],
)
def test_a_declaration_that_cannot_be_merged_is_refused_with_what_to_do(feed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        declared(**feed)


def test_a_table_without_a_key_keeps_its_changes_only() -> None:
    pattern = database_changes(declared(key=[], outputs=[]), read_settings())
    assert [each.tables for each in pattern.followed] == [()]
    assert pattern.source.derived == ()


def test_a_deletion_needs_no_more_than_its_key_and_all_else_what_is_required() -> None:
    columns = {"id": {"type": "bigint", "required": True}, "status": {"required": True}, "bio": {"required": True}}
    feed = database_changes(declared(columns=columns, unchanged="bio"), read_settings()).source.feeds[0].feed
    assert [column.name for column in feed.columns if column.required] == ["_changed_at", "id"]
    assert {column.name: column.unless for column in feed.columns if column.unless} == {
        "status": "_op = 'D'",
        "bio": "_op = 'D'",
    }
    assert {check.name: check.expression for check in feed.row_checks} == {
        "required_op": "_op is not null or coalesce(_seq, '') = ''",
        "sequence": "_op = 'I' or coalesce(_seq, '') <> ''",
        "required_status": "_op = 'D' or status is not null",
        "required_bio": "_op in ('D', 'U') or bio is not null",
    }


def test_the_sequence_of_a_moment_is_less_than_that_of_any_change_since() -> None:
    assert sequence_at(datetime(2026, 11, 28, 12, 0, 0, 129_999, tzinfo=UTC)) == f"2026112812000012{'0' * 19}"


def test_files_of_a_load_belong_to_the_last_one_that_began_before_them() -> None:
    ended = {n: AT.replace(hour=n, minute=30) for n in (1, 2, 3)}
    loads = [Generation(n, f"seq{n}", AT.replace(hour=n), "a test", ended=at) for n, at in ended.items()]

    def of(key: str, hour: int) -> str | None:
        return sequence_of_load({"key": key, "last_modified": AT.replace(hour=hour).isoformat()}, loads)

    assert [of("public/t/LOAD00000001.csv", hour) for hour in (0, 1, 2, 9)] == [FIRST, "seq1", "seq2", "seq3"]
    assert of("public/t/20261128-120000123.csv", 9) is None
    assert not is_load("public/LOAD00000001.x/20261128-120000123.csv")


def test_a_load_does_not_begin_before_one_that_is_known() -> None:
    known = [next_generation([], AT, "the first")]
    assert next_generation(known, AT.replace(hour=13), "again").number == 2
    with pytest.raises(PermanentFailure, match="began at 2026-11-28 12:00:00"):
        next_generation(known, AT.replace(hour=11), "again")


def test_originals_of_hashed_columns_are_needed_for_another_key() -> None:
    columns = {"id": {"type": "bigint", "required": True}, "email": {"pii": "email"}}
    with pytest.raises(ValidationError, match="keep_originals: feed orders has hashed columns"):
        ChangesSource.model_validate(
            {"source": "shop", "keep_originals": "30d", "feeds": [{**ORDERS, "columns": columns}]}
        )


def test_originals_are_kept_for_two_days_at_least() -> None:
    with pytest.raises(ValidationError, match="at least 2d"):
        ChangesSource.model_validate({"source": "shop", "keep_originals": "1d", "feeds": [ORDERS]})
