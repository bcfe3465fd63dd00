"""The report types of the Ads API: which columns each takes under which grouping, and its limits."""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from adplatform.contracts.hints import did_you_mean
from adplatform.failures import listed, wrapped
from adplatform.platform.packaged_yaml import packaged_yaml

_SHOWN = 80
"""Names of columns that an error lists."""
_APART = frozenset({"adGroup", "campaignPlacement"})
"""Groupings of spCampaigns that the API takes with campaign, but refuses together."""


@dataclass(frozen=True)
class Grouping:
    """What one groupBy value adds: columns, and filters with the values they take."""

    columns: frozenset[str]
    filters: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class AdsReportType:
    """One report type; ``columns`` are those of every grouping, limits are in days."""

    id: str
    product: str
    max_range_days: int
    retention_days: int
    time_units: tuple[str, ...]
    columns: frozenset[str]
    groups: Mapping[str, Grouping]

    def allowed(self, group_by: Iterable[str]) -> frozenset[str]:
        return self.columns.union(*(self.groups[group].columns for group in group_by))


@dataclass(frozen=True)
class ColumnType:
    """The type of a column in a contract, and where that is known from: the documentation, the column's name or what
    was observed; ``reason`` is why the documentation does not decide, "" where it does."""

    type: str
    source: Literal["documentation", "name", "observed", "unknown"]
    reason: str = ""


UNKNOWN = ColumnType("string", "unknown", "nobody has said what it holds, and text holds anything")
"""Of a column that is not in the catalogue."""


@dataclass(frozen=True)
class _Catalogue:
    types: Mapping[str, ColumnType]
    report_types: Mapping[str, AdsReportType]


@functools.cache
def _catalogue() -> _Catalogue:
    document = packaged_yaml(resources.files(__package__) / "report_types.yaml")
    return _Catalogue(
        _types(document["types"]), {name: _report_type(name, spec) for name, spec in document["report_types"].items()}
    )


def _types(sources: Mapping[str, Any]) -> Mapping[str, ColumnType]:
    found = {c: ColumnType(kind, "documentation") for kind, cs in sources["documentation"].items() for c in cs}
    for name in ("name", "observed"):
        for each in sources[name]:
            found |= {column: ColumnType(each["type"], name, each["reason"]) for column in each["columns"]}
    return found


def _report_type(name: str, spec: Mapping[str, object]) -> AdsReportType:
    groups: Mapping[str, Mapping[str, object]] = spec["groups"]  # type: ignore[assignment]
    return AdsReportType(
        id=name,
        product=str(spec["product"]),
        max_range_days=int(str(spec["max_range_days"])),
        retention_days=int(str(spec["retention_days"])),
        time_units=tuple(_texts(spec["time_units"])),
        columns=frozenset(_texts(spec["columns"])),
        groups={
            group: Grouping(
                frozenset(_texts(added.get("columns", ()))),
                {field: tuple(_texts(values)) for field, values in dict(added.get("filters", {})).items()},  # type: ignore[call-overload]
            )
            for group, added in groups.items()
        },
    )


def _texts(values: object) -> list[str]:
    return [str(value) for value in values]  # type: ignore[attr-defined]


def report_types() -> Mapping[str, AdsReportType]:
    """All report types by their ids."""
    return _catalogue().report_types


def report_type(name: str) -> AdsReportType:
    """The report type called ``name``.

    Raises:
        ValueError: there is none; names the nearest.
    """
    types = report_types()
    if name not in types:
        raise ValueError(f"report type {name!r} is not one of the Ads API{did_you_mean(name, types)}: {_listed(types)}")
    return types[name]


def column_type(name: str) -> ColumnType:
    """The type of a report column in a contract; text of one that is not in the catalogue."""
    return _catalogue().types.get(name, UNKNOWN)


def check(
    kind: AdsReportType,
    group_by: Sequence[str],
    time_unit: str,
    columns: Iterable[str],
    filters: Mapping[str, Sequence[str]],
) -> None:
    """Refuse here what the API would refuse, with the values that it takes.

    Raises:
        ValueError: a grouping, time unit, column or filter that this report type does not take.
    """
    if not group_by:
        raise ValueError(f"{kind.id}: group_by is empty; it takes {_listed(kind.groups)}")
    for group in group_by:
        if group not in kind.groups:
            near = did_you_mean(group, kind.groups)
            raise ValueError(f"{kind.id}: group_by {group!r} is unknown{near}; it takes {_listed(kind.groups)}")
    if set(group_by) >= _APART:
        raise ValueError(f"{kind.id}: group_by takes adGroup or campaignPlacement, not both")
    if time_unit not in kind.time_units:
        raise ValueError(f"{kind.id}: time_unit {time_unit!r} is unknown; it takes {_listed(kind.time_units)}")
    allowed = kind.allowed(group_by)
    wrong = ("startDate", "endDate") if time_unit == "DAILY" else ("date",)
    for column in columns:
        if column in wrong:
            instead = "date" if time_unit == "DAILY" else "startDate and endDate"
            raise ValueError(f"{kind.id}: column {column} does not go with time unit {time_unit}; use {instead}")
        if column not in allowed:
            raise ValueError(
                f"{kind.id}: column {column!r} does not go with group_by {_listed(group_by)}"
                f"{_goes_with(kind, column) or did_you_mean(column, allowed)}; it takes {_columns_of(kind, allowed)}. "
                "If Amazon has added it, give it under unchecked_columns with its type"
            )
    for field, values in filters.items():
        _check_filter(kind, group_by, field, values)


def _check_filter(kind: AdsReportType, group_by: Sequence[str], field: str, values: Sequence[str]) -> None:
    for group in group_by:
        known = kind.groups[group].filters
        if field not in known:
            raise ValueError(
                f"{kind.id}: filter {field!r} does not go with {group}; it takes {_listed(known) or 'none'}"
            )
        unknown = sorted(set(values) - set(known[field]))
        if unknown:
            raise ValueError(
                f"{kind.id}: filter {field} does not take {_listed(unknown)}, only {_listed(known[field])}"
            )


def _goes_with(kind: AdsReportType, column: str) -> str:
    """The groupings that the column does go with; "" where there are none."""
    others = [group for group, adds in kind.groups.items() if column in adds.columns]
    return f" (it does with {' or '.join(others)})" if others else ""


def _columns_of(kind: AdsReportType, allowed: Collection[str]) -> str:
    where = f", which `adplatform amazon catalogue {kind.id}` lists" if len(allowed) > _SHOWN else ""
    return listed(sorted(allowed), _SHOWN) + where


def _listed(names: Iterable[str]) -> str:
    return wrapped(names if isinstance(names, Sequence) else sorted(names))
