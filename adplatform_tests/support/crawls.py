"""Crawls of the embedded Glue: files to read, waiting for an end, faults."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from adplatform.local.signed import order
from adplatform.platform.aws import Aws
from adplatform_tests.support.waiting import turns


def put_parquet(aws: Aws, bucket: str, key: str, columns: dict[str, list[Any]]) -> None:
    body = io.BytesIO()
    pq.write_table(pa.table(columns), body)
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body.getvalue())


def crawls(aws: Aws, crawler: str) -> list[dict[str, Any]]:
    """The newest crawls, the newest first."""
    found: list[dict[str, Any]] = aws.client("glue").list_crawls(CrawlerName=crawler, MaxResults=100)["Crawls"]
    return found


def wait_for_crawl(aws: Aws, crawler: str, crawl: str = "", seconds: float = 30.0) -> dict[str, Any]:
    """A crawl that has ended; by default the newest."""
    for _ in turns(seconds):
        found = [each for each in crawls(aws, crawler) if crawl in ("", each["CrawlId"])]
        if found and found[0]["State"] != "RUNNING":
            return found[0]
    raise AssertionError(found)


def order_fault(url: str, name: str, crawler: str = "", **more: Any) -> None:
    """Something is to go wrong with a crawler of the embedded AWS at ``url``, or with any."""
    fault = {"service": "glue", "name": name, "target": crawler, **more}
    order(url, {"fault": fault})
