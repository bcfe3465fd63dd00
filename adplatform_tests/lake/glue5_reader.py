"""What AWS Glue 5 has to read a table with: Spark 3.5 and Iceberg 1.9 with the Glue catalogue. Run with the Python of
`make spark35`: the endpoint, then one query per table as arguments; rows go to standard output as JSON lines."""

import json
import os
import sys
from pathlib import Path

import feature_store_pyspark
from pyspark.sql import SparkSession

ICEBERG = "smfs.shaded.org.apache.iceberg"


def main(endpoint: str, queries: list[str]) -> None:
    os.environ |= {"AWS_REGION": "us-east-1", "PYSPARK_PYTHON": sys.executable}
    (jar,) = (Path(feature_store_pyspark.__file__).parent / "jars").glob("*-3.5.jar")
    catalog = "spark.sql.catalog.glue"
    settings = {
        "spark.jars": str(jar),
        "spark.driver.extraClassPath": str(jar),
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.extensions": f"{ICEBERG}.spark.extensions.IcebergSparkSessionExtensions",
        catalog: f"{ICEBERG}.spark.SparkCatalog",
        f"{catalog}.catalog-impl": f"{ICEBERG}.aws.glue.GlueCatalog",
        f"{catalog}.io-impl": f"{ICEBERG}.aws.s3.S3FileIO",
        f"{catalog}.warehouse": "s3://nowhere/",
        f"{catalog}.s3.endpoint": endpoint,
        f"{catalog}.s3.path-style-access": "true",
        f"{catalog}.glue.endpoint": endpoint,
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for query in queries:
        found = spark.sql(query)
        text = found.select([found[name].cast("string") for name in found.columns])
        sys.stdout.write(json.dumps([list(row) for row in text.collect()]) + "\n")
    spark.stop()


main(sys.argv[1], sys.argv[2:])
