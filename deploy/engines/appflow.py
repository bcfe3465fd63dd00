"""AppFlow: the flows of declared sources, the connections that are declared, and what lets AppFlow write.

AppFlow has no service role: policies of the bucket, of keys and of secrets name it (AppFlow User Guide, "Amazon S3
bucket policies", "How Amazon AppFlow works with IAM").
"""

from collections.abc import Mapping
from typing import Any, cast

from adplatform.contracts.saas import SaasSource
from adplatform.engines.declared_connections import DeclaredConnection, connection_request, declared_connection
from adplatform.engines.declared_flows import declared_flow
from adplatform.platform.names import OWNER_TAG
from deploy.engines.secrets import references
from deploy.estate import Estate
from deploy.properties import properties, tags
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack

KIND = "SaasFlows"
_PRINCIPAL = {"Service": "appflow.amazonaws.com"}


def add(stack: ResourceStack, estate: Estate, keys: KeysStack) -> None:
    connections: dict[str, str] = {}
    clients: dict[str, str] = {}
    for each in estate.of_kind(KIND):
        declared = cast(SaasSource, each.model)
        wanted = declared_connection(declared)
        if wanted is not None and wanted.name not in connections:
            connections[wanted.name] = _connection(stack, estate, keys, wanted, clients)
        after = [connections[wanted.name]] if wanted else []
        for feed in declared.feeds:
            request = declared_flow(declared, feed, estate.settings.raw_bucket, each.source.prefix)
            if request is not None:
                told = flow_properties(request, keys.data.key_arn, each.name)
                stack.add(each.name, feed.name, "Flow", type="AWS::AppFlow::Flow", properties=told, after=after)


def flow_properties(request: Mapping[str, Any], key: str, source: str) -> dict[str, Any]:
    """A flow as CreateFlow is asked for it, as AWS::AppFlow::Flow: a schedule's settings lie one level higher, settings
    of a task are a list, and moments are seconds. One with a schedule runs from the start."""
    trigger = request["triggerConfig"]
    scheduled = trigger.get("triggerProperties", {}).get("Scheduled", {})
    wanted: dict[str, Any] = properties({**request, "tasks": [_task(each) for each in request["tasks"]]})
    wanted["TriggerConfig"] = {"TriggerType": trigger["triggerType"]}
    if scheduled:
        moments = (
            {"firstExecutionFrom": scheduled["firstExecutionFrom"].timestamp()}
            if ("firstExecutionFrom" in scheduled)
            else {}
        )
        wanted["TriggerConfig"]["TriggerProperties"] = properties({**scheduled, **moments})
        wanted["FlowStatus"] = "Active"
    return {**wanted, "KMSArn": key, "Tags": tags({OWNER_TAG: source})}


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    if "taskProperties" not in task:
        return dict(task)
    return {**task, "taskProperties": [{"key": key, "value": value} for key, value in task["taskProperties"].items()]}


def _connection(
    stack: ResourceStack, estate: Estate, keys: KeysStack, declared: DeclaredConnection, clients: dict[str, str]
) -> str:
    """``clients`` has the policies of secrets that AppFlow reads by itself: one for each."""
    secret = declared.made.secret
    arn = estate.arn("secretsmanager", f"secret:{secret}")
    told = connection_properties(connection_request(declared, references(secret, declared.members), arn))
    if declared.reads_client and secret not in clients:
        policy = {"SecretId": secret, "ResourcePolicy": secret_policy(estate), "BlockPublicPolicy": True}
        clients[secret] = stack.add(secret, "Client", type="AWS::SecretsManager::ResourcePolicy", properties=policy)
    told["KMSArn"] = keys.secrets.key_arn
    after = [clients[secret]] if declared.reads_client else []
    return stack.add(declared.name, "Connection", type="AWS::AppFlow::ConnectorProfile", properties=told, after=after)


def connection_properties(request: Mapping[str, Any]) -> dict[str, Any]:
    """A connection as CreateConnectorProfile is asked for it, as AWS::AppFlow::ConnectorProfile, which spells one
    property of Salesforce alone as the API does."""
    told: dict[str, Any] = properties(request, kept=["profileProperties"])
    salesforce = told["ConnectorProfileConfig"]["ConnectorProfileProperties"].get("Salesforce", {})
    if "IsSandboxEnvironment" in salesforce:
        salesforce["isSandboxEnvironment"] = salesforce.pop("IsSandboxEnvironment")
    return told


def secret_policy(estate: Estate) -> dict[str, Any]:
    """What lets AppFlow read the id and the secret of a client, which it keeps nowhere."""
    allowed = {
        "Sid": "AppFlowReads",
        "Effect": "Allow",
        "Principal": _PRINCIPAL,
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": estate.account}},
    }
    return {"Version": "2012-10-17", "Statement": [allowed]}


def bucket_statements(estate: Estate) -> list[dict[str, Any]]:
    """What the raw bucket allows AppFlow: to write into the landing zones of sources that it brings."""
    landing = [estate.raw(f"{each.source.prefix}*") for each in estate.of_kind(KIND)]
    if not landing:
        return []
    own = {"StringEquals": {"aws:SourceAccount": estate.account}}
    writes = ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    looks = ["s3:GetBucketAcl", "s3:ListBucketMultipartUploads"]
    return [
        _allowed("AppFlowWrites", writes, landing, own),
        _allowed("AppFlowLooks", looks, [estate.raw()], own),
    ]


def _allowed(name: str, actions: list[str], resources: list[str], condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Sid": name,
        "Effect": "Allow",
        "Principal": _PRINCIPAL,
        "Action": actions,
        "Resource": resources,
        "Condition": condition,
    }
