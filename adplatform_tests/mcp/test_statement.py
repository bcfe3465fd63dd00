"""A query of an assistant is one SELECT over tables that it names, and nothing else."""

import pytest

from adplatform.failures import PermanentFailure
from adplatform.mcp.statement import LONGEST, select_of

HOSTILE = [
    "",
    "select 1",
    "selec * from db.t",
    "from db.t; from db.u",
    "from db.t; set lock_configuration = false",
    "copy db.t to '/tmp/out.csv'",
    "copy (from db.t) to 's3://bucket/out.parquet'",
    "attach '/tmp/other.duckdb' as other",
    "detach memory",
    "use memory",
    "install httpfs",
    "load httpfs",
    "pragma database_list",
    "set enable_external_access = true",
    "reset enable_external_access",
    "call duckdb_settings()",
    "checkpoint",
    "vacuum",
    "export database '/tmp/out'",
    "import database '/tmp/in'",
    "create table mine as from db.t",
    "create or replace view db.t as select 1",
    "create macro m() as table from db.t",
    "create secret s (type s3)",
    "insert into db.t values (1)",
    "update db.t set x = 1",
    "delete from db.t",
    "truncate db.t",
    "drop table db.t",
    "alter table db.t add column y int",
    "begin transaction",
    "prepare p as from db.t",
    "execute p",
    "explain from db.t",
    "explain analyze from db.t",
    "show tables",
    "show all tables",
    "describe db.t",
    "summarize db.t",
    "from (describe db.t)",
    "from (show databases)",
    "with gone as (delete from db.t returning *) from gone",
    "with new as (insert into db.t values (1) returning *) from new, db.u",
    "with other as (update db.t set x = 1 returning *) from other",
    "from 'data.csv'",
    "from '/etc/passwd'",
    "from 's3://bucket/key.parquet'",
    "from db.t, 'https://example.com/x.json'",
    'from "data.parquet"',
    "from read_csv('/etc/passwd')",
    "from db.t where x in (select content from read_text('/etc/passwd'))",
    "select (select content from read_blob('/etc/passwd')) from db.t",
    "from db.t union all from read_parquet('x.parquet')",
    "with a as (from read_json('x')) from a, db.t",
    "from db.t join glob('/*') on true",
    "from db.t, lateral (from read_csv(x))",
    "from parquet_scan('x')",
    "from parquet_metadata('x')",
    "from sniff_csv('x')",
    "from READ_CSV('x')",
    "from main.read_csv('x')",
    "from query('from db.t')",
    "from query_table('db.t')",
    "from json_execute_serialized_sql('{}')",
    "from duckdb_secrets()",
    "from duckdb_settings()",
    "from duckdb_tables()",
    "from pragma_table_info('db.t')",
    "from pg_timezone_names()",
    "from information_schema",
    "from sqlite_master",
    "from t",
    "from memory.db.t",
    "from system.information_schema.tables",
    "with db as (select 1) from db.t, db2",
    "select current_setting('temp_directory') from db.t",
    "select main.current_setting('temp_directory') from db.t",
    "select x from db.t order by getvariable('v')",
    "select getenv('HOME') from db.t",
    "select write_log('x') from db.t",
    "select sleep_ms(100000) from db.t",
    "from db.t where x = nextval('s')",
    "pivot db.t on x using sum(y)",
    f"select {'(' * 5000}1{')' * 5000} from db.t",
    f"select {' + '.join('1' * 20_000)} from db.t",
    "from db.t -- " + "x" * LONGEST,
]


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda sql: sql[:50])
def test_what_is_no_select_over_named_tables_is_refused(sql: str) -> None:
    with pytest.raises(PermanentFailure):
        select_of(sql)


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("from db.t", {"db.t"}),
        ("select * from db.t;", {"db.t"}),
        ('select count(*) filter (where x > 1) from "DB"."T" as a join db.u b using (x)', {"db.t", "db.u"}),
        ("with a as (from db.t), b as (from a) select (select max(x) from db.u) from b", {"db.t", "db.u"}),
        ("with recursive n as (select 1 i union all select i + 1 from n where i < 9) from n, db.t", {"db.t"}),
        ("from db.t union all by name from db.u order by all limit 5", {"db.t", "db.u"}),
        ("select unnest([1, 2]), list_transform([1], lambda i: i + x) from db.t, range(3)", {"db.t"}),
        ("from db.t pivot (sum(y) for x in (1, 2))", {"db.t"}),
        ("select row_number() over (partition by x order by y) from db.t, (values (1)) v(z) qualify x > 1", {"db.t"}),
        ("from db.t tablesample 10%", {"db.t"}),
    ],
)
def test_a_select_says_which_tables_it_reads(sql: str, tables: set[str]) -> None:
    assert {".".join(each) for each in select_of(sql).tables} == tables


def test_a_refusal_says_what_is_wrong_and_what_may_be_asked() -> None:
    with pytest.raises(PermanentFailure, match=r"read_csv\(\) stands in the place of a table\. It may be one SELECT"):
        select_of("from db.t, read_csv('/etc/passwd')")
    with pytest.raises(PermanentFailure, match="it is SELECT and SET"):
        select_of("from db.t; set threads = 1")
