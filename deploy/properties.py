"""Plain CloudFormation: what boto3 is asked for, with members written as there, and what several stacks have alike."""

from collections.abc import Iterable, Mapping
from typing import Any

_CLOSED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)


def properties(request: Any, *, kept: Iterable[str] = ()) -> Any:
    """A request, or a part of one, with names of members that begin with a capital letter. What is below a member of
    ``kept``, named as boto3 does, is data whose keys stay as they are."""
    names = frozenset(kept)
    if isinstance(request, Mapping):
        return {
            key[:1].upper() + key[1:]: value if key in names else properties(value, kept=names)
            for key, value in request.items()
        }
    if isinstance(request, (list, tuple)):
        return [properties(each, kept=names) for each in request]
    return request


def tags(given: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in given.items()]


def lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as PutBucketLifecycleConfiguration takes it, as AWS::S3::Bucket does."""
    wanted: dict[str, Any] = {"Id": rule["ID"], "Status": rule["Status"]}
    if prefix := rule["Filter"].get("Prefix"):
        wanted["Prefix"] = prefix
    expiration = rule.get("Expiration", {})
    if "Days" in expiration:
        wanted["ExpirationInDays"] = expiration["Days"]
    if "ExpiredObjectDeleteMarker" in expiration:
        wanted["ExpiredObjectDeleteMarker"] = expiration["ExpiredObjectDeleteMarker"]
    for name in ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"):
        if name in rule:
            wanted[name] = dict(rule[name])
    return wanted


def closed_bucket(name: str, key: str | None, **more: Any) -> dict[str, Any]:
    """Nobody outside the account gets into it. ``key`` is the ARN of a key; without it S3's own."""
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key} if key else {"SSEAlgorithm": "AES256"}
    rule = {"ServerSideEncryptionByDefault": default, **({"BucketKeyEnabled": True} if key else {})}
    return {
        "BucketName": name,
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]},
        "PublicAccessBlockConfiguration": _CLOSED,
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        **more,
    }


def tls_only(action: str, arn: str) -> dict[str, Any]:
    """A statement of a resource's policy: nobody does this to it over a connection in clear."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def with_tls(policy: Mapping[str, Any], queue: str) -> dict[str, Any]:
    """The policy of a queue, by its ARN, to which nobody speaks over a connection in clear."""
    return {**policy, "Statement": [*policy["Statement"], tls_only("sqs:*", queue)]}
