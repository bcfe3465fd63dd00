"""What it means that DuckDB ran out of something."""

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.failures import EnvironmentFailure, TransientFailure, clipped, local_failure
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

_DISK = {
    os.strerror(number): number
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG, errno.EIO)
}
_SPILL = "failed to offload data block"
"""DuckDB says it when the disk has no room for what does not fit into memory: its limit is the disk's free space when
it first needs some."""
_SHOWN = 300


def ran_out(what: str, error: "duckdb.Error", directory: Path) -> TransientFailure:
    """The disk of ``directory``, where DuckDB writes, is the machine's fault; memory is shared with runs that end, or
    too little for the data."""
    text = str(error)
    number = next((number for said, number in _DISK.items() if said in text), None)
    if number is not None:
        return local_failure(f"{what}: DuckDB", OSError(number, os.strerror(number), str(directory)))
    if _SPILL in text:
        return EnvironmentFailure(
            f"{what}: DuckDB: local disk: {os.strerror(errno.ENOSPC)} ({directory}, {_free(directory):,} bytes free) "
            "for what does not fit into memory. Make room there, or raise ADPLATFORM_MEMORY_LIMIT",
            cause=f"local disk: {errno.ENOSPC}",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return TransientFailure(f"{what}: DuckDB ran out of memory; raise ADPLATFORM_MEMORY_LIMIT if it does so again")
    return TransientFailure(f"{what}: DuckDB: {clipped(text.splitlines()[0], _SHOWN)}")


def is_of_disk(error: "duckdb.Error") -> bool:
    """Whether DuckDB could not write, whatever it calls that."""
    return any(said in str(error) for said in (*_DISK, _SPILL))


def _free(directory: Path) -> int:
    there = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free
