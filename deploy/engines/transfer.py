"""AWS Transfer Family: servers that partners upload to, and connectors that fetch from theirs.

Roles are made for whoever names them in YAML: one that two sources name may do what both need, a name of its own keeps
a source apart. What stands there as an ARN is somebody else's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import SftpConnector
from adplatform.engines.sftp.provided_connectors import connector_request, connector_tags
from adplatform.engines.sftp.provided_servers import (
    DeclaredServer,
    folder_of,
    server_request,
    user_request,
    workflow_request,
    workflows_of,
)
from adplatform.engines.sftp.server import UploadedFiles, require_agreement
from adplatform.platform import names
from deploy.engines.secrets import reference
from deploy.engines.workflow_functions import add_functions
from deploy.estate import Estate
from deploy.resources import LOG_DAYS, ResourceStack
from deploy.roles import Statement, add_role, allow, merged, service
from deploy.stacks.keys import KeysStack

_UNKNOWN = "CloudFormation-Validate::F3002"
_OWN_FILES = "Files have the names that partners give them, below the folder that is named."


@dataclass(frozen=True)
class Connected:
    """A source whose files a connector fetches."""

    source: str
    at: SftpConnector


def add(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    """Everything of Transfer Family that the declared sources need.

    Raises:
        PermanentFailure: sources that share a server do not agree on it.
    """
    uploaded = [each.pattern for each in estate.sources if isinstance(each.pattern, UploadedFiles)]
    require_agreement((each.source.name, each.server) for each in uploaded)
    connected = list(_connected(estate))
    roles = _roles(stack, estate, keys, uploaded, connected)
    functions = add_functions(stack, estate, keys, [each.server.workflow for each in uploaded if each.server.workflow])
    servers: dict[str, Any] = {}
    for each in uploaded:
        declared = declared_server(estate, each)
        if declared.server.server not in servers:
            servers[declared.server.server] = _server(stack, estate, keys, declared, roles, functions)
        _users(stack, declared, servers[declared.server.server], roles)
    for taken in connected:
        _connector(stack, estate, keys, taken, roles)


def declared_server(estate: Estate, pattern: UploadedFiles) -> DeclaredServer:
    source, bucket = pattern.source, estate.settings.raw_bucket
    return DeclaredServer(source.name, pattern.server, bucket, source.prefix, estate.account, estate.region)


def _connected(estate: Estate) -> Iterator[Connected]:
    for each in estate.of_kind("SftpFiles"):
        model = each.model
        if isinstance(model, SftpSource) and isinstance(model.from_, SftpConnector):
            yield Connected(each.name, model.from_)


def _server(
    stack: ResourceStack,
    estate: Estate,
    keys: KeysStack,
    declared: DeclaredServer,
    roles: Mapping[str, str],
    functions: Sequence[str],
) -> Any:
    """The server's id. Of one that is there workflows are made, which its owner attaches: CloudFormation changes only
    what it has made."""
    wanted, attached = declared.server, _workflows(stack, declared, functions)
    if wanted.exists:
        return wanted.server
    group = f"{names.LOG_PREFIX}transfer/{wanted.server}"
    logs = stack.log_group(group, keys.logs.key_arn)
    own_key = {"CreateWithHostKey": False} if wanted.host_key_secret else {}
    needed = [wanted.logging_role, wanted.workflow.role if wanted.workflow else None]
    server = stack.add(
        *("transfer", wanted.server, "server"),
        type="AWS::Transfer::Server",
        properties={
            **server_request(declared),
            **({"WorkflowDetails": attached} if attached else {}),
            "StructuredLogDestinations": [estate.arn("logs", f"log-group:{group}:*")],
            **own_key,
        },
        after=[logs, *_made(roles, *needed)],
        retain=True,
        answers={_UNKNOWN: "The schema that CDK carries is older than the property."} if own_key else None,
    )
    id = {"Fn::GetAtt": [server, "ServerId"]}
    if wanted.host_key_secret:
        stack.add(
            *("transfer", wanted.server, "host key"),
            type="AWS::Transfer::HostKey",
            properties={
                "ServerId": id,
                "HostKeyBody": reference(wanted.host_key_secret),
                "Description": "The host key that partners know.",
            },
            retain=True,
        )
    return id


def _made(roles: Mapping[str, str], *names: str | None) -> list[str]:
    """The logical ids of those of the roles that are made: AWS refuses a role that it does not find."""
    return sorted({roles[name] for name in names if name in roles})


def _workflows(stack: ResourceStack, declared: DeclaredServer, functions: Sequence[str]) -> dict[str, Any]:
    """WorkflowDetails."""
    workflow, details = declared.server.workflow, {}
    for occasion in workflows_of(declared):
        made = stack.add(
            *("transfer", declared.server.server, occasion),
            type="AWS::Transfer::Workflow",
            properties=workflow_request(declared, occasion),
            after=functions,
        )
        role = declared.role(workflow.role) if workflow else ""
        details[occasion] = [{"WorkflowId": {"Fn::GetAtt": [made, "WorkflowId"]}, "ExecutionRole": role}]
    return details


def _users(stack: ResourceStack, declared: DeclaredServer, server: Any, roles: Mapping[str, str]) -> None:
    for user in declared.server.users:
        stack.add(
            *("transfer", declared.server.server, "user", user.name),
            type="AWS::Transfer::User",
            properties={
                "ServerId": server,
                **user_request(declared, user),
                "SshPublicKeys": list(user.keys),
            },
            after=_made(roles, declared.server.role),
        )


def _connector(
    stack: ResourceStack, estate: Estate, keys: KeysStack, taken: Connected, roles: Mapping[str, str]
) -> None:
    """One that is named by its id is somebody else's."""
    if taken.at.connector:
        return
    secret = taken.at.secret
    if not secret.startswith("arn:"):
        secret = estate.arn("secretsmanager", f"secret:{secret}")
    made = stack.add(
        *("transfer", taken.source, "connector"),
        type="AWS::Transfer::Connector",
        properties={
            **connector_request(taken.at, estate.account, secret),
            **({"EgressType": "VPC_LATTICE"} if taken.at.lattice else {}),
            "Tags": connector_tags(taken.source, estate.settings.raw_bucket),
        },
        after=_made(roles, taken.at.role, taken.at.logging_role),
    )
    if taken.at.logging_role:
        group = {"Fn::Join": ["", ["/aws/transfer/", {"Fn::GetAtt": [made, "ConnectorId"]}]]}
        stack.add(
            *("transfer", taken.source, "connector logs"),
            type="AWS::Logs::LogGroup",
            properties={"LogGroupName": group, "RetentionInDays": LOG_DAYS, "KmsKeyId": keys.logs.key_arn},
            retain=True,
        )


