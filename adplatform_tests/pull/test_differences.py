"""The changes from one snapshot to the next, and the audit that finds whatever is wrong with them."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from adplatform.amazon.sources import AdsSource
from adplatform.pull.account import account_of
from adplatform.pull.differences import compare, differences, entities
from adplatform.pull.history import REMOVED, UNREAD, History, histories_of

COLUMNS = ("ad_product", "campaign_id", "campaign_name", "state", "last_updated_date_time", "as_of")
BEFORE = ["('SP', 1, 'a', 'ENABLED', 1)", "('SP', 2, 'a', 'ENABLED', 1)", "(null, 3, 'a', 'ENABLED', 1)"]
NOW = [
    *("('SP', 1, 'b', 'ENABLED', 2)", "(null, 3, 'a', 'PAUSED', 1)", "('SP', 9, 'a', 'ENABLED', 1)"),
    *("('SP', 4, 'old', 'ENABLED', 1)", "('SP', 4, 'new', 'ENABLED', 2)"),
]


@pytest.fixture(scope="module")
def history() -> History:
    named = {"source": "ads", "credentials": "ads", "start_date": "2026-06-01", "reports": ["campaigns_metadata"]}
    return histories_of(account_of(AdsSource.model_validate(named)))[0]


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def load(con: duckdb.DuckDBPyConnection, history: History, name: str, rows: list[str], folder: Path) -> list[Path]:
    """A snapshot of these rows, the last value of which is the day of the last update."""
    file = folder / f"{name}.parquet"
    values = "p, i, n, s, timestamp '2026-06-01' + interval (d) day, timestamp '2026-06-09'"
    con.execute(f"copy (select {values} from (values {', '.join(rows)}) t(p, i, n, s, d)) to '{file}' (format parquet)")
    renamed = ", ".join(f"#{place} as {column}" for place, column in enumerate(COLUMNS, start=1))
    named = folder / f"{name}-named.parquet"
    con.execute(f"copy (select {renamed} from read_parquet('{file}')) to '{named}' (format parquet)")
    entities(con, history, name, [named])
    return [named]


@pytest.mark.parametrize("missing", [REMOVED, UNREAD])
def test_a_change_that_is_lost_or_made_up_is_found(
    con: duckdb.DuckDBPyConnection, history: History, missing: str, tmp_path: Path
) -> None:
    load(con, history, "before", BEFORE, tmp_path)
    files = load(con, history, "now", NOW, tmp_path)
    compared = [name for name in history.columns if name in COLUMNS]
    con.execute(f"create table made as {differences(history, compared, missing)}")
    made = con.execute("select campaign_id, campaign_name, state, change from made order by 1").fetchall()
    assert made == [
        (1, "b", "ENABLED", "changed"),
        (2, "a", "ENABLED", missing),
        (3, "a", "PAUSED", "changed"),
        (4, "new", "ENABLED", "began"),
        (9, "a", "ENABLED", "began"),
    ]

    def judged(rows: str) -> bool:
        con.execute(f"create or replace view written as select {rows}")
        return compare(con, history, compared, missing, files).passed

    assert judged("* from made")
    assert compare(con, history, compared, missing, files).metrics["repeated"] == 1
    for number, *_, change in made:
        assert not judged(f"* from made where campaign_id <> {number}"), f"{number} is lost"
        other = f"case when campaign_id = {number} then 'other' else campaign_name end as campaign_name"
        assert judged(f"* replace ({other}) from made") == (change == REMOVED), f"{number} is another"
    assert not judged("* from made union all by name select * replace (77 as campaign_id) from made limit 6")
