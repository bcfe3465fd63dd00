"""Files of the clean zone on this machine."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adplatform.lake.store import Store

_READERS = 4


def fetch(store: Store, wanted: Mapping[str, Path]) -> list[Path]:
    """Files by their key in the clean bucket, written to these paths; in the same order."""
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
        for _ in pool.map(lambda key: store.download(store.zones.clean_bucket, key, wanted[key]), wanted):
            pass
    return list(wanted.values())
