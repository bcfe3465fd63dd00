"""The view of rows with the changes that are not merged yet, as DuckDB understands it."""

import duckdb

from adplatform.changes.views import views_of
from adplatform.contracts.changes import ChangesSource
from adplatform.engines.changes import database_changes
from adplatform.platform.settings import read_settings
from adplatform_tests.support.changes import ORDERS, sequence


def test_changes_of_any_date_show_also_those_that_came_to_one_before_the_last_that_was_merged() -> None:
    declared = ChangesSource.model_validate({"source": "shop", "feeds": [ORDERS]})
    (followed,) = database_changes(declared, read_settings()).followed
    columns = followed.columns((column.name, column.type) for column in followed.stored.values())
    (live,) = views_of(followed, columns, "clean_")
    at = "timestamp '2026-11-01'"
    with duckdb.connect() as con:
        con.execute("create schema clean_shop")
        kinds = "id bigint, status varchar, amount decimal(10,2), _seq varchar, _changed_at timestamp"
        con.execute(f"create table clean_shop.orders ({kinds})")
        con.execute(f"create table clean_shop.orders_deleted ({kinds})")
        con.execute(f"create table clean_shop.orders_changes ({kinds}, _op varchar, dt date)")
        con.execute(f"insert into clean_shop.orders values (1, 'a', null, '{sequence(1)}', {at})")
        con.execute(f"insert into clean_shop.orders values (2, 'a', null, '{sequence(3)}', {at})")
        con.execute(
            "insert into clean_shop.orders_changes values"
            f" (1, 'a', null, '{sequence(1)}', {at}, 'I', '2026-11-01'),"
            f" (1, 'mended', null, '{sequence(2)}', {at}, 'U', '2026-11-01'),"
            f" (2, 'a', null, '{sequence(3)}', {at}, 'I', '2026-11-02')"
        )
        assert con.execute(f"select id, status from ({live.sql}) order by id").fetchall() == [(1, "mended"), (2, "a")]
