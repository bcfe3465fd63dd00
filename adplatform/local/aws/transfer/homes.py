"""What a user sees of S3, and what the user may do there: home directories and session policies."""

import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from adplatform.local.aws.transfer.places import Place, place


@dataclass(frozen=True)
class Home:
    """``start`` is where sessions begin. ``mappings`` are from paths to ``/bucket/prefix``; none with the type PATH,
    where paths are those. ``policy`` is the session policy, None where only the role counts, which may all here."""

    start: str
    mappings: tuple[tuple[str, str], ...]
    policy: Mapping[str, Any] | None

    def absolute(self, path: str) -> str:
        found = posixpath.normpath(posixpath.join(self.start, path))
        return f"/{found.lstrip('/')}"

    def place(self, path: str) -> Place | None:
        """Where in S3 that is; None for what is above all that the user has."""
        wanted = self.absolute(path)
        if not self.mappings:
            return place(wanted) if place(wanted).bucket else None
        for entry, target in sorted(self.mappings, key=lambda each: -len(each[0])):
            if wanted == entry or wanted.startswith(f"{entry.rstrip('/')}/"):
                return place(f"{target.rstrip('/')}/{wanted[len(entry.rstrip('/')) :].lstrip('/')}".rstrip("/"))
        return None

    def may(self, action: str, where: Place) -> bool:
        """Whether the session policy allows it; ``action`` without ``s3:``. Of conditions only those on the prefix of a
        listing are known."""
        if self.policy is None:
            return True
        lists = action == "ListBucket"
        resource = f"arn:aws:s3:::{where.bucket}" + ("" if lists else f"/{where.key}")
        found = [each for each in _list(self.policy.get("Statement")) if _fits(each, action, resource, where.key)]
        return bool(found) and all(each.get("Effect") == "Allow" for each in found)


def home_of(user: Mapping[str, Any]) -> Home:
    """Of a user as CreateUser has asked for it."""
    entries = user.get("HomeDirectoryMappings", ()) if user.get("HomeDirectoryType") == "LOGICAL" else ()
    mappings = tuple((each["Entry"], each["Target"]) for each in entries)
    policy = json.loads(user["Policy"]) if user.get("Policy") else None
    return Home("/" if mappings else user.get("HomeDirectory") or "/", mappings, policy)


def _fits(statement: Mapping[str, Any], action: str, resource: str, key: str) -> bool:
    actions = _list(statement.get("Action"))
    if not any(fnmatchcase(f"s3:{action}".lower(), each.lower()) for each in actions):
        return False
    if not any(fnmatchcase(resource, each) for each in _list(statement.get("Resource"))):
        return False
    conditions = statement.get("Condition", {})
    prefixes = _list(conditions.get("StringLike", {}).get("s3:prefix"))
    return action != "ListBucket" or not prefixes or any(fnmatchcase(key, each) for each in prefixes)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else [value]
