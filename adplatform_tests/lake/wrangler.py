"""A reader that many use, apart because importing it takes seconds."""

from functools import cache
from typing import Any

import awswrangler as wr
import boto3

from adplatform.lake.table import TableSpec
from adplatform.platform.aws import Aws


def read_with_wrangler(aws: Aws, spec: TableSpec) -> list[dict[str, Any]]:
    """Every row by the plain call, which lists the table's location and takes partition values from the paths."""
    frame = wr.s3.read_parquet_table(table=spec.name, database=spec.database, boto3_session=wrangler_session(aws))
    return list(frame.to_dict(orient="records"))


@cache
def wrangler_session(aws: Aws) -> boto3.Session:
    wr.config.s3_endpoint_url = wr.config.glue_endpoint_url = wr.config.sts_endpoint_url = aws.endpoint_url
    return boto3.Session(region_name=aws.region)
