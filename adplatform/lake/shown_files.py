"""The files that readers of a partition see, on local disk, and their rows as readers see them."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adplatform.failures import TransientFailure
from adplatform.lake.catalog import Partition
from adplatform.lake.entry import ROWS
from adplatform.lake.store import Store
from adplatform.transform.rules import identifier, literal

if TYPE_CHECKING:
    import duckdb


def download_shown(store: Store, shown: Partition, folder: Path, called: str) -> list[Path]:
    """Fetch the Parquet files of a partition into ``folder``, which is made; ``called`` names it in errors.

    Raises:
        TransientFailure: they were removed between looking and reading, because newer ones took their place.
    """
    folder.mkdir(parents=True)
    files: list[Path] = []
    for stored in store.listing(store.zones.clean_bucket, store.zones.clean_key(shown.location)):
        files.append(folder / f"{len(files):05d}.parquet")
        store.download(store.zones.clean_bucket, stored.key, files[-1])
    if not files and shown.parameters.get(ROWS) != "0":
        raise TransientFailure(f"{called}: {shown.location} is empty; it is read again")
    return files


def scan_shown(con: "duckdb.DuckDBPyConnection", parts: Iterable[tuple[Mapping[str, str], Sequence[Path]]]) -> str:
    """A query of all rows of partitions, each given by the values that name it and its files, "" where there are none.
    Files may be older than a column of the table, and need not have those that partition it."""
    selects = []
    for values, files in parts:
        if not files:
            continue
        paths = ", ".join(literal(str(file)) for file in files)
        scan = f"read_parquet([{paths}], union_by_name=true, hive_partitioning=false)"
        present = {name for name, *_ in con.execute(f"describe select * from {scan}").fetchall()}
        named = (f", {literal(value)} as {identifier(name)}" for name, value in values.items() if name not in present)
        selects.append(f"select *{''.join(named)} from {scan}")
    return " union all by name ".join(selects)
