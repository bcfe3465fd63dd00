"""The Glue job that reads the tables of a database: made from its declaration, changed with it, and compared with it.

A job is known as ours by the place of its script. Any other is somebody's own: it is never changed, and what keeps it
from reading, or makes it cost more than it must, is a finding for people.

Facts: Glue API reference, CreateJob, UpdateJob; developer guide, "Using job parameters" and "Python libraries".
"""

from collections.abc import Iterator, Mapping
from typing import Any

from adplatform.contracts.database import DatabaseSource
from adplatform.engines.engine import Finding
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.lake.zones import Zones
from adplatform.platform.aws_errors import aws_failures

SCRIPT = b"from adplatform.jobs.read_table import main\n\nmain()\n"
PLAN = "--plan"
"""The argument of a run that names the place of what it has to read."""
GLUE_VERSION = "5.0"
"""Spark 3.5, Python 3.11."""
_BOOKMARK, _NO_BOOKMARK = "--job-bookmark-option", "job-bookmark-disable"
_MODULES, _JARS, _JARS_FIRST = "--additional-python-modules", "--extra-jars", "--user-jars-first"
_OWN = (PLAN, _BOOKMARK, _MODULES, _JARS, _JARS_FIRST)
"""Arguments that a declaration or a run decides."""
_KEPT = (
    *("JobMode", "JobRunQueuingEnabled", "LogUri", "NonOverridableArguments", "Connections", "SecurityConfiguration"),
    *("NotificationProperty", "ExecutionClass", "SourceControlDetails", "MaintenanceWindow", "Timeout"),
)
"""What a job keeps that no declaration decides. UpdateJob overwrites all that it is not given. The capacity is not
among them: Glue tells the one that it has computed, and does not take it beside the workers."""


def script_key(declared: DatabaseSource) -> str:
    return f"jobs/{declared.source}/read_table.py"


def job_request(declared: DatabaseSource, script: str, targets: int) -> dict[str, Any]:
    """What CreateJob takes; ``script`` is its place."""
    glue = declared.glue
    arguments = {
        _MODULES: str(glue.package),
        _BOOKMARK: _NO_BOOKMARK,
        **({_JARS: glue.driver, _JARS_FIRST: "true"} if glue.driver else {}),
    }
    return {
        "Name": declared.job_name,
        "Description": f"Reads tables of {declared.source} for adplatform.",
        "Role": glue.role,
        "Command": {"Name": "glueetl", "ScriptLocation": script, "PythonVersion": "3"},
        "DefaultArguments": arguments,
        "ExecutionProperty": {"MaxConcurrentRuns": max(1, targets)},
        "MaxRetries": 0,
        "GlueVersion": GLUE_VERSION,
        "WorkerType": glue.worker_type,
        "NumberOfWorkers": glue.workers,
        **({"Connections": {"Connections": [glue.connection]}} if glue.connection else {}),
    }


def provide(services: Services, declared: DatabaseSource, targets: int) -> None:
    """Make the job where it is declared with its role and is not there, or change what differs where it is ours, and
    put its script into the raw zone.

    Raises:
        PermanentFailure: AWS refuses it.
    """
    if not _is_made(declared):
        return
    zones, glue, name = services.zones, services.glue, declared.job_name
    wanted = job_request(declared, zones.raw_uri(script_key(declared)), targets)
    with aws_failures(f"job {name}"):
        try:
            there = glue.get_job(JobName=name)["Job"]
        except glue.exceptions.EntityNotFoundException:
            there = None
        if there is not None and _others_script(declared, there, zones):
            return
        put_script(services, declared)
        try:
            if there is None:
                glue.create_job(**wanted)
            elif any(True for _ in drift(declared, there, zones, targets)):
                glue.update_job(JobName=name, JobUpdate=_update(there, wanted))
        except glue.exceptions.InvalidInputException as e:
            said = e.response["Error"].get("Message", "")
            raise PermanentFailure(f"Glue refuses the job {name}: {said}") from e


def put_script(services: Services, declared: DatabaseSource) -> None:
    """Put the script of a job that is made into the raw zone.

    Raises:
        PermanentFailure: AWS refuses it.
    """
    if _is_made(declared):
        zones, key = services.zones, script_key(declared)
        with aws_failures(zones.raw_uri(key)):
            services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=SCRIPT, **zones.put_arguments)


def _is_made(declared: DatabaseSource) -> bool:
    return declared.engine == "glue" and declared.glue.role is not None


