"""A draft of an exporter's file, with the exporter's preset in the place of what it sets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adplatform.contracts.presets import preset_of, presets_like
from adplatform.drafting.draft import Draft, DraftColumn

_LISTS = ("currency", "formats", "negative", "null_values")


def with_presets(drafted: Draft) -> list[Draft]:
    """The draft with each preset that the beginning of its file looks like."""
    if not drafted.beginning:
        return []
    return [_with_preset(drafted, name) for name in presets_like(drafted.beginning)]


def _with_preset(drafted: Draft, name: str) -> Draft:
    preset = preset_of(name)
    set_by_it = {**preset.defaults, "null_values": preset.format.get("null_values", [])}
    columns = tuple(_without(column, set_by_it) for column in drafted.columns)
    kept = {
        setting: said for setting, said in drafted.format.items() if setting in ("kind", "sheet", "range", "members")
    }
    reason = f"looks like {preset.title}; it was tried"
    return replace(
        drafted,
        format={"preset": (name, reason), **kept},
        columns=columns,
        remarks=(*drafted.remarks, f"REVIEW: {preset.export}"),
    )


def _without(column: DraftColumn, set_by_it: Mapping[str, Any]) -> DraftColumn:
    kept = {name: value for name, value in column.settings.items() if not _is_set(name, value, set_by_it.get(name))}
    return replace(column, settings=kept)


def _is_set(name: str, value: Any, ready: Any) -> bool:
    """Whether a setting says no more than the preset does."""
    if ready is None:
        return False
    if name in _LISTS:
        return set(_listed(value)) <= set(_listed(ready))
    return bool(value.items() <= ready.items() if name == "special" else value == ready)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
