"""Flows of AppFlow that YAML declares: made when they are missing, and compared with what AWS has.

A flow that is there is never changed: a change is not applied at once, and the destination cannot be changed at all
(AppFlow API reference, UpdateFlow). What differs is a finding for people.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.saas import OWN_CONNECTORS, FlowFeed, FlowFilter, FlowSchedule, SaasSource
from adplatform.failures import PermanentFailure
from adplatform.platform.aws_errors import aws_failures

_NOT_DESCRIBED = re.compile(r"[^\w!@#\-.?,\s]")
"""What a flow's description does not take (AppFlow API reference, CreateFlow)."""
FOLDERS: Mapping[str, Any] = {
    "prefixType": "PATH",
    "prefixFormat": "DAY",
    "pathPrefixHierarchy": ["SCHEMA_VERSION", "EXECUTION_ID"],
}
"""A prefixConfig with which what a run wrote is found."""
_FILE_TYPES = {"ndjson": "JSON", "json": "JSON", "csv": "CSV", "parquet": "PARQUET"}
_CUSTOM = "CustomConnector"
_NO_NO_OP = ("Amplitude", "GoogleAnalytics")
"""Connectors whose operators lack NO_OP (AppFlow API reference, ConnectorOperator)."""
_SCHEDULE = ("scheduleExpression", "dataPullMode")


def flow_names(declared: SaasSource) -> dict[str, str]:
    """What the flow of each feed is called."""
    return {feed.name: feed.flow or f"{declared.source}-{feed.name}" for feed in declared.feeds}


def declared_flow(declared: SaasSource, feed: FlowFeed, bucket: str, prefix: str) -> dict[str, Any] | None:
    """What CreateFlow is asked for a feed of the source; None where its flow must be there."""
    if feed.object is None or declared.connection is None:
        return None
    return flow_request(
        feed,
        flow=flow_names(declared)[feed.name],
        connector=declared.connector,
        connection=declared.connection,
        bucket=bucket,
        prefix=prefix,
        api_version=declared.version,
    )


def flow_request(
    feed: FlowFeed,
    *,
    flow: str,
    connector: str,
    connection: str,
    bucket: str,
    prefix: str,
    api_version: str | None = None,
) -> dict[str, Any]:
    """What CreateFlow is asked for: a flow that brings the feed's fields below ``prefix`` of ``bucket``, on demand or
    by the feed's schedule. ``connector`` is a type of AppFlow or, for one of the type CustomConnector, its label."""
    own = connector in OWN_CONNECTORS
    kind, name = (connector, OWN_CONNECTORS[connector]) if own else (_CUSTOM, _CUSTOM)
    read: dict[str, Any] = {"object" if own else "entityName": feed.object}
    if feed.include_deleted:
        read["includeDeletedRecords"] = True
    source = {"connectorType": kind, "connectorProfileName": connection, "sourceConnectorProperties": {name: read}}
    if api_version is not None:
        source["apiVersion"] = api_version
    if feed.scheduled is not None and feed.scheduled.pull == "incremental":
        source["incrementalPullConfig"] = {"datetimeTypeFieldName": feed.incremental_field}
    output = {
        "fileType": _FILE_TYPES[feed.format.kind],
        "prefixConfig": FOLDERS,
    }
    destination = {"bucketName": bucket, "bucketPrefix": prefix.rstrip("/"), "s3OutputFormatConfig": output}
    description = feed.description or f"{feed.object} for the feed {feed.name}"
    return {
        "flowName": flow,
        "description": _NOT_DESCRIBED.sub(" ", description),
        "triggerConfig": _trigger(feed.scheduled),
        "sourceFlowConfig": source,
        "destinationFlowConfigList": [
            {"connectorType": "S3", "destinationConnectorProperties": {"S3": destination}},
        ],
        "tasks": [*_tasks(feed, name)],
    }


def _trigger(schedule: FlowSchedule | None) -> dict[str, Any]:
    if schedule is None:
        return {"triggerType": "OnDemand"}
    scheduled: dict[str, Any] = {
        "scheduleExpression": schedule.expression,
        "dataPullMode": schedule.pull.capitalize(),
    }
    if schedule.first_from is not None:
        scheduled["firstExecutionFrom"] = schedule.first_from
    if schedule.suspend_after is not None:
        scheduled["flowErrorDeactivationThreshold"] = schedule.suspend_after
    return {"triggerType": "Scheduled", "triggerProperties": {"Scheduled": scheduled}}


def _tasks(feed: FlowFeed, name: str) -> Iterator[dict[str, Any]]:
    """The projection first, then filters, then a mapping of each field to itself. Connectors without the operator NO_OP
    map without one."""
    fields = _fields(feed)
    yield {"taskType": "Filter", "sourceFields": fields, "connectorOperator": {name: "PROJECTION"}}
    for wanted in feed.filters:
        yield {
            "taskType": "Filter",
            "sourceFields": [wanted.field],
            "connectorOperator": {name: wanted.operator.upper()},
            "taskProperties": {"DATA_TYPE": wanted.type, **_compared(wanted)},
        }
    operator = {} if name in _NO_NO_OP else {"connectorOperator": {name: "NO_OP"}}
    for field in fields:
        yield {"taskType": "Map", "sourceFields": [field], "destinationField": field, **operator}


