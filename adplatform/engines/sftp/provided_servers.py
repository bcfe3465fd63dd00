"""SFTP servers of Transfer Family as YAML declares them: the server, its users and their keys, and its workflows.

What is there is compared and changed where it differs; nothing is deleted but keys that are declared no longer. A
workflow cannot be changed: one that differs is made anew and attached in the place of the other.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.sftp_server import SftpServer, SftpUser, Workflow
from adplatform.failures import PermanentFailure
from adplatform.files.keyring import parse_key
from adplatform.platform.arns import role_arn
from adplatform.platform.aws_errors import aws_failures
from adplatform.platform.names import OWNER_TAG

TAG = "adplatform:server"
BUCKET_TAG = "adplatform:bucket"
DECRYPTED = "prepared/sftp-uploads/${Transfer:UserName}/${Transfer:UploadDate}/"
"""Where decrypted copies go: nothing lands below ``prepared/``, and a lifecycle rule removes them."""
_ORIGINAL = "${original.file}"


@dataclass(frozen=True)
class DeclaredServer:
    """A server of one source's partner. ``prefix`` is the source's landing prefix in ``bucket``; ``account`` and
    ``region`` complete names to ARNs."""

    source: str
    server: SftpServer
    bucket: str
    prefix: str
    account: str
    region: str

    def role(self, name: str) -> str:
        return role_arn(name, self.account)

    def function(self, name: str) -> str:
        return name if name.startswith("arn:") else f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"


def provide(client: Any, secrets: Any, declared: DeclaredServer) -> str:
    """Make the server what it is declared to be; its id. ``client`` is a boto3 client of Transfer Family.

    Raises:
        PermanentFailure: a declared server does not exist, somebody else's user has the name, or AWS refuses
            something.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    wanted = declared.server
    with aws_failures(f"SFTP server {wanted.server}"):
        server = _server(client, secrets, declared)
        for user in wanted.users:
            _user(client, declared, server, user)
        _decryption_keys(secrets, wanted, server)
        _lock_out(client, declared, server)
    return server


def put_keys(client: Any, secrets: Any, declared: DeclaredServer) -> None:
    """Put the keys with which the workflow of a server that is there decrypts where it looks for them.

    Raises:
        PermanentFailure: nobody has made the server, or AWS refuses something.
        TransientFailure: AWS does not answer at present, or does not allow it.
    """
    wanted = declared.server
    if not (wanted.workflow and wanted.workflow.decrypt):
        return
    with aws_failures(f"SFTP server {wanted.server}"):
        server = find_server(client, declared)
        if server is None:
            raise PermanentFailure(
                f"there is no SFTP server {wanted.server}: deploy what source {declared.source} needs"
            )
        _decryption_keys(secrets, wanted, server)


def find_server(client: Any, declared: DeclaredServer) -> str | None:
    """The id of the server; None while nobody has made it."""
    if declared.server.exists:
        return declared.server.server
    wanted = {TAG: declared.server.server, BUCKET_TAG: declared.bucket}
    for page in client.get_paginator("list_servers").paginate():
        for each in page["Servers"]:
            if wanted.items() <= _tags(client, each["Arn"]).items():
                return str(each["ServerId"])
    return None


def workflows_of(declared: DeclaredServer) -> Mapping[str, dict[str, Any]]:
    """The steps of the workflows that are declared, by the occasion that begins them."""
    workflow = declared.server.workflow
    if workflow is None:
        return {}
    failed = [_custom(declared, "exception", workflow.exception_function, workflow)]
    return {
        "OnUpload": {"Steps": list(_steps(declared, workflow)), "OnExceptionSteps": failed},
        "OnPartialUpload": {
            "Steps": [_custom(declared, "partial", workflow.partial_function, workflow)],
            "OnExceptionSteps": failed,
        },
    }


def workflow_request(declared: DeclaredServer, occasion: str) -> dict[str, Any]:
    """What CreateWorkflow is asked for, of an occasion of :func:`workflows_of`."""
    return {
        "Description": f"adplatform {declared.server.server} {occasion}",
        **workflows_of(declared)[occasion],
        "Tags": _as_tags({TAG: declared.server.server, BUCKET_TAG: declared.bucket}),
    }