def _roles(
    stack: ResourceStack,
    estate: Estate,
    keys: KeysStack,
    uploaded: Sequence[UploadedFiles],
    connected: Sequence[Connected],
) -> dict[str, str]:
    """The logical ids of those that are made, by their names."""
    trusted = [service("transfer", estate, ArnLike={"aws:SourceArn": estate.arn("transfer", "*")})]
    needs: dict[str, list[Statement]] = {}
    for each in uploaded:
        declared = declared_server(estate, each)
        server, workflow = declared.server, declared.server.workflow
        needs.setdefault(server.role, []).extend(user_statements(estate, keys, declared))
        if workflow:
            needs.setdefault(workflow.role, []).extend(workflow_statements(estate, keys, declared))
        if server.logging_role and not server.exists:
            needs.setdefault(server.logging_role, []).extend(logging_statements(estate))
    for taken in connected:
        if taken.at.connector is None:
            needs.setdefault(taken.at.role, []).extend(connector_statements(estate, keys, taken))
            if taken.at.logging_role:
                needs.setdefault(taken.at.logging_role, []).extend(logging_statements(estate))
    return {
        role: add_role(
            stack,
            *("transfer", "role", role),
            name=role,
            description="Transfer Family works with it for the sources that name it.",
            trusted=trusted,
            statements=merged(statements),
        )
        for role, statements in sorted(needs.items())
        if not role.startswith("arn:")
    }


