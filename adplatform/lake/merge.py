"""The rows of several deliveries as one set of files: of the rows of one key, the latest."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.platform.late import Late
from adplatform.transform.values import StagedFile

if TYPE_CHECKING:
    import duckdb
    import pyarrow.parquet as pq
else:
    pq = Late("pyarrow.parquet")

_FILE_SIZE = "512MB"
_ORIGIN = "slice file"  # no column of a table can have a blank in its name


def merge(
    slices: Sequence[Sequence[Path]],
    columns: Iterable[str],
    *,
    key: Sequence[str],
    latest_by: Iterable[str],
    target: Path,
    connection: "duckdb.DuckDBPyConnection",
) -> list[StagedFile]:
    """The latest row of each ``key``: greatest ``latest_by`` (NULL is smallest), then the later slice; without a key,
    all rows. Rows with a NULL in the key (a personal value that has no digest) cannot be compared, so all of them stay.

    ``slices`` are Parquet files in order of delivery date, with paths that sort in that order; a slice holds a key
    once. ``columns`` gives the order of the result's columns; one that no file has is left out. ``key`` and
    ``latest_by`` may name the partition column, which the files lack because it is the same in all their rows.
    ``target`` is a new directory, ``connection`` that of :func:`adplatform.lake.limited.limited`.
    """
    files = [path for paths in slices for path in paths]
    present = {name for path in files for name in pq.read_schema(path).names}
    selected = ", ".join(_quoted(n) for n in columns if n in present)
    keys = [_quoted(n) for n in key if n in present]
    no_key = " OR ".join(f"{k} IS NULL" for k in keys) or "FALSE"
    order = ", ".join(
        [*(f"{_quoted(n)} DESC NULLS LAST" for n in latest_by if n in present), f"{_quoted(_ORIGIN)} DESC"]
    )
    only = f"QUALIFY {no_key} OR row_number() OVER (PARTITION BY {', '.join(keys) or '1'} ORDER BY {order}) = 1"
    query = f"""
        SELECT {selected}
        FROM read_parquet($files, union_by_name = true, hive_partitioning = false, filename = {_literal(_ORIGIN)})
        {only if key else ""}
    """
    target.mkdir()
    connection.execute(
        f"COPY ({query}) TO {_literal(str(target))} "
        f"(FORMAT parquet, COMPRESSION snappy, FILE_SIZE_BYTES '{_FILE_SIZE}', FILENAME_PATTERN 'part-{{i}}')",
        {"files": [str(path) for path in files]},
    )
    return [StagedFile(path, "", pq.read_metadata(path).num_rows) for path in sorted(target.iterdir())]


def _quoted(name: str) -> str:
    return f'"{name}"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
