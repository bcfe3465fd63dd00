"""Locations of the stand-in of DataSync: what may be created, and the stores behind them.

S3 is the embedded AWS's own. Object storage is any S3-compatible server, and at ``SIMULATED_SERVER``
the embedded AWS itself as a stranger sees it. What stands for a file server or for Azure
Blob Storage is a directory of this machine, ``shares/<host>/<path>`` below the data directory of the embedded AWS: it
must be there before the location is created, and nothing outside of it is ever read.
"""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from moto.s3.models import s3_backends

from adplatform.contracts.replication import SIMULATED_SERVER
from adplatform.local.aws.datasync.state import DataSyncBackend, InvalidRequestException, Location
from adplatform.local.aws.datasync.stores import Bucket, Directory, Source, foreign_bucket, own_bucket
from adplatform.local.aws.managed import CONTROL, own_client

DESCRIBED = {
    "S3": ("S3StorageClass", "S3Config", "AgentArns"),
    "OBJECT_STORAGE": (
        "AccessKey",
        "ServerPort",
        "ServerProtocol",
        "AgentArns",
        "ServerCertificate",
        "CmkSecretConfig",
        "CustomSecretConfig",
        "FederatedIdentity",
    ),
    "AZURE_BLOB": (
        "AuthenticationType",
        "BlobType",
        "AccessTier",
        "AgentArns",
        "CmkSecretConfig",
        "CustomSecretConfig",
    ),
    "NFS": ("OnPremConfig", "MountOptions"),
    "SMB": (
        "AgentArns",
        "User",
        "Domain",
        "MountOptions",
        "AuthenticationType",
        "DnsIpAddresses",
        "KerberosPrincipal",
        "CmkSecretConfig",
        "CustomSecretConfig",
    ),
}
"""The members of a request that DescribeLocation… gives back, by kind. Secrets are in none."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    "S3": {"S3StorageClass": "STANDARD"},
    "OBJECT_STORAGE": {"ServerProtocol": "HTTPS"},
    "AZURE_BLOB": {"BlobType": "BLOCK", "AccessTier": "HOT"},
    "NFS": {"MountOptions": {"Version": "AUTOMATIC"}},
    "SMB": {"MountOptions": {"Version": "AUTOMATIC"}, "AuthenticationType": "NTLM"},
}
_shares: Path


def serve_shares(shares: Path) -> None:
    """``shares`` has a directory for each host that stands for a file server."""
    global _shares  # noqa: PLW0603 - moto itself creates the responses
    _shares = shares


def create(backend: DataSyncBackend, kind: str, request: dict[str, Any]) -> Location:
    """
    Raises:
        InvalidRequestException: an agent, the bucket or the directory does not exist.
    """
    completed = {**_DEFAULTS[kind], **request}
    if kind == "OBJECT_STORAGE":
        completed.setdefault("ServerPort", 443 if completed["ServerProtocol"] == "HTTPS" else 80)
    location = Location(backend.new_arn("location", "loc"), kind, _uri(kind, completed), completed, CONTROL.now())
    for agent in location.agents:
        backend.agent(agent)
    if kind == "S3":
        _require_bucket(backend, bucket_name(completed["S3BucketArn"]))
    elif kind != "OBJECT_STORAGE":
        directory(location)
    backend.locations[location.arn] = location
    return location


def bucket_name(arn: str) -> str:
    """
    Raises:
        InvalidRequestException: it is the ARN of an access point, which the embedded S3 does not have.
    """
    if ":accesspoint" in arn:
        raise InvalidRequestException(f"{arn}: the embedded AWS has no access points.")
    return arn.rpartition(":")[2]


def source(location: Location) -> Source:
    """Opens a location for reading. Callers do not hold the lock, for a secret may have to be asked for."""
    return destination(location) if location.kind in {"S3", "OBJECT_STORAGE"} else directory(location)


def destination(location: Location) -> Bucket:
    """Opens a bucket for reading and writing. Callers do not hold the lock."""
    request = location.request
    if location.kind == "S3":
        name, storage_class = bucket_name(request["S3BucketArn"]), request["S3StorageClass"]
        return own_bucket(name, request.get("Subdirectory", ""), storage_class)
    url = f"{request['ServerProtocol'].lower()}://{request['ServerHostname']}:{request['ServerPort']}"
    if request["ServerHostname"] == urlsplit(SIMULATED_SERVER).hostname:
        return own_bucket(request["BucketName"], request.get("Subdirectory", ""))
    access_key, secret_key = request.get("AccessKey", ""), request.get("SecretKey", "")
    for config in ("CmkSecretConfig", "CustomSecretConfig"):
        if arn := request.get(config, {}).get("SecretArn"):
            secret_key = own_client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
    return foreign_bucket(url, request["BucketName"], request.get("Subdirectory", ""), access_key, secret_key)


def directory(location: Location) -> Directory:
    """
    Raises:
        InvalidRequestException: there is no such directory, or it lies outside of the shares.
    """
    host, path = _address(location.kind, location.request)
    share = (_shares / host).resolve()
    found = (share / path.strip("/")).resolve()
    if share.parent != _shares.resolve() or not found.is_relative_to(share) or not found.is_dir():
        raise InvalidRequestException(
            f"{location.uri} cannot be mounted: what stands for it is the directory {path.strip('/') or '.'} "
            f"in {_shares / host}, which must exist."
        )
    return Directory(found, posix=location.kind != "AZURE_BLOB")


def _address(kind: str, request: dict[str, Any]) -> tuple[str, str]:
    """Host and path."""
    path = request.get("Subdirectory", "")
    if kind == "AZURE_BLOB":
        url = urlsplit(request["ContainerUrl"])
        return url.netloc, f"{url.path}/{path.strip('/')}"
    return request["ServerHostname"], path


def _uri(kind: str, request: dict[str, Any]) -> str:
    path = request.get("Subdirectory", "").strip("/")
    inner = f"{path}/" if path else ""
    if kind == "S3":
        return f"s3://{bucket_name(request['S3BucketArn'])}/{inner}"
    if kind == "OBJECT_STORAGE":
        return f"object-storage://{request['ServerHostname']}/{request['BucketName']}/{inner}"
    host, path = _address(kind, request)
    inner = f"{path.strip('/')}/" if path.strip("/") else ""
    return f"{kind.lower().replace('_', '-')}://{host}/{inner}"


def _require_bucket(backend: DataSyncBackend, name: str) -> None:
    if name not in s3_backends[backend.account_id][backend.partition].buckets:
        raise InvalidRequestException(
            f"DataSync location access test failed: could not perform s3:HeadBucket on bucket {name}. "
            "The specified bucket does not exist."
        )