def _fields(feed: FlowFeed) -> list[str]:
    """What the feed's columns are read from, once each: of a member within a member, all that it is part of."""
    names = [column.field_name for column in feed.contract.read_columns]
    nested = feed.format.kind in ("ndjson", "json")
    return list(dict.fromkeys(name.split(".")[0] if nested else name for name in names))


def _compared(wanted: FlowFilter) -> dict[str, str]:
    if wanted.operator == "between":
        lower, upper = wanted.values
        return {"LOWER_BOUND": lower, "UPPER_BOUND": upper}
    return {"VALUES": ",".join(wanted.values)} if len(wanted.values) > 1 else {"VALUE": wanted.values[0]}


def provide(client: Any, request: Mapping[str, Any]) -> bool:
    """Make the flow, and let it run if it has a schedule; False when there is one of its name already.

    Raises:
        PermanentFailure: AppFlow refuses it, or the object has not all fields.
        TransientFailure: AppFlow does not answer at present.
    """
    name = request["flowName"]
    check_operators(client, request)
    with aws_failures(f"flow {name}"):
        try:
            client.describe_flow(flowName=name)
        except client.exceptions.ResourceNotFoundException:
            _check_fields(client, request)
            client.create_flow(**request)
            if request["triggerConfig"]["triggerType"] == "Scheduled":
                client.start_flow(flowName=name)
            return True
    return False


def check_operators(client: Any, request: Mapping[str, Any]) -> None:
    """
    Raises:
        PermanentFailure: AppFlow's model of the connector, which botocore has, lacks an operator of a task.
    """
    operators = client.meta.service_model.shape_for("ConnectorOperator").members
    for task in request["tasks"]:
        for connector, operator in task.get("connectorOperator", {}).items():
            known = operators[connector].enum
            if operator not in known:
                raise PermanentFailure(
                    f"flow {request['flowName']}: the connector {connector} cannot do {operator}; it can do "
                    f"{', '.join(known)}. Change the filters, or make the flow in AppFlow and name it with `flow`"
                )


def _check_fields(client: Any, request: Mapping[str, Any]) -> None:
    """
    Raises:
        PermanentFailure: the application has no such object, or it has not all fields.
    """
    source, flow = request["sourceFlowConfig"], request["flowName"]
    asked = {"connectorProfileName": source["connectorProfileName"], "connectorType": source["connectorType"]}
    asked |= {"apiVersion": source["apiVersion"]} if "apiVersion" in source else {}
    wanted = _object(source)
    try:
        described = client.describe_connector_entity(connectorEntityName=wanted, **asked)
    except (client.exceptions.ConnectorServerException, client.exceptions.ResourceNotFoundException) as e:
        groups = client.list_connector_entities(**asked)["connectorEntityMap"]
        there = [entity["name"] for group in groups.values() for entity in group]
        raise PermanentFailure(
            f"flow {flow}: the object {wanted} cannot be read{did_you_mean(wanted, there)}: {e}; the connection "
            f"{source['connectorProfileName']} offers {', '.join(there)}"
        ) from e
    known = {field["identifier"] for field in described["connectorEntityFields"]}
    missing = [field for field in request["tasks"][0]["sourceFields"] if field not in known]
    if missing:
        said = ", ".join(f"{field}{did_you_mean(field, known)}" for field in missing)
        raise PermanentFailure(
            f"flow {flow}: {wanted} has no {said} that the connection may read: leave out the column, or correct its "
            "`field`"
        )


def drift(request: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[str]:
    """How a flow differs from its declaration, a sentence each. The order of fields and what AppFlow adds by itself
    make no difference."""
    declared, there = _essence(request), _essence(described)
    for what, value in declared.items():
        if there[what] != value:
            yield f"{what} is {_shown(there[what])} in AppFlow, and declared as {_shown(value)}"


def _essence(flow: Mapping[str, Any]) -> dict[str, Any]:
    source, trigger = flow["sourceFlowConfig"], flow["triggerConfig"]
    scheduled = (trigger.get("triggerProperties") or {}).get("Scheduled") or {}
    s3 = flow["destinationFlowConfigList"][0]["destinationConnectorProperties"].get("S3") or {}
    output = s3.get("s3OutputFormatConfig") or {}
    mapped = [task for task in flow["tasks"] if task["taskType"] in ("Map", "Map_all")]
    return {
        "the connection": source.get("connectorProfileName"),
        "the object": _object(source),
        "the file type": output.get("fileType"),
        "the set of fields": sorted(field for task in mapped for field in task["sourceFields"]),
        "the trigger": [trigger["triggerType"], *(scheduled[k] for k in _SCHEDULE if k in scheduled)],
        "the condition on records": sorted(_conditions(flow["tasks"])),
    }


def _conditions(tasks: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for task in tasks:
        [operator] = (task.get("connectorOperator") or {"": ""}).values()
        if task["taskType"] == "Filter" and operator != "PROJECTION":
            values = [v for k, v in sorted((task.get("taskProperties") or {}).items()) if k != "DATA_TYPE"]
            yield " ".join((*task["sourceFields"], operator, *values))


def _object(source: Mapping[str, Any]) -> str:
    [read] = source["sourceConnectorProperties"].values()
    return str(read.get("object") or read.get("entityName"))


def _shown(value: Any) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)