def server_request(declared: DeclaredServer) -> dict[str, Any]:
    """What CreateServer is asked for, without host key and workflows."""
    wanted = declared.server
    return {
        "Protocols": ["SFTP"],
        "Domain": "S3",
        "IdentityProviderType": "SERVICE_MANAGED",
        "EndpointType": wanted.endpoint.upper(),
        **_settings(declared),
        **({"EndpointDetails": _endpoint(wanted)} if wanted.endpoint == "vpc" else {}),
        "Tags": _as_tags({"Name": wanted.server, TAG: wanted.server, BUCKET_TAG: declared.bucket}),
    }


def user_request(declared: DeclaredServer, user: SftpUser) -> dict[str, Any]:
    """What CreateUser is asked for, without server and keys."""
    return {
        "UserName": user.name,
        **_home(declared, user),
        "Tags": _as_tags({OWNER_TAG: declared.source, BUCKET_TAG: declared.bucket}),
    }


def decryption_secret(server: str, user: str) -> str:
    """Where Transfer Family looks for the private key of a user (its user guide, "Manage PGP keys")."""
    return f"aws/transfer/{server}/{user}"


def session_policy(bucket: str, folder: str, user: SftpUser) -> dict[str, Any]:
    """What of its role a user may do, below ``folder``, which ends with "/". Keys are left to the role."""
    objects = ["s3:PutObject", "s3:AbortMultipartUpload"]
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": ["kms:GenerateDataKey", "kms:Decrypt"], "Resource": "*"}
    ]
    if user.can == "put_get_list":
        objects += ["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject"]
        statements.append(
            {
                "Effect": "Allow",
                "Action": "s3:ListBucket",
                "Resource": f"arn:aws:s3:::{bucket}",
                "Condition": {"StringLike": {"s3:prefix": [folder.rstrip("/"), f"{folder}*"]}},
            }
        )
    statements.append({"Effect": "Allow", "Action": objects, "Resource": f"arn:aws:s3:::{bucket}/{folder}*"})
    return {"Version": "2012-10-17", "Statement": statements}


def folder_of(prefix: str, user: SftpUser) -> str:
    """The prefix that a user sees as ``/``; it ends with "/"."""
    return f"{prefix}{user.folder.strip('/')}/" if user.folder else prefix


def _server(client: Any, secrets: Any, declared: DeclaredServer) -> str:
    wanted, found = declared.server, find_server(client, declared)
    if found is not None:
        _update(client, declared, found)
        return found
    request = server_request(declared)
    if wanted.host_key_secret:
        request["HostKey"] = _secret(secrets, wanted.host_key_secret)
    if attached := _attached(client, declared):
        request["WorkflowDetails"] = attached
    return str(client.create_server(**request)["ServerId"])


def _update(client: Any, declared: DeclaredServer, server: str) -> None:
    wanted = declared.server
    try:
        known = client.describe_server(ServerId=server)["Server"]
    except client.exceptions.ResourceNotFoundException as e:
        raise PermanentFailure(
            f"SFTP server {server} of source {declared.source} does not exist in this account"
        ) from e
    changes: dict[str, Any] = {}
    if not wanted.exists:
        if known["EndpointType"] != wanted.endpoint.upper():
            raise PermanentFailure(
                f"SFTP server {wanted.server} ({server}) has endpoint {known['EndpointType'].lower()} and is declared "
                f"with {wanted.endpoint}: AWS changes that of no server in use; declare another name for `server`"
            )
        settings = _settings(declared)
        changes = {name: value for name, value in settings.items() if not _includes(known.get(name), value)}
        if wanted.endpoint == "vpc" and not _includes(known.get("EndpointDetails"), _endpoint(wanted)):
            changes["EndpointDetails"] = _endpoint(wanted)
    if wanted.workflow is not None or not wanted.exists:
        attached, there = _attached(client, declared), known.get("WorkflowDetails", {})
        if any(there.get(occasion, []) != attached.get(occasion, []) for occasion in ("OnUpload", "OnPartialUpload")):
            changes["WorkflowDetails"] = attached or {"OnUpload": [], "OnPartialUpload": []}
    if changes:
        client.update_server(ServerId=server, **changes)


