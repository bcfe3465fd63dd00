"""Transfers of files: over as many sessions at a time as the connector may have, in bounded memory."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adplatform.local.aws import managed
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK
from adplatform.local.aws.transfer import places, reports
from adplatform.local.aws.transfer.sessions import session
from adplatform.local.aws.transfer.sftp import CONNECTION_ERROR, TRANSFER_ERROR, Failed, told
from adplatform.local.aws.transfer.state import (
    COMPLETED,
    ENDED,
    FAILED,
    IN_PROGRESS,
    ConnectorBackend,
    File,
    Operation,
)

if TYPE_CHECKING:
    import paramiko


def carry_out(backend: ConnectorBackend, transfer: Operation) -> None:
    """Callers do not hold the lock."""
    left = deque(file for file in transfer.files if file.status not in ENDED)
    with LOCK:
        connector = backend.connectors.get(transfer.connector)
    sessions = min(len(left), connector.connections if connector else 1)
    with ThreadPoolExecutor(sessions) as pool:
        for taken in [pool.submit(_take, backend, transfer, left) for _ in range(sessions)]:
            taken.result()


def _take(backend: ConnectorBackend, transfer: Operation, left: deque[File]) -> None:
    """Moves what is left, file by file, over a session, and over another one where that is lost."""
    while left:
        try:
            if "transfer_fails" in transfer.faults:
                raise Failed(CONNECTION_ERROR, "The connection to the remote server was lost.")
            with session(backend, transfer.connector) as client:
                while (file := _next(left)) and _moves(backend, transfer, file, client):
                    pass
        except Failed as e:
            while file := _next(left):
                _end(backend, transfer, file, CONTROL.now(), e)


def _next(left: deque[File]) -> File | None:
    with LOCK:
        return left.popleft() if left else None


def _moves(backend: ConnectorBackend, transfer: Operation, file: File, client: "paramiko.SFTPClient") -> bool:
    """Moves one file; whether the session is good for more."""
    with LOCK:
        began, file.status = CONTROL.now(), IN_PROGRESS
        managed.changed("transfer")
    try:
        size = _moved(transfer, file, client)
    except Failed as e:
        _end(backend, transfer, file, began, e)
        return e.code != CONNECTION_ERROR
    _end(backend, transfer, file, began, None, {"local-file-location": _local(transfer, file).location, "bytes": size})
    return True


def _end(
    backend: ConnectorBackend,
    transfer: Operation,
    file: File,
    began: datetime,
    failure: Failed | None,
    detail: dict[str, Any] | None = None,
) -> None:
    with LOCK:
        file.status, file.failure = (FAILED, (failure.code, failure.message)) if failure else (COMPLETED, None)
        managed.changed("transfer")
    names = {"LocalDirectoryPath": "local-directory-path", "RemoteDirectoryPath": "remote-directory-path"}
    about = {
        "transfer-id": transfer.id,
        "file-transfer-id": file.id,
        "file-path": file.path,
        **{said: transfer.asked[name] for name, said in names.items() if transfer.asked.get(name)},
    }
    reports.tell(backend, transfer, began, failure, {**about, **(detail or {})})


def _moved(transfer: Operation, file: File, client: "paramiko.SFTPClient") -> int:
    """How many bytes.

    Raises:
        Failed: the file is not moved.
    """
    fails = transfer.faults.get("file_fails")
    if fails and transfer.files.index(file) < fails.count:
        raise Failed(TRANSFER_ERROR, f"{file.path} could not be transferred.")
    local = _local(transfer, file)
    if transfer.kind == "SEND":
        return _sent(client, local, _remote(transfer, file))
    short = transfer.faults.get("short_object")
    with told("RETRIEVE", file.path), client.open(file.path, "rb") as remote:
        size = remote.stat().st_size or 0
        return places.write(local, parts(client, remote, max(size - (short.count if short else 0), 0)))


def _local(transfer: Operation, file: File) -> places.Place:
    if transfer.kind == "SEND":
        return places.place(file.path)
    return places.within(transfer.asked["LocalDirectoryPath"], file.path)


def _remote(transfer: Operation, file: File) -> str:
    """Below the folder where sessions begin if no other is named."""
    folder = transfer.asked.get("RemoteDirectoryPath", "")
    return f"{folder.rstrip('/')}/{_name(file)}" if folder else _name(file)


def _name(file: File) -> str:
    return file.path.rpartition("/")[2]


def _sent(client: "paramiko.SFTPClient", source: places.Place, target: str) -> int:
    chunks = places.read(source)
    first = next(chunks, b"")  # before the file is there: the object may not be
    with told("SEND", target), client.open(target, "wb") as remote:
        remote.set_pipelined(True)
        remote.write(first)
        size = len(first)
        for chunk in chunks:
            remote.write(chunk)
            size += len(chunk)
        return size


def parts(client: "paramiko.SFTPClient", remote: "paramiko.SFTPFile", size: int) -> Iterator[bytes]:
    """The first ``size`` bytes of an open file, one part of an object after the other.

    Raises:
        Failed: it has fewer.
    """
    from adplatform.local.aws.transfer.windows import Window  # noqa: PLC0415 - paramiko

    length = places.part_size(size)
    for offset in range(0, max(size, 1), length):
        wanted = min(length, size - offset)
        part = next(iter(Window(client, remote.handle, "rb").readv([(offset, wanted)])))
        if len(part) != wanted:
            raise Failed(TRANSFER_ERROR, f"The file became shorter than {size} bytes while it was read.")
        yield part
