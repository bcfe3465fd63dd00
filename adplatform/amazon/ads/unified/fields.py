"""The fields of reports of the Ads API v1: dimensions and metrics, and which of them can be asked for together.

From the dimension and metric pages of Amazon's documentation as public copies had them in April 2026. Which dimensions
go with each other is not known here: Amazon refuses those that do not, and names them. In what form percentages and
hours come was not seen either: they are taken as numbers.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from adplatform.amazon.ads.report_types import UNKNOWN, ColumnType
from adplatform.contracts.hints import did_you_mean
from adplatform.platform.packaged_yaml import packaged_yaml

DATE = "date.value"
"""The field by which the rows of a daily report are placed."""
CONVERTED = "convertedCurrency.value"
METRIC = "metric."
"""How the names of metrics begin."""
_RANGE = "dateRange.value"
_FORM = re.compile(r"[a-zA-Z0-9]+\.[a-zA-Z0-9]+")
"""Of a field's name (OpenAPI specification, ``ComparisonPredicate``)."""
_MOST_FIELDS = 1000


@dataclass(frozen=True)
class Field:
    """A field as Amazon calls it. It cannot be had without those that it ``needs``; a metric does not go with any
    field of the dimensions that it is ``without``."""

    name: str
    type: ColumnType
    needs: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()


@functools.cache
def fields() -> Mapping[str, Field]:
    """All fields that are known, by their names."""
    document = packaged_yaml(resources.files(__package__) / "fields.yaml")
    found = [each for group in document["dimensions"] for each in _group(group, "")]
    for kind in document["metrics"]:
        without = frozenset(kind["without"])
        found += [each for group in kind["of"] for each in _group(group, METRIC, without)]
    return {each.name: each for each in found}


def _group(group: Mapping[str, Any], prefix: str, without: frozenset[str] = frozenset()) -> list[Field]:
    reason = group.get("reason", "")
    kind = ColumnType(group["type"], "name" if reason else "documentation", reason)
    return [Field(prefix + name, kind, tuple(group.get("needs", ())), without) for name in group["names"]]


def field_type(name: str) -> ColumnType:
    known = fields().get(name)
    return known.type if known else UNKNOWN


def check(report: str, asked: Iterable[str], unchecked: Iterable[str] = ()) -> None:
    """Whether Amazon takes these fields together, as far as that is known. ``unchecked`` ones are only looked at where
    others need them.

    Raises:
        ValueError: a field is unknown, or lacks one that it needs; a metric does not go with a dimension; rows would
            have no date.
    """
    known, own = fields(), set(unchecked)
    names = [name for name in dict.fromkeys(asked) if name not in own]
    every = [*names, *sorted(own)]
    if _RANGE in every:
        raise ValueError(f"{report}: {_RANGE} is for sums over the whole range; use {DATE}, by which rows are placed")
    for name in names:
        if name not in known:
            form = "" if _FORM.fullmatch(name) else "; it has the form dimension.field, or metric.name"
            raise ValueError(
                f"{report}: Amazon's reports have no field {name!r} that is known{form}{did_you_mean(name, known)}; "
                "`adplatform amazon catalogue unified` lists them. If Amazon has added it, give it under "
                "unchecked_columns with its type"
            )
    if DATE not in every:
        raise ValueError(f"{report}: fields lack {DATE}, by which rows are placed")
    for name in names:
        if lacking := [needed for needed in known[name].needs if needed not in every]:
            raise ValueError(f"{report}: {name} cannot be had without {', '.join(lacking)}: add it to the fields")
        if apart := [other for other in every if other.partition(".")[0] in known[name].without]:
            raise ValueError(f"{report}: {name} does not go with {', '.join(apart)}: leave one of them out")
    if len(every) > _MOST_FIELDS:
        raise ValueError(f"{report}: Amazon takes {_MOST_FIELDS} fields at most, and these are {len(every)}")