def _settings(declared: DeclaredServer) -> dict[str, Any]:
    wanted = declared.server
    return {
        "SecurityPolicyName": wanted.security_policy,
        "ProtocolDetails": {"SetStatOption": "ENABLE_NO_OP" if wanted.set_stat else "DEFAULT"},
        **({"LoggingRole": declared.role(wanted.logging_role)} if wanted.logging_role else {}),
    }


def _endpoint(wanted: SftpServer) -> dict[str, Any]:
    groups = {"SecurityGroupIds": list(wanted.security_groups)} if wanted.security_groups else {}
    return {"VpcId": wanted.vpc, "SubnetIds": list(wanted.subnets), **groups}


def _attached(client: Any, declared: DeclaredServer) -> dict[str, Any]:
    """WorkflowDetails with the declared workflows; those that nobody has made are."""
    workflow = declared.server.workflow
    if workflow is None:
        return {}
    role = declared.role(workflow.role)
    return {
        occasion: [{"WorkflowId": _workflow(client, declared, occasion, steps), "ExecutionRole": role}]
        for occasion, steps in workflows_of(declared).items()
    }


def _workflow(client: Any, declared: DeclaredServer, occasion: str, steps: Mapping[str, Any]) -> str:
    for page in client.get_paginator("list_workflows").paginate():
        for each in page["Workflows"]:
            known = client.describe_workflow(WorkflowId=each["WorkflowId"])["Workflow"]
            if all(known.get(name, []) == wanted for name, wanted in steps.items()):
                return str(each["WorkflowId"])
    return str(client.create_workflow(**workflow_request(declared, occasion))["WorkflowId"])


def _steps(declared: DeclaredServer, workflow: Workflow) -> Iterator[dict[str, Any]]:
    if workflow.decrypt:
        yield {
            "Type": "DECRYPT",
            "DecryptStepDetails": {
                "Name": "decrypt",
                "Type": "PGP",
                "SourceFileLocation": _ORIGINAL,
                "OverwriteExisting": "TRUE",
                "DestinationFileLocation": {"S3FileLocation": {"Bucket": declared.bucket, "Key": DECRYPTED}},
            },
        }
    if workflow.check:
        yield _custom(declared, "check", workflow.function, workflow)
    if workflow.tag:
        tags = [{"Key": key, "Value": value} for key, value in workflow.tag.items()]
        yield {"Type": "TAG", "TagStepDetails": {"Name": "tag", "Tags": tags, "SourceFileLocation": _ORIGINAL}}


def _custom(declared: DeclaredServer, name: str, function: str, workflow: Workflow) -> dict[str, Any]:
    details = {
        "Name": name,
        "Target": declared.function(function),
        "TimeoutSeconds": int(workflow.timeout.total_seconds()),
        "SourceFileLocation": _ORIGINAL,
    }
    return {"Type": "CUSTOM", "CustomStepDetails": details}


def _user(client: Any, declared: DeclaredServer, server: str, user: SftpUser) -> None:
    wanted, name = _home(declared, user), {"ServerId": server, "UserName": user.name}
    try:
        known = client.describe_user(**name)["User"]
    except client.exceptions.ResourceNotFoundException:
        client.create_user(ServerId=server, **user_request(declared, user), SshPublicKeyBody=user.keys[0])
        known = client.describe_user(**name)["User"]
    owner = {tag["Key"]: tag["Value"] for tag in known.get("Tags", ())}.get(OWNER_TAG)
    if owner != declared.source:
        whose = f"is that of source {owner}" if owner else "was made by somebody else"
        raise PermanentFailure(
            f"user {user.name} of SFTP server {server} {whose}: declare another name for the user of {declared.source}"
        )
    if any(not _same(known.get(member), value) for member, value in wanted.items()):
        client.update_user(**name, **wanted)
    _keys(client, name, known, user.keys)


