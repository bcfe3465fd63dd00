"""What the assets of every component have in common in Dagster, and the hook by which somebody's own subclass changes
what they are."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import dagster as dg

AssetSpecHook = Callable[[dg.AssetSpec], dg.AssetSpec]


CATEGORIES: Mapping[str, str] = {
    "pushed": "files",
    "replicated": "files",
    "sftp": "files",
    "flows": "saas",
    "reports": "saas",
    "tables": "database",
    "changes": "database",
    "facts": "derived",
}
"""What the sources of each pattern are, as the AWS Guidance sorts them; facts are made of other sources."""


class Tagged(Protocol):
    """A declared source."""

    @property
    def pattern(self) -> str: ...

    @property
    def tags(self) -> dict[str, str]: ...


def tags_of(declared: Tagged) -> dict[str, str]:
    """The tags of all assets of a source. A tag of its own named ``category`` goes before."""
    return {"category": CATEGORIES[declared.pattern], **declared.tags}


def unchanged(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec


def hooked(spec: dg.AssetSpec, hook: AssetSpecHook) -> dg.AssetSpec:
    """What ``hook`` makes of a spec.

    Raises:
        DagsterInvalidDefinitionError: it changes a key or partitions, by which runs, ledger and tables know the asset.
    """
    changed = hook(spec)
    if changed.key != spec.key:
        raise dg.DagsterInvalidDefinitionError(
            f"get_asset_spec made {changed.key.to_user_string()} of {spec.key.to_user_string()}: keys are fixed; "
            "change group, owners, tags, metadata or description"
        )
    if changed.partitions_def != spec.partitions_def:
        raise dg.DagsterInvalidDefinitionError(
            f"get_asset_spec changed the partitions of {spec.key.to_user_string()}, which are fixed: they are the "
            "dates of its deliveries"
        )
    return changed


def with_hook(assets: Iterable[dg.AssetsDefinition], hook: AssetSpecHook) -> list[dg.AssetsDefinition]:
    """The assets with what ``hook`` makes of each spec (:func:`hooked`)."""
    return [each for asset in assets for each in dg.map_asset_specs(lambda spec: hooked(spec, hook), [asset])]