def script_findings(services: Services, declared: DatabaseSource) -> list[Finding]:
    """Whether the script of a job that is made is where it is looked for, and ours."""
    s3, place = services.s3, services.zones.raw_uri(script_key(declared))
    with aws_failures(place):
        try:
            body = s3.get_object(Bucket=services.zones.raw_bucket, Key=script_key(declared))["Body"].read()
        except s3.exceptions.NoSuchKey:
            text = f"job {declared.job_name}: its script {place} is missing: `adplatform provision` puts it there"
            return [Finding(text)]
    if body == SCRIPT:
        return []
    text = f"job {declared.job_name}: its script {place} is not ours: `adplatform provision` puts ours there"
    return [Finding(text, fatal=False)]


def drift(declared: DatabaseSource, there: Mapping[str, Any], zones: Zones, targets: int) -> Iterator[Finding]:
    """How a job that is there differs from what its declaration needs, with what to do."""
    if others := _others_script(declared, there, zones):
        yield others
        return
    wanted = job_request(declared, zones.raw_uri(script_key(declared)), targets)
    made = declared.glue.role is not None
    how = "`adplatform provision` sets it" if made else "set it"
    for what, has, should, fatal in (*_needed(there, wanted), *(_declared(there, wanted) if made else ())):
        text = f"job {declared.job_name}: {what} is {has or 'none'}, and should be {should or 'none'}: {how}"
        yield Finding(text, fatal=fatal)


_Compared = tuple[str, Any, Any, bool]
"""What, as it is and as it should be, and whether nothing can be read as it is."""


def _needed(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[_Compared]:
    """Of every job."""
    kind, fixed = there["Command"]["Name"], there.get("NonOverridableArguments") or {}
    if kind != "glueetl":
        yield "its kind", kind, "glueetl", True
    if PLAN in fixed:
        yield f"{PLAN} in NonOverridableArguments", fixed[PLAN], None, True
    connections = (there.get("Connections") or {}).get("Connections") or []
    for name in (wanted.get("Connections") or {}).get("Connections", ()):
        if name not in connections:
            yield "Connections", ", ".join(connections), ", ".join([*connections, name]), True
    has, most = _most_runs(there), _most_runs(wanted)
    if has < most:
        yield "MaxConcurrentRuns", has, f"{most}, one for each table", False
    if there.get("MaxRetries"):
        yield "MaxRetries", there["MaxRetries"], "0, because a run that Glue repeats by itself reads nothing", False
    bookmark = {**(there.get("DefaultArguments") or {}), **fixed}.get(_BOOKMARK, _NO_BOOKMARK)
    if bookmark != _NO_BOOKMARK:
        yield _BOOKMARK, bookmark, _NO_BOOKMARK, False


def _declared(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[_Compared]:
    """Of one that is made."""
    role, should = str(there.get("Role", "")), str(wanted["Role"])
    if role.rpartition("/")[2] != should.rpartition("/")[2]:
        yield "Role", role, should, False
    if there.get("GlueVersion") != GLUE_VERSION:
        yield "GlueVersion", there.get("GlueVersion"), GLUE_VERSION, False
    given = {**(there.get("DefaultArguments") or {}), **(there.get("NonOverridableArguments") or {})}
    for name in (_MODULES, _JARS, _JARS_FIRST):
        if given.get(name) != wanted["DefaultArguments"].get(name):
            yield name, given.get(name), wanted["DefaultArguments"].get(name), False


def _others_script(declared: DatabaseSource, there: Mapping[str, Any], zones: Zones) -> Finding | None:
    """Set where the job is to be made, and one of its name runs a script that is not ours."""
    has, ours = there["Command"].get("ScriptLocation"), zones.raw_uri(script_key(declared))
    if declared.glue.role is None or has == ours:
        return None
    return Finding(
        f"job {declared.job_name} runs {has}, and is to run {ours}: name another in glue.job, or delete it; "
        "`adplatform provision` makes the one that is declared. For a job of your own leave glue.role and "
        "glue.package out"
    )


def _most_runs(job: Mapping[str, Any]) -> int:
    return int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns") or 1)


def _update(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What UpdateJob takes: the job as wanted, with what was set beside."""
    kept = {name: there[name] for name in _KEPT if there.get(name)}
    for name in ("DefaultArguments", "NonOverridableArguments"):
        others = {key: value for key, value in (there.get(name) or {}).items() if key not in _OWN}
        kept[name] = {**others, **wanted.get(name, {})}
    known = (there.get("Connections") or {}).get("Connections") or []
    connections = dict.fromkeys([*known, *(wanted.get("Connections") or {}).get("Connections", ())])
    runs = {"MaxConcurrentRuns": max(_most_runs(there), _most_runs(wanted))}
    made = {name: value for name, value in wanted.items() if name != "Name"}
    joined = {"Connections": {"Connections": list(connections)}} if connections else {}
    return {**made, **kept, **joined, "ExecutionProperty": runs}
