"""A program that has executors of Spark, in processes and folders of their own, ask a PostgreSQL about its TLS."""

import json
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from adplatform.extract.connection import Connecting, Credentials
from adplatform.jobs.read_table import _trusted, jdbc_options

ASKED = "(SELECT ssl::text AS ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS asked"


def seen(rows: Iterable[Any]) -> Iterable[dict[str, str]]:
    return [{"ssl": row["ssl"], "folder": str(Path.cwd())} for row in rows]


def main() -> None:
    """Print as JSON what is seen of the server that standard input describes, or why it is not believed."""
    given = json.load(sys.stdin)
    builder = SparkSession.builder.master("local-cluster[1,1,1024]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.jars", given["jar"]).config("spark.executor.extraClassPath", given["jar"])
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    how = Connecting(authority=given["authority"], statement_timeout=timedelta(minutes=1))
    with _trusted(spark, how.authority) as authority:
        options = jdbc_options(Credentials(**given["credentials"]), how, authority)
        try:
            [found] = (
                spark.read.format("jdbc").options(**options, dbtable=ASKED).load().rdd.mapPartitions(seen).collect()
            )
        except Py4JError as e:
            found = {"refused": str(e).partition("\n\tat ")[0]}
    spark.stop()
    print(json.dumps({**found, "here": str(Path.cwd())}))


if __name__ == "__main__":
    main()
