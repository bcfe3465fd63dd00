"""Flows of the embedded AppFlow that read a simulated CRM, and waiting for their runs."""

import json
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from adplatform.local.signed import order
from adplatform.local.world.saas.accounts import DEMO_APP
from adplatform.platform.aws import Aws
from adplatform_tests.support.waiting import turns

ENDED = ("Successful", "Error", "Canceled")


def make_profile(aws: Aws, url: str, name: str = "") -> str:
    """A connector profile for the CRM at ``url``, with its credentials in Secrets Manager; its name."""
    name = name or f"crm-{uuid.uuid4().hex[:12]}"
    app = {"client_id": DEMO_APP.client_id, "client_secret": DEMO_APP.client_secret}
    secret = aws.client("secretsmanager").create_secret(Name=f"appflow/{name}", SecretString=json.dumps(app))
    aws.client("appflow").create_connector_profile(
        connectorProfileName=name,
        connectorType="Salesforce",
        connectionMode="Public",
        connectorProfileConfig={
            "connectorProfileProperties": {"Salesforce": {"instanceUrl": url}},
            "connectorProfileCredentials": {
                "Salesforce": {"refreshToken": DEMO_APP.refresh_token, "clientCredentialsArn": secret["ARN"]}
            },
        },
    )
    return name


def make_flow(
    aws: Aws,
    saas: str,
    name: str,
    object: str,
    fields: Iterable[str],
    bucket: str,
    prefix: str = "",
    *,
    file_type: str = "JSON",
    profile: str = "",
    schedule: dict[str, Any] | None = None,
    filters: Iterable[dict[str, Any]] = (),
    **output: Any,
) -> str:
    """A flow that copies fields of an object of the CRM at the URL ``saas`` to S3, in folders for the schema version,
    the day and the execution; its name. It runs on demand, or by the ``schedule``. ``filters`` are further tasks,
    ``output`` more of its S3OutputFormatConfig."""
    asked = flow_request(
        profile or make_profile(aws, saas), name, object, fields, bucket, prefix, file_type, schedule, filters, output
    )
    aws.client("appflow").create_flow(**asked)
    return name


def flow_request(
    profile: str,
    name: str,
    object: str,
    fields: Iterable[str],
    bucket: str,
    prefix: str = "",
    file_type: str = "JSON",
    schedule: dict[str, Any] | None = None,
    filters: Iterable[dict[str, Any]] = (),
    output: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What ``make_flow`` asks CreateFlow for."""
    names = list(fields)
    projection = {"taskType": "Filter", "sourceFields": names, "connectorOperator": {"Salesforce": "PROJECTION"}}
    maps = [
        {
            "taskType": "Map",
            "sourceFields": [field],
            "destinationField": field,
            "connectorOperator": {"Salesforce": "NO_OP"},
        }
        for field in names
    ]
    folders = {
        "prefixType": "PATH",
        "prefixFormat": "DAY",
        "pathPrefixHierarchy": ["SCHEMA_VERSION", "EXECUTION_ID"],
    }
    trigger: dict[str, Any] = {"triggerType": "OnDemand"}
    if schedule is not None:
        trigger = {"triggerType": "Scheduled", "triggerProperties": {"Scheduled": schedule}}
    return {
        "flowName": name,
        "triggerConfig": trigger,
        "sourceFlowConfig": {
            "connectorType": "Salesforce",
            "connectorProfileName": profile,
            "sourceConnectorProperties": {"Salesforce": {"object": object}},
            "incrementalPullConfig": {"datetimeTypeFieldName": "SystemModstamp"},
        },
        "destinationFlowConfigList": [
            {
                "connectorType": "S3",
                "destinationConnectorProperties": {
                    "S3": {
                        "bucketName": bucket,
                        "bucketPrefix": prefix,
                        "s3OutputFormatConfig": {"fileType": file_type, "prefixConfig": folders, **(output or {})},
                    }
                },
            }
        ],
        "tasks": [projection, *filters, *maps],
    }


def records(aws: Aws, flow: str) -> dict[str, dict[str, Any]]:
    """Every execution record of a flow, by execution id."""
    client, found, page = aws.client("appflow"), {}, {}
    while True:
        answer = client.describe_flow_execution_records(flowName=flow, maxResults=100, **page)
        found |= {record["executionId"]: record for record in answer["flowExecutions"]}
        if not answer.get("nextToken"):
            return found
        page = {"nextToken": answer["nextToken"]}


def wait_for_run(aws: Aws, flow: str, run: str, seconds: float = 30.0) -> dict[str, Any]:
    """The execution record of a run that has ended."""
    for _ in turns(seconds):
        record = records(aws, flow).get(run)
        if record is not None and record["executionStatus"] in ENDED:
            return record
    raise AssertionError(record)


def order_fault(url: str, name: str, flow: str = "", **more: Any) -> None:
    """Something is to go wrong with a flow of the embedded AWS at ``url``, or with any."""
    fault = {"service": "appflow", "name": name, "target": flow, **more}
    order(url, {"fault": fault})


def advance(url: str, **duration: float) -> None:
    """Move the clock of the engines of the embedded AWS at ``url`` on by a ``timedelta``."""
    order(url, {"advance": timedelta(**duration).total_seconds()})


def run_flow(aws: Aws, flow: str) -> dict[str, Any]:
    """Starts a flow; the execution record at its end."""
    return wait_for_run(aws, flow, aws.client("appflow").start_flow(flowName=flow)["executionId"])


def written(aws: Aws, bucket: str, run: str) -> dict[str, bytes]:
    """The objects of a run, by key."""
    s3 = aws.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", []) if f"/{run}/" in found["Key"]]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in sorted(keys)}


def rows(aws: Aws, bucket: str, run: str) -> list[dict[str, Any]]:
    """The rows of a run that wrote JSON."""
    return [json.loads(line) for body in written(aws, bucket, run).values() for line in body.splitlines()]
