"""Replications that are made with what they need: an instance, endpoints and a task, or a configuration of DMS
Serverless. Only one of the simulated shop is made here; for a real source all of it belongs to the deployment."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.engines.dms_settings.recommended import (
    postgres_endpoint,
    table_mappings,
    target_endpoint,
    task_settings,
)
from adplatform.platform.aws_errors import aws_failures

BATCH_SECONDS = 5
"""After how long changes are written: nobody waits for a minute to see a change in a demonstration."""


@dataclass(frozen=True)
class DeclaredReplication:
    """``tables`` are (schema, name); the files go to ``folder`` of ``bucket``."""

    name: str
    serverless: bool
    tables: tuple[tuple[str, str], ...]
    bucket: str
    folder: str


def provide(client: Any, declared: DeclaredReplication, server: Mapping[str, Any]) -> bool:
    """Make it; False when there is one of its name already. ``server`` is what of an endpoint says where the database
    is.

    Raises:
        PermanentFailure: DMS refuses something.
        TransientFailure: DMS does not answer at present, or does not allow it.
    """
    with aws_failures(f"DMS {declared.name}"):
        if _exists(client, declared):
            return False
        source = {**postgres_endpoint(), **server}
        target = target_endpoint(declared.bucket, declared.folder)
        target["S3Settings"] = {**target["S3Settings"], "CdcMaxBatchInterval": BATCH_SECONDS}
        endpoints = {
            "SourceEndpointArn": _endpoint(client, f"{declared.name}-source", source),
            "TargetEndpointArn": _endpoint(client, f"{declared.name}-target", target),
        }
        mappings, settings = json.dumps(table_mappings(declared.tables)), json.dumps(task_settings())
        if declared.serverless:
            client.create_replication_config(
                ReplicationConfigIdentifier=declared.name,
                ReplicationType="full-load-and-cdc",
                ComputeConfig={"MaxCapacityUnits": 1},
                TableMappings=mappings,
                ReplicationSettings=settings,
                **endpoints,
            )
        else:
            client.create_replication_task(
                ReplicationTaskIdentifier=declared.name,
                ReplicationInstanceArn=_instance(client, f"{declared.name}-instance"),
                MigrationType="full-load-and-cdc",
                TableMappings=mappings,
                ReplicationTaskSettings=settings,
                **endpoints,
            )
    return True


def _exists(client: Any, declared: DeclaredReplication) -> bool:
    kind, ask, entries = (
        ("replication-config-id", client.describe_replication_configs, "ReplicationConfigs")
        if declared.serverless
        else ("replication-task-id", client.describe_replication_tasks, "ReplicationTasks")
    )
    try:
        return bool(ask(Filters=[{"Name": kind, "Values": [declared.name]}])[entries])
    except client.exceptions.ResourceNotFoundFault:
        return False


def _endpoint(client: Any, name: str, asked: dict[str, Any]) -> str:
    def made() -> dict[str, Any]:
        return dict(client.create_endpoint(EndpointIdentifier=name, **asked)["Endpoint"])

    return str(_made(client, made, client.describe_endpoints, "endpoint-id", name, "Endpoints")["EndpointArn"])


def _instance(client: Any, name: str) -> str:
    def made() -> dict[str, Any]:
        asked = {"ReplicationInstanceIdentifier": name, "ReplicationInstanceClass": "dms.t3.medium"}
        return dict(client.create_replication_instance(**asked)["ReplicationInstance"])

    describe = client.describe_replication_instances
    found = _made(client, made, describe, "replication-instance-id", name, "ReplicationInstances")
    return str(found["ReplicationInstanceArn"])


def _made(
    client: Any, make: Callable[[], dict[str, Any]], ask: Callable[..., Any], kind: str, name: str, entries: str
) -> dict[str, Any]:
    """What is made, or was by an earlier attempt."""
    try:
        return make()
    except client.exceptions.ResourceAlreadyExistsFault:
        return dict(ask(Filters=[{"Name": kind, "Values": [name]}])[entries][0])
