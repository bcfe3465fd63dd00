"""The catalog: databases, crawlers, jobs, Spark, and tags of columns."""

import json
from pathlib import Path
from typing import Any

from adplatform.contracts.pii import PiiKind
from adplatform.engines.emr_application import drift
from adplatform.platform.settings import Settings
from deploy.estate import Estate
from deploy.template import Assembly
from deploy.tests.engines import statements
from deploy.tests.test_transfer import one, resources_for

SHOP = "adplatform-glue-shop"


def test_each_source_has_a_database_that_stays(assembly: Assembly, estate: Estate) -> None:
    made = {each.properties["DatabaseInput"]["Name"]: each for each in assembly.resources("AWS::Glue::Database")}
    assert {f"clean_{each.name}" for each in estate.sources} | {"crawled_clean"} == made.keys()
    assert {name for name, each in made.items() if each.raw.get("DeletionPolicy") != "Retain"} == {"crawled_clean"}


def test_the_catalog_is_encrypted_with_a_key_of_its_own(assembly: Assembly) -> None:
    [settings] = assembly.resources("AWS::Glue::DataCatalogEncryptionSettings")
    found = settings.properties["DataCatalogEncryptionSettings"]
    aliases = {each.properties["AliasName"]: each for each in assembly.resources("AWS::KMS::Alias")}
    key = aliases["alias/adplatform/catalog"].properties["TargetKeyId"]
    assert found["EncryptionAtRest"] == {"CatalogEncryptionMode": "SSE-KMS", "SseAwsKmsKeyId": key}
    assert found["ConnectionPasswordEncryption"]["KmsKeyId"] == key


def test_jobs_and_crawlers_encrypt_what_they_write(assembly: Assembly) -> None:
    [security] = assembly.resources("AWS::Glue::SecurityConfiguration")
    wanted, name = security.properties["EncryptionConfiguration"], security.properties["Name"]
    assert wanted["S3Encryptions"][0]["S3EncryptionMode"] == "SSE-KMS"
    assert wanted["CloudWatchEncryption"]["CloudWatchEncryptionMode"] == "SSE-KMS"
    assert {job.properties["SecurityConfiguration"] for job in assembly.resources("AWS::Glue::Job")} == {name}
    crawlers = assembly.resources("AWS::Glue::Crawler")
    assert {crawler.properties["CrawlerSecurityConfiguration"] for crawler in crawlers} == {name}


def test_a_crawler_reads_one_table_and_writes_into_the_database_for_that(assembly: Assembly) -> None:
    [crawler] = assembly.resources("AWS::Glue::Crawler")
    assert crawler.properties["Targets"] == {"S3Targets": [{"Path": "s3://acme-ads-clean/acme_uploads/orders/"}]}
    role = crawler.properties["Role"]
    assert resources_for(assembly, role, "s3:GetObject") == {"arn:aws:s3:::acme-ads-clean/acme_uploads/orders/*"}
    assert resources_for(assembly, role, "s3:PutObject") == set()
    written = {arn.rpartition(":")[2] for arn in resources_for(assembly, role, "glue:CreateTable")}
    assert written == {"catalog", "database/crawled_clean", "table/crawled_clean/*"}


def test_a_job_reads_its_own_plans_and_writes_for_its_own_source(assembly: Assembly) -> None:
    job = one(assembly, "AWS::Glue::Job", Name="adplatform-shop_tables").properties
    assert job["Command"]["ScriptLocation"] == "s3://acme-ads-raw/jobs/shop_tables/read_table.py"
    assert job["Role"] == SHOP
    # customers, orders, and the keys of orders
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 3}
    below = "arn:aws:s3:::acme-ads-raw/"
    assert resources_for(assembly, SHOP, "s3:PutObject") == {
        f"{below}{prefix}/shop_tables/*" for prefix in ("landing", "extracts", "extract-plans")
    }
    assert resources_for(assembly, SHOP, "s3:GetObject") == {
        f"{below}extract-plans/shop_tables/*",
        f"{below}jobs/shop_tables/read_table.py",
        f"{below}jobs/adplatform-0.1.0-py3-none-any.whl",
    }
    secrets = resources_for(assembly, SHOP, "secretsmanager:GetSecretValue")
    assert {arn.rpartition("secret:")[2] for arn in secrets} == {"shop/reader-??????", "shop/authority-??????"}


def test_the_network_of_a_database_is_reached_by_a_connection_without_a_log_in(assembly: Assembly) -> None:
    [connection] = assembly.resources("AWS::Glue::Connection")
    wanted: dict[str, Any] = connection.properties["ConnectionInput"]
    assert (wanted["Name"], wanted["ConnectionType"], wanted["ConnectionProperties"]) == ("shop-network", "NETWORK", {})
    assert wanted["PhysicalConnectionRequirements"]["AvailabilityZone"] == "eu-west-1a"
    job = one(assembly, "AWS::Glue::Job", Name="adplatform-shop_tables")
    assert job.properties["Connections"] == {"Connections": ["shop-network"]}
    assert connection.logical in job.raw["DependsOn"]


