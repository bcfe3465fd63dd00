"""A history of runs that keeps its engines is the one that Dagster would have written."""

import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as db
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from adplatform.cli.run_history import keep_engines
from adplatform_tests.support.waiting import eventually


@dg.asset
def numbers() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 3})


@dg.asset_check(asset=numbers)
def known() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@contextmanager
def opened(home: Path, *, kept: bool) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        if kept:
            keep_engines(instance)
        yield instance


def run(instance: dg.DagsterInstance) -> str:
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return dg.materialize([numbers, known], instance=instance, run_config=quiet).run_id


def kinds(instance: dg.DagsterInstance, run_id: str) -> list[Any]:
    return [entry.dagster_event_type for entry in instance.all_logs(run_id)]


def tables(path: Path) -> tuple[list[Any], list[Any]]:
    with closing(sqlite3.connect(path)) as file:
        made = file.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
        return made, file.execute("SELECT version_num FROM alembic_version").fetchall()


def test_dagster_reads_what_was_kept_and_goes_on_with_it(tmp_path: Path) -> None:
    with opened(tmp_path, kept=False) as plain:
        before = run(plain)
        expected = kinds(plain, before)
    with opened(tmp_path, kept=True) as kept:
        first, second = run(kept), run(kept)
        with opened(tmp_path, kept=False) as plain:  # while the other one is open
            assert [kinds(plain, each) for each in (first, second)] == [expected, expected]
            assert {each.run_id for each in plain.get_runs()} == {before, first, second}
            after = run(plain)
        assert kinds(kept, after) == kinds(kept, before) == expected
        latest = kept.get_latest_materialization_event(dg.AssetKey("numbers"))
        assert latest is not None
        assert latest.run_id == after
    files = tmp_path / "history" / "runs"
    assert tables(files / f"{first}.db") == tables(files / f"{second}.db") == tables(files / f"{before}.db")
    assert {each.suffix for each in files.iterdir()} == {".db"}


def test_a_second_run_makes_no_table_and_connects_once_to_its_own_file_alone(tmp_path: Path) -> None:
    made: Counter[str] = Counter()

    def note_connection(connection: sqlite3.Connection, _: Any) -> None:
        (_, _, path), *_ = connection.execute("PRAGMA database_list").fetchall()
        made[Path(path).name] += 1

    def note_statement(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        made[statement.split(maxsplit=1)[0]] += 1

    with opened(tmp_path, kept=True) as kept:
        run(kept)
        db.event.listen(Pool, "connect", note_connection)
        db.event.listen(Engine, "before_cursor_execute", note_statement)
        try:
            second = run(kept)
        finally:
            db.event.remove(Pool, "connect", note_connection)
            db.event.remove(Engine, "before_cursor_execute", note_statement)
    assert made["INSERT"] > 10
    assert {name: made[name] for name in ("CREATE", "index.db", "runs.db")} == {
        "CREATE": 0,
        "index.db": 0,
        "runs.db": 0,
    }
    assert made[f"{second}.db"] == 1


def test_another_process_that_watches_a_run_hears_of_each_event(tmp_path: Path) -> None:
    heard: list[str] = []
    with opened(tmp_path, kept=True) as kept, opened(tmp_path, kept=False) as plain:
        run(kept)
        declared = dg.Definitions([numbers], jobs=[dg.define_asset_job("all", [numbers])])
        watched = kept.create_run_for_job(declared.resolve_job_def("all"))
        kept.report_engine_event("begun", watched)
        plain.watch_event_logs(watched.run_id, None, lambda entry, _: heard.append(entry.message))
        for number in range(3):
            kept.report_engine_event(f"event {number}", watched)
            eventually(lambda expected=f"event {number}": expected in heard)


def _reports_and_dies(home: Path, told: Any) -> None:
    with opened(home, kept=True) as kept:
        first = run(kept)
        of_run = kept.get_run_by_id(first)
        assert of_run is not None
        kept.report_engine_event("the last words", of_run)
        told.send(first)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # a fork of a process with threads
def test_a_process_that_is_killed_leaves_every_event_to_its_successor(tmp_path: Path) -> None:
    process = get_context("fork")
    heard, told = process.Pipe(duplex=False)
    child = process.Process(target=_reports_and_dies, args=(tmp_path, told))
    child.start()
    told.close()
    killed = heard.recv()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with opened(tmp_path, kept=True) as successor:
        assert [entry.message for entry in successor.all_logs(killed)][-1] == "the last words"
        assert kinds(successor, run(successor)) == kinds(successor, killed)[:-1]
        assert len(successor.get_runs()) == 2


@pytest.mark.slow
def test_what_is_wiped_is_gone_and_new_runs_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path, kept=True) as kept:
        gone = run(kept)
        kept.wipe()
        assert kinds(kept, gone) == []
        assert len(kinds(kept, run(kept))) > 10


def test_an_instance_that_is_not_on_sqlite_files_is_left_as_it_is(instance: dg.DagsterInstance) -> None:
    before = type(instance.event_log_storage), type(instance.run_storage)
    keep_engines(instance)
    assert (type(instance.event_log_storage), type(instance.run_storage)) == before
