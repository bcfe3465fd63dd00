"""The report types that the simulated Ads API takes, by a catalogue of its own, not by what the client believes."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from adplatform.platform.packaged_yaml import packaged_yaml

DEMAND_SIDE = "DEMAND_SIDE_PLATFORM"
"""The product of report types that are for advertisers of the demand-side platform only."""
_FILTER = "filter "


@dataclass(frozen=True)
class ReportType:
    """One report type. ``groups`` are the columns that each grouping adds, ``filters`` the values of each filter by
    grouping; limits are in days."""

    product: str
    max_range_days: int
    retention_days: int
    time_units: frozenset[str]
    columns: frozenset[str]
    groups: Mapping[str, frozenset[str]]
    filters: Mapping[str, Mapping[str, tuple[str, ...]]]

    def allowed(self, group_by: Iterable[str]) -> frozenset[str]:
        return self.columns.union(*(self.groups[group] for group in group_by))


@functools.cache
def report_types() -> Mapping[str, ReportType]:
    """By their ids."""
    files = [resources.files(__package__) / name for name in ("catalogue.yaml", "catalogue_dsp.yaml")]
    return {name: _report_type(each) for file in files for name, each in packaged_yaml(file).items()}


def _report_type(each: Mapping[str, Any]) -> ReportType:
    groups: Mapping[str, Mapping[str, list[str]]] = each["groups"]
    return ReportType(
        product=each["product"],
        max_range_days=each["max_range_days"],
        retention_days=each["retention_days"],
        time_units=frozenset(each["time_units"]),
        columns=frozenset(each["columns"]),
        groups={name: frozenset(group.get("adds", ())) for name, group in groups.items()},
        filters={
            name: {key.removeprefix(_FILTER): tuple(values) for key, values in group.items() if key.startswith(_FILTER)}
            for name, group in groups.items()
        },
    )
