"""What messages say of anything, by name: within limits, and without names of files."""

from collections.abc import Mapping
from typing import Any

from adplatform.failures import clipped, unnamed


def bounded(facts: Mapping[str, Any], many: int, long: int) -> dict[str, Any]:
    """As much of long texts and lists as a message takes. Lists and mappings that are cut are counted beside, as
    ``<name>_count``."""
    cut: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            cut[name] = {clipped(unnamed(str(k)), long): _cut(v, long) for k, v in list(value.items())[:many]}
        elif isinstance(value, list | tuple):
            cut[name] = [_cut(v, long) for v in value[:many]]
        else:
            cut[name] = _cut(value, long)
        if isinstance(value, dict | list | tuple) and len(value) > many:
            cut[f"{name}_count"] = len(value)
    return cut


def _cut(value: Any, long: int) -> Any:
    return clipped(unnamed(value), long) if isinstance(value, str) else value


def shown(value: Any) -> str:
    """A fact in a text."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
