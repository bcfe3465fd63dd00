"""DuckDB for work on files of the lake, within what the settings allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.platform.heeding import heeding
from adplatform.platform.late import Late
from adplatform.transform.exhaustion import is_of_disk, ran_out

if TYPE_CHECKING:
    import duckdb
else:
    duckdb = Late("duckdb")


@contextmanager
def limited(memory_limit: str, threads: int, spill: Path) -> "Iterator[duckdb.DuckDBPyConnection]":
    """A connection that holds at most ``memory_limit`` and puts the rest below ``spill``, a directory of this run.

    Raises:
        TransientFailure: memory ran out.
        EnvironmentFailure: the disk has no room.
    """
    limits = {"memory_limit": memory_limit, "threads": threads, "temp_directory": str(spill)}
    try:
        with duckdb.connect(config=limits) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            with heeding(connection) as heedful:
                yield heedful
    except (duckdb.OutOfMemoryException, duckdb.IOException) as e:
        raise ran_out(f"work on a table under a limit of {memory_limit}", e, spill) from e
    except duckdb.Error as e:
        if not is_of_disk(e):
            raise
        raise ran_out(f"work on a table under a limit of {memory_limit}", e, spill) from e
