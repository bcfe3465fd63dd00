"""Metrics as CloudWatch Logs would make them of what a process has written."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from adplatform.flow.services import Services
from adplatform.platform.metrics import METRICS

KNOWN = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Value:
    """One value of a metric, and the line that it stands in."""

    name: str
    unit: str
    dimensions: tuple[tuple[str, str], ...]
    value: float
    line: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.line[name]


def with_metrics(services: Services) -> Services:
    """The same services, which write metrics."""
    return replace(services, settings=replace(services.settings, metrics=True))


def values_of(text: str) -> list[Value]:
    """All values in the lines of an output, in their order; each by the set of dimensions that its metric has."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"_aws"')]
    return [value for line in lines for value in _values(line)]


def _values(line: dict[str, Any]) -> Iterator[Value]:
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "adplatform"
        assert isinstance(line["_aws"]["Timestamp"], int)
        for metric in directive["Metrics"]:
            for names in directive["Dimensions"]:
                known = KNOWN[metric["Name"]]
                assert (set(names), metric["Unit"]) == (set(known.dimensions), known.unit), metric
                dimensions = tuple((name, line[name]) for name in known.dimensions)
                yield Value(metric["Name"], metric["Unit"], dimensions, line[metric["Name"]], line)


def sums(values: Iterable[Value]) -> dict[str, float]:
    """The sum of each metric over all dimensions."""
    found: Counter[str] = Counter()
    for each in values:
        found[each.name] += each.value
    return dict(found)
