"""What boto3 is asked for, as properties of CloudFormation: the same members, written with a capital letter."""

from collections.abc import Iterable, Mapping
from typing import Any


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
