"""What keys of KMS allow services that act without a role: statements for the policies of these keys."""

from collections.abc import Iterator
from typing import Any, cast

from adplatform.contracts.replication import ReplicatedSource
from adplatform.contracts.saas import SaasSource
from adplatform.engines.declared_connections import declared_connection
from adplatform.engines.declared_locations import needed
from deploy.estate import Estate

_APPFLOW = {"Service": "appflow.amazonaws.com"}


def of_data(estate: Estate) -> Iterator[dict[str, Any]]:
    """AppFlow has S3 encrypt what it writes into the raw bucket, and only there."""
    if estate.of_kind("SaasFlows"):
        bucket = {"kms:ViaService": _endpoint("s3", estate), "kms:EncryptionContext:aws:s3:arn": estate.raw()}
        yield _allowed("AppFlowWrites", _APPFLOW, ["kms:GenerateDataKey", "kms:Decrypt"], {"StringEquals": bucket})


def of_secrets(estate: Estate) -> Iterator[dict[str, Any]]:
    """AppFlow reads the secret of a client by itself. DataSync keeps credentials of stores, by its service-linked role,
    which comes to be with the first location and so cannot be named as a principal."""
    by_secrets = {"kms:ViaService": _endpoint("secretsmanager", estate)}
    connections = [declared_connection(cast(SaasSource, each.model)) for each in estate.of_kind("SaasFlows")]
    if any(each is not None and each.reads_client for each in connections):
        reads = ["kms:Decrypt", "kms:DescribeKey"]
        yield _allowed("AppFlowReadsClients", _APPFLOW, reads, {"StringEquals": by_secrets})
    stores = [cast(ReplicatedSource, each.model).from_ for each in estate.of_kind("ReplicatedFiles")]
    if any(store is not None and needed(store) for store in stores):
        linked = "role/aws-service-role/datasync.amazonaws.com/AWSServiceRoleForDataSync"
        only = {
            "StringEquals": {**by_secrets, "kms:CallerAccount": estate.account},
            "ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{estate.account}:{linked}"},
        }
        keeps = ["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"]
        yield _allowed("DataSyncKeepsCredentials", {"AWS": "*"}, keeps, only)


def _endpoint(service: str, estate: Estate) -> str:
    return f"{service}.{estate.region}.amazonaws.com"


def _allowed(name: str, principal: dict[str, str], actions: list[str], condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": name,
        "Effect": "Allow",
        "Principal": principal,
        "Action": actions,
        "Resource": "*",
        "Condition": condition,
    }
