"""Each type of a contract against each service, row by row of what their documentation says."""

from typing import Any

import pytest

from adplatform.consumers.quicksight import COLUMN_TYPES
from adplatform.consumers.sagemaker import FEATURE_TYPES
from adplatform.contracts.consumers import ConsumerName
from adplatform.contracts.types import parse_type
from adplatform_tests.consumers.tables import found

TYPES = ("string", "int", "bigint", "decimal(12,2)", "double", "boolean", "date", "timestamp")
OTHER = {"id": {"required": True}, "at": {"type": "timestamp", "required": True}}
SETTINGS: dict[ConsumerName, Any] = {
    "athena": {},
    "redshift": {},
    "clean_rooms": {"rule": {"kind": "aggregation", "aggregates": {"count": "v"}, "minimum": {"v": 2}}},
    "sagemaker": {"record_id": "id", "event_time": "at"},
    "quicksight": {},
}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("service", SETTINGS)
def test_queries_features_and_data_sets_take_every_type(service: ConsumerName, kind: str) -> None:
    assert found(service, SETTINGS[service], {**OTHER, "v": kind}) == []


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("string", ""),
        *((kind, "warning") for kind in ("int", "bigint", "date")),
        *((kind, "error") for kind in ("decimal(12,2)", "double", "boolean", "timestamp")),
    ],
)
@pytest.mark.parametrize("place", ["mapped", "unique_id"])
def test_entity_resolution_takes_texts_and_what_can_be_cast_to_one(kind: str, level: str, place: str) -> None:
    names = ("id", "v") if place == "mapped" else ("v", "id")
    settings = {"unique_id": names[0], "columns": {names[1]: "STRING"}, "rules": [{"name": "r", "match": names[1]}]}
    columns = {"id": {"required": True}, "v": {"type": kind, "required": True}}
    said = found("entity_resolution", settings, columns, key=names[0], partition_by=None)
    assert [each.partition(" ")[0] for each in said if " v: it is " in each] == [level] * bool(level)


@pytest.mark.parametrize(
    ("kind", "feature", "column"),
    [
        ("string", "String", "STRING"),
        ("int", "Integral", "INTEGER"),
        ("bigint", "Integral", "INTEGER"),
        ("decimal(12,2)", "Fractional", "DECIMAL"),
        ("double", "Fractional", "DECIMAL"),
        ("boolean", "Integral", "INTEGER"),
        ("date", "String", "DATETIME"),
        ("timestamp", "String", "DATETIME"),
    ],
)
def test_what_a_type_becomes_as_a_feature_and_in_a_data_set(kind: str, feature: str, column: str) -> None:
    name = parse_type(kind).name
    assert (FEATURE_TYPES[name], COLUMN_TYPES[name]) == (feature, column)


@pytest.mark.parametrize(
    ("service", "exact", "rounded"),
    [("sagemaker", "decimal(15,2)", "decimal(16,2)"), ("quicksight", "decimal(38,4)", "decimal(18,5)")],
)
def test_decimals_that_a_service_rounds_are_warned_of(service: ConsumerName, exact: str, rounded: str) -> None:
    assert found(service, SETTINGS[service], {**OTHER, "v": exact}) == []
    [said] = found(service, SETTINGS[service], {**OTHER, "v": rounded})
    assert said.startswith("warning ")
    assert " v: " in said and rounded in said
