"""Events about uploads to servers on the default bus, with the details that AWS's reference has. Decided here: a file
that was cut off has failed, and its path is that of the object."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer.server_state import FileLocation

if TYPE_CHECKING:
    from adplatform.local.aws.transfer.state import ConnectorBackend


def tell_upload(
    backend: "ConnectorBackend",
    server: str,
    user: str,
    session: str,
    written: FileLocation,
    size: int,
    began: datetime,
    partial: bool,
) -> None:
    """Says that a file was closed, or that its session ended before. Callers do not hold the lock."""
    with LOCK:
        found = backend.sftp_servers.get(server)
    if found is None:
        return
    status = "FAILED" if partial else "COMPLETED"
    told = {
        "protocol": "SFTP",
        "server-id": server,
        "session-id": session,
        "username": user,
        "client-ip": "127.0.0.1",
        "file-path": f"/{written.bucket}/{written.key}",
        "bytes": size,
        "etag": written.etag,
        "status-code": status,
        **({"failure-code": "SESSION_DISCONNECTED"} if partial else {}),
        "start-timestamp": _time(began),
        "end-timestamp": _time(CONTROL.now()),
    }
    title = f"SFTP Server File Upload {status.title()}"
    managed.publish("transfer", backend.account_id, backend.region_name, title, [found.arn], told)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
