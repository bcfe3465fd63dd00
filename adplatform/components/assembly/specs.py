"""The hook of every component by which somebody's own subclass changes what its assets are in Dagster."""

from collections.abc import Callable, Iterable

import dagster as dg

AssetSpecHook = Callable[[dg.AssetSpec], dg.AssetSpec]


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
