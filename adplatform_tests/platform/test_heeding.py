"""A signal ends a long statement of DuckDB, and what its handler raises is what is seen."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from adplatform.platform.heeding import heeding

ENDLESS = {
    "counting": "select count(*) from range(100000000) a(i), range(3000) b(j) where hash(i * j) % 7 = 1",
    "sorting": "select hash(i * j) from range(100000000) a(i), range(3000) b(j) order by 1",
}
PROGRAM = """\
import duckdb, os, signal, sys, threading
from adplatform.platform.heeding import heeding

class Stopped(BaseException):
    pass

def handler(*_):
    raise Stopped

signal.signal(signal.SIGTERM, handler)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
giving_up = threading.Timer(20, os._exit, (9,))
giving_up.start()
try:
    with duckdb.connect(config={"temp_directory": sys.argv[2]}) as plain, heeding(plain) as connection:
        try:
            connection.execute(sys.argv[1]).fetchall()
        except Exception as e:
            print("failed", e)
except Stopped:
    print("stopped")
giving_up.cancel()
"""


@pytest.mark.parametrize("statement", ENDLESS)
def test_a_signal_ends_a_statement_that_would_go_on_for_hours(statement: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, ENDLESS[statement], str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "stopped\n"), ended.stderr


def test_a_connection_that_heeds_signals_answers_and_fails_as_any_other() -> None:
    before = signal.set_wakeup_fd(-1)
    with duckdb.connect() as plain, heeding(plain) as connection:
        assert connection.execute("select ?", [1]).fetchall() == [(1,)]
        assert connection.sql("select 2 as two").columns == ["two"]
        with pytest.raises(duckdb.ParserException):
            connection.execute("selec")
    assert signal.set_wakeup_fd(before) == -1


def test_another_thread_uses_the_connection_as_it_is() -> None:
    seen: list[bool] = []

    def use() -> None:
        with duckdb.connect() as plain, heeding(plain) as connection:
            seen.append(connection is plain)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [True]
