"""Feature groups of Amazon SageMaker, with an offline store; and inputs of processing jobs, which are only told.

Facts: API reference of SageMaker. Of a feature group nothing can be changed, and no feature taken away: features are
added to it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from adplatform.consumers.registration.resource import NAME_PREFIX, Kind, Place, Registration, Tagged, There, Wanted
from adplatform.consumers.sagemaker import FEATURE_TYPES
from adplatform.consumers.table import ConsumedTable
from adplatform.contracts.consumers import SageMaker
from adplatform.lake.zones import Zones
from adplatform.platform.arns import role_arn
from adplatform.platform.names import within
from adplatform.platform.settings import PREFIX, Settings
from adplatform.transform.rules import identifier

FEATURE_GROUP = "feature group"
_LONGEST_NAME = 64
_LONGEST_DESCRIPTION = 128
"""Characters (API_CreateFeatureGroup)."""
_ADDITIONS = 100
"""Features that one update adds (API_UpdateFeatureGroup)."""
_UNCHANGED = ("Description", "RecordIdentifierFeatureName", "EventTimeFeatureName", "OfflineStoreConfig", "RoleArn")


def lacking(settings: SageMaker, platform: Settings) -> Iterator[str]:
    if settings.record_id is not None and not platform.sagemaker_role:
        yield f"set {PREFIX}SAGEMAKER_ROLE to the IAM role with which Feature Store writes the offline store"


def wanted(table: ConsumedTable, settings: SageMaker, place: Place) -> Iterator[Wanted]:
    if settings.record_id is None or settings.event_time is None:
        return
    own = place.settings
    names = settings.features or tuple(column.name for column in table.seen.presentable)
    features = table.seen.named(dict.fromkeys((settings.record_id, settings.event_time, *names)))
    storage = {"S3Uri": f"s3://{own.raw_bucket}/{Zones.features(table.feed)}"}
    key = {"KmsKeyId": place.key} if place.key else {}
    definition = {
        "Description": f"The table {table.qualified}, declared by a feed."[:_LONGEST_DESCRIPTION],
        "RecordIdentifierFeatureName": settings.record_id,
        "EventTimeFeatureName": settings.event_time,
        "OfflineStoreConfig": {"S3StorageConfig": {**storage, **key}, "TableFormat": "Iceberg"},
        "RoleArn": role_arn(own.sagemaker_role, place.account),
        "Features": {column.name: FEATURE_TYPES[column.type.name] for column in features},
    }
    name = within(_LONGEST_NAME, NAME_PREFIX, f"{table.database}-{table.name}")
    yield Wanted("sagemaker", FEATURE_GROUP, name, table.source, table.qualified, definition)


def given(table: ConsumedTable, settings: SageMaker, place: Place) -> Mapping[str, Any] | None:
    """The table as an input of a processing job, as CreateProcessingJob takes it: what readers of Athena see."""
    if settings.record_id is not None:
        return None
    own = place.settings
    columns = ", ".join(identifier(column.name) for column in table.seen.presentable)
    key = {"KmsKeyId": place.key} if place.key else {}
    query = {
        "Catalog": "AwsDataCatalog",
        "Database": table.database,
        "QueryString": f"SELECT {columns} FROM {identifier(table.database)}.{identifier(table.name)}",
        "OutputS3Uri": f"s3://{own.raw_bucket}/{Zones.query_results(table.feed)}",
        "OutputFormat": "PARQUET",
        **key,
    }
    return {
        "InputName": table.name,
        "DatasetDefinition": {
            "AthenaDatasetDefinition": query,
            "LocalPath": f"/opt/ml/processing/input/{table.name}",
            "InputMode": "File",
        },
    }


def _read(client: Any, wanted: Wanted) -> There | None:
    """What was a feature stays one, so that those which nothing declares any more are no difference."""
    try:
        found = client.describe_feature_group(FeatureGroupName=wanted.name)
    except client.exceptions.ResourceNotFound:
        return None
    pages = [found]
    while pages[-1].get("NextToken"):
        token = {"NextToken": pages[-1]["NextToken"]}
        pages.append(client.describe_feature_group(FeatureGroupName=wanted.name, **token))
    features = {each["FeatureName"]: each["FeatureType"] for page in pages for each in page["FeatureDefinitions"]}
    offline = found.get("OfflineStoreConfig", {})
    storage = offline.get("S3StorageConfig", {})
    definition = {
        **{name: found.get(name) for name in _UNCHANGED},
        "OfflineStoreConfig": {
            "S3StorageConfig": {name: storage.get(name) for name in ("S3Uri", "KmsKeyId")},
            "TableFormat": offline.get("TableFormat"),
        },
        "Features": {name: kind for name, kind in features.items() if name in wanted.definition["Features"]},
        "Failure": found.get("FailureReason") if found.get("FeatureGroupStatus") == "CreateFailed" else None,
    }
    do = "a feature group can only get more features: delete it, and apply again"
    fixed = [*_UNCHANGED, "Failure", *(f"Features.{name}" for name in features)]
    return There(definition, _tags(client, found["FeatureGroupArn"]), fixed=dict.fromkeys(fixed, do))


def _create(client: Any, wanted: Wanted) -> None:
    client.create_feature_group(
        FeatureGroupName=wanted.name,
        FeatureDefinitions=_features(wanted.definition["Features"]),
        Tags=[{"Key": key, "Value": value} for key, value in wanted.tags.items()],
        **{name: wanted.definition[name] for name in _UNCHANGED},
    )


def _update(client: Any, wanted: Wanted, there: There) -> None:
    before = there.definition["Features"]
    added = _features({name: kind for name, kind in wanted.definition["Features"].items() if name not in before})
    for begin in range(0, len(added), _ADDITIONS):
        client.update_feature_group(FeatureGroupName=wanted.name, FeatureAdditions=added[begin : begin + _ADDITIONS])


def _features(types: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"FeatureName": name, "FeatureType": kind} for name, kind in types.items()]


def _tagged(client: Any, place: Place) -> Iterator[Tagged]:
    for page in client.get_paginator("list_feature_groups").paginate(NameContains=f"{NAME_PREFIX}-"):
        for each in page["FeatureGroupSummaries"]:
            yield Tagged(FEATURE_GROUP, each["FeatureGroupName"], _tags(client, each["FeatureGroupArn"]))


def _tags(client: Any, arn: str) -> dict[str, str]:
    pages = client.get_paginator("list_tags").paginate(ResourceArn=arn)
    return {each["Key"]: each["Value"] for page in pages for each in page["Tags"]}


REGISTRATION = Registration(
    wanted, {FEATURE_GROUP: Kind("sagemaker", _read, _create, _update, _tagged)}, lacking, given
)