def _home(declared: DeclaredServer, user: SftpUser) -> dict[str, Any]:
    folder = folder_of(declared.prefix, user)
    return {
        "HomeDirectoryType": "LOGICAL",
        "HomeDirectoryMappings": [{"Entry": "/", "Target": f"/{declared.bucket}/{folder.rstrip('/')}"}],
        "Policy": json.dumps(session_policy(declared.bucket, folder, user)),
        "Role": declared.role(declared.server.role),
    }


def _keys(client: Any, name: Mapping[str, str], known: Mapping[str, Any], wanted: Sequence[str]) -> None:
    """First those that are new, so that there is no moment without any."""
    there = {_bare(key["SshPublicKeyBody"]): key["SshPublicKeyId"] for key in known.get("SshPublicKeys", ())}
    for key in wanted:
        if _bare(key) not in there:
            client.import_ssh_public_key(**name, SshPublicKeyBody=key)
    declared = {_bare(key) for key in wanted}
    for key, key_id in there.items():
        if key not in declared:
            client.delete_ssh_public_key(**name, SshPublicKeyId=key_id)


def _lock_out(client: Any, declared: DeclaredServer, server: str) -> None:
    """Take their keys from users of the source that are declared no longer."""
    wanted = {user.name for user in declared.server.users}
    own = {OWNER_TAG: declared.source, BUCKET_TAG: declared.bucket}
    for page in client.get_paginator("list_users").paginate(ServerId=server):
        for each in page["Users"]:
            if each["UserName"] not in wanted and each.get("SshPublicKeyCount"):
                name = {"ServerId": server, "UserName": each["UserName"]}
                known = client.describe_user(**name)["User"]
                if own.items() <= {tag["Key"]: tag["Value"] for tag in known.get("Tags", ())}.items():
                    _keys(client, name, known, ())


def _decryption_keys(secrets: Any, wanted: SftpServer, server: str) -> None:
    if wanted.workflow and wanted.workflow.decrypt:
        for user in wanted.users:
            _decryption_key(secrets, decryption_secret(server, user.name), wanted.workflow.decrypt.secret)


def _decryption_key(secrets: Any, name: str, of: str) -> None:
    """Make the secret with the private key of a user, with the key of another secret."""
    key = parse_key(of, _secret(secrets, of))
    members = {"PGPPrivateKey": key.data.decode(), **({"PGPPassphrase": key.passphrase} if key.passphrase else {})}
    wanted = json.dumps(members, sort_keys=True)
    try:
        if secrets.get_secret_value(SecretId=name)["SecretString"] != wanted:
            secrets.put_secret_value(SecretId=name, SecretString=wanted)
    except secrets.exceptions.ResourceNotFoundException:
        secrets.create_secret(Name=name, SecretString=wanted)


def _secret(secrets: Any, name: str) -> str:
    """
    Raises:
        PermanentFailure: there is no such secret, or it is no text; nothing of it is quoted.
    """
    try:
        found = secrets.get_secret_value(SecretId=name)
    except secrets.exceptions.ResourceNotFoundException as e:
        raise PermanentFailure(f"secret {name} does not exist: make it, with the private key as text") from e
    if "SecretString" not in found:
        raise PermanentFailure(f"secret {name} is binary: Transfer Family takes keys as text; store it armoured")
    return str(found["SecretString"])


def _tags(client: Any, arn: str) -> dict[str, str]:
    pages = client.get_paginator("list_tags_for_resource").paginate(Arn=arn)
    return {tag["Key"]: tag["Value"] for page in pages for tag in page.get("Tags", ())}


def _as_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _bare(key: str) -> str:
    kind, body = key.split()[:2]
    return f"{kind} {body.rstrip('=')}"


def _includes(there: Any, wanted: Any) -> bool:
    """Whether what AWS tells of a setting has all that is wanted; it tells more."""
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(_includes(there.get(name), value) for name, value in wanted.items())
    return sorted(there or ()) == sorted(wanted) if isinstance(wanted, list) else bool(there == wanted)


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, str) and wanted.startswith("{"):
        return bool(there) and json.loads(there) == json.loads(wanted)
    if isinstance(wanted, list):
        bare = [{name: each.get(name) for name in ("Entry", "Target")} for each in there or ()]
        return bare == wanted
    return bool(there == wanted)
