"""Moves and deletions on the server. Nothing but an event says how they end."""

import stat

from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.transfer import reports
from adplatform.local.aws.transfer.sessions import session
from adplatform.local.aws.transfer.sftp import Failed, told
from adplatform.local.aws.transfer.state import ConnectorBackend, Operation


def move(backend: ConnectorBackend, operation: Operation) -> None:
    """By the standard's rename, which most servers refuse where the target exists. Callers do not hold the lock."""
    began, source, target = CONTROL.now(), operation.asked["SourcePath"], operation.asked["TargetPath"]
    failure = None
    try:
        with session(backend, operation.connector) as client, told("MOVE", source):
            client.rename(source, target)
    except Failed as e:
        failure = e
    about = {"move-id": operation.id, "move-source-path": source, "move-target-path": target}
    reports.tell(backend, operation, began, failure, about)


def delete(backend: ConnectorBackend, operation: Operation) -> None:
    """A file, or a folder that is empty. Callers do not hold the lock."""
    began, path = CONTROL.now(), operation.asked["DeletePath"]
    failure = None
    try:
        with session(backend, operation.connector) as client, told("DELETE", path):
            is_folder = stat.S_ISDIR(client.lstat(path).st_mode or 0)
            (client.rmdir if is_folder else client.remove)(path)
    except Failed as e:
        failure = e
    reports.tell(backend, operation, began, failure, {"delete-id": operation.id, "delete-path": path})
