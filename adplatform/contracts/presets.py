"""Presets: how the files of an exporter are written, as settings of a feed; data files, one an exporter, each read when
it is first needed."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field

from adplatform.contracts.hints import did_you_mean
from adplatform.contracts.strict import Strict
from adplatform.failures import wrapped
from adplatform.platform.packaged_yaml import packaged_yaml

PresetName = Literal[
    "airbyte",
    "amazon_ads_console",
    "bing",
    "criteo",
    "dlt",
    "dv360",
    "ecb_rates",
    "excel_de",
    "excel_en",
    "ga4",
    "google_ads_excel",
    "google_ads_ui",
    "hubspot",
    "linkedin",
    "meta",
    "pinterest",
    "shopify",
    "the_trade_desk",
    "tiktok",
    "x_ads",
]
NAMES: tuple[str, ...] = get_args(PresetName)
_FOLDER = "exporter_presets"
_OF_TEXT = ("encoding", "delimiter", "quote", "escape", "empty")
_OF_COMMAS = (("decimal_comma", True), ("thousands", "."))
"""Numbers in the cells of a workbook have a point."""
_OF_ANY_KIND = ("kind", "null_values", "members", "compression")


class Preset(Strict):
    """What one file says."""

    title: str
    """Whose files these are."""
    export: str
    """How to export so, and what of it is set beside the preset."""
    sources: tuple[str, ...] = Field(min_length=1)
    """Where each fact is from."""
    looks_like: str
    """A regular expression that the beginning of such a file has and others hardly do; empty where nothing tells."""
    format: dict[str, Any]
    """Settings of ``format``."""
    defaults: dict[str, Any] = Field(default_factory=dict)
    """Settings of ``defaults``."""
    columns: dict[str, Any] = Field(default_factory=dict)
    """Columns that its writer adds for itself, unless the contract declares them."""
    feed: dict[str, Any] = Field(default_factory=dict)
    """Settings of the feed beside its contract: ``landing``, and those of ``arrival``."""


@cache
def preset_of(name: str) -> Preset:
    """
    Raises:
        ValueError: there is none of that name, with those that there are.
    """
    if name not in NAMES:
        raise ValueError(f"there is no preset {name!r}{did_you_mean(name, NAMES)}; there are {wrapped(NAMES)}")
    return Preset.model_validate(packaged_yaml(resources.files(__package__) / _FOLDER / f"{name}.yaml"))


def presets_like(text: str) -> tuple[str, ...]:
    """The presets whose files begin as ``text`` does."""
    patterns = {name: preset_of(name).looks_like for name in NAMES}
    return tuple(name for name, found in patterns.items() if found and re.search(found, text, re.MULTILINE))


def resolved_format(given: Any) -> Any:
    """The settings of a format with those of its preset under them, and without its name.

    What a preset says stands in the contract from then on as if it was written there: a contract that was stored means
    what it meant, whatever a later version of the preset says, and a preset that changes is a contract that changes.

    Raises:
        ValueError: as :func:`preset_of`.
    """
    name = _name(given)
    if name is None:
        return given
    own = {setting: value for setting, value in given.items() if setting != "preset"}
    return {**_fitting(preset_of(name).format, own), **own}


def resolved_contract(given: Any) -> Any:
    """The settings of a contract whose format has a preset, with those of the preset under them.

    Raises:
        ValueError: as :func:`preset_of`.
    """
    if not isinstance(given, Mapping) or (name := _name(given.get("format"))) is None or name not in NAMES:
        return given
    defaults = given.get("defaults")
    own = defaults.model_dump(exclude_unset=True) if isinstance(defaults, BaseModel) else defaults
    if own is not None and not isinstance(own, Mapping):
        return given
    kind = given["format"].get("kind")
    ready = {n: v for n, v in preset_of(name).defaults.items() if kind != "xlsx" or (n, v) not in _OF_COMMAS}
    merged = _with_one_comma(ready, own or {})
    columns = _with_columns(preset_of(name).columns, given.get("columns"))
    return {**given, "format": resolved_format(given["format"]), "defaults": merged, **columns}


def resolved_feed(given: Any) -> Any:
    """The settings of a feed whose format has a preset, with where and how files come by the preset under them.

    Raises:
        ValueError: as :func:`preset_of`.
    """
    if not isinstance(given, Mapping) or (name := _name(given.get("format"))) is None or name not in NAMES:
        return given
    ready = preset_of(name).feed
    arrival = given.get("arrival", {})
    if "arrival" not in ready or not isinstance(arrival, Mapping):
        return {**ready, **given}
    own = arrival if "complete_when" in arrival else {**ready["arrival"], **arrival}
    return {**ready, **given, "arrival": own}


def _name(given: Any) -> str | None:
    name = given.get("preset") if isinstance(given, Mapping) else None
    return name if isinstance(name, str) else None


def _fitting(ready: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What of a preset goes with settings beside it that say what the files are: a workbook has no delimiter."""
    kind = own.get("kind", ready.get("kind", "csv"))
    left = set(ready) - set(_OF_ANY_KIND) if kind not in ("csv", "xlsx") else set(_OF_TEXT) if kind == "xlsx" else set()
    if own.get("range") is not None:
        left.add("skip_lines")
    return {setting: value for setting, value in ready.items() if setting not in left}


def _with_columns(ready: Mapping[str, Any], own: Any) -> dict[str, Any]:
    """What a preset adds to columns as YAML writes them: those that nobody declared or reads."""
    if not ready or not isinstance(own, Mapping):
        return {}
    fields = [each.get("field", ()) for each in own.values() if isinstance(each, Mapping)]
    read = {name for each in fields for name in ([each] if isinstance(each, str) else each)}
    return {"columns": {**own, **{name: each for name, each in ready.items() if name not in own and name not in read}}}


def _with_one_comma(ready: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Of a comma that is both decimal and between thousands, only what stands beside the preset."""
    merged = {**ready, **own}
    if merged.get("decimal_comma") and merged.get("thousands") == ",":
        merged.pop("thousands" if "thousands" not in own else "decimal_comma")
    return merged
