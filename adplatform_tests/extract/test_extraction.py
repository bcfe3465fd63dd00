"""A reading of a table survives what happens to it: killed connections, killed runs, a lost view, a wish to stop."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.contracts.database import DatabaseSource
from adplatform.extract.extraction import extract
from adplatform.extract.reading import Pace, Piece, Reading, Sink, View
from adplatform.extract.table import Table, opened, view_of
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import RunState
from adplatform.ledger.extracts import Chunk, Extract
from adplatform_tests.support.databases import Database

ROWS = 40_000
CHUNK = 4_000
ALL = list(range(1, ROWS + 1))


@pytest.fixture
def orders(shop: Database, services: Services) -> Database:
    """A table of many pages, with a cursor that several rows share."""
    provision(services, [])
    shop.execute(
        "CREATE TABLE orders (id int, amount numeric(10,2), email text, at timestamptz NOT NULL)",
        f"INSERT INTO orders SELECT n, n / 100.0, 'c' || n || '@example.com',"
        f" '2026-01-01'::timestamptz + (n / 7) * interval '1 ms' FROM generate_series(1, {ROWS}) n",
        "ANALYZE orders",
    )
    return shop


def table_of(shop: Database, *, source: dict[str, Any] | None = None, **feed: Any) -> Table:
    columns = {"id": {"type": "int", "required": True}, "amount": "decimal(10,2)", "at": "timestamp"}
    declared = {"name": "orders", "start_date": "2026-01-01", "columns": columns, "chunks": {"rows": CHUNK}, **feed}
    made = {"source": "shop", "connection": shop.secret, "tls": "off", "feeds": [declared], **(source or {})}
    model = DatabaseSource.model_validate(made)
    return Table(model, model.feeds[0])


INCREMENTAL = {"incremental": {"cursor": "at", "lag": "0s"}}


def claimed(services: Services, id: str = "first", run: str = "run-1") -> Extract:
    """A reading that a run has claimed, taken from the run that had it."""
    extracts = services.ledger.extracts
    row = extracts.get("shop", "orders", id) or extracts.want("shop", "orders", id)
    assert row is not None
    if row.run_id:
        row = extracts.give_back(row, "its run died", None, failed=True)
        assert row is not None
    row = extracts.claim(row, run)
    assert row is not None
    return row


def latest(services: Services, id: str = "first") -> Extract:
    row = services.ledger.extracts.get("shop", "orders", id)
    assert row is not None
    return row


def counted(services: Services, row: Extract) -> list[Chunk]:
    """The chunks that the manifest may list."""
    return [c for c in services.ledger.extracts.chunks(row) if row.until or c.generation == row.generation]


def ids_of(services: Services, row: Extract) -> list[int]:
    """The ids in the raw objects that the reading counts."""
    found = []
    for chunk in counted(services, row):
        body = services.s3.get_object(Bucket=services.zones.raw_bucket, Key=chunk.key)["Body"].read()
        lines = gzip.decompress(body).decode().splitlines()
        assert len(lines) == chunk.rows + 1
        found += [int(line.split(",")[0]) for line in lines[1:]]
    return sorted(found)


def objects_in(services: Services) -> set[str]:
    listed = services.s3.list_objects_v2(Bucket=services.zones.raw_bucket, Prefix="landing/")
    return {each["Key"] for each in listed.get("Contents", ())}


@dataclass(frozen=True)
class Hurt:
    """A view to which something happens while a piece is read for the ``at``-th time."""

    view: View
    do: Callable[[View], None]
    at: int
    read_: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def workers(self) -> int:
        return self.view.workers

    def newest(self, reading: Reading, column: str) -> Any:
        return self.view.newest(reading, column)

    def divide(self, reading: Reading) -> Any:
        return self.view.divide(reading)

    def read(self, reading: Reading, piece: Piece, sink: Sink, pace: Pace) -> int:
        with self.lock:
            self.read_.append(piece.number)
            hurts = len(self.read_) == self.at
        if hurts:
            self.do(self.view)
        return self.view.read(reading, piece, Slow(sink, self, hurts), pace)


@dataclass
class Slow:
    """A sink to which a connection still writes while it is killed."""

    sink: Sink
    hurt: Hurt
    hurts: bool
    written: int = 0

    def write(self, data: bytes, /) -> None:
        self.written += 1
        if self.hurts and self.written == 100:
            self.hurt.do(self.hurt.view)
        self.sink.write(data)


def hurting(do: Callable[[View], None], at: int, into: list[Hurt] | None = None) -> Callable[..., Any]:
    @contextmanager
    def view(engine: Any, workers: int) -> Iterator[View]:
        with view_of(engine, workers) as seen:
            hurt = Hurt(seen, do, at)
            (into if into is not None else []).append(hurt)
            yield hurt

    return view


def kill_readers(shop: Database) -> Callable[[View], None]:
    """Ends every connection that reads by ``COPY``, as a failing server does: once, in the midst of a piece, which is
    the second time that a view is hurt."""
    times: list[None] = []

    def kill(_: View) -> None:
        times.append(None)
        if len(times) != 2:
            return
        shop.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{shop.name}' AND query LIKE 'COPY%'"
        )

    return kill


def kill_all(shop: Database) -> Callable[[View], None]:
    def kill(_: View) -> None:
        shop.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{shop.name}' AND pid <> pg_backend_pid()"
        )

    return kill


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_chunks_are_kept_one_by_one_and_the_manifest_last(
    services: Services, orders: Database, tmp_path: Path, workers: int
) -> None:
    row = extract(services, table_of(orders, source={"workers": workers}), claimed(services), None, tmp_path)
    assert (row.state, row.rows, row.generation) == (RunState.SUCCEEDED, ROWS, 1)
    assert row.files == len(counted(services, row)) >= ROWS / CHUNK - 1
    assert ids_of(services, row) == ALL
    assert objects_in(services) == {c.key for c in counted(services, row)}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("feed", [{}, pytest.param(INCREMENTAL, marks=pytest.mark.slow)])
def test_a_killed_connection_costs_its_chunk(
    services: Services, orders: Database, tmp_path: Path, feed: dict[str, Any]
) -> None:
    seen: list[Hurt] = []
    row = extract(
        services,
        table_of(orders, **feed),
        claimed(services),
        None,
        tmp_path,
        view=hurting(kill_readers(orders), 3, seen),
    )
    assert ids_of(services, row) == ALL
    assert row.files < len(seen[0].read_) <= row.files + 2, "only what was being read is read again"


def test_without_its_view_a_whole_table_is_read_anew_and_what_was_left_counts_for_nothing(
    services: Services, orders: Database, tmp_path: Path
) -> None:
    table = table_of(orders)
    with pytest.raises(TransientFailure, match="shop/orders"):
        extract(services, table, claimed(services), None, tmp_path, view=hurting(kill_all(orders), 5))
    left = objects_in(services)
    assert left and latest(services).state is RunState.RUNNING
    orders.execute("DELETE FROM orders WHERE id <= 100")
    row = extract(services, table, claimed(services, run="run-2"), None, tmp_path)
    assert row.generation == 2
    assert ids_of(services, row) == ALL[100:]
    assert objects_in(services) == {c.key for c in counted(services, row)}
    assert not left & objects_in(services)


def test_chunks_of_a_cursor_stay_when_the_view_is_lost(services: Services, orders: Database, tmp_path: Path) -> None:
    table, seen = table_of(orders, **INCREMENTAL), []
    with pytest.raises(TransientFailure):
        extract(services, table, claimed(services), None, tmp_path, view=hurting(kill_all(orders), 6))
    kept = counted(services, latest(services))
    assert kept
    orders.execute("INSERT INTO orders SELECT n, 1, 'x', '2026-06-01' FROM generate_series(900001, 900010) n")
    row = extract(
        services, table, claimed(services, run="run-2"), None, tmp_path, view=hurting(lambda _: None, 0, seen)
    )
    assert ids_of(services, row) == ALL, "what came later is the next reading's"
    assert len(seen[0].read_) == row.files - len(kept)
    following = extract(services, table, claimed(services, "second"), row, tmp_path)
    assert ids_of(services, following) == list(range(900001, 900011))


def test_a_lag_brings_rows_again_whose_transaction_ended_late(
    services: Services, orders: Database, tmp_path: Path
) -> None:
    table = table_of(orders, incremental={"cursor": "at", "lag": "1s"})
    first = extract(services, table, claimed(services), None, tmp_path)
    orders.execute(
        "INSERT INTO orders SELECT 900001, 1, 'late', max(at) - interval '0.5 s' FROM orders",
        "INSERT INTO orders SELECT 900002, 1, 'too late', max(at) - interval '1.5 s' FROM orders",
    )
    found = ids_of(services, extract(services, table, claimed(services, "second"), first, tmp_path))
    assert 900001 in found and 900002 not in found
    assert len(found) == pytest.approx(7000, abs=10)


@pytest.mark.slow
def test_nothing_new_is_a_reading_without_files(services: Services, orders: Database, tmp_path: Path) -> None:
    table = table_of(orders, **INCREMENTAL)
    first = extract(services, table, claimed(services), None, tmp_path)
    second = extract(services, table, claimed(services, "second"), first, tmp_path)
    assert (second.state, second.rows, second.files) == (RunState.SUCCEEDED, 0, 0)
    orders.execute("INSERT INTO orders VALUES (900001, 1, 'x', '2026-06-01')")
    assert ids_of(services, extract(services, table, claimed(services, "third"), second, tmp_path)) == [900001]
    orders.execute("DELETE FROM orders")
    fourth = extract(services, table, claimed(services, "fourth"), latest(services, "third"), tmp_path)
    assert (fourth.rows, fourth.until) == (0, latest(services, "third").until)


def test_a_wish_to_stop_ends_it(services: Services, orders: Database, tmp_path: Path) -> None:
    clock = [services.now()]
    slow = replace(services, now=lambda: clock[0])

    def stop(_: View) -> None:
        clock[0] += timedelta(seconds=30)
        row = latest(slow)
        if not row.stopping:
            slow.ledger.extracts.stop(row)

    with pytest.raises(PermanentFailure, match="somebody stopped it"):
        extract(slow, table_of(orders), claimed(slow), None, tmp_path, view=hurting(stop, 4))
    ended = slow.ledger.extracts.fail(latest(slow), "somebody stopped it")
    assert ended is not None and ended.state is RunState.CANCELLED


def test_a_view_is_not_held_for_longer_than_it_may(services: Services, orders: Database, tmp_path: Path) -> None:
    clock = [services.now()]
    slow = replace(services, now=lambda: clock[0])

    def age(_: View) -> None:
        clock[0] += timedelta(hours=2)

    table = table_of(orders, source={"snapshot_max_age": "1h"})
    with pytest.raises(PermanentFailure, match="snapshot_max_age"):
        extract(slow, table, claimed(slow), None, tmp_path, view=hurting(age, 2))


def test_rows_are_read_no_faster_than_asked(services: Services, orders: Database, tmp_path: Path) -> None:
    slept: list[float] = []
    pace = Pace(10_000, clock=lambda: 0.0, sleep=slept.append)
    extract(services, table_of(orders), claimed(services), None, tmp_path, pace=pace)
    assert max(slept) == pytest.approx(ROWS / 10_000, rel=0.15)


def test_a_secret_of_another_kind_of_database_than_is_declared_is_refused(services: Services, orders: Database) -> None:
    feed = {"name": "orders", "start_date": "2026-01-01", "columns": {"id": {"type": "bigint", "required": True}}}
    given = {"source": "shop", "connection": orders.secret, "dialect": "mysql", "feeds": [feed]}
    declared = DatabaseSource.model_validate(given)
    said = "is of postgres, and dialect is mysql: correct `engine` there, or dialect"
    with pytest.raises(PermanentFailure, match=said), opened(services.secrets, declared):
        pass
