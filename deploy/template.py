"""Synthesized templates, with every reference replaced by what AWS would answer."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adplatform.failures import PermanentFailure

_NAMES = {
    "AWS::S3::Bucket": ("BucketName", "arn:aws:s3:::{}"),
    "AWS::DynamoDB::Table": ("TableName", "arn:aws:dynamodb:{region}:{account}:table/{}"),
    "AWS::SQS::Queue": ("QueueName", "arn:aws:sqs:{region}:{account}:{}"),
    "AWS::SNS::Topic": ("TopicName", "arn:aws:sns:{region}:{account}:{}"),
    "AWS::IAM::Role": ("RoleName", "arn:aws:iam::{account}:role/{}"),
    "AWS::SecretsManager::Secret": ("Name", "arn:aws:secretsmanager:{region}:{account}:secret:{}-AbCdEf"),
    "AWS::KMS::Key": ("", "arn:aws:kms:{region}:{account}:key/{}"),
    "AWS::ECS::Cluster": ("ClusterName", "arn:aws:ecs:{region}:{account}:cluster/{}"),
    "AWS::Logs::LogGroup": ("LogGroupName", "arn:aws:logs:{region}:{account}:log-group:{}:*"),
    "AWS::Lambda::Function": ("FunctionName", "arn:aws:lambda:{region}:{account}:function:{}"),
}
"""By type: the property that names a resource, and its ARN. One without a name goes by its logical id."""
_REF_IS_ARN = ("AWS::SNS::Topic", "AWS::SecretsManager::Secret")


@dataclass(frozen=True)
class Resource:
    """``properties`` are resolved."""

    stack: str
    logical: str
    type: str
    properties: dict[str, Any]
    raw: dict[str, Any]


@dataclass(frozen=True)
class Assembly:
    """The templates of ``folder``, which is a cdk.out."""

    folder: Path
    account: str = "111111111111"
    region: str = "eu-west-1"

    @cached_property
    def stacks(self) -> dict[str, dict[str, Any]]:
        files = sorted(self.folder.glob("*.template.json"))
        return {file.name.removesuffix(".template.json"): json.loads(file.read_text()) for file in files}

    @cached_property
    def _exports(self) -> dict[str, tuple[str, Any]]:
        outputs = [(stack, out) for stack, t in self.stacks.items() for out in t.get("Outputs", {}).values()]
        return {out["Export"]["Name"]: (stack, out["Value"]) for stack, out in outputs if "Export" in out}

    def resources(self, kind: str) -> list[Resource]:
        """Those of a type, in all stacks."""
        return [each for each in self.every if each.type == kind]

    def named(self, kind: str, name: str) -> Resource:
        """The one of a type whose name property is this.

        Raises:
            PermanentFailure: there is none, or several.
        """
        found = [each for each in self.resources(kind) if each.properties.get(_NAMES[kind][0]) == name]
        if len(found) != 1:
            raise PermanentFailure(f"{len(found)} resources of type {kind} are called {name}")
        return found[0]

    @cached_property
    def every(self) -> list[Resource]:
        return [*self._read()]

    def _read(self) -> Iterator[Resource]:
        for stack, template in self.stacks.items():
            for logical, raw in template["Resources"].items():
                properties = self.resolve(stack, raw.get("Properties", {}))
                yield Resource(stack, logical, raw["Type"], properties, raw)

    def resolve(self, stack: str, value: Any) -> Any:
        """A value of a template of this stack without references. What AWS alone knows stays as ``<attribute of
        resource>``."""
        if isinstance(value, list):
            return [self.resolve(stack, each) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref":
                return self._ref(stack, argument)
            if name == "Fn::GetAtt":
                logical, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                known = attribute in ("Arn", "TopicArn")
                return self.arn(stack, logical) if known else f"<{attribute} of {logical}>"
            if name == "Fn::Join":
                return argument[0].join(str(self.resolve(stack, each)) for each in argument[1])
            if name == "Fn::Sub":
                return self._sub(stack, argument)
            if name == "Fn::ImportValue":
                return self.resolve(*self._exports[argument])
            if name.startswith("Fn::"):
                return f"<{name}>"
        return {key: self.resolve(stack, each) for key, each in value.items()}

    def arn(self, stack: str, logical: str) -> str:
        """The ARN of a resource; for a type that is not in the table, ``<arn of resource>``."""
        kind = self.stacks[stack]["Resources"][logical]["Type"]
        if kind not in _NAMES:
            return f"<arn of {logical}>"
        return _NAMES[kind][1].format(self._name(stack, logical), account=self.account, region=self.region)

    def _name(self, stack: str, logical: str) -> str:
        resource = self.stacks[stack]["Resources"][logical]
        named = resource.get("Properties", {}).get(_NAMES.get(resource["Type"], ("",))[0])
        return str(self.resolve(stack, named)) if named is not None else logical

    def _ref(self, stack: str, logical: str) -> str:
        pseudo = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack,
        }
        if logical in pseudo:
            return pseudo[logical]
        resource = self.stacks[stack]["Resources"].get(logical)
        if resource is None:
            return f"<parameter {logical}>"
        return self.arn(stack, logical) if resource["Type"] in _REF_IS_ARN else self._name(stack, logical)

    def _sub(self, stack: str, argument: Any) -> str:
        text, values = argument if isinstance(argument, list) else (argument, {})

        def found(match: re.Match[str]) -> str:
            name = match[1]
            if name in values:
                return str(self.resolve(stack, values[name]))
            if "." in name:
                return str(self.resolve(stack, {"Fn::GetAtt": name}))
            return self._ref(stack, name)

        return re.sub(r"\$\{([^!}]+)\}", found, text)
