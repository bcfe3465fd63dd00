"""Tasks of DataSync made as YAML declares them, with the locations that they need.

Secrets are read here, to be handed to DataSync, and nothing that they hold is in any error.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from adplatform.contracts.stores import AzureBlob, GoogleCloudStorage, NfsShare, ObjectStorage, S3Store
from adplatform.engines.declared_tasks import DeclaredTask, tags_of, task_request
from adplatform.engines.task_locations import location_uris, same_place
from adplatform.failures import PermanentFailure, TransientFailure
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.json_secrets import json_object

_PORTS = {"https": 443, "http": 80}
_KNOWN = ("user", "domain")
"""Members of secrets that DataSync itself tells everybody who may describe a location."""
_NFS = {"automatic": "AUTOMATIC", "3": "NFS3", "4.0": "NFS4_0", "4.1": "NFS4_1"}


def provide(client: Any, secrets: Any, declared: DeclaredTask, account: str) -> bool:
    """Make the task and its locations; False when there is one of its name already. Locations that an earlier attempt
    left are removed: they have the credentials and settings of then, and DataSync does not tell all of these. Roles of
    ``account`` may go by name; secrets are read only to be handed to DataSync.

    Raises:
        PermanentFailure: a secret is missing or lacks a member, or DataSync refuses something.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    with aws_failures(f"task {declared.name}"):
        pages = client.get_paginator("list_tasks").paginate()
        if any(task.get("Name") == declared.name for page in pages for task in page["Tasks"]):
            return False
        uris = location_uris(client)
        _remove_left(client, declared, "source", declared.uri, uris)
        _remove_left(client, declared, "destination", f"s3://{declared.bucket}/{declared.prefix}", uris)
    role = _role(declared.role, account)
    source = _source_location(client, secrets, declared, account)
    with aws_failures(f"task {declared.name}"):
        made = client.create_location_s3(
            S3BucketArn=f"arn:aws:s3:::{declared.bucket}",
            Subdirectory=declared.prefix,
            S3Config={"BucketAccessRoleArn": role},
            Tags=tags_of(declared, "destination"),
        )
        client.create_task(**task_request(declared, source, made["LocationArn"], role))
    return True


def read_secret(secrets: Any, name: str, members: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """The members of a secret that is a JSON object, the ``optional`` ones where they are there.

    Raises:
        PermanentFailure: there is no such secret, or it lacks a member; nothing of it is quoted.
        TransientFailure: Secrets Manager does not answer at present, or does not allow it.
    """
    with aws_failures(f"secret {name}"):
        try:
            text = secrets.get_secret_value(SecretId=name).get("SecretString", "")
        except secrets.exceptions.ResourceNotFoundException as e:
            raise PermanentFailure(
                f"secret {name} does not exist: make it, a JSON object with {', '.join(members)}"
            ) from e
    kept = {key: value for key, value in json_object(text).items() if isinstance(value, str)}
    if missing := [member for member in members if not kept.get(member)]:
        raise PermanentFailure(f"secret {name} is no JSON object with {', '.join(missing)}")
    return {member: kept[member] for member in (*members, *optional) if kept.get(member)}


def _source_location(client: Any, secrets: Any, declared: DeclaredTask, account: str) -> str:
    store = declared.store
    agents = {"AgentArns": list(store.agents)} if store.agents else {}
    common = {**agents, "Tags": tags_of(declared, "source")}
    kept: dict[str, str] = {}
    if isinstance(store, S3Store):
        create = client.create_location_s3
        request: dict[str, Any] = {
            "S3BucketArn": f"arn:aws:s3:::{store.bucket}",
            "Subdirectory": declared.store_prefix,
            "S3Config": {"BucketAccessRoleArn": _role(store.role or declared.role, account)},
        }
    elif isinstance(store, (ObjectStorage, GoogleCloudStorage)):
        create, url = client.create_location_object_storage, urlsplit(declared.server)
        request = {
            "ServerHostname": url.hostname,
            "ServerPort": url.port or _PORTS[url.scheme],
            "ServerProtocol": url.scheme.upper(),
            "BucketName": store.bucket,
            "Subdirectory": declared.store_prefix,
        }
        if store.secret:
            kept = read_secret(secrets, store.secret, ["access_key", "secret_key"])
            request |= {"AccessKey": kept["access_key"], "SecretKey": kept["secret_key"]}
    elif isinstance(store, AzureBlob):
        create = client.create_location_azure_blob
        request = {
            "ContainerUrl": store.container,
            "Subdirectory": f"/{store.prefix.strip('/')}",
            "AccessTier": store.tier.upper(),
            "BlobType": "BLOCK",
            "AuthenticationType": "SAS" if store.secret else "NONE",
        }
        if store.secret:
            kept = read_secret(secrets, store.secret, ["sas_token"])
            request["SasConfiguration"] = {"Token": kept["sas_token"]}
    elif isinstance(store, NfsShare):
        create = client.create_location_nfs
        common = {"OnPremConfig": agents, "Tags": common["Tags"]}
        options = {"MountOptions": {"Version": _NFS[store.version]}}
        request = {"ServerHostname": store.server, "Subdirectory": store.path, **options}
    else:
        create = client.create_location_smb
        kept = read_secret(secrets, store.secret, ["user", "password"], ["domain"])
        request = {
            "ServerHostname": store.server,
            "Subdirectory": store.path,
            **{name.capitalize(): value for name, value in kept.items()},
        }
    secret = [value for member, value in kept.items() if member not in _KNOWN]
    with _hidden(secret), aws_failures(f"location {declared.uri}"):
        return str(create(**request, **common)["LocationArn"])


def _role(role: str, account: str) -> str:
    return role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"


@contextmanager
def _hidden(values: Collection[str]) -> Iterator[None]:
    """No error of the call says any of these values, nor has a cause that may."""
    try:
        yield
    except (PermanentFailure, TransientFailure) as e:
        text = str(e)
        for value in values:
            text = text.replace(value, "***")
        e.args = (text,)
        e.__context__ = None
        raise e from None


def _remove_left(client: Any, declared: DeclaredTask, end: str, uri: str, uris: Mapping[str, str]) -> None:
    """Remove what an earlier attempt made for this end of the task, unless somebody uses it."""
    wanted = {tag["Key"]: tag["Value"] for tag in tags_of(declared, end)}
    for arn, there in uris.items():
        if not same_place(there, uri):
            continue
        pages = client.get_paginator("list_tags_for_resource").paginate(ResourceArn=arn)
        tags = {tag["Key"]: tag.get("Value", "") for page in pages for tag in page["Tags"]}
        if wanted.items() <= tags.items():
            with suppress(client.exceptions.InvalidRequestException):
                client.delete_location(LocationArn=arn)
