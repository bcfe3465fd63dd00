"""What `adplatform provision` makes on the embedded AWS, against what the templates say."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from adplatform.platform.aws import LOCAL_REGION
from deploy.template import Assembly, Resource

LOCAL_ACCOUNT = "123456789012"


def as_deployed(assembly: Assembly, told: Any) -> Any:
    """What the embedded AWS tells, as if it were the account and region of the templates."""
    text = json.dumps(told, default=str)
    return json.loads(text.replace(LOCAL_ACCOUNT, assembly.account).replace(LOCAL_REGION, assembly.region))


def differences(
    told: Mapping[str, Any], resource: Resource, on_purpose: Mapping[str, str], told_only: Iterable[str]
) -> dict[str, tuple[Any, Any]]:
    """Members that differ: as AWS tells them, and as the template has them. ``on_purpose`` names those that are to
    differ, with the reason; ``told_only`` what AWS tells of itself."""
    wanted = {name: _comparable(value) for name, value in resource.properties.items() if name not in on_purpose}
    there = {name: _comparable(value) for name, value in told.items() if name not in {*on_purpose, *told_only}}
    names = sorted({n for n, v in wanted.items() if v != {}} | {n for n, v in there.items() if v})
    return {n: (there.get(n), wanted.get(n)) for n in names if there.get(n) != wanted.get(n)}


def _comparable(value: Any) -> Any:
    """Documents as what they say, and tags as names and values, without that of the stack."""
    if isinstance(value, str) and value.startswith("{") and not value.startswith("{{"):
        return json.loads(value)
    if isinstance(value, list) and value and all(isinstance(v, dict) and v.keys() == {"Key", "Value"} for v in value):
        return {v["Key"]: v["Value"] for v in value if v["Key"] != "platform"}
    if isinstance(value, dict):
        return {name: _comparable(each) for name, each in value.items() if name != "platform"}
    return value
