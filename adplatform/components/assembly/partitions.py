"""Which requests of runs Dagster can launch. It refuses a whole tick for one whose partition is none."""

from collections.abc import Callable

import dagster as dg

PartitionsOf = Callable[[dg.AssetKey], dg.PartitionsDefinition[str] | None]


def partitions_in(loaded: dg.Definitions) -> PartitionsOf:
    """The partitions of the assets of a code location."""
    return lambda key: loaded.resolve_assets_def(key).specs_by_key[key].partitions_def


def is_partition(partitions: PartitionsOf, request: dg.RunRequest, instance: dg.DagsterInstance) -> bool:
    """Whether there can be such a run: not of a date before a start that was raised since, nor of one that has not
    begun, nor of a scope that an account has no longer."""
    if request.partition_key is None:
        return True
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        known = [partitions(key) for key in request.asset_selection or ()]
        return all(each.has_partition_key(request.partition_key) for each in known if each is not None)
