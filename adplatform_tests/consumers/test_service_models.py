"""What the rules take for limits and names of services is what their APIs say, by the models that botocore has."""

from functools import cache
from typing import Any, get_args

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from adplatform.consumers import athena, clean_rooms, entity_resolution, quicksight, sagemaker
from adplatform.contracts.clean_rooms import AggregateFunction, AggregationRule
from adplatform.contracts.consumers import LEAST_SCAN_LIMIT, QuickSight
from adplatform.contracts.entity_resolution import AttributeType, EntityResolution, MatchingRule


@cache
def model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"))


def shape(service: str, name: str) -> Shape:
    return model(service).shape_for(name)


@pytest.mark.parametrize(
    ("service", "name", "limit", "ours"),
    [
        ("cleanrooms", "ColumnName", "max", clean_rooms.MOST_CHARACTERS),
        ("cleanrooms", "ColumnName", "pattern", clean_rooms.NAME.pattern),
        ("cleanrooms", "AnalysisRuleColumnName", "max", clean_rooms.MOST_CHARACTERS_IN_RULES),
        ("entityresolution", "SchemaInputAttributes", "min", entity_resolution.FEWEST_FIELDS),
        ("entityresolution", "SchemaInputAttributes", "max", entity_resolution.MOST_FIELDS),
        ("entityresolution", "AttributeName", "max", entity_resolution.MOST_CHARACTERS),
        ("entityresolution", "AttributeName", "pattern", entity_resolution.NAME.pattern),
        ("sagemaker", "FeatureName", "max", sagemaker.MOST_CHARACTERS),
        ("sagemaker", "FeatureName", "pattern", sagemaker.NAME.pattern),
        ("sagemaker", "FeatureDefinitions", "max", sagemaker.MOST_FEATURES),
        ("quicksight", "ColumnName", "max", quicksight.MOST_CHARACTERS + 1),
        ("quicksight", "InputColumnList", "max", quicksight.MOST_COLUMNS),
        ("athena", "QueryString", "max", athena.LONGEST_QUERY),
        ("athena", "BytesScannedCutoffValue", "min", LEAST_SCAN_LIMIT),
    ],
)
def test_limits_and_patterns_are_those_of_the_service(service: str, name: str, limit: str, ours: Any) -> None:
    assert shape(service, name).metadata[limit] == ours


def limits(model: Any, field: str) -> set[int]:
    return {n for each in model.model_fields[field].metadata for n in [getattr(each, "max_length", None)] if n}


def test_numbers_of_rules_and_minimums_are_those_of_the_service() -> None:
    assert limits(EntityResolution, "rules") == {
        shape("entityresolution", "RuleBasedPropertiesRulesList").metadata["max"]
    }
    assert limits(MatchingRule, "match") == {shape("entityresolution", "RuleMatchingKeysList").metadata["max"]}
    least = shape("cleanrooms", "AggregationConstraintMinimumInteger").metadata
    for minimum, taken in (
        (least["min"], True),
        (least["min"] - 1, False),
        (least["max"], True),
        (least["max"] + 1, False),
    ):
        settings = {"kind": "aggregation", "aggregates": {"count": "a"}, "minimum": {"a": minimum}}
        try:
            AggregationRule.model_validate(settings)
        except ValueError:
            assert not taken
        else:
            assert taken


@pytest.mark.parametrize(
    ("service", "name", "ours"),
    [
        ("cleanrooms", "AggregateFunctionName", {name.upper() for name in get_args(AggregateFunction)}),
        ("entityresolution", "SchemaAttributeType", {*get_args(AttributeType), "UNIQUE_ID"}),
        ("sagemaker", "FeatureType", set(get_args(sagemaker.FeatureType))),
        ("quicksight", "ColumnDataType", set(get_args(quicksight.ColumnType))),
    ],
)
def test_names_of_kinds_are_those_of_the_service(service: str, name: str, ours: set[str]) -> None:
    assert set(shape(service, name).enum) == ours  # type: ignore[attr-defined]  # of a StringShape


def test_schedules_of_data_sets_and_reserved_names_of_features_are_those_of_the_service() -> None:
    refresh = set(get_args(QuickSight.model_fields["refresh"].annotation)) - {"published"}
    assert {name.upper() for name in refresh} <= set(shape("quicksight", "RefreshInterval").enum)  # type: ignore[attr-defined]
    said = shape("sagemaker", "FeatureDefinition").members["FeatureName"].documentation  # type: ignore[attr-defined]
    assert all(name in said for name in sagemaker.RESERVED)
