"""How others read a table of PostgreSQL into Parquet; ``benchmarks.extract`` runs each in a process of its own, with an
interpreter that has what they need: adbc-driver-postgresql, connectorx, duckdb 1.5 with its postgres extension,
sqlalchemy, psycopg, pyarrow. Called as ``extract_peers.py NAME URL TABLE FOLDER``; it imports nothing of ours.
"""

import json
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def _write(batches: Iterable[Any], path: Path) -> int:
    import pyarrow.parquet as pq  # noqa: PLC0415 - each contender imports what it needs

    writer, rows = None, 0
    for batch in batches:
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="zstd", compression_level=1)
        writer.write_batch(batch)
        rows += batch.num_rows
    if writer is not None:
        writer.close()
    return rows


def adbc(url: str, table: str, folder: Path) -> int:
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415 - as above

    with dbapi.connect(url) as connection, connection.cursor() as cursor:
        # Its numerics are opaque strings, exact as text.
        cursor.execute(
            "select id, customer_id, amount::text, score, active, created_at, updated_at, day, name, ref::text,"
            f" attrs::text from {table}"
        )
        return _write(cursor.fetch_record_batch(), folder / "adbc.parquet")


def connectorx(url: str, table: str, folder: Path) -> int:
    import connectorx  # noqa: PLC0415 - as above

    query = (
        "select id, customer_id, amount, score, active, created_at, updated_at, day, name, ref::text as ref,"
        f" attrs::text as attrs from {table}"
    )
    return _write(connectorx.read_sql(url, query, return_type="arrow").to_batches(), folder / "connectorx.parquet")


def duckdb_extension(url: str, table: str, folder: Path) -> int:
    import duckdb  # noqa: PLC0415 - as above
    import duckdb_extension_postgres_scanner as scanner  # noqa: PLC0415 - as above

    (extension,) = Path(scanner.__file__).parent.rglob("postgres_scanner.duckdb_extension")
    with duckdb.connect(config={"allow_unsigned_extensions": True, "threads": 1}) as connection:
        connection.execute(f"load '{extension}'")
        connection.execute(f"attach '{url}' as source (type postgres, read_only)")
        target = folder / "duckdb.parquet"
        done = connection.execute(
            f"copy (from source.{table}) to '{target}' (format parquet, compression zstd, compression_level 1)"
        )
        return int(done.fetchone()[0])


def sqlalchemy_stream(url: str, table: str, folder: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415 - as above
    import sqlalchemy as sa  # noqa: PLC0415 - as above

    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

    def batches() -> Iterable[Any]:
        with engine.connect().execution_options(stream_results=True, yield_per=20_000) as connection:
            query = f"select id, customer_id, amount, score, active, created_at, updated_at, day, name, ref::text, attrs::text from {table}"  # noqa: E501
            result = connection.execute(sa.text(query))
            names = list(result.keys())
            schema = None
            for rows in result.partitions():
                columns = list(zip(*rows, strict=True))
                types = schema or pa.schema(
                    [
                        (name, pa.decimal128(12, 2) if name == "amount" else pa.array(column).type)
                        for name, column in zip(names, columns, strict=True)
                    ]
                )
                schema = types
                yield pa.record_batch(
                    [pa.array(column, field.type) for column, field in zip(columns, types, strict=True)], schema=types
                )

    return _write(batches(), folder / "sqlalchemy.parquet")


PEERS: dict[str, Callable[[str, str, Path], int]] = {
    "adbc": adbc,
    "connectorx": connectorx,
    "duckdb extension": duckdb_extension,
    "sqlalchemy": sqlalchemy_stream,
}


def peak_mb() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) // 1024


if __name__ == "__main__":
    name, url, table, folder = sys.argv[1:]
    rows = PEERS[name](url, table, Path(folder))
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"rows": rows, "cpu": round(used.ru_utime + used.ru_stime, 1), "peak_mb": peak_mb()}))
