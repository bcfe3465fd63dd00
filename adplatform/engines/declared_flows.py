"""Flows of AppFlow that YAML declares: made when they are missing, and compared with what AWS has.

A flow that is there is never changed: a change is not applied at once, and the destination cannot be changed at all
(AppFlow API reference, UpdateFlow). What differs is a finding for people.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from adplatform.contracts.saas import FlowFeed
from adplatform.platform.aws_errors import aws_failures

_FILE_TYPES = {"ndjson": "JSON", "json": "JSON", "csv": "CSV", "parquet": "PARQUET"}


def flow_request(
    feed: FlowFeed, *, flow: str, connector: str, connection: str, bucket: str, prefix: str
) -> dict[str, Any]:
    """What CreateFlow is asked for: an on-demand flow that brings the feed's fields below ``prefix`` of ``bucket``."""
    fields = [column.field_name for column in feed.contract.read_columns]
    mapped = [
        {
            "taskType": "Map",
            "sourceFields": [field],
            "destinationField": field,
            "connectorOperator": {connector: "NO_OP"},
        }
        for field in fields
    ]
    projection = {"taskType": "Filter", "sourceFields": fields, "connectorOperator": {connector: "PROJECTION"}}
    output = {
        "fileType": _FILE_TYPES[feed.format.kind],
        "prefixConfig": {
            "prefixType": "PATH",
            "prefixFormat": "DAY",
            "pathPrefixHierarchy": ["SCHEMA_VERSION", "EXECUTION_ID"],
        },
    }
    destination = {"bucketName": bucket, "bucketPrefix": prefix.rstrip("/"), "s3OutputFormatConfig": output}
    return {
        "flowName": flow,
        "description": feed.description or f"{feed.object} for the feed {feed.name}",
        "triggerConfig": {"triggerType": "OnDemand"},
        "sourceFlowConfig": {
            "connectorType": connector,
            "connectorProfileName": connection,
            "sourceConnectorProperties": {connector: {"object": feed.object}},
        },
        "destinationFlowConfigList": [
            {"connectorType": "S3", "destinationConnectorProperties": {"S3": destination}},
        ],
        "tasks": [projection, *mapped],
    }


def provide(client: Any, request: Mapping[str, Any]) -> bool:
    """Make the flow; False when there is one of its name already.

    Raises:
        PermanentFailure: AppFlow refuses it.
        TransientFailure: AppFlow does not answer at present.
    """
    with aws_failures(f"flow {request['flowName']}"):
        try:
            client.describe_flow(flowName=request["flowName"])
        except client.exceptions.ResourceNotFoundException:
            client.create_flow(**request)
            return True
    return False


def drift(request: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[str]:
    """How a flow differs from its declaration, a sentence each. The order of fields and what AppFlow adds by itself
    make no difference."""
    declared, there = _essence(request), _essence(described)
    for what, value in declared.items():
        if there[what] != value:
            yield f"{what} is {_shown(there[what])} in AppFlow, and declared as {_shown(value)}"


def _essence(flow: Mapping[str, Any]) -> dict[str, Any]:
    source = flow["sourceFlowConfig"]
    [connector] = source["sourceConnectorProperties"].items()
    s3 = flow["destinationFlowConfigList"][0]["destinationConnectorProperties"].get("S3") or {}
    output = s3.get("s3OutputFormatConfig") or {}
    mapped = [task for task in flow["tasks"] if task["taskType"] in ("Map", "Map_all")]
    return {
        "the connection": source.get("connectorProfileName"),
        "the object": connector[1].get("object"),
        "the file type": output.get("fileType"),
        "the set of fields": sorted(field for task in mapped for field in task["sourceFields"]),
    }


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
