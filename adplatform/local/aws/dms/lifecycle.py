"""What both kinds of replications do on request: their making, start, stop, reload, change and end."""

from collections.abc import Mapping
from typing import Any

from adplatform.local.aws.dms import runs
from adplatform.local.aws.dms.errors import (
    InvalidParameterCombinationException,
    InvalidResourceStateFault,
    ResourceAlreadyExistsFault,
    ResourceNotFoundFault,
)
from adplatform.local.aws.dms.state import BEFORE, CHANGES, RELOADING, DmsBackend, Replication
from adplatform.local.aws.dms.work import WOKEN
from adplatform.local.aws.managed import CONTROL

START, RESUME, RELOAD = "start-replication", "resume-processing", "reload-target"


def create(backend: DmsBackend, arn: str, name: str, asked: dict[str, Any], *, serverless: bool) -> Replication:
    """
    Raises:
        ResourceAlreadyExistsFault: there is one of that name.
        ResourceNotFoundFault: an endpoint is not there.
    """
    if any(each.serverless == serverless and each.name == name for each in backend.replications.values()):
        raise ResourceAlreadyExistsFault(f"{name} already exists.")
    for endpoint in ("SourceEndpointArn", "TargetEndpointArn"):
        backend.endpoint(asked[endpoint])
    now = CONTROL.now()
    made = Replication(arn, name, serverless, asked, now, now, "created" if serverless else "ready")
    backend.replications[arn] = made
    if asked.get("Tags"):
        backend.tagger.tag_resource(arn, asked["Tags"])
    return made


def start(backend: DmsBackend, replication: Replication, kind: str, asked: Mapping[str, Any]) -> None:
    """
    Raises:
        InvalidResourceStateFault: it runs, or is being deleted.
        InvalidParameterCombinationException: this is not how it can be started now.
    """
    if replication.is_running or replication.status == "deleting":
        raise InvalidResourceStateFault(f"{replication.arn} cannot be started: it is {replication.status}.")
    began = replication.first_started is not None
    shown = kind.upper().replace("-", "_")
    if kind == START and began and replication.kind != CHANGES:
        raise _refused(f"Start Type : {shown}, valid only for tasks running for the first time")
    if kind in (RESUME, RELOAD) and not began:
        raise _refused(f"Start Type : {shown}, not valid for tasks that have never run")
    if kind == RELOAD and replication.kind == CHANGES:
        raise _refused(f"Start Type : {shown}, not valid for tasks of changes only")
    if kind not in (START, RESUME, RELOAD):
        raise _refused(f"Start Type : {shown} is none")
    runs.begin(backend, replication, asked, fresh=kind != RESUME)


def stop(replication: Replication) -> None:
    """
    Raises:
        InvalidResourceStateFault: it does not run.
    """
    if replication.status not in ("starting", "running"):
        raise InvalidResourceStateFault(f"{replication.arn} cannot be stopped: it is {replication.status}.")
    runs.stop(replication)


def reload(replication: Replication, tables: list[dict[str, str]]) -> None:
    """
    Raises:
        InvalidResourceStateFault: it does not run, or has not loaded yet.
        ResourceNotFoundFault: it does not have a table.
    """
    if replication.status != "running" or not replication.loaded or replication.kind == CHANGES:
        raise InvalidResourceStateFault(f"Tables of {replication.arn} can be loaded again only while it runs.")
    names = [(each["SchemaName"], each["TableName"]) for each in tables]
    for name in names:
        if name not in replication.tables or replication.tables[name].state == BEFORE:
            raise ResourceNotFoundFault(f"{replication.arn} has no table {'.'.join(name)}.")
    for name in names:
        replication.tables[name].state = RELOADING
    replication.reloads += [name for name in names if name not in replication.reloads]
    WOKEN.notify_all()


def modify(backend: DmsBackend, replication: Replication, changes: dict[str, Any], name: str) -> None:
    """``name`` is the member that names it.

    Raises:
        InvalidResourceStateFault: it runs.
        ResourceNotFoundFault: an endpoint is not there.
    """
    if replication.is_running or replication.status == "deleting":
        raise InvalidResourceStateFault(f"{replication.arn} cannot be modified: it is {replication.status}.")
    for endpoint in ("SourceEndpointArn", "TargetEndpointArn"):
        if endpoint in changes:
            backend.endpoint(changes[endpoint])
    replication.asked |= changes
    replication.name = replication.asked[name]
    replication.changed = CONTROL.now()


def delete(backend: DmsBackend, replication: Replication) -> None:
    """
    Raises:
        InvalidResourceStateFault: it runs.
    """
    if replication.is_running or replication.status == "deleting":
        raise InvalidResourceStateFault(f"{replication.arn} cannot be deleted: it is {replication.status}.")
    runs.remove(backend, replication)


def require_started(replication: Replication) -> None:
    """
    Raises:
        InvalidResourceStateFault: it has no tables yet.
    """
    if replication.first_started is None:
        raise InvalidResourceStateFault(f"{replication.arn} has never been started.")


def _refused(text: str) -> InvalidParameterCombinationException:
    return InvalidParameterCombinationException(text)
