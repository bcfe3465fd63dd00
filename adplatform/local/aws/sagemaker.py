"""Feature groups of SageMaker that can be changed and are listed. Imported only when SageMaker is used: moto needs a
second to load it.

Features of a group are added and never taken away or changed, as of the offline store of the real one.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, EmptyResult
from moto.sagemaker import urls

from adplatform.local.aws import shapes
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.pipelines import FAULTS, SERVICE, InternalFailure, PipelineCalls, ResourceNotFound

_NOT_TOLD = frozenset({"Tags"})
_PAGE = 100
_FEATURE_GROUP = ":feature-group/"


class ResourceInUse(ServiceException):
    code = "ResourceInUse"


class ValidationException(ServiceException):
    code = "ValidationException"


@dataclass
class FeatureGroup:
    """``asked`` is the request that has made it, with the features that were added since."""

    arn: str
    asked: dict[str, Any]
    created: datetime
    changed: datetime
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.asked["FeatureGroupName"])


class LocalSageMakerResponse(PipelineCalls):
    """``params`` is the request as the service model parses it."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def call_action(self) -> Any:
        operation = self._get_action()
        refusal = shapes.refusal(SERVICE, operation, self.params) if "FeatureGroup" in operation else ""
        if refusal:
            return self.serialized(ActionResult(ValidationException(refusal)))
        return super().call_action()

    def create_feature_group(self) -> Any:
        """moto forgets most of it."""
        asked, now = dict(self.params), CONTROL.now()
        name = asked["FeatureGroupName"]
        if name in self._groups:
            raise ResourceInUse(f"Resource Already Exists: FeatureGroup with name {name} already exists.")
        features = [each["FeatureName"] for each in asked["FeatureDefinitions"]]
        for needed in ("RecordIdentifierFeatureName", "EventTimeFeatureName"):
            if asked[needed] not in features:
                raise ValidationException(f"{needed} {asked[needed]} is not among the features")
        if len(set(features)) < len(features):
            raise ValidationException("Two features have one name")
        if "OfflineStoreConfig" not in asked and "OnlineStoreConfig" not in asked:
            raise ValidationException("A feature group needs a store")
        arn = f"arn:aws:sagemaker:{self.region}:{self.current_account}{_FEATURE_GROUP}{name}"
        made = FeatureGroup(arn, asked, now, now, _tags(asked))
        self._groups[name] = made
        self._lose_answer(name)
        return ActionResult({"FeatureGroupArn": arn})

    def update_feature_group(self) -> Any:
        """moto has none."""
        group = self._group()
        added = self.params.get("FeatureAdditions", [])
        there = {each["FeatureName"] for each in group.asked["FeatureDefinitions"]}
        if again := there.intersection(each["FeatureName"] for each in added):
            raise ValidationException(f"Features are there already: {', '.join(sorted(again))}")
        group.asked = {**group.asked, "FeatureDefinitions": [*group.asked["FeatureDefinitions"], *added]}
        group.changed = CONTROL.now()
        self._lose_answer(group.name)
        return ActionResult({"FeatureGroupArn": group.arn})

    def describe_feature_group(self) -> Any:
        group = self._group()
        told = {name: value for name, value in group.asked.items() if name not in _NOT_TOLD}
        return ActionResult(
            {
                **told,
                "FeatureGroupArn": group.arn,
                "FeatureGroupStatus": "Created",
                "CreationTime": group.created,
                "LastModifiedTime": group.changed,
                "NextToken": "",
            }
        )

    def list_feature_groups(self) -> Any:
        """moto has none."""
        part = self.params.get("NameContains", "")
        told = [
            {"FeatureGroupName": each.name, "FeatureGroupArn": each.arn, "CreationTime": each.created}
            for each in self._groups.values()
            if part in each.name
        ]
        begin, most = int(self.params.get("NextToken", "0")), self.params.get("MaxResults") or _PAGE
        more = {"NextToken": str(begin + most)} if len(told) > begin + most else {}
        return ActionResult({"FeatureGroupSummaries": told[begin : begin + most], **more})

    def delete_feature_group(self) -> Any:
        """moto has none."""
        del self._groups[self._group().name]
        return EmptyResult()

    def list_tags(self) -> Any:
        """moto knows no tags of feature groups."""
        if _FEATURE_GROUP not in self.params["ResourceArn"]:
            return super().list_tags()
        tags = self._tagged().tags
        return ActionResult({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]})

    def add_tags(self) -> Any:
        if _FEATURE_GROUP not in self.params["ResourceArn"]:
            return super().add_tags()
        self._tagged().tags.update(_tags(self.params))
        return ActionResult({"Tags": self.params["Tags"]})

    @property
    def _groups(self) -> dict[str, FeatureGroup]:
        found: dict[str, Any] = self.sagemaker_backend.feature_groups
        return found

    def _group(self) -> FeatureGroup:
        return self._known(self.params["FeatureGroupName"])

    def _tagged(self) -> FeatureGroup:
        return self._known(self.params["ResourceArn"])

    def _known(self, name: str) -> FeatureGroup:
        name = name.rpartition("/")[2]
        if name not in self._groups:
            raise ResourceNotFound(f"Resource Not Found: FeatureGroup with name {name} does not exist.")
        return self._groups[name]

    def _lose_answer(self, name: str) -> None:
        if CONTROL.take(SERVICE, "answer_lost", name):
            raise InternalFailure("An internal failure occurred.")


def _tags(asked: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in asked.get("Tags", ())}


def install() -> None:
    CONTROL.known[SERVICE] = {
        **FAULTS,
        "answer_lost": "the next call that makes or changes a feature group, or starts an execution, answers with a "
        "failure",
    }
    urls.url_paths["{0}/$"] = LocalSageMakerResponse.dispatch