def user_statements(estate: Estate, keys: KeysStack, declared: DeclaredServer) -> list[Statement]:
    """What the users of a source's partner may do at most; the session policy of each says what of it (Transfer Family
    user guide, "Create an IAM role and policy")."""
    found: list[Statement] = []
    for user in declared.server.users:
        folder = folder_of(declared.prefix, user)
        objects = estate.raw(f"{folder}*")
        found.append(allow(["s3:PutObject", "s3:AbortMultipartUpload"], objects, why=_OWN_FILES))
        if user.can == "put_get_list":
            found += [
                allow(["s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject"], objects, why=_OWN_FILES),
                allow(
                    ["s3:ListBucket"],
                    estate.raw(),
                    StringLike={"s3:prefix": [folder.rstrip("/"), f"{folder}*"]},
                ),
            ]
    return [*found, allow(["kms:GenerateDataKey", "kms:Decrypt"], keys.data.key_arn)]


def connector_statements(estate: Estate, keys: KeysStack, taken: Connected) -> list[Statement]:
    """A connector writes what it fetches and lists below prefixes of the source's own, and logs in with its secret
    (Transfer Family user guide, "Configure SFTP connectors")."""
    zones = estate.zones
    places = [
        estate.raw(f"{prefix}*") for prefix in (zones.sftp_transfers(taken.source), zones.sftp_listings(taken.source))
    ]
    folders = "What is fetched has a folder for each transfer and the name that it has at the partner's."
    return [
        allow(["s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"], *places, why=folders),
        allow(["s3:ListBucket", "s3:GetBucketLocation"], estate.raw()),
        allow(["kms:GenerateDataKey", "kms:Decrypt"], keys.data.key_arn),
        allow(["secretsmanager:GetSecretValue"], estate.secret(taken.at.secret)),
        allow(["kms:Decrypt"], keys.secrets.key_arn),
    ]


def workflow_statements(estate: Estate, keys: KeysStack, declared: DeclaredServer) -> list[Statement]:
    """What the steps of the workflow need (Transfer Family user guide, "IAM policies for workflows")."""
    workflow = declared.server.workflow
    if workflow is None:
        return []
    landing = estate.raw(f"{declared.prefix}*")
    called = {workflow.partial_function, workflow.exception_function, *([workflow.function] if workflow.check else [])}
    found = [
        allow(["lambda:InvokeFunction"], *sorted(map(declared.function, called))),
        allow(["s3:GetObject", "s3:GetObjectVersion"], landing, why=_OWN_FILES),
        # Where a scan for malware has tagged a file, steps read its tags with it.
        allow(["s3:GetObjectTagging", "s3:GetObjectVersionTagging"], landing, why=_OWN_FILES),
        allow(["kms:Decrypt"], keys.data.key_arn),
    ]
    if workflow.tag:
        tagging = ["s3:PutObjectTagging", "s3:PutObjectVersionTagging"]
        found.append(allow(tagging, landing, why=_OWN_FILES))
    if workflow.decrypt:
        keys_of_users = "The id of the server, which is known once it is there, is part of the name."
        found += [
            allow(["s3:PutObject", "s3:AbortMultipartUpload"], estate.raw("prepared/sftp-uploads/*"), why=_OWN_FILES),
            allow(["kms:GenerateDataKey"], keys.data.key_arn),
            allow(
                ["secretsmanager:GetSecretValue"],
                estate.arn("secretsmanager", "secret:aws/transfer/*"),
                why=keys_of_users,
            ),
            allow(["kms:Decrypt"], keys.secrets.key_arn),
        ]
    return found


def logging_statements(estate: Estate) -> list[Statement]:
    """Transfer Family user guide, "Configure CloudWatch logging role"."""
    why = "A log group is called by the id of its server or connector."
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    return [allow(actions, estate.arn("logs", "log-group:/aws/transfer/*"), why=why)]
