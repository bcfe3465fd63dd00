"""The files that readers of a partition see, on local disk."""

from pathlib import Path

from adplatform.failures import TransientFailure
from adplatform.lake.catalog import Partition
from adplatform.lake.entry import ROWS
from adplatform.lake.store import Store


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