def test_what_has_a_role_waits_for_it(assembly: Assembly) -> None:
    """AWS refuses a role that it does not find, and templates name roles."""
    roles = {each.properties["RoleName"]: each.logical for each in assembly.resources("AWS::IAM::Role")}
    named = {
        "AWS::Glue::Job": ("Role",),
        "AWS::Glue::Crawler": ("Role",),
        "AWS::Transfer::User": ("Role",),
        "AWS::Transfer::Server": ("LoggingRole",),
        "AWS::Transfer::Connector": ("AccessRole", "LoggingRole"),
    }
    found = 0
    for kind, members in named.items():
        for each in assembly.resources(kind):
            for role in (each.properties[member].rpartition("/")[2] for member in members):
                assert roles[role] in each.raw["DependsOn"], (kind, role)
                found += 1
    assert found >= 8


def test_spark_stops_by_itself_has_a_limit_and_writes_where_things_go_after_a_week(assembly: Assembly) -> None:
    [application] = assembly.resources("AWS::EMRServerless::Application")
    assert application.properties["MaximumCapacity"] == {"Cpu": "64 vCPU", "Memory": "256 GB"}
    assert application.properties["AutoStopConfiguration"] == {"Enabled": True, "IdleTimeoutMinutes": 5}
    told = {**_as_told(application.properties), "state": "CREATED"}
    assert list(drift(told, "application", Settings("aws", Path()).spark_workers)) == []
    assert [each.fatal for each in drift(told, "application", 100)] == [False, False]
    [written] = resources_for(assembly, "adplatform-spark", "s3:PutObject")
    assert written == "arn:aws:s3:::acme-ads-raw/prepared/spark/*"
    raw = assembly.named("AWS::S3::Bucket", "acme-ads-raw").properties["LifecycleConfiguration"]["Rules"]
    assert [rule["ExpirationInDays"] for rule in raw if rule.get("Prefix") == "prepared/"] == [7]


def _as_told(properties: Any) -> Any:
    """With names of members as GetApplication has them."""
    if isinstance(properties, dict):
        return {name[:1].lower() + name[1:]: _as_told(value) for name, value in properties.items()}
    return properties


def test_the_hashing_key_is_read_by_spark_and_by_no_other_role_here(assembly: Assembly) -> None:
    readers = {
        each.properties["RoleName"]
        for each in assembly.resources("AWS::IAM::Role")
        if each.stack in ("adplatform-catalog", "adplatform-ingestion")
        and "adplatform/hash-key" in json.dumps(statements(each))
    }
    assert readers == {"adplatform-spark"}


def test_the_tag_of_columns_has_every_kind_of_personal_data(assembly: Assembly) -> None:
    [tag] = assembly.resources("AWS::LakeFormation::Tag")
    assert tag.properties["TagKey"] == "pii"
    assert set(tag.properties["TagValues"]) == {"none", *PiiKind}


def test_runs_of_each_source_may_put_the_tag_on_their_tables(assembly: Assembly, estate: Estate) -> None:
    granted = {
        each.properties["Principal"]["DataLakePrincipalIdentifier"]: each.properties
        for each in assembly.resources("AWS::LakeFormation::PrincipalPermissions")
    }
    roles = [f"adplatform-run-{each.name}" for each in estate.sources]
    assert granted.keys() == set(map(estate.role, roles))
    for role in roles:
        assert granted[estate.role(role)]["Permissions"] == ["ASSOCIATE", "DESCRIBE"]
        assert resources_for(assembly, role, "lakeformation:AddLFTagsToResource") == {"*"}


def test_an_operator_may_put_what_a_deployment_cannot(assembly: Assembly) -> None:
    role = "adplatform-operator"
    [job] = assembly.resources("AWS::Glue::Job")
    script = job.properties["Command"]["ScriptLocation"].replace("s3://", "arn:aws:s3:::")
    assert script in resources_for(assembly, role, "s3:PutObject")
    assert resources_for(assembly, role, "s3:GetBucketTagging") == {"arn:aws:s3:::acme-ads-raw"}
    kept = "arn:aws:secretsmanager:eu-west-1:111111111111:secret:aws/transfer/*"
    assert resources_for(assembly, role, "secretsmanager:CreateSecret") == {kept}
    tags = {tag["Key"]: tag["Value"] for tag in assembly.named("AWS::S3::Bucket", "acme-ads-raw").properties["Tags"]}
    assert tags["platform"] == "adplatform"
