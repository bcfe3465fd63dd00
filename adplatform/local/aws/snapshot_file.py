"""One snapshot on disk: a header line in JSON, then the payload it vouches for.

Written to a temporary file, synced and renamed, so that a process killed at any moment leaves the old or the new one.
"""

import hashlib
import json
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from adplatform.failures import PermanentFailure


def write_snapshot(path: Path, payload: bytes) -> None:
    """Replaces the snapshot.

    Raises:
        OSError: the disk does not take it; the old snapshot stays, and nothing of the new one.
    """
    header = {"moto": version("moto"), "sha256": hashlib.sha256(payload).hexdigest()}
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(json.dumps(header).encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_snapshot(path: Path) -> bytes:
    """The payload.

    Raises:
        PermanentFailure: the file is damaged, or another minor version of moto wrote it. Nothing is deleted.
    """
    first, _, payload = path.read_bytes().partition(b"\n")
    try:
        header = json.loads(first)
        written_by, checksum = str(header["moto"]), str(header["sha256"])
    except (ValueError, KeyError, TypeError) as e:
        raise damaged(path) from e
    if hashlib.sha256(payload).hexdigest() != checksum:
        raise damaged(path)
    if _minor(written_by) != _minor(version("moto")):
        raise PermanentFailure(
            f"moto {written_by} wrote the snapshot {path}, which moto {version('moto')} may misread. Install moto "
            f"{_minor(written_by)}.*, or delete the directory {path.parent} and provision again; the bodies of S3 "
            "objects are kept until then."
        )
    return payload


def damaged(path: Path) -> PermanentFailure:
    return PermanentFailure(
        f"the snapshot {path} of the embedded AWS is damaged. Restore it from a backup, or delete it to start "
        f"{path.stem} empty; the other services keep their state."
    )


def _minor(release: str) -> str:
    return ".".join(release.split(".")[:2])
