"""Events about operations on the default bus. Their details are those of AWS's reference of connector events."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer.sftp import Failed
from adplatform.local.aws.transfer.state import COMPLETED, FAILED, ConnectorBackend, Kind, Operation

_NAMES: Mapping[Kind, str] = {
    "RETRIEVE": "File Retrieve",
    "SEND": "File Send",
    "LIST": "Directory Listing",
    "MOVE": "Remote Move",
    "DELETE": "Remote Delete",
}


def tell(
    backend: ConnectorBackend,
    operation: Operation,
    began: datetime,
    failure: Failed | None,
    detail: Mapping[str, Any],
) -> None:
    """Says that the operation or a file of it has ended. Callers do not hold the lock."""
    if "event_lost" in operation.faults:
        return
    with LOCK:
        connector = backend.connectors.get(operation.connector)
    if connector is None:
        return
    status = COMPLETED if failure is None else FAILED
    why = {} if failure is None else {"failure-code": failure.code, "failure-message": failure.message}
    told = {
        "operation": operation.kind,
        "connector-id": connector.id,
        "url": connector.asked["Url"],
        **detail,
        "status-code": status,
        **why,
        "start-timestamp": _time(began),
        "end-timestamp": _time(CONTROL.now()),
    }
    title = f"SFTP Connector {_NAMES[operation.kind]} {status.title()}"
    for _ in range(2 if "event_twice" in operation.faults else 1):
        managed.publish("transfer", backend.account_id, backend.region_name, title, [connector.arn], told)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
