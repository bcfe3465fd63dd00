"""The script of the Glue job that reads a table of a database: what the embedded extractor does, by Spark's JDBC.

The driver holds a view of the database (PostgreSQL's exported snapshot) open while every executor reads its pieces in
that same view, so that rows which are changed meanwhile are read once, as they were. The database writes the text of
every value; Spark only moves strings. Chunks go to a folder of the run's own, and the manifest is written last: nothing
of a run without one is ever delivered.

Facts: Spark SQL guide, "JDBC To Other Databases" (sessionInitStatement); pgJDBC's list of connection properties; Glue
developer guide, "Using job parameters".
"""

import argparse
import gzip
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import uuid4

from adplatform.extract.connection import Connecting, Credentials, database, database_failures, read_credentials
from adplatform.extract.plan import RUN, Plan
from adplatform.extract.portable import csv_line
from adplatform.extract.postgres import PostgresView, postgres_view
from adplatform.extract.reading import Pace, Piece, Reading, Window, next_window, read_cursor, write_cursor
from adplatform.extract.table import connecting
from adplatform.failures import PermanentFailure
from adplatform.lake.zones import Zones
from adplatform.platform.aws import Aws
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.calls import GLUE_JOB, acting
from adplatform.platform.extras import SPARK, extra

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FETCHED = 5_000
"""Rows that a session hands over at once, and lines that are compressed at once."""
_CALLS = timedelta(minutes=10)
"""What putting a chunk may take."""
_TAKEN = ("PreconditionFailed", "ConditionalRequestConflict")


@dataclass(frozen=True)
class Place:
    """Where a chunk is put, and for whom."""

    region: str
    bucket: str
    folder: str
    put_arguments: dict[str, str]
    columns: tuple[str, ...]
    rows_per_second: int | None


@dataclass(frozen=True)
class Written:
    """A chunk that is in the raw zone."""

    number: int
    key: str
    version: str
    bytes: int
    rows: int


Reader = Callable[[PostgresView, Reading, Piece, Place], Written]


