"""What Amazon SageMaker Feature Store takes: three types of features, and names that begin and end with a letter or
digit. An input of a processing job is read as any Parquet is."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from adplatform.consumers.finding import Finding
from adplatform.consumers.table import Column, Table, misnamed
from adplatform.contracts.consumers import SageMaker
from adplatform.contracts.types import TypeName

FeatureType = Literal["Integral", "Fractional", "String"]
NAME = re.compile(r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}")
MOST_CHARACTERS = 64
MOST_FEATURES = 2_500
RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
"""API_FeatureDefinition."""
FEATURE_TYPES: Mapping[TypeName, FeatureType] = {
    "string": "String",
    "int": "Integral",
    "bigint": "Integral",
    "decimal": "Fractional",
    "double": "Fractional",
    "boolean": "Integral",
    "date": "String",
    "timestamp": "String",
}
"""What a column becomes: decimals the nearest double, booleans 0 and 1, dates and instants ISO 8601."""
_EXACT_DIGITS = 15
"""Decimal digits that every double keeps."""


def findings(table: Table, settings: SageMaker) -> Iterator[Finding]:
    if settings.record_id is None or settings.event_time is None:
        if table.is_iceberg:
            text = "a processing job that reads the files of an Iceberg table reads those of earlier versions, too: "
            yield Finding("warning", f"{text}have it read by Athena, or declare a feature group")
        return
    named = {"record_id": (settings.record_id,), "event_time": (settings.event_time,), "features": settings.features}
    yield from misnamed(table, named)
    features = settings.features or tuple(column.name for column in table.presentable)
    group = table.named(dict.fromkeys((settings.record_id, settings.event_time, *features)))
    if len(group) > MOST_FEATURES:
        text = f"a feature group has {MOST_FEATURES:,} features at most, and these are {len(group):,}: list fewer"
        yield Finding("error", text, setting="features")
    for column in group:
        yield from _feature(column)
    time = table.get(settings.event_time)
    if time is not None and time.type.name != "timestamp":
        text = f"the event time is an instant, and it is {time.type.hive}; name a column of type timestamp"
        yield Finding("error", text, time.name, "event_time")
    for setting, name in (("record_id", settings.record_id), ("event_time", settings.event_time)):
        values = table.values.get(name)
        if values and values.nulls:
            text = f"rows without one: {values.nulls:,}, which cannot be records; make it required"
            yield Finding("error", text, name, setting)


def _feature(column: Column) -> Iterator[Finding]:
    if column.name in RESERVED:
        text = "its name is one that Feature Store adds itself; rename it, and give the files' spelling as field"
        yield Finding("error", text, column.name, "features")
    elif len(column.name) > MOST_CHARACTERS or not NAME.fullmatch(column.name):
        do = "leave it out" if column.added else "rename it, or list the features without it"
        text = (
            f"its name is not one of a feature, which has {MOST_CHARACTERS} characters at most and begins and ends "
            f"with a letter or digit; {do}"
        )
        yield Finding("error", text, column.name, "features")
    if column.type.name == "decimal" and column.type.precision > _EXACT_DIGITS:
        text = (
            f"a feature of {column.type.hive} is the nearest double, exact to {_EXACT_DIGITS} digits; for more, take a "
            "text by expression"
        )
        yield Finding("warning", text, column.name, "features")
