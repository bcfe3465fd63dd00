"""What reading a table of PostgreSQL costs: 3 M rows of 11 columns, ours with one and two workers against ADBC,
ConnectorX, DuckDB's extension and SQLAlchemy, all in one run. ``python -m benchmarks.extract [ROWS] [PYTHON]``, where
PYTHON is an interpreter that has the peers (``benchmarks/extract_peers.py`` says which); without it only ours runs.

Ours writes the text of ``COPY`` compressed, exact for every value; the others write Parquet of the types that their
drivers make. CPU is that of the client, in a process of its own; each contender has to bring every row.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import igzip

from adplatform.extract.connection import Connecting, Credentials, database
from adplatform.extract.extraction import COMPRESSION, Buffered
from adplatform.extract.postgres import postgres_view
from adplatform.extract.reading import Pace, Piece, Reading
from adplatform.local.world.postgres import postgres_server
from benchmarks.extract_peers import PEERS, peak_mb

COLUMNS = [
    "id",
    "customer_id",
    "amount",
    "score",
    "active",
    "created_at",
    "updated_at",
    "day",
    "name",
    "ref",
    "attrs",
]  # fmt: skip
BAR_CPU, BAR_MB = 12.0, 250
TABLE = """
    create table orders (
      id bigint primary key, customer_id int not null, amount numeric(12,2), score double precision, active boolean,
      created_at timestamptz not null, updated_at timestamp, day date, name text, ref uuid, attrs jsonb);
    insert into orders
    select i, (i * 2654435761 % 500000)::int, case when i % 20 > 0 then ((i * 7919) % 1000000000)::numeric / 100 end,
      case when i % 17 > 0 then i * 1.1 / 7 end, case when i % 11 > 0 then i % 2 = 0 end,
      timestamptz '2026-01-01 00:00:00+00' + i * interval '1 s' + (i % 1000000) * interval '1 us',
      case when i % 13 > 0 then timestamp '2026-01-01' + i % 86400000 * interval '1 ms' end,
      date '2024-01-01' + (i % 730)::int,
      case i % 10 when 0 then null when 1 then '' when 2 then 'Zürich, "' || i || '"' when 3 then '東京 ' || i
        when 4 then E'Two\\nlines ' || i else 'Customer number ' || i end,
      md5(i::text)::uuid,
      case when i % 9 > 0 then
        jsonb_build_object('k', i, 'tags', jsonb_build_array('a', 'ü'), 'n', null, 'v', i * 0.1) end
    from generate_series(1::bigint, {rows}) i;
    analyze orders
"""


def ours(url: str, workers: int) -> None:
    """Reads the table in this process; its figures go to stdout."""
    host, port, password = url.split("|")
    credentials = Credentials("postgres", host, int(port), "postgres", password, "postgres")
    reading = Reading("public", "orders", tuple(COLUMNS))
    with (
        database(credentials, Connecting(verified=False)) as engine,
        postgres_view(engine, workers) as view,
        tempfile.TemporaryDirectory() as folder,
    ):

        def read(piece: Piece) -> int:
            with (
                (Path(folder) / str(piece.number)).open("wb") as raw,
                igzip.IGzipFile(fileobj=raw, mode="wb", compresslevel=COMPRESSION, mtime=0) as out,
            ):
                buffered = Buffered(out)
                rows = view.read(reading, piece, buffered, Pace())
                buffered.flush()
            return rows

        with ThreadPoolExecutor(workers) as pool:
            rows = sum(pool.map(read, view.divide(reading)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"rows": rows, "cpu": round(used.ru_utime + used.ru_stime, 1), "peak_mb": peak_mb()}))


def main(rows: int, python: str) -> None:
    with (
        postgres_server(max_wal_size="4GB", synchronous_commit="off") as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        with server.connect() as connection:
            connection.execute(TABLE.format(rows=rows))
        place = f"127.0.0.1|{server.port}|{server.password}"
        url = f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/postgres"
        contenders = {
            f"ours, {n} worker{'s' * (n > 1)}": [sys.executable, "-m", "benchmarks.extract", "--ours", place, str(n)]
            for n in (1, 2)
        }
        peers = str(Path(__file__).with_name("extract_peers.py"))
        for name in PEERS if python else ():
            contenders[name] = [python, peers, name, url, "orders", folder]
        print(f"{rows:,} rows of {len(COLUMNS)} columns; CPU of the client, bar {BAR_CPU} s a 3 M rows, {BAR_MB} MB")
        for _ in range(2):
            for name, command in contenders.items():
                began = time.monotonic()
                done = subprocess.run(command, check=False, capture_output=True, text=True)
                if done.returncode:
                    print(f"{name:18} failed: {done.stderr.strip().splitlines()[-1]}")
                    continue
                figures = json.loads(done.stdout)
                if figures["rows"] != rows:
                    raise SystemExit(f"{name} brought {figures['rows']} of {rows} rows")
                wall = time.monotonic() - began
                print(f"{name:18} {figures['cpu']:6.1f} CPU-s {figures['peak_mb']:5} MB, wall {wall:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(sys.argv[2], int(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_000_000, sys.argv[2] if len(sys.argv) > 2 else "")
