"""Locations of DataSync that YAML declares: what each is asked for, in provision and in a deployment alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from adplatform.contracts.stores import AnyStore, AzureBlob, GoogleCloudStorage, NfsShare, ObjectStorage, S3Store
from adplatform.engines.declared_tasks import DeclaredTask, tags_of
from adplatform.platform.arns import role_arn

Place = Literal["s3", "object_storage", "azure_blob", "nfs", "smb"]
_PORTS = {"https": 443, "http": 80}
_NFS = {"automatic": "AUTOMATIC", "3": "NFS3", "4.0": "NFS4_0", "4.1": "NFS4_1"}


@dataclass(frozen=True)
class Needed:
    """The secret of a store and the members that it has to have, and may have."""

    secret: str
    members: tuple[str, ...]
    optional: tuple[str, ...] = ()


def place_of(store: AnyStore) -> Place:
    """The kind of its location, as operations of the API end with it."""
    return "object_storage" if isinstance(store, GoogleCloudStorage) else store.kind


def needed(store: AnyStore) -> Needed | None:
    """What of a secret its location is made with."""
    if isinstance(store, (ObjectStorage, GoogleCloudStorage)):
        return Needed(store.secret, ("access_key", "secret_key")) if store.secret else None
    if isinstance(store, AzureBlob):
        return Needed(store.secret, ("sas_token",)) if store.secret else None
    if isinstance(store, (S3Store, NfsShare)):
        return None
    return Needed(store.secret, ("user", "password"), () if store.domain else ("domain",))


def source_location(
    declared: DeclaredTask, account: str, kept: Mapping[str, str], key: str | None = None
) -> dict[str, Any]:
    """What CreateLocation… is asked for the store, with what is ``kept`` in its secret; DataSync keeps that in a secret
    of its own, under the KMS ``key`` of this ARN or else one of the account's. Roles of ``account`` may go by name."""
    store = declared.store
    agents = {"AgentArns": list(store.agents)} if store.agents else {}
    common: dict[str, Any] = {**agents, "Tags": tags_of(declared, "source")}
    if isinstance(store, S3Store):
        request: dict[str, Any] = {
            "S3BucketArn": f"arn:aws:s3:::{store.bucket}",
            "Subdirectory": declared.store_prefix,
            "S3Config": {"BucketAccessRoleArn": role_arn(store.role or declared.role, account)},
        }
    elif isinstance(store, (ObjectStorage, GoogleCloudStorage)):
        url = urlsplit(declared.server)
        request = {
            "ServerHostname": url.hostname,
            "ServerPort": url.port or _PORTS[url.scheme],
            "ServerProtocol": url.scheme.upper(),
            "BucketName": store.bucket,
            "Subdirectory": declared.store_prefix,
        }
        if kept:
            request |= {"AccessKey": kept["access_key"], "SecretKey": kept["secret_key"]}
    elif isinstance(store, AzureBlob):
        request = {
            "ContainerUrl": store.container,
            "Subdirectory": f"/{store.prefix.strip('/')}",
            "AccessTier": store.tier.upper(),
            "BlobType": "BLOCK",
            "AuthenticationType": "SAS" if store.secret else "NONE",
        }
        if kept:
            request["SasConfiguration"] = {"Token": kept["sas_token"]}
    elif isinstance(store, NfsShare):
        common = {"OnPremConfig": agents, "Tags": common["Tags"]}
        options = {"MountOptions": {"Version": _NFS[store.version]}}
        request = {"ServerHostname": store.server, "Subdirectory": store.path, **options}
    else:
        named = {name.capitalize(): value for name, value in kept.items()}
        domain = {"Domain": store.domain} if store.domain else {}
        request = {"ServerHostname": store.server, "Subdirectory": store.path, **named, **domain}
    under = {"CmkSecretConfig": {"KmsKeyArn": key}} if kept and key else {}
    return {**request, **under, **common}


def destination_location(declared: DeclaredTask, account: str) -> dict[str, Any]:
    """What CreateLocationS3 is asked for the landing zone."""
    return {
        "S3BucketArn": f"arn:aws:s3:::{declared.bucket}",
        "Subdirectory": declared.prefix,
        "S3Config": {"BucketAccessRoleArn": role_arn(declared.role, account)},
        "Tags": tags_of(declared, "destination"),
    }