@acting(GLUE_JOB)
def main(arguments: Sequence[str] | None = None) -> None:
    """Read what the plan at ``--plan``, an ``s3://`` place, says. Glue itself gives ``--JOB_RUN_ID``. ``--reader`` is
    ``spark``, or ``driver`` for a job without a Spark.

    Raises:
        PermanentFailure: the table cannot be read as planned, or another run has the plan.
        TransientFailure: the database or AWS does not answer for now.
    """
    parser = argparse.ArgumentParser()
    for name in ("plan", "JOB_RUN_ID", "region"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--reader", choices=("spark", "driver"), default="spark")
    given, _ = parser.parse_known_args(arguments)
    aws, place = Aws(given.region), urlsplit(given.plan)
    s3, secrets = aws.client("s3"), aws.client("secretsmanager")
    with aws_failures(given.plan):
        body = s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"].read()
    plan = Plan.model_validate_json(body)
    _take(s3, plan, place.path.lstrip("/"), given.JOB_RUN_ID)
    credentials = read_credentials(secrets, plan.connection)
    if credentials.engine != "postgres":
        raise PermanentFailure(f"{plan.name}: Glue reads PostgreSQL, not {credentials.engine}: leave `engine` out")
    how = connecting(secrets, plan.verified, plan.authority, plan.statement_timeout)
    with aws_failures(plan.name):
        if given.reader == "driver":
            _read(s3, plan, given.JOB_RUN_ID, given.region, credentials, how, read_by_driver)
            return
        with _spark() as spark, _trusted(spark, how.authority) as authority:
            options = jdbc_options(credentials, how, authority)
            by_spark = partial(read_by_spark, spark, options)
            _read(s3, plan, given.JOB_RUN_ID, given.region, credentials, how, by_spark)


def _take(s3: Any, plan: Plan, key: str, run_id: str) -> None:
    """Have the plan, as only one run ever may: a start whose answer was lost, or somebody who runs it again, would
    bring its rows twice.

    Raises:
        PermanentFailure: another run has it.
    """
    key += RUN
    with aws_failures(key):
        try:
            s3.put_object(Bucket=plan.bucket, Key=key, Body=run_id.encode(), IfNoneMatch="*", **_encrypted(plan))
        except s3.exceptions.ClientError as e:
            if e.response["Error"]["Code"] not in _TAKEN:
                raise
            taken_by = s3.get_object(Bucket=plan.bucket, Key=key)["Body"].read().decode()
            if taken_by != run_id:
                text = f"{plan.name}: run {taken_by} has this plan; `adplatform engines start` reads the table again"
                raise PermanentFailure(text) from None


def _encrypted(plan: Plan) -> dict[str, str]:
    return Zones(plan.bucket, "", plan.kms_key_id).put_arguments


def _read(
    s3: Any, plan: Plan, run_id: str, region: str, credentials: Credentials, how: Connecting, read: Reader
) -> None:
    before = datetime.now(UTC)
    with (
        database(credentials, how) as engine,
        database_failures(plan.name),
        postgres_view(engine, plan.workers) as seen,
    ):
        viewed = datetime.now(UTC)
        window, reading, pieces = _wanted(plan, seen)
        pace = max(1, plan.rows_per_second // plan.workers) if plan.rows_per_second else None
        folder = f"{plan.landing}dt={viewed:%Y-%m-%d}/{run_id}/"
        place = Place(region, plan.bucket, folder, _encrypted(plan), reading.columns, pace)
        with ThreadPoolExecutor(plan.workers, thread_name_prefix="chunk") as pool:
            going = [pool.submit(read, seen, reading, piece, place) for piece in pieces]
            try:
                files = [each.result() for each in going]
            finally:
                pool.shutdown(cancel_futures=True)
    body = {
        "extract": run_id,
        "day": f"{viewed:%Y-%m-%d}",
        "snapshot": seen.name,
        "seen_from": before.isoformat(),
        "seen_at": viewed.isoformat(),
        "after": write_cursor(window.after) if window else "",
        "until": write_cursor(window.until) if window else "",
        "files": [{"key": f.key, "version": f.version, "bytes": f.bytes, "rows": f.rows} for f in files],
    }
    key = f"{plan.manifests}{run_id}.json"
    s3.put_object(Bucket=plan.bucket, Key=key, Body=json.dumps(body, indent=1).encode(), **_encrypted(plan))


def _wanted(plan: Plan, seen: PostgresView) -> tuple[Window | None, Reading, Sequence[Piece]]:
    whole = plan.reading
    if plan.cursor is None:
        return None, whole, seen.divide(whole)
    window = next_window(seen, whole, plan.cursor, read_cursor(plan.stopped), plan.lag, plan.lag_count)
    if window is None or window.after == window.until:
        return window, whole, ()
    reading = replace(whole, window=window)
    return window, reading, seen.divide(reading)


def read_by_driver(seen: PostgresView, reading: Reading, piece: Piece, place: Place) -> Written:
    """Read a piece with this process's own connection."""
    with database_failures(f"{reading.name}, chunk {piece.number}"), tempfile.TemporaryFile() as file:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as out:
            rows = seen.read(reading, piece, out, Pace(place.rows_per_second))
        return _put(place, piece.number, file, rows)


def read_by_spark(
    spark: "SparkSession", options: dict[str, str], seen: PostgresView, reading: Reading, piece: Piece, place: Place
) -> Written:
    """Read a piece with an executor's connection, in the same view.

    Raises:
        PermanentFailure: it failed. What the database says may quote rows, and is not repeated.
    """
    from py4j.protocol import Py4JError  # noqa: PLC0415 - comes with Spark
    from pyspark.errors import PySparkException  # noqa: PLC0415

    table = {"dbtable": f"({seen.statement(reading, piece)}) AS piece", "sessionInitStatement": seen.session}
    write = partial(_written, place, piece.number)
    try:
        [written] = spark.read.format("jdbc").options(**options, **table).load().rdd.mapPartitions(write).collect()
    except (Py4JError, PySparkException):
        text = f"{reading.name}, chunk {piece.number}: Spark could not read it; the log of the job's run has more"
        raise PermanentFailure(text) from None
    return written  # type: ignore[no-any-return]


def _written(place: Place, number: int, rows: Iterable[Sequence[str | None]]) -> Iterator[Written]:
    """Put the rows of one partition; called where the executor is."""
    pace, counted, lines = Pace(place.rows_per_second), 0, [csv_line(place.columns)]
    with tempfile.TemporaryFile() as file:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as out:
            for row in rows:
                lines.append(csv_line(row))
                counted += 1
                if len(lines) == _FETCHED:
                    out.write(b"".join(lines))
                    pace.rows(len(lines))
                    lines = []
            out.write(b"".join(lines))
        yield _put(place, number, file, counted)


def _put(place: Place, number: int, file: Any, rows: int) -> Written:
    size = file.tell()
    file.seek(0)
    key = f"{place.folder}part-{number:05}.csv.gz"
    s3 = Aws(place.region).client("s3", _CALLS)
    with aws_failures(key):
        answer = s3.put_object(Bucket=place.bucket, Key=key, Body=file, **place.put_arguments)
    return Written(number, key, answer.get("VersionId", ""), size, rows)


def jdbc_options(credentials: Credentials, how: Connecting, authority: str) -> dict[str, str]:
    """How Spark reaches the database; ``authority`` is the file of certificates where executors have it. The password
    stands in an option that Spark redacts, and in no URL."""
    verified = {"sslmode": "verify-full"}
    if authority:
        verified["sslrootcert"] = authority
    else:
        verified["sslfactory"] = "org.postgresql.ssl.DefaultJavaSSLFactory"
    settings = {
        **(verified if how.verified else {"sslmode": "disable"}),
        "ApplicationName": "adplatform",
        "connectTimeout": "15",
        "tcpKeepAlive": "true",
        # A database's messages may quote rows, and Spark logs them.
        "logServerErrorDetail": "false",
        "options": f"-c statement_timeout={int(how.statement_timeout.total_seconds() * 1000)}",
    }
    host = f"[{credentials.host}]" if ":" in credentials.host else credentials.host
    place = f"{host}:{credentials.port}/{quote(credentials.dbname, safe='')}"
    return {
        "url": f"jdbc:postgresql://{place}?{urlencode(settings, quote_via=quote)}",
        "driver": "org.postgresql.Driver",
        "user": credentials.username,
        "password": credentials.password,
        # Beyond 0 the session is in a transaction, which the view needs.
        "fetchsize": str(_FETCHED),
    }


@contextmanager
def _spark() -> "Iterator[SparkSession]":
    """A session, stopped with the block.

    Raises:
        PermanentFailure: there is no pyspark.
    """
    with extra(SPARK):
        from pyspark.sql import SparkSession  # noqa: PLC0415
    session = SparkSession.builder.appName("adplatform").getOrCreate()
    try:
        yield session
    finally:
        session.stop()


@contextmanager
def _trusted(spark: "SparkSession", authority: str) -> Iterator[str]:
    """The certificates as a file of one relative name for the driver and for every executor, in whose working
    directory Spark puts what is added to it; empty without certificates."""
    if not authority:
        yield ""
        return
    path = Path(f"authority-{uuid4().hex}.pem")
    path.write_text(authority, encoding="utf-8")
    spark.sparkContext.addFile(str(path.absolute()))
    try:
        yield str(path)
    finally:
        path.unlink()


if __name__ == "__main__":
    main()
