"""The file that keeps the state of a simulated partner."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(store: Path, state: Mapping[str, Any]) -> None:
    """Writes the state as a whole, for its owner only: it has secrets in it.

    Raises:
        OSError: the disk does not take it.
    """
    temporary = store.with_suffix(".tmp")
    temporary.write_text(json.dumps(state), encoding="utf-8")
    temporary.chmod(0o600)
    temporary.replace(store)


def read(store: Path | None) -> dict[str, Any] | None:
    """The state; None if there is none yet.

    Raises:
        ValueError: it is no JSON object.
    """
    if store is None or not store.exists():
        return None
    state = json.loads(store.read_text(encoding="utf-8"))
    if not isinstance(state, dict):
        raise ValueError("no JSON object")
    return state
