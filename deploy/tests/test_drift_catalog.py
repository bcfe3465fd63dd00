"""What `adplatform provision` and a first publication make in Glue is what the template says."""

from collections.abc import Mapping
from typing import Any

import pytest

from adplatform.engines.crawls import provide_crawlers
from adplatform.engines.pattern import EngineFiles
from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from adplatform.lake.table import table_spec
from deploy.estate import Estate
from deploy.template import Assembly
from deploy.tests.drift import as_deployed, differences
from deploy.tests.test_transfer import one

JOB: Mapping[str, str] = {
    "SecurityConfiguration": "provision makes no keys, and so nothing that encrypts with them",
    "Tags": "GetJob tells none",
}
JOB_TOLD = ("CreatedOn", "LastModifiedOn", "MaxCapacity", "AllocatedCapacity", "Timeout", "ExecutionClass")
CRAWLER: Mapping[str, str] = {
    "CrawlerSecurityConfiguration": JOB["SecurityConfiguration"],
    "Tags": "GetCrawler tells none",
}
CRAWLER_TOLD = (
    *("State", "CrawlElapsedTime", "CreationTime", "LastUpdated", "LastCrawl", "Version", "Classifiers", "Schedule"),
    *("LineageConfiguration", "LakeFormationConfiguration"),
)


@pytest.fixture(scope="module")
def provisioned(estate: Estate, embedded: Services) -> Services:
    provision(embedded, [])
    for each in estate.sources:
        provide_crawlers(embedded, each.source)
    for each in estate.of_kind("DatabaseTables"):
        assert isinstance(each.pattern, EngineFiles)
        each.pattern.provision(embedded)
    return embedded


def test_a_job_is_the_same(provisioned: Services, assembly: Assembly) -> None:
    told = as_deployed(assembly, provisioned.glue.get_job(JobName="adplatform-shop_tables")["Job"])
    job = one(assembly, "AWS::Glue::Job", Name="adplatform-shop_tables")
    assert differences(told, job, JOB, JOB_TOLD) == {}


def test_the_script_of_a_job_is_where_the_template_looks_for_it(provisioned: Services, assembly: Assembly) -> None:
    [job] = assembly.resources("AWS::Glue::Job")
    bucket, _, key = job.properties["Command"]["ScriptLocation"].removeprefix("s3://").partition("/")
    assert provisioned.s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def test_a_crawler_is_the_same(provisioned: Services, assembly: Assembly) -> None:
    [crawler] = assembly.resources("AWS::Glue::Crawler")
    told = as_deployed(assembly, provisioned.glue.get_crawler(Name=crawler.properties["Name"])["Crawler"])
    assert differences(told, crawler, CRAWLER, CRAWLER_TOLD) == {}


def test_the_databases_are_the_same(provisioned: Services, assembly: Assembly, estate: Estate) -> None:
    """That of a source is made by its first publication, where a deployment has not made it."""
    feed = next(each for each in estate.sources if each.name == "shop_tables").source.feeds[0]
    spec = table_spec(feed.table, feed.feed.contract, (), database_prefix=estate.settings.database_prefix)
    provisioned.lake.catalog.ensure_database(spec)
    for database in ("crawled_clean", "clean_shop_tables"):
        told: dict[str, Any] = provisioned.glue.get_database(Name=database)["Database"]
        made = [d.properties["DatabaseInput"] for d in assembly.resources("AWS::Glue::Database")]
        [wanted] = [each for each in made if each["Name"] == database]
        assert {key: told.get(key) for key in wanted} == wanted


def test_the_tag_of_columns_is_the_same(provisioned: Services, assembly: Assembly) -> None:
    [tag] = assembly.resources("AWS::LakeFormation::Tag")
    told = provisioned.aws.client("lakeformation").get_lf_tag(TagKey=tag.properties["TagKey"])
    assert set(told["TagValues"]) == set(tag.properties["TagValues"])
