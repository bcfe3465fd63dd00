"""Locations of DataSync: where they lead, and the agents that reach them. Calls raise as boto3 does."""

from collections.abc import Iterator, Mapping
from typing import Any

from adplatform.engines.engine import Finding

_DESCRIBED = {
    "s3": "describe_location_s3",
    "object-storage": "describe_location_object_storage",
    "azure-blob": "describe_location_azure_blob",
    "nfs": "describe_location_nfs",
    "smb": "describe_location_smb",
}
"""Of the schemes of LocationUri those of stores that may have agents."""


def location_uris(client: Any) -> dict[str, str]:
    """The URI of every location, by ARN."""
    pages = client.get_paginator("list_locations").paginate()
    return {str(each["LocationArn"]): str(each["LocationUri"]) for page in pages for each in page["Locations"]}


def agents_of(client: Any, arn: str, uri: str) -> list[str]:
    """The ARNs of a location's agents."""
    operation = _DESCRIBED.get(uri.partition("://")[0])
    if operation is None:
        return []
    described: Mapping[str, Any] = getattr(client, operation)(LocationArn=arn)
    return list((described.get("OnPremConfig") or described).get("AgentArns") or ())


def agent_findings(client: Any, task: str, agents: list[str]) -> Iterator[Finding]:
    """The agents that are offline. A task runs only while all of its agents are online (DataSync user guide, "Using
    multiple agents")."""
    for arn in agents:
        agent = client.describe_agent(AgentArn=arn)
        if agent["Status"] == "OFFLINE":
            last = agent.get("LastConnectionTime")
            seen = f", last seen {last:%Y-%m-%d %H:%M} UTC" if last else ""
            name = f"{agent['Name']} ({arn})" if agent.get("Name") else arn
            yield Finding(f"task {task}: agent {name} is offline{seen}: start its machine, and look at its network")


def same_place(one: str, other: str) -> bool:
    """Whether two URIs of locations lead to the same place, however their slashes are written."""
    return _parts(one) == _parts(other)


def _parts(uri: str) -> tuple[str, list[str]]:
    scheme, _, place = uri.partition("://")
    return scheme, [part for part in place.removeprefix("https://").split("/") if part]
