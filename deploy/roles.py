"""Who may do what: the statements of each role, as plain data.

What a role of the platform needs is what its calls are recorded to be; what the role of a service needs is in that
service's documentation, and named there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.estate import Estate
from deploy.resources import ResourceStack
from deploy.stacks.keys import KeysStack


@dataclass(frozen=True)
class Statement:
    """What is allowed. ``why`` is the reason for what stands for more than one thing: a resource or an action with
    ``*``."""

    actions: Sequence[str]
    resources: Sequence[str]
    condition: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def document(self) -> dict[str, Any]:
        conditions = {"Condition": dict(self.condition)} if self.condition else {}
        return {"Effect": "Allow", "Action": [*self.actions], "Resource": [*self.resources], **conditions}

    @property
    def answers(self) -> dict[str, str]:
        """To what cdk-nag finds in it.

        Raises:
            ValueError: it stands for more than one thing, and nobody says why.
        """
        wide = [f"Resource::{each}" for each in self.resources if "*" in each]
        wide += [f"Action::{each}" for each in self.actions if "*" in each]
        if wide and not self.why:
            raise ValueError(f"{wide[0]}: say why it stands for more than one thing")
        return {f"IAM5[{each}]": self.why for each in wide}


def allow(actions: Sequence[str], *resources: str, why: str = "", **condition: Any) -> Statement:
    """``condition`` are operators, each with its keys and values."""
    return Statement(actions, resources, condition, why)


def add_role(
    stack: ResourceStack,
    *path: str,
    name: str,
    description: str,
    trusted: Sequence[Mapping[str, Any]],
    statements: Sequence[Statement],
) -> str:
    """A role with one policy of its own; its logical id. ``trusted`` says who may assume it."""
    document = {"Version": "2012-10-17", "Statement": [each.document for each in statements]}
    wanted = {
        "RoleName": name,
        "Description": description,
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [*trusted]},
        "Policies": [{"PolicyName": "own", "PolicyDocument": document}] if statements else [],
    }
    answers = {rule: why for each in statements for rule, why in each.answers.items()}
    return stack.add(*path, type="AWS::IAM::Role", properties=wanted, answers=answers)


def service(name: str, estate: Estate, **condition: Any) -> dict[str, Any]:
    """A service of AWS may assume the role, for resources of this account alone."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{name}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": estate.account}, **condition},
    }


def partner_statements(estate: Estate, keys: KeysStack, source: str) -> list[Statement]:
    """A partner puts files into its own part of the landing zone; large ones in parts, for which S3 decrypts what it
    has of them (S3 User Guide, "Multipart upload API and permissions")."""
    landing = estate.raw(f"{estate.zones.landing(source)}*")
    own = "A partner names its files itself, below its own prefix."
    return [
        allow(["s3:PutObject", "s3:AbortMultipartUpload"], landing, why=own),
        allow(["kms:GenerateDataKey", "kms:Decrypt"], keys.data.key_arn),
    ]
