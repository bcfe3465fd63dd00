"""Which calls the platform makes of AWS, and as whom: what its least privilege is proven with.

Where the variable ``ADPLATFORM_RECORD_CALLS`` names a file, every call of boto3 is noted there, also of clients that a
library makes: one JSON object a line, the same call once for each process. Processes inherit the variable. Noted are
the names of resources and of parameters, not what else a call is given, and keys only up to where a file's name begins.
"""

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

from adplatform.platform.late import Late

botocore: Any = Late("botocore")

RECORD = "ADPLATFORM_RECORD_CALLS"
CODE_SERVER, DAEMON, OPERATOR = "code_server", "daemon", "operator"
PLATFORM_RUN = "run"
"""A run that belongs to no source."""
HANDLER, GLUE_JOB, SPARK_JOB = "handler", "glue_job", "spark_job"
NOBODY = ""
"""Who does what a deployment does, or what others do to it: those calls are not noted."""

_role: ContextVar[str | None] = ContextVar("role", default=None)
_entered: list[str] = []
"""The roles that the process acts in, for threads that a library starts: they know of none."""


def run_of(pattern: str) -> str:
    """The role of the runs of a pattern's sources."""
    return f"run_{pattern}"


@contextmanager
def acting(role: str) -> Iterator[None]:
    """Calls are made as ``role``; within another, as the inner one. A decorator, too, of what is no generator."""
    before = _role.get()
    _role.set(role)
    _entered.append(role)
    try:
        yield
    finally:
        # Not reset by a token: a generator may be closed in another context than it was begun in.
        _role.set(before)
        _entered.remove(role)


def acting_role() -> str:
    """Whose calls are made now; ``NOBODY``'s where nobody said so."""
    role = _role.get()
    return role if role is not None else (_entered[-1] if _entered else NOBODY)


@cache
def record_calls() -> None:
    """Note every call of the sessions that the process makes from now on, if that is wanted."""
    if os.environ.get(RECORD):
        botocore.register_initializer(_listen)


def _listen(session: Any) -> None:
    session.register("provide-client-params", _note)


_noted: set[tuple[str, str]] = set()
_noting = threading.Lock()


def _note(params: Mapping[str, Any], model: Any, **_: Any) -> None:
    role, path = acting_role(), os.environ.get(RECORD)
    if not role or not path:
        return
    line = json.dumps({"role": role, **described(model.service_model.service_name, model.name, params)}, sort_keys=True)
    with _noting:
        if (path, line) in _noted:
            return
        _noted.add((path, line))
    with Path(path).open("ab", buffering=0) as out:  # one write each: processes share the file
        out.write(f"{line}\n".encode())


_NAMING = re.compile(
    "(Agent|Configuration|DestinationLocation|Endpoint|Location|ReplicationConfig|ReplicationTask|SourceLocation|Task|"
    "TaskExecution|Topic)?Arns?|(connectorProfile|Crawler|Database|EventBus|flow|Index|Job|LogGroup|Queue|Role|Table|"
    "User)?Names?|name|(Catalog|Connector|Key|SSEKMSKey|Secret|Server|Workflow)Id|"
    "(Certificate|Endpoint|ReplicationConfig|ReplicationTask)Identifier|[rR]esourceArn|Bucket|QueueUrl|Rule|cluster|"
    "taskDefinition"
)
"""Parameters whose values name a resource, and no person."""
_HOLDING = frozenset({"DatabaseInput", "TableInput"})
_ROLES = ("Role", "RoleArn", "roleArn", "taskRoleArn", "executionRoleArn")


def described(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What may be noted of a call: which resources it names, and the names of what else it is given."""
    resources = {name: value for name, value in params.items() if _NAMING.fullmatch(name) and _plain(value)}
    for name in ("Key", "Prefix"):
        if isinstance(params.get(name), str):
            resources[name] = cut(params[name])
    source = params.get("CopySource")
    if source is not None:
        resources["CopySource"] = _copied(source)
    for name in _HOLDING & params.keys():
        resources[name] = params[name].get("Name")
    if "Delete" in params:
        removed = {(cut(each["Key"]), "VersionId" in each) for each in params["Delete"]["Objects"]}
        resources["Delete"] = sorted(f"{key} of a version" if version else key for key, version in removed)
    if "TransactItems" in params:
        resources["TransactItems"] = sorted(
            {f"{k} {v['TableName']}" for i in params["TransactItems"] for k, v in i.items()}
        )
    if "RequestItems" in params:
        resources["RequestItems"] = sorted(params["RequestItems"])
    return {
        "service": service,
        "operation": operation,
        "resources": resources,
        "given": sorted(params.keys() - resources.keys()),
        "roles": sorted(_passed(params)),
    }


def cut(key: str) -> str:
    """The beginning of a key of the zones: the folder of the zone and that of the source."""
    zone, *below = key.split("/")
    return "/".join([zone, *below[:1], "*"]) if len(below) > 1 else f"{zone}/*" if below else "*"


def _plain(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))


def _copied(source: Any) -> dict[str, str]:
    """``source`` is what CopyObject takes: a mapping, or bucket, key and version in a text."""
    if isinstance(source, str):
        place, _, version = source.partition("?versionId=")
        bucket, _, key = place.lstrip("/").partition("/")
    else:
        bucket, key, version = source["Bucket"], source["Key"], source.get("VersionId", "")
    return {"Bucket": bucket, "Key": cut(key), **({"VersionId": "*"} if version else {})}


def _passed(given: Any, path: str = "") -> Iterator[str]:
    """The names of parameters, at any depth, that pass a role on to a service."""
    if isinstance(given, Mapping):
        for name, value in given.items():
            if isinstance(name, str) and name.endswith(_ROLES) and isinstance(value, str):
                yield f"{path}{name}"
            else:
                yield from _passed(value, f"{path}{name}.")
    elif isinstance(given, list | tuple):
        for each in given:
            yield from _passed(each, path)
