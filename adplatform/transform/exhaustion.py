"""What it means that DuckDB ran out of something."""

import errno
import os
from typing import TYPE_CHECKING

from adplatform.failures import EnvironmentFailure, TransientFailure
from adplatform.platform.late import Late

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")

_DISK = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES))
_SPILL = "failed to offload data block"
"""DuckDB says it when the disk has no room for what does not fit into memory: its limit is the disk's free space."""


def ran_out(what: str, error: "duckdb.OutOfMemoryException | duckdb.IOException") -> TransientFailure:
    """The disk is the machine's fault; memory is shared with runs that end, or too little for the data."""
    text = str(error)
    if _SPILL in text or any(reason in text for reason in _DISK):
        return EnvironmentFailure(
            f"{what}: DuckDB has no room on the local disk. Make room below ADPLATFORM_HOME", cause="DuckDB: no room"
        )
    return TransientFailure(f"{what}: DuckDB ran out of memory or disk")
