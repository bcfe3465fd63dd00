"""A second opinion on the catalog: a Glue crawler reads the current files and must find what we registered.

The crawler never touches the clean tables, since it would replace a known schema with a guessed one. It writes to a
database of its own, which is compared with ours and emptied again.
"""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.crawled import (
    CrawledTable,
    column_differences,
    crawled_tables,
    drop_tables,
    ensure_database,
    missing,
    unregistered,
)
from adplatform.lake.lake import Lake
from adplatform.lake.table import Named
from adplatform.platform.aws_errors import aws_failures

_BUSY = ("RUNNING", "STOPPING")
# bucket, table-versions, source, feed, attempt (Glue Developer Guide, table location and partitioning level)
_TABLE_LEVEL = 5


@dataclass(frozen=True)
class CrawlSettings:
    """``role`` is the ARN that the crawler reads with; ``database`` is for the crawler alone and made when missing."""

    role: str
    database: str
    poll: timedelta = timedelta(seconds=5)
    timeout: timedelta = timedelta(minutes=30)


def compare_with_crawler(
    lake: Lake,
    feed: str,
    table: Named,
    settings: CrawlSettings,
    *,
    declared: Collection[str],
    sleep: Callable[[float], None],
    locations: Collection[str] | None = None,
) -> tuple[str, ...]:
    """What a crawl over the table's current files says otherwise than the catalog; empty when both agree.

    ``declared`` are the names of columns that files have now; ``locations`` limits it to some of the table's locations,
    such as those just published.

    Raises:
        PermanentFailure: there is no table, the crawl failed or is not allowed, or Glue reported a state nobody knows.
        TransientFailure: the crawler is busy, was cancelled or did not finish within ``timeout``, or AWS is silent.
    """
    crawler = f"adplatform-{feed.replace('/', '-')}"
    with aws_failures(f"crawler {crawler}"):
        shown = lake.catalog.table(table)
        if shown is None:
            raise PermanentFailure(f"{table.database}.{table.name} does not exist: publish {feed} before crawling it")
        current = {partition.location for partition in lake.catalog.partitions(table)} or {shown.location}
        wanted = current if locations is None else current & set(locations)
        if not wanted:
            return ()
        glue, root = lake.catalog.glue, lake.store.zones.clean_uri(lake.store.zones.versions(feed))
        ensure_database(glue, settings.database)
        _take(glue, settings.database, root)
        _create(lake, feed, crawler, settings, wanted)
        _run(glue, crawler, settings, sleep)
        found = _take(glue, settings.database, root)
        return (*missing(wanted, found), *unregistered(wanted, found), *column_differences(shown, found, declared))


def _create(lake: Lake, feed: str, crawler: str, settings: CrawlSettings, wanted: Collection[str]) -> None:
    glue = lake.catalog.glue
    try:
        glue.delete_crawler(Name=crawler)
    except glue.exceptions.CrawlerRunningException as e:
        raise TransientFailure(f"crawler {crawler} is running for somebody else; try again later") from e
    except glue.exceptions.EntityNotFoundException:
        pass
    grouping = {"TableGroupingPolicy": "CombineCompatibleSchemas", "TableLevelConfiguration": _TABLE_LEVEL}
    glue.create_crawler(
        Name=crawler,
        Role=settings.role,
        DatabaseName=settings.database,
        TablePrefix=feed.replace("/", "_") + "_",
        Targets={"S3Targets": list(_targets(lake, feed, wanted))},
        SchemaChangePolicy={"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "DELETE_FROM_DATABASE"},
        RecrawlPolicy={"RecrawlBehavior": "CRAWL_EVERYTHING"},
        Configuration=json.dumps({"Version": 1.0, "Grouping": grouping}),
    )


def _targets(lake: Lake, feed: str, wanted: Collection[str]) -> Iterator[dict[str, Any]]:
    """One include path per attempt that a wanted location belongs to, without the attempt's other folders."""
    zones = lake.store.zones
    root = zones.clean_uri(zones.versions(feed))
    attempts = sorted({root + location.removeprefix(root).split("/")[0] + "/" for location in wanted})
    for attempt in attempts:
        objects = lake.store.listing(zones.clean_bucket, zones.clean_key(attempt))
        folders = {zones.clean_uri(o.key.rpartition("/")[0] + "/") for o in objects}
        others = sorted(folder.removeprefix(attempt) for folder in folders - set(wanted))
        yield {"Path": attempt, "Exclusions": [f"{folder}**" for folder in others]}


def _run(glue: Any, crawler: str, settings: CrawlSettings, sleep: Callable[[float], None]) -> None:
    glue.start_crawler(Name=crawler)
    for _ in range(max(1, int(settings.timeout / settings.poll))):
        described = glue.get_crawler(Name=crawler)["Crawler"]
        state, last = described["State"], described.get("LastCrawl", {})
        if state == "READY" and last:
            _judge(crawler, last)
            return
        if state not in (*_BUSY, "READY"):
            raise PermanentFailure(f"crawler {crawler} is in state {state!r}, which nobody here knows")
        sleep(settings.poll.total_seconds())
    raise TransientFailure(f"crawler {crawler} did not finish within {settings.timeout}; look at its log in CloudWatch")


def _judge(crawler: str, last: dict[str, Any]) -> None:
    match last["Status"]:
        case "SUCCEEDED":
            return
        case "CANCELLED":
            raise TransientFailure(f"crawler {crawler} was cancelled; run the step again")
        case status:
            raise PermanentFailure(
                f"crawler {crawler} ended as {status}: {last.get('ErrorMessage', 'no reason given')}"
            )


def _take(glue: Any, database: str, root: str) -> list[CrawledTable]:
    """The tables that crawls made of the files below ``root``. They are dropped."""
    found = crawled_tables(glue, database, root)
    drop_tables(glue, database, found)
    return found
