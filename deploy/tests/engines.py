"""What tests of engines look for in templates."""

import re
from collections.abc import Iterator
from typing import Any

from deploy.template import Assembly, Resource

_ALIAS = "AWS::KMS::Alias"
REFERENCE = re.compile(r"\{\{resolve:secretsmanager:[\w/-]+:SecretString(:\w+)?\}\}")


def statements(role: Resource) -> list[dict[str, Any]]:
    """What a role may do."""
    return [s for policy in role.properties.get("Policies", ()) for s in policy["PolicyDocument"]["Statement"]]


def objects(role: Resource) -> set[str]:
    """The objects of S3 that a role may do something with."""
    every = (each for statement in statements(role) for each in statement["Resource"])
    return {each for each in every if each.startswith("arn:aws:s3:::") and "/" in each}


def trusted(role: Resource) -> dict[str, Any]:
    [statement] = role.properties["AssumeRolePolicyDocument"]["Statement"]
    return dict(statement)


def key(assembly: Assembly, concern: str) -> Any:
    """The ARN of the key of a concern."""
    aliases = {each.properties["AliasName"]: each.properties["TargetKeyId"] for each in assembly.resources(_ALIAS)}
    return aliases[f"alias/adplatform/{concern}"]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with the path to it."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from leaves(each, f"{path}[{number}]")
    else:
        yield path, value


def policy_of_key(assembly: Assembly, concern: str) -> dict[str, dict[str, Any]]:
    """Its statements, those with a name."""
    kind = "AWS::KMS::Key"
    [found] = [k for k in assembly.resources(kind) if assembly.arn(k.stack, k.logical) == key(assembly, concern)]
    return {s["Sid"]: s for s in found.properties["KeyPolicy"]["Statement"] if "Sid" in s}
