"""Events of managed engines. They make a look come sooner and prove nothing: what counts is in an engine's own records,
so an event that is lost, late, early or comes twice changes nothing but the time."""

import json
from collections.abc import Iterable
from typing import Any

from adplatform.contracts.sftp import SftpSource
from adplatform.contracts.sftp_host import SftpConnector
from adplatform.flow.services import Services
from adplatform.flow.source import Source
from adplatform.platform.queues import MOST_RECEIVED, delete_messages, receive

_LONGEST_PATTERN = 2048
"""Characters (EventBridge quotas)."""


def flow_events(flows: Iterable[str]) -> dict[str, Any]:
    """The EventBridge pattern of what AppFlow reports of these flows (AppFlow user guide, "Flow notifications"); of all
    flows where their names are too many for a pattern."""
    every = {"source": ["aws.appflow"], "detail-type": ["AppFlow End Flow Run Report"]}
    these = {**every, "detail": {"flow-name": list(flows)}}
    return these if len(json.dumps(these)) <= _LONGEST_PATTERN else every


def task_events() -> dict[str, Any]:
    """The EventBridge pattern of executions that have ended (DataSync user guide, "Monitoring with EventBridge"). It is
    of all tasks, because an execution's ARN is known to none but DataSync before it begins."""
    ended = {"State": ["SUCCESS", "ERROR"]}
    return {"source": ["aws.datasync"], "detail-type": ["DataSync Task Execution State Change"], "detail": ended}


def replication_events(named: str) -> dict[str, Any]:
    """The EventBridge pattern of what DMS reports of a task or of DMS Serverless (EventBridge events reference, "AWS
    Database Migration Service events"); of all of them where it is named by an identifier, which events do not have."""
    kinds = ["DMS Replication Task State Change", "DMS Replication State Change"]
    every: dict[str, Any] = {"source": ["aws.dms"], "detail-type": kinds}
    return {**every, "resources": [named]} if named.startswith("arn:") else every


def connector_events(declared: SftpSource) -> dict[str, Any]:
    """The EventBridge pattern of listings and transfers of a server that have ended (Transfer Family user guide,
    "SFTP connector events"). A connector that is made here is known by its server's URL."""
    at, ends = declared.host, ("Completed", "Failed")
    kinds = [f"SFTP Connector {what} {end}" for what in ("Directory Listing", "File Retrieve") for end in ends]
    named = at.connector if isinstance(at, SftpConnector) else None
    detail = {"connector-id": [named]} if named else {"url": [at.url, at.url.removesuffix(":22")]}
    return {"source": ["aws.transfer"], "detail-type": kinds, "detail": detail}


def woken(services: Services, source: Source) -> bool:
    """Whether events of the source came since the last call, which takes them away. Without a queue none do."""
    url = services.queue_url(source)
    if url is None:
        return False
    came = False
    while messages := receive(services.sqs, url):
        came = True
        delete_messages(services.sqs, url, messages)
        if len(messages) < MOST_RECEIVED:
            break
    return came
