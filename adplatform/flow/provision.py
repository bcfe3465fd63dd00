"""Make sure everything a source needs exists. Idempotent: run it after every change of the definitions.

In production the same resources come from ``deploy/``; the embedded AWS gets them from here.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from adplatform.failures import PermanentFailure
from adplatform.flow.retention import put_lifecycle
from adplatform.flow.services import Services
from adplatform.flow.settling import Settler
from adplatform.flow.source import Source
from adplatform.lake import personal_tags
from adplatform.lake.zones import QUERY_RESULTS
from adplatform.ledger.table import table_definition
from adplatform.platform import names
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.calls import NOBODY, acting
from adplatform.privacy.keys import create_key

_ENCRYPTION = "s3:x-amz-server-side-encryption"
PREPARED_DAYS = 7
"""Decrypted copies are kept this long for inspection; the encrypted originals stay in the archive."""
LISTED_DAYS = 7
"""Listings of SFTP servers are kept this long, and what transfers have left, which take a day at most."""
PLANNED_DAYS = 60
"""What was to be fetched from SFTP servers, and what was; a plan may be asked for until its last file is landed."""
RESULT_DAYS = 7
"""Results of queries of Athena, which have what the queries asked for; who needs one for longer keeps a copy."""
MESSAGE_SECONDS = 14 * 24 * 60 * 60
"""Events wait this long for a platform that is down: the most that SQS has."""
REPLACED_DAYS = 30
"""Versions of objects in the landing zone are kept this long once they were archived or written over: AWS DMS and
others that list there become slow where they pile up."""


@acting(NOBODY)
def provision(
    services: Services, sources: Iterable[Source], random_bytes: Callable[[int], bytes] = os.urandom
) -> list[str]:
    """Buckets with their lifecycle rules, ledger, topics, hashing key, and for every source that takes files its queue
    and event rule. Sentences on lifecycle rules that were others than declared.

    Raises:
        PermanentFailure: settings of sources contradict each other.
    """
    every = list(sources)
    _buckets(services)
    differences = put_lifecycle(services, PLATFORM_RULES, every)
    _ledger(services)
    if services.settings.personal_tag:
        personal_tags.provide(services.aws.client("lakeformation"), services.settings.personal_tag)
    create_key(services.secrets, services.settings.hash_key_secret, random_bytes)
    _topics(services)
    for to in services.alerts.destinations() if services.alerts else ():
        _topic(services, to.topic)
    for source in every:
        if source.takes_files:
            events_to_queue(services, source, arrival_pattern(source))
        own = {t for flow in source.feeds for t in (flow.topics.success, flow.topics.failure) if t}
        for topic in own:
            _topic(services, topic)
    return differences


def is_deployed(services: Services) -> bool:
    """Whether a deployment has made the platform, as the tag of the raw bucket says: its encryption, policies and
    queues are others than those that are made here, and not to be overwritten.

    Raises:
        EnvironmentFailure: the tag may not be read.
    """
    bucket = services.settings.raw_bucket
    with aws_failures(f"tags of bucket {bucket}"):
        try:
            tags = services.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
        except ClientError as e:
            if e.response["Error"]["Code"] not in ("NoSuchTagSet", "NoSuchBucket"):
                raise
            return False
    return {"Key": names.PLATFORM_TAG, "Value": names.PLATFORM} in tags


def open_settler(services: Services, source: Source) -> Settler:
    """The arrival side of a source. On the embedded AWS a source that was just declared gets what it needs here.

    Raises:
        PermanentFailure: nobody has made the source's queue in AWS.
    """
    found = services.find_settler(source)
    if found is None and services.settings.env == "local":
        provision(services, [source])
    return found or services.settler(source)


def _buckets(services: Services) -> None:
    s3, settings = services.s3, services.settings
    for bucket in (settings.raw_bucket, settings.clean_bucket):
        place = {"CreateBucketConfiguration": {"LocationConstraint": settings.region}}
        elsewhere = place if settings.region != "us-east-1" else {}
        _unless_exists("BucketAlreadyOwnedByYou", s3.create_bucket, Bucket=bucket, **elsewhere)
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        if settings.env == "aws":  # the embedded AWS has no TLS
            s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(bucket_policy(bucket)))
        closed = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)
    s3.put_bucket_versioning(Bucket=settings.raw_bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=settings.raw_bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def _rule(name: str, prefix: str, **acts: Any) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": prefix}, **acts}


def _replaced(days: int) -> dict[str, Any]:
    return {"NoncurrentVersionExpiration": {"NoncurrentDays": days}}


_MARKERS = {"ExpiredObjectDeleteMarker": True}
"""Marks of deletions that mark nothing any more: listings would pass over every one that ever was."""
PLATFORM_RULES: Sequence[Mapping[str, Any]] = (
    _rule("decrypted-copies", "prepared/", Expiration={"Days": PREPARED_DAYS}, **_replaced(1)),
    _rule("unfinished-uploads", "", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 3}),
    _rule("replaced-landing-objects", "landing/", Expiration=_MARKERS, **_replaced(REPLACED_DAYS)),
    _rule("listings", "listings/", Expiration={"Days": LISTED_DAYS}, **_replaced(1)),
    _rule("transfers", "transfers/", Expiration={"Days": LISTED_DAYS}, **_replaced(1)),
    _rule("fetch-plans", "fetch-plans/", Expiration={"Days": PLANNED_DAYS}, **_replaced(1)),
    _rule("query-results", QUERY_RESULTS, Expiration={"Days": RESULT_DAYS}, **_replaced(1)),
    _rule("fetched", "fetched/", **_replaced(LISTED_DAYS)),
)
"""Lifecycle rules of the raw bucket for what is kept for a while only, whoever it comes from, as S3 takes them. Of what
was fetched from SFTP servers the memory stays."""


def bucket_policy(bucket: str, *, encrypted: bool = True) -> dict[str, Any]:
    """Nothing over HTTP in clear, and in a bucket that is ``encrypted`` nothing that asks for another encryption than
    KMS; a write that asks for none gets that of the bucket."""
    everything = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    tls = _denied("TlsOnly", "s3:*", everything, {"Bool": {"aws:SecureTransport": "false"}})
    other = {"StringNotEqualsIfExists": {_ENCRYPTION: "aws:kms"}, "Null": {_ENCRYPTION: "false"}}
    kms = _denied("KmsOnly", "s3:PutObject", everything[1:], other)
    return {"Version": "2012-10-17", "Statement": [tls, kms] if encrypted else [tls]}


def _denied(name: str, action: str, resources: list[str], condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": name,
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": resources,
        "Condition": condition,
    }


def _ledger(services: Services) -> None:
    client = services.aws.client("dynamodb")
    _unless_exists("ResourceInUseException", client.create_table, **table_definition(services.settings.ledger_table))


def _topics(services: Services) -> None:
    settings = services.settings
    arns = {"success": _topic(services, settings.success_topic), "failure": _topic(services, settings.failure_topic)}
    for subscriber in services.settings.subscribers:
        kind, _, endpoint = subscriber.partition("=")
        if kind not in arns or not endpoint:
            raise PermanentFailure(
                f"ADPLATFORM_SUBSCRIBERS: {subscriber!r} is not success=<address> or failure=<address>, "
                "with an e-mail address or an http(s) URL"
            )
        protocol = endpoint.partition("://")[0] if "://" in endpoint else "email"
        services.sns.subscribe(TopicArn=arns[kind], Protocol=protocol, Endpoint=endpoint)


def _topic(services: Services, topic: str) -> str:
    arn: str = topic if topic.startswith("arn:") else services.sns.create_topic(Name=topic)["TopicArn"]
    return arn


def arrival_pattern(source: Source) -> dict[str, Any]:
    """What EventBridge matches: objects created below the source's prefix."""
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [source.bucket]}, "object": {"key": [{"prefix": source.prefix}]}},
    }


def queue_policy(queue: str, rule: str) -> dict[str, Any]:
    """Who may send to a source's queue; both are ARNs."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
        ],
    }


def events_to_queue(services: Services, source: Source, pattern: Mapping[str, Any]) -> None:
    """Events of the default bus that match go to the source's own queue."""
    sqs, events = services.sqs, services.aws.client("events")
    name = services.settings.queue_name(source.name)
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern), State="ENABLED")["RuleArn"]
    attributes = {"Policy": json.dumps(queue_policy(arn, rule)), "MessageRetentionPeriod": str(MESSAGE_SECONDS)}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={**attributes, "SqsManagedSseEnabled": "true"})
    events.put_targets(Rule=name, Targets=[{"Id": "arrivals", "Arn": arn}])


def _unless_exists(code: str, create: Callable[..., Any], **arguments: Any) -> None:
    try:
        create(**arguments)
    except ClientError as e:
        if e.response["Error"]["Code"] != code:
            raise
