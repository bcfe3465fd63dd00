"""Where the data of a source comes from, as an asset outside of the platform that its raw assets depend on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

from adplatform.components.assembly.specs import AssetSpecHook, hooked


@dataclass(frozen=True)
class Origin:
    """What has the data of a source before it comes: ``called`` for people, and of which ``kind`` for Dagster."""

    called: str
    kind: str


def origin_key(source: str) -> dg.AssetKey:
    return dg.AssetKey(["origin", source])


def origin_asset(
    source: str, origin: Origin, owners: Sequence[str], tags: dict[str, str], hook: AssetSpecHook
) -> dg.AssetSpec:
    """There is one of a source, however many feeds it has. Nobody materializes it."""
    spec = dg.AssetSpec(
        origin_key(source),
        description=f"{origin.called}. It is outside of the platform; the raw assets come from there.",
        group_name=source,
        owners=owners,
        kinds={_tag(origin.kind)},
        tags=tags | {"zone": "origin"},
    )
    return hooked(spec, hook)


def _tag(kind: str) -> str:
    """What a tag of Dagster may hold: the label of a connector of somebody's own may be of any characters."""
    return re.sub(r"[^a-z0-9]+", "_", kind.lower())[:60].strip("_") or "application"
