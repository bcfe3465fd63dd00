import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.lake.catalog import Catalog, Partition
from adplatform.lake.crawler import CrawlSettings, compare_with_crawler
from adplatform.lake.lake import Lake
from adplatform.lake.publish import publish
from adplatform.lake.table import TableSpec
from adplatform_tests.lake.support import contract, source_name, spec_of, staged

TYPES = {"id": "bigint", "place": "string", "cost": "decimal(12,2)", "at": "timestamp", "on": "date", "ok": "boolean"}
MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def settings(spec: TableSpec) -> CrawlSettings:
    role = "arn:aws:iam::123456789012:role/crawler"
    return CrawlSettings(role, f"crawled_{spec.feed.split('/')[0]}", timedelta(seconds=0.1), timedelta(seconds=20))


def crawl(lake: Lake, spec: TableSpec, **changes: Any) -> tuple[str, ...]:
    declared = changes.pop("declared", [*TYPES, "never"])
    return compare_with_crawler(lake, spec.feed, spec, settings(spec), declared=declared, sleep=time.sleep, **changes)


def published(lake: Lake, temp: Path, **rules: Any) -> TableSpec:
    spec = spec_of(contract(TYPES, **rules), source=source_name())
    by_column = rules.get("partition_by") == "place"
    for day, version in ((MONDAY, 1), (MONDAY, 2), (TUESDAY, 1)):
        row = {"id": version, "place": "de"}
        parts = {place: [{"id": version}] for place in ("de", f"only/{day}")} if by_column else {"": [row]}
        publish(lake, spec, day, version, staged(spec, temp, parts), run_id="r", temp=temp)
    return spec


@pytest.mark.parametrize("rules", [{}, {"partition_by": None}, {"partition_by": "place"}])
def test_a_crawler_agrees_with_what_was_registered(lake: Lake, temp: Path, rules: dict[str, Any]) -> None:
    spec = published(lake, temp, **rules)
    assert crawl(lake, spec) == ()
    assert crawl(lake, spec) == ()
    assert lake.catalog.glue.get_tables(DatabaseName=settings(spec).database)["TableList"] == []


def test_a_registered_partition_without_files_is_a_difference(lake: Lake, temp: Path) -> None:
    spec = published(lake, temp)
    table = lake.catalog.table(spec)
    assert table is not None
    zones = lake.store.zones
    gone = zones.clean_uri(zones.version(spec.feed, "nowhere") + "dt=2026-03-04/")
    lake.catalog.put_partition(spec, table, Partition("2026-03-04", gone))
    assert crawl(lake, spec) == (f"{gone} is registered and the crawler did not find it",)
    present = [p.location for p in lake.catalog.partitions(spec) if p.location != gone]
    assert crawl(lake, spec, locations=present) == ()


def test_a_column_registered_as_another_type_is_a_difference(lake: Lake, temp: Path) -> None:
    spec = published(lake, temp)
    glue = lake.catalog.glue
    table = glue.get_table(DatabaseName=spec.database, Name=spec.name)["Table"]
    descriptor = table["StorageDescriptor"]
    changed = [{**c, "Type": "int" if c["Name"] == "id" else c["Type"]} for c in descriptor["Columns"]]
    changed = [*changed, {"Name": "never", "Type": "string"}]
    kept = {name: table[name] for name in ("Name", "PartitionKeys", "Parameters", "TableType")}
    glue.update_table(
        DatabaseName=spec.database,
        TableInput={**kept, "StorageDescriptor": {**descriptor, "Columns": changed}},
    )
    assert crawl(lake, spec) == (
        "column id is bigint in the files and int in the catalog",
        "column never is in the catalog and in no file",
    )
    assert crawl(lake, spec, declared=TYPES) == ("column id is bigint in the files and int in the catalog",)


def test_a_feed_that_was_never_published_cannot_be_crawled(lake: Lake) -> None:
    with pytest.raises(PermanentFailure, match="publish"):
        crawl(lake, spec_of(contract(TYPES), source=source_name()))


def test_a_crawl_over_damaged_files_fails_with_the_reason(lake: Lake, temp: Path) -> None:
    spec = published(lake, temp)
    location = next(iter(lake.catalog.partitions(spec))).location
    zones = lake.store.zones
    key = next(lake.store.listing(zones.clean_bucket, zones.clean_key(location))).key
    lake.store.s3.put_object(Bucket=zones.clean_bucket, Key=key, Body=b"no parquet")
    with pytest.raises(PermanentFailure, match="ended as FAILED"):
        crawl(lake, spec)


class StuckCrawler:
    """A Glue whose crawler answers with the states it is given, one per poll, and the last one for ever."""

    def __init__(self, glue: Any, *answers: dict[str, Any]) -> None:
        self.glue, self.answers = glue, list(answers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.glue, name)

    def get_crawler(self, Name: str) -> dict[str, Any]:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"Crawler": {"Name": Name, **answer}}


@pytest.mark.parametrize(
    ("answers", "failure", "says"),
    [
        ([{"State": "RUNNING"}], TransientFailure, "did not finish"),
        ([{"State": "READY"}], TransientFailure, "did not finish"),
        ([{"State": "RUNNING"}, {"State": "PONDERING"}], PermanentFailure, "PONDERING"),
        ([{"State": "STOPPING"}, {"State": "READY", "LastCrawl": {"Status": "CANCELLED"}}], TransientFailure, "cancel"),
        ([{"State": "READY", "LastCrawl": {"Status": "PUZZLED"}}], PermanentFailure, "PUZZLED"),
    ],
)
def test_a_crawl_that_does_not_succeed_is_never_taken_for_agreement(
    lake: Lake, temp: Path, answers: list[dict[str, Any]], failure: type[Exception], says: str
) -> None:
    spec = spec_of(contract(TYPES, partition_by=None), source=source_name())
    lake.catalog.ensure(spec, lake.store.zones.clean_uri(lake.store.zones.version(spec.feed, "first")))
    stuck = replace(lake, catalog=Catalog(StuckCrawler(lake.catalog.glue, *answers)))
    waits: list[float] = []
    with pytest.raises(failure, match=says):
        compare_with_crawler(stuck, spec.feed, spec, settings(spec), declared=(), sleep=waits.append)
    assert len(waits) <= 200
