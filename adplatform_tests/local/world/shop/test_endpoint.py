"""The shop as a process: shared, keeping its state, started by a person, and ending with whoever started it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adplatform.local.world.shop.contents import CUSTOMERS, ORDERS, TABLES
from adplatform.local.world.shop.endpoint import connection, ensure, place_of
from adplatform.local.world.shop.world import forget
from adplatform_tests.local.world.shop.support import admin

OWNER = """
import sys, time
from pathlib import Path
from adplatform.local.world.shop.endpoint import ensure
print(ensure(Path(sys.argv[1])).url, flush=True)
time.sleep(600)
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "shop"
    yield folder
    forget(folder)
    assert not place_of(folder).exists()


def truth(url: str) -> dict[str, object]:
    return {table: admin(url, "truth", table=table) for table in TABLES}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def eventually(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_what_it_sold_is_there_after_a_restart_and_gone_once_it_is_forgotten(data: Path) -> None:
    with ensure(data) as endpoint:
        admin(endpoint.url, "trade", {"orders": 10})
        sold, port = truth(endpoint.url), connection(endpoint.url)["port"]
        assert oct((data / "world.json").stat().st_mode & 0o777) == "0o600"
    assert not listens(port)
    with ensure(data) as endpoint:
        assert truth(endpoint.url) == sold
    # Somebody removed its directory by hand, and what lies elsewhere stayed.
    for kept in ("world.json", "server.lock"):
        (data / kept).unlink()
    with ensure(data) as endpoint:
        assert [admin(endpoint.url, "truth", table=t)["rows"] for t in ("customers", "orders")] == [CUSTOMERS, ORDERS]


@pytest.mark.parametrize("killed", ["owner", "shop"])
def test_a_kill_of_any_process_leaves_no_server_and_the_next_finds_everything(data: Path, killed: str) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(data)], stdout=subprocess.PIPE, text=True)
    try:
        assert owner.stdout is not None
        url = owner.stdout.readline().strip()
        admin(url, "trade", {"orders": 10})
        sold, port = truth(url), connection(url)["port"]
        record = ensure(data)
        assert (record.url, record.owned) == (url, False)
        if killed == "owner":
            owner.kill()
            owner.wait()
        else:
            os.kill(_pid(data), signal.SIGKILL)
        with ensure(data) as endpoint:  # at once, while the one before may still be ending
            assert truth(endpoint.url) == sold
        eventually(lambda: not listens(port))
    finally:
        owner.kill()
        owner.wait()


def _pid(data: Path) -> int:
    return int(json.loads((data / "endpoint.json").read_text(encoding="utf-8"))["pid"])


@pytest.mark.slow
def test_a_person_can_start_it_alone_and_it_keeps_nothing() -> None:
    command = [sys.executable, "-m", "adplatform.local.world.shop"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[5]
        port = connection(url)["port"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert "reads-the-simulated-shop" in process.stdout.read()
        assert not listens(port)
    finally:
        process.kill()
        process.wait()


def test_finding_it_loads_no_server_code() -> None:
    loaded = "print({'werkzeug', 'boto3', 'psycopg', 'pydantic'} & set(sys.modules))"
    code = f"import sys, adplatform.local.world.shop.endpoint; {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
