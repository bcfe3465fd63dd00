"""Stacks whose resources are plain CloudFormation: what AWS documents, and what the platform's own requests come to."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aws_cdk as cdk
from aws_cdk.cloudformation_include import CfnInclude
from constructs import Construct

from deploy.estate import Estate

LOG_DAYS = 90
_RULES = "AwsSolutions::AwsSolutions-"


class ResourceStack(cdk.Stack):
    """Resources are added as data, and become typed constructs by :meth:`include`, because cdk-nag looks at these
    alone."""

    def __init__(self, scope: Construct, name: str, estate: Estate, **settings: Any) -> None:
        super().__init__(scope, name, **settings)
        self.estate = estate
        self._resources: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, Mapping[str, str]] = {}
        self._exports: dict[str, Any] = {}

    def add(
        self,
        *path: str,
        type: str,
        properties: Mapping[str, Any],
        retain: bool = False,
        after: Iterable[str] = (),
        answers: Mapping[str, str] | None = None,
    ) -> str:
        """A resource; its logical id, for ``{"Ref": ...}`` and for ``after``, which are logical ids of resources that
        have to be there before it. ``path`` is unique in the stack, and keeps the resource what it is over
        deployments. ``retain`` keeps it when it is no longer declared. ``answers`` are to findings of cdk-nag, by
        rule, for example ``S1``, or of another validation, with its name: ``CloudFormation-Validate::F3002``."""
        logical = logical_id(*path)
        if logical in self._resources:
            raise ValueError(f"{'/'.join(path)} is in the stack already")
        kept = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"} if retain else {}
        waits = {"DependsOn": sorted(after)} if after else {}
        self._resources[logical] = {"Type": type, "Properties": dict(properties), **kept, **waits}
        self._answers[logical] = answers or {}
        return logical

    def export(self, name: str, value: Any) -> None:
        """A value that AWS alone knows, for stacks that come later: see :func:`imported`."""
        self._exports[name] = value

    def log_group(self, name: str, key: str) -> str:
        """A log group that is encrypted with the key of this ARN; its logical id."""
        wanted = {"LogGroupName": name, "RetentionInDays": LOG_DAYS, "KmsKeyId": key}
        return self.add("LogGroup", name, type="AWS::Logs::LogGroup", properties=wanted, retain=True)

    def include(self) -> bool:
        """To be called once, when all resources are there; whether there are any."""
        if not self._resources:
            return False
        with TemporaryDirectory() as folder:
            file = Path(folder) / "resources.json"
            outputs = {logical_id(n): {"Value": v, "Export": {"Name": n}} for n, v in self._exports.items()}
            file.write_text(json.dumps({"Resources": self._resources, "Outputs": outputs}))
            included = CfnInclude(self, "Resources", template_file=str(file))
        for logical, answers in self._answers.items():
            rules = [
                cdk.Acknowledgment(id=rule if "::" in rule.partition("[")[0] else _RULES + rule, reason=reason)
                for rule, reason in answers.items()
            ]
            if rules:
                cdk.Validations.of(included.get_resource(logical)).acknowledge(*rules)
        return True


def imported(name: str) -> dict[str, str]:
    """What another stack exports."""
    return {"Fn::ImportValue": name}


def logical_id(*path: str) -> str:
    """Letters and digits of the path, and of its digest, because ``a_b`` and ``ab`` have the same."""
    readable = "".join(word.capitalize() for part in path for word in part.replace("-", "_").split("_"))
    readable = "".join(c for c in readable if c.isascii() and c.isalnum())
    digest = hashlib.sha256("/".join(path).encode()).hexdigest()[:8]
    return f"{readable[:180]}{digest.upper()}"
