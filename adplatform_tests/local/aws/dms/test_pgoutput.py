"""The decoder on what a real PostgreSQL sends."""

from collections.abc import Iterator

import pytest

from adplatform.local.aws.dms import source
from adplatform.local.aws.dms.pgoutput import UNCHANGED, Begin, Change, Commit, Message, Truncate, messages
from adplatform_tests.support.databases import Database

SLOT = "decoded"


@pytest.fixture
def slot(shop: Database) -> Iterator[Database]:
    """A table with a column that lies apart, and a slot of the database's name."""
    shop.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text, far text)",
        "ALTER TABLE t ALTER far SET STORAGE EXTERNAL",
        "INSERT INTO t VALUES (1, 'a', repeat('x', 4000))",
        f"CREATE PUBLICATION {shop.name} FOR TABLE t",
        f"CREATE PUBLICATION {shop.name}_inserts",
        f"SELECT pg_create_logical_replication_slot('{shop.name}', 'pgoutput')",
    )
    yield shop
    with shop.server.connect(shop.name) as connection:
        source.lose_slot(connection, shop.name)


def sent(database: Database) -> list[Message]:
    with database.server.connect(database.name) as connection:
        return [message for _, message in messages(source.peek(connection, database.name))]


def changes(database: Database) -> list[tuple[str, tuple[object, ...], tuple[object, ...]]]:
    return [(each.op, each.old, each.new) for each in sent(database) if isinstance(each, Change)]


def test_a_transaction_has_its_commit_its_changes_and_its_end(slot: Database) -> None:
    slot.execute("INSERT INTO t VALUES (2, 'ü \"q\"\n', NULL)")
    begin, change, commit = sent(slot)
    assert isinstance(begin, Begin)
    assert isinstance(commit, Commit)
    assert commit.end > begin.lsn
    [(at,)] = slot.query("SELECT now()")
    assert 0 <= (at - begin.at).total_seconds() < 60
    assert isinstance(change, Change)
    assert (change.relation.schema, change.relation.name, change.relation.identity) == ("public", "t", "d")
    assert [(c.name, c.type_oid, c.is_key) for c in change.relation.columns] == [
        ("id", 23, True),
        ("name", 25, False),
        ("far", 25, False),
    ]
    assert (change.op, change.old, change.new) == ("I", (), ("2", 'ü "q"\n', None))


def test_by_default_updates_lack_what_lies_apart_and_deletes_have_the_key_alone(slot: Database) -> None:
    slot.execute("UPDATE t SET name = 'b'", "UPDATE t SET id = 7", "DELETE FROM t")
    assert changes(slot) == [
        ("U", (), ("1", "b", UNCHANGED)),
        ("U", ("1", None, None), ("7", "b", UNCHANGED)),
        ("D", ("7", None, None), ()),
    ]


def test_with_the_whole_row_as_identity_the_old_values_come_too(slot: Database) -> None:
    slot.execute("ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET name = 'b'", "DELETE FROM t")
    far = "x" * 4000
    assert changes(slot) == [("U", ("1", "a", far), ("1", "b", UNCHANGED)), ("D", ("1", "b", far), ())]


def test_columns_are_those_of_the_time_of_the_change(slot: Database) -> None:
    slot.execute("INSERT INTO t VALUES (2)", "ALTER TABLE t ADD more int DEFAULT 3", "INSERT INTO t VALUES (4)")
    names = [[c.name for c in each.relation.columns] for each in sent(slot) if isinstance(each, Change)]
    assert names == [["id", "name", "far"], ["id", "name", "far", "more"]]


def test_truncations_name_their_tables_and_rolled_back_work_is_not_sent(slot: Database) -> None:
    slot.execute("BEGIN", "INSERT INTO t VALUES (3)", "ROLLBACK", "TRUNCATE t")
    [found] = [each for each in sent(slot) if isinstance(each, (Truncate, Change))]
    assert isinstance(found, Truncate)
    assert [each.name for each in found.relations] == ["t"]
