"""A query on this machine gets the catalog's tables, and nothing else of the machine."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.query import OpenTable, closed_off, dataset, run_query
from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws
from adplatform_tests.lake.support import contract, source_name, spec_of, staged
from adplatform_tests.lake.test_scopes import DAY
from adplatform_tests.support.proxy import Answer, Exchange, proxied

SECRET = "a line of a file that is nobody's table"
REACHING_OUT = [
    "select * from read_text('{file}')",
    "select * from read_blob('{file}')",
    "from '{file}'",
    "from read_csv('{file}', columns = {{'line': 'varchar'}})",
    "from sniff_csv('{file}')",
    "from read_parquet('{file}')",
    "from read_json('{file}')",
    "from glob('{folder}/*')",
    "from query('from read_text(''{file}'')')",
    "create view v as from read_text('{file}')",
    "create macro m() as table from read_text('{file}')",
    "copy (from {table}) to '{folder}/copied.csv'",
    "copy (from {table}) to '{folder}/copied.parquet' (format parquet)",
    "create table t (line varchar); copy t from '{file}'",
    "export database '{folder}/exported'",
    "import database '{folder}'",
    "attach '{folder}/attached.duckdb' as other",
    "install httpfs",
    "load httpfs",
    "load '{folder}/own.duckdb_extension'",
    "from 's3://adplatform-raw/landing/a.csv'",
    "from 'https://127.0.0.1:9/a.csv'",
    "select getenv('HOME')",
    "create secret s (type s3)",
    "from duckdb_secrets()",
    "set enable_external_access = true",
    "reset enable_external_access",
    "pragma enable_external_access = true",
    "set lock_configuration = false",
    "set temp_directory = '{folder}'",
    "set home_directory = '{folder}'",
    "set extension_directory = '{folder}'",
    "set allowed_directories = ['{folder}']",
    "set profiling_output = '{folder}/profile.json'",
    "call enable_logging(storage_path = '{folder}')",
    "select * from s3",
    "select 1; set enable_external_access = true; from read_text('{file}')",
]


@pytest.fixture
def table(lake: Lake, temp: Path) -> Iterator[TableSpec]:
    spec = spec_of(contract({"id": "bigint"}), source=source_name())
    publish(lake, spec, DAY, 1, staged(spec, temp, {"": [{"id": i} for i in range(3)]}), run_id="r", temp=temp)
    yield spec


def test_a_query_reads_the_tables_and_reaches_nothing_else(
    aws: Aws, lake: Lake, table: TableSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    file = folder / "notes.txt"
    file.write_text(SECRET)

    def ask(sql: str) -> list[tuple[object, ...]]:
        return run_query(aws, lake.catalog.glue, table.database, sql, 10)[1]

    reached = []
    for sql in REACHING_OUT:
        text = sql.format(file=file, folder=folder, table=table.qualified)
        try:
            reached.append((text, ask(text)))
        except PermanentFailure as e:
            assert SECRET not in str(e)
    assert not reached
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert ask(f"select count(*), sum(id) from {table.qualified}") == [(3, 3)]
    assert ask("create temp table kept as select 7 as n; select n from kept") == [(7,)]


def test_a_query_that_is_refused_says_what_it_may_read(aws: Aws, lake: Lake, table: TableSpec, tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="it may read the tables that `adplatform tables` lists"):
        run_query(aws, lake.catalog.glue, table.database, f"copy (select 1) to '{tmp_path}/x.csv'", 10)


def test_a_query_that_fails_while_its_rows_are_fetched_is_a_failure_of_the_query(
    aws: Aws, lake: Lake, table: TableSpec
) -> None:
    sql = f"select case when id > 1 then error('third row') else id end from {table.qualified}"
    with pytest.raises(PermanentFailure, match=r"the query failed: .*third row"):
        run_query(aws, lake.catalog.glue, table.database, sql, 10)


def test_a_query_stays_within_its_memory_and_leaves_no_file(
    aws: Aws, lake: Lake, table: TableSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    sql = f"select count(distinct i::varchar || repeat('x', 60)) from {table.qualified}, range(400_000) as r(i)"
    assert run_query(aws, lake.catalog.glue, table.database, sql, 1, "48MB")[1] == [(400_000,)]
    assert not list(here.iterdir())


@contextmanager
def silent() -> Iterator[str]:
    """An endpoint that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def gone() -> Iterator[str]:
    with silent() as endpoint:
        pass
    yield endpoint


@contextmanager
def lists_only(endpoint: str) -> Iterator[str]:
    """One whose objects cannot be had although it lists them."""

    def serve(exchange: Exchange) -> None:
        answer = exchange.forward()
        is_object = exchange.command == "GET" and ".parquet" in exchange.path.partition("?")[0]
        exchange.reply(Answer(404, (), b"", 0) if is_object else answer)

    with proxied(endpoint, serve) as before:
        yield before


@pytest.mark.parametrize("broken", ["silent", "gone", "lists_only"])
def test_an_endpoint_that_does_not_answer_is_told_in_one_line(
    aws: Aws, lake: Lake, table: TableSpec, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr("adplatform.lake.query._REQUEST", 1)
    endpoints = {"silent": silent, "gone": gone, "lists_only": lambda: lists_only(str(aws.endpoint_url))}
    with endpoints[broken]() as endpoint, pytest.raises(TransientFailure) as failure:
        run_query(Aws(aws.region, endpoint), lake.catalog.glue, table.database, f"from {table.qualified}", 10)
    assert str(failure.value).startswith("the query failed: S3 does not give a file of a table, or not in time: ")
    assert "AWS_ENDPOINT_URL" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_table_of_many_partitions_is_listed_as_a_whole_and_a_query_opens_the_files_that_it_needs(
    aws: Aws, lake: Lake, temp: Path
) -> None:
    spec = spec_of(contract({"id": "bigint", "day": "int"}, partition_by="day"), source=source_name())
    rows = {str(day): [{"id": day}] for day in range(30)}
    publish(lake, spec, DAY, 1, staged(spec, temp, rows), run_id="r", temp=temp)
    asked: Counter[str] = Counter()

    def serve(exchange: Exchange) -> None:
        if "X-Amz-Target" not in exchange.headers:
            asked[f"{exchange.command} {'list' if 'list-type' in exchange.path else 'file'}"] += 1
        exchange.reply(exchange.forward())

    sql = f"select id from {spec.database}.{spec.name} where day = 7"
    with proxied(aws.endpoint_url or "", serve) as url:
        through = replace(aws, endpoint_url=url)
        assert run_query(through, through.client("glue"), spec.database, sql, 10)[1] == [(7,)]
    assert asked == {"GET list": 1, "GET file": 2}


@pytest.mark.slow
def test_a_query_of_a_few_of_very_many_partitions_ends(tmp_path: Path) -> None:
    few, many = 3, 110_000
    folders = [tmp_path / "bucket" / "a" / "b" / f"{n}" for n in range(many)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "a.parquet").touch()
    for folder in folders[:few]:
        pq.write_table(pa.table({"id": [1]}), folder / "a.parquet")
    locations = tuple(((str(min(n, few)),), f"s3://bucket/a/b/{n}") for n in range(many))
    table = OpenTable("d", "t", (("id", "bigint"),), (("part", "int"),), locations)
    found = dataset(SubTreeFileSystem(f"{tmp_path}", LocalFileSystem()), table)
    with closed_off("1GB") as con:
        con.register("t", found)
        assert con.execute(f"select count(*) from t where part < {few}").fetchall() == [(few,)]
