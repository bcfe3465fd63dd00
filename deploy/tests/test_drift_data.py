"""What `adplatform provision` makes of zones, ledger, topics, queues and rules is what the template says."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from adplatform.flow.provision import provision
from adplatform.flow.services import Services
from deploy.estate import Estate
from deploy.properties import lifecycle_rule
from deploy.template import Assembly
from deploy.tests.drift import as_deployed, differences

BUCKET: Mapping[str, str] = {
    "BucketEncryption": "a deployment has keys of its own; compared below",
    "LoggingConfiguration": "a deployment has a bucket for access logs",
    "OwnershipControls": "the default of S3, which the template writes out",
}
TABLE: Mapping[str, str] = {
    "SSESpecification": "a deployment has a key of its own",
    "PointInTimeRecoverySpecification": "a laptop needs none",
    "DeletionProtectionEnabled": "as above",
    "AttributeDefinitions": "a set, whose order DynamoDB does not keep; compared below",
}
TABLE_TOLD = (
    *("TableStatus", "CreationDateTime", "ProvisionedThroughput", "TableSizeBytes", "ItemCount", "TableArn", "TableId"),
    *("BillingModeSummary", "LocalSecondaryIndexes", "TableClassSummary", "WarmThroughput"),
)
INDEX_TOLD = ("IndexStatus", "IndexArn", "IndexSizeBytes", "ItemCount", "ProvisionedThroughput", "WarmThroughput")
RULE: Mapping[str, str] = {"Targets": "compared below"}
RULE_TOLD = ("Arn", "EventBusName", "CreatedBy", "ResponseMetadata")
QUEUE: Mapping[str, str] = {
    "KmsMasterKeyId": "a deployment has a key of its own; SQS's own encrypts here",
    "RedrivePolicy": "a deployment has people who look into a queue of dead letters",
}


@pytest.fixture(scope="module")
def provisioned(estate: Estate, embedded: Services) -> Services:
    provision(embedded, [each.source for each in estate.sources])
    return embedded


@pytest.mark.parametrize("zone", ["raw_bucket", "clean_bucket"])
def test_a_zone_is_the_same(provisioned: Services, assembly: Assembly, estate: Estate, zone: str) -> None:
    s3, bucket = provisioned.s3, getattr(estate.settings, zone)
    there = getattr(provisioned.settings, zone)
    told: dict[str, Any] = {
        "BucketName": bucket,
        "PublicAccessBlockConfiguration": s3.get_public_access_block(Bucket=there)["PublicAccessBlockConfiguration"],
    }
    if status := s3.get_bucket_versioning(Bucket=there).get("Status"):
        told["VersioningConfiguration"] = {"Status": status}
    if zone == "raw_bucket":
        rules = s3.get_bucket_lifecycle_configuration(Bucket=there)["Rules"]
        told["LifecycleConfiguration"] = {"Rules": [lifecycle_rule(rule) for rule in rules]}
        notified = s3.get_bucket_notification_configuration(Bucket=there)
        assert "EventBridgeConfiguration" in notified
        told["NotificationConfiguration"] = {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    made = assembly.named("AWS::S3::Bucket", bucket)
    assert differences(as_deployed(assembly, told), made, BUCKET, ()) == {}
    [encrypted] = s3.get_bucket_encryption(Bucket=there)["ServerSideEncryptionConfiguration"]["Rules"]
    [wanted] = made.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encrypted["BucketKeyEnabled"] == wanted["BucketKeyEnabled"]
    algorithm = wanted["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
    assert encrypted["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm


def test_the_ledger_is_the_same(provisioned: Services, assembly: Assembly, estate: Estate) -> None:
    table = provisioned.aws.client("dynamodb").describe_table(TableName=provisioned.settings.ledger_table)["Table"]
    indexes = [
        {name: value for name, value in index.items() if name not in INDEX_TOLD}
        for index in table["GlobalSecondaryIndexes"]
    ]
    billing = table["BillingModeSummary"]["BillingMode"]
    told = as_deployed(assembly, {**table, "GlobalSecondaryIndexes": indexes, "BillingMode": billing})
    made = assembly.named("AWS::DynamoDB::Table", estate.settings.ledger_table)
    assert differences(told, made, TABLE, TABLE_TOLD) == {}
    key = "AttributeDefinitions"
    assert sorted(map(str, told[key])) == sorted(map(str, made.properties[key]))


def test_the_hashing_key_of_the_template_is_one_that_the_platform_reads(
    provisioned: Services, assembly: Assembly, estate: Estate
) -> None:
    from adplatform.privacy.keys import fetch_key  # noqa: PLC0415 - as the platform reads it

    made = assembly.named("AWS::SecretsManager::Secret", estate.settings.hash_key_secret).properties
    generated = made["GenerateSecretString"]
    password = provisioned.secrets.get_random_password(
        PasswordLength=generated["PasswordLength"], ExcludePunctuation=generated["ExcludePunctuation"]
    )["RandomPassword"]
    whole = {**json.loads(generated["SecretStringTemplate"]), generated["GenerateStringKey"]: password}
    provisioned.secrets.create_secret(Name="generated", SecretString=json.dumps(whole))
    assert fetch_key(provisioned.secrets, "generated").id


def test_topics_are_the_same(provisioned: Services, assembly: Assembly) -> None:
    told = {
        each["TopicArn"] for page in provisioned.sns.get_paginator("list_topics").paginate() for each in page["Topics"]
    }
    made = {each.properties["TopicName"] for each in assembly.resources("AWS::SNS::Topic")}
    assert {arn.rpartition(":")[2] for arn in told} == made


def test_queues_and_rules_are_the_same(provisioned: Services, assembly: Assembly, estate: Estate) -> None:
    sqs, events = provisioned.sqs, provisioned.aws.client("events")
    taking = [each.source for each in estate.sources if each.source.takes_files]
    assert len(taking) > 2
    for source in taking:
        name = estate.settings.queue_name(source.name)
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        asked = ["MessageRetentionPeriod", "Policy"]
        attributes = as_deployed(assembly, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"])
        queue = assembly.named("AWS::SQS::Queue", name)
        told = {"QueueName": name, "MessageRetentionPeriod": int(attributes["MessageRetentionPeriod"])}
        assert differences(told, queue, QUEUE, ()) == {}
        [policy] = [
            each.properties["PolicyDocument"]["Statement"]
            for each in assembly.resources("AWS::SQS::QueuePolicy")
            if each.raw["Properties"]["Queues"] == [{"Ref": queue.logical}]
        ]
        assert json.loads(attributes["Policy"])["Statement"] == [s for s in policy if s["Effect"] == "Allow"]
        rule = next(each for each in assembly.resources("AWS::Events::Rule") if each.properties["Name"] == name)
        described = as_deployed(assembly, events.describe_rule(Name=name))
        pattern = json.loads(
            described.pop("EventPattern").replace(provisioned.settings.raw_bucket, estate.settings.raw_bucket)
        )
        assert differences({**described, "EventPattern": pattern}, rule, RULE, RULE_TOLD) == {}
        [sent] = as_deployed(assembly, events.list_targets_by_rule(Rule=name)["Targets"])
        [target] = rule.properties["Targets"]
        assert sent == {key: target[key] for key in ("Id", "Arn")}
