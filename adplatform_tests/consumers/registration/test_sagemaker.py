"""What SageMaker has for tables that are declared for it, made in the embedded AWS."""

from typing import Any

import pytest
from moto.core.utils import get_service_model

from adplatform.consumers.registration.registered import Declared, declared
from adplatform.local.aws import shapes
from adplatform.platform.aws import Aws
from adplatform_tests.consumers.registration.applying import (
    ACCOUNT,
    apply,
    differences,
    made_by_mortals,
    place,
    table,
    undeclared_of,
    wanted_of,
)
from adplatform_tests.consumers.tables import MEMBERS
from adplatform_tests.support.replication import administer

GROUP = {"sagemaker": {"record_id": "member_id_lake", "event_time": "joined_at"}}
PLACE = place(sagemaker_role="features", kms_key_id="alias/lake")


def test_a_feature_group_is_made_once_with_an_offline_store_alone(aws: Aws) -> None:
    [wanted] = wanted_of(table(GROUP), PLACE)
    assert apply(aws, [wanted]) == {"feature group": ("create", "")}
    told = aws.client("sagemaker").describe_feature_group(FeatureGroupName=wanted.name)
    assert "OnlineStoreConfig" not in told
    assert told["OfflineStoreConfig"]["S3StorageConfig"] == {
        "S3Uri": "s3://adplatform-raw/features/acme/members/",
        "KmsKeyId": f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/lake",
    }
    assert {each["FeatureName"]: each["FeatureType"] for each in told["FeatureDefinitions"]} == {
        "member_id_lake": "String",
        "joined_at": "String",
        "member_id_short_id": "String",
        "email_lake": "String",
        "email_amazon_ads": "String",
        "both_lake": "String",
        "country": "String",
        "orders": "Integral",
        "dt": "String",
    }
    assert differences(aws, [wanted]) == {}
    assert apply(aws, [wanted]) == {"feature group": ("as declared", "")}


def test_features_are_added_and_what_cannot_be_changed_is_refused(aws: Aws) -> None:
    of = table(GROUP)
    apply(aws, wanted_of(of, PLACE))
    more = {**MEMBERS, "spent": "decimal(12,2)"}
    [wider] = wanted_of(table(GROUP, more, of.database), PLACE)
    assert differences(aws, [wider]) == {
        "feature group": ["Features.spent is nothing there, and Fractional is declared"]
    }
    assert apply(aws, [wider]) == {"feature group": ("update", "")}
    assert differences(aws, [wider]) == {}
    [fewer] = wanted_of(of, PLACE)
    assert differences(aws, [fewer]) == {}
    [other] = wanted_of(table(GROUP, {**more, "spent": "bigint"}, of.database), PLACE)
    [(state, failure)] = apply(aws, [other]).values()
    assert state == "refused"
    assert failure == (
        "Features.spent is Fractional there, and Integral is declared: "
        "a feature group can only get more features: delete it, and apply again"
    )


def test_processes_that_are_killed_and_answers_that_are_lost_make_one_group(aws: Aws) -> None:
    [wanted] = wanted_of(table(GROUP), PLACE)
    assert made_by_mortals(aws, [wanted]) == ["CreateFeatureGroup"]
    [other] = wanted_of(table(GROUP), PLACE)
    administer(aws, fault={"service": "sagemaker", "name": "answer_lost", "target": other.name})
    assert apply(aws, [other]) == {"feature group": ("create", "")}
    assert differences(aws, [wanted, other]) == {}


def test_what_others_made_is_not_touched_and_what_nothing_declares_is_told(aws: Aws) -> None:
    of = table(GROUP)
    [wanted] = wanted_of(of, PLACE)
    apply(aws, [wanted])
    own = place(database_prefix=of.database.removesuffix("acme"))
    assert undeclared_of(aws, own, Declared()) == [wanted.name]
    client, [theirs] = aws.client("sagemaker"), wanted_of(table(GROUP), PLACE)
    client.create_feature_group(
        FeatureGroupName=theirs.name,
        RecordIdentifierFeatureName="a",
        EventTimeFeatureName="b",
        FeatureDefinitions=[{"FeatureName": name, "FeatureType": "String"} for name in "ab"],
        OfflineStoreConfig={"S3StorageConfig": {"S3Uri": "s3://theirs/"}},
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/theirs",
    )
    assert "was made by others, and is not touched" in apply(aws, [theirs])["feature group"][1]


def test_a_table_without_a_feature_group_is_told_as_an_input_of_processing_jobs() -> None:
    [found] = declared([table({"sagemaker": {}}, database="clean_acme")], place(), lambda _: True).given
    request: dict[str, Any] = get_service_model("sagemaker").operation_model("CreateProcessingJob").input_shape
    inputs = request.members["ProcessingInputs"].member  # type: ignore[attr-defined]
    assert list(shapes.faults(inputs, found.definition)) == []
    query = found.definition["DatasetDefinition"]["AthenaDatasetDefinition"]["QueryString"]
    assert query.endswith('"orders", "joined_at", "dt" FROM "clean_acme"."members"')
    assert "phone" not in query


@pytest.mark.parametrize(("consumers", "refused"), [(GROUP, 1), ({"sagemaker": {}}, 0)])
def test_a_feature_group_needs_a_role_and_an_input_none(consumers: Any, refused: int) -> None:
    found = declared([table(consumers)], place(), lambda _: True)
    assert [each.reasons[0].startswith("set ADPLATFORM_SAGEMAKER_ROLE") for each in found.refused] == [True] * refused
