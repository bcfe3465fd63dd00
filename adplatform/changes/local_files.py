"""Files of the clean zone on this machine."""

from collections.abc import Mapping
from pathlib import Path

from adplatform.lake.store import Store
from adplatform.platform.at_once import at_once


def fetch(store: Store, wanted: Mapping[str, Path]) -> list[Path]:
    """Files by their key in the clean bucket, written to these paths; in the same order."""
    at_once(lambda key: store.download(store.zones.clean_bucket, key, wanted[key]), wanted)
    return list(wanted.values())
