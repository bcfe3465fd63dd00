"""What keeps data."""

import pytest

from deploy.estate import Estate
from deploy.template import Assembly

DENIED_IN_CLEAR = {"Bool": {"aws:SecureTransport": "false"}}


def test_nothing_is_read_or_written_over_http_in_clear(assembly: Assembly) -> None:
    policies = {
        each.properties["Bucket"]: each.properties["PolicyDocument"]["Statement"]
        for each in assembly.resources("AWS::S3::BucketPolicy")
    }
    for bucket in assembly.resources("AWS::S3::Bucket"):
        denied = [s for s in policies[bucket.properties["BucketName"]] if s.get("Condition") == DENIED_IN_CLEAR]
        assert [(s["Effect"], s["Principal"], s["Action"]) for s in denied] == [("Deny", "*", "s3:*")]


@pytest.mark.parametrize("bucket", ["acme-ads-raw", "acme-ads-clean"])
def test_both_zones_are_encrypted_with_the_key_of_data(assembly: Assembly, bucket: str) -> None:
    [rule] = assembly.named("AWS::S3::Bucket", bucket).properties["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    key = rule["ServerSideEncryptionByDefault"]
    aliases = {each.properties["AliasName"]: each for each in assembly.resources("AWS::KMS::Alias")}
    assert key == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": aliases["alias/adplatform/data"].properties["TargetKeyId"],
    }


def test_each_source_has_a_queue_that_its_own_rule_alone_may_fill(assembly: Assembly, estate: Estate) -> None:
    rules = {rule.properties["Name"]: rule.properties for rule in assembly.resources("AWS::Events::Rule")}
    assert {each.name for each in estate.sources if each.source.takes_files} <= {s.name for s, _ in estate.queues}
    for source, _ in estate.queues:
        [target] = rules[estate.settings.queue_name(source.name)]["Targets"]
        assert target["Arn"] == estate.queue(source)
        assert target["DeadLetterConfig"]["Arn"] == f"{estate.queue(source)}-dead-letters"


def test_the_queue_of_a_stream_takes_what_amazons_topics_send(assembly: Assembly, estate: Estate) -> None:
    queue = assembly.named("AWS::SQS::Queue", "adplatform-arrivals-ads").properties
    assert queue["SqsManagedSseEnabled"] and "KmsMasterKeyId" not in queue, "topics of others can use no key of ours"
    [policy] = [
        each.properties["PolicyDocument"]
        for each in assembly.resources("AWS::SQS::QueuePolicy")
        if str(each.properties["Queues"]).find("adplatform-arrivals-ads'") > 0
    ]
    send, review, in_clear = policy["Statement"]
    assert send["Condition"] == {"ArnLike": {"aws:SourceArn": ["arn:aws:sns:eu-west-1:668473351658:*"]}}
    assert (review["Action"], in_clear["Condition"]) == ("sqs:GetQueueAttributes", DENIED_IN_CLEAR)


def test_a_partner_may_write_into_its_own_landing_zone_and_nothing_else(assembly: Assembly) -> None:
    role = assembly.named("AWS::IAM::Role", "adplatform-partner-northwind").properties
    [trust] = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": "arn:aws:iam::222222222222:root"}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "northwind-2026"}}
    [policy] = role["Policies"]
    objects = [s for s in policy["PolicyDocument"]["Statement"] if any(a.startswith("s3:") for a in s["Action"])]
    assert [s["Resource"] for s in objects] == [["arn:aws:s3:::acme-ads-raw/landing/northwind/*"]]


def test_data_stays_when_a_stack_goes(assembly: Assembly) -> None:
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SecretsManager::Secret")
    kept = [each for kind in kinds for each in assembly.resources(kind)]
    assert len(kept) > 10
    assert {each.raw.get("DeletionPolicy") for each in kept} == {"Retain"}
