"""Jobs of AWS Glue that a declaration or a setting makes: made, changed with it, and compared with it.

A job is known as ours by the place of its script. Any other is somebody's own: it is never changed, and what keeps it
from working, or makes it cost more than it must, is a finding for people.

Facts: Glue API reference, CreateJob, UpdateJob; developer guide, "Using job parameters" and "Python libraries".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adplatform.engines.engine import Finding
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.platform.aws_errors import aws_failures

BOOKMARK, NO_BOOKMARK = "--job-bookmark-option", "job-bookmark-disable"
_KEPT = (
    *("JobMode", "JobRunQueuingEnabled", "LogUri", "NonOverridableArguments", "Connections", "SecurityConfiguration"),
    *("NotificationProperty", "ExecutionClass", "SourceControlDetails", "MaintenanceWindow", "Timeout"),
)
"""What a job keeps that no declaration decides. UpdateJob overwrites all that it is not given. The capacity is not
among them: Glue tells the one that it has computed, and does not take it beside the workers."""


@dataclass(frozen=True)
class MadeJob:
    """A job as it is to be: ``request`` is what CreateJob takes. It is ``made`` where its role is given. Its script is
    ``script``, at ``script_key`` of the raw zone. ``decided`` are the arguments that a declaration decides, ``of_runs``
    those that each run has of its own. ``runs`` says how many go on at once, ``others_name`` and ``others_own`` what to
    do about a job of the same name that is somebody's own. ``repeats`` says why Glue must not repeat a run."""

    request: Mapping[str, Any]
    made: bool
    script: bytes
    script_key: str
    decided: tuple[str, ...]
    of_runs: tuple[str, ...]
    runs: str
    repeats: str
    others_name: str
    others_own: str

    @property
    def name(self) -> str:
        return str(self.request["Name"])

    @property
    def script_place(self) -> str:
        return str(self.request["Command"]["ScriptLocation"])


def provide(services: Services, job: MadeJob) -> None:
    """Make the job where it is to be made and is not there, or change what differs where it is ours, and put its script
    into the raw zone.

    Raises:
        PermanentFailure: AWS refuses it.
    """
    if not job.made:
        return
    glue = services.glue
    with aws_failures(f"job {job.name}"):
        try:
            there = glue.get_job(JobName=job.name)["Job"]
        except glue.exceptions.EntityNotFoundException:
            there = None
        if there is not None and _others_script(job, there):
            return
        put_script(services, job)
        try:
            if there is None:
                glue.create_job(**job.request)
            elif any(True for _ in drift(job, there)):
                glue.update_job(JobName=job.name, JobUpdate=_update(job, there))
        except glue.exceptions.InvalidInputException as e:
            said = e.response["Error"].get("Message", "")
            raise PermanentFailure(f"Glue refuses the job {job.name}: {said}") from e


def put_script(services: Services, job: MadeJob) -> None:
    """Put the script of a job that is made into the raw zone.

    Raises:
        PermanentFailure: AWS refuses it.
    """
    if job.made:
        zones, key = services.zones, job.script_key
        with aws_failures(zones.raw_uri(key)):
            services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=job.script, **zones.put_arguments)


def script_findings(services: Services, job: MadeJob) -> list[Finding]:
    """Whether the script of a job that is made is where it is looked for, and ours."""
    if not job.made:
        return []
    return stored_findings(services, f"job {job.name}", job.script_key, job.script)


def stored_findings(services: Services, of: str, key: str, script: bytes) -> list[Finding]:
    """Whether the script at this key is there, and ours."""
    s3, place = services.s3, services.zones.raw_uri(key)
    with aws_failures(place):
        try:
            body = s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return [Finding(f"{of}: its script {place} is missing: `adplatform provision` puts it there")]
    if body == script:
        return []
    return [Finding(f"{of}: its script {place} is not ours: `adplatform provision` puts ours there", fatal=False)]


def drift(job: MadeJob, there: Mapping[str, Any]) -> Iterator[Finding]:
    """How a job that is there differs from what is needed, with what to do."""
    if others := _others_script(job, there):
        yield others
        return
    how = "`adplatform provision` sets it" if job.made else "set it"
    for what, has, should, fatal in (*_needed(job, there), *(_declared(job, there) if job.made else ())):
        text = f"job {job.name}: {what} is {has or 'none'}, and should be {should or 'none'}: {how}"
        yield Finding(text, fatal=fatal)


_Compared = tuple[str, Any, Any, bool]
"""What, as it is and as it should be, and whether nothing can be done as it is."""


def _needed(job: MadeJob, there: Mapping[str, Any]) -> Iterator[_Compared]:
    """Of every job."""
    kind, fixed = there["Command"]["Name"], there.get("NonOverridableArguments") or {}
    if kind != "glueetl":
        yield "its kind", kind, "glueetl", True
    for name in job.of_runs:
        if name in fixed:
            yield f"{name} in NonOverridableArguments", fixed[name], None, True
    connections = (there.get("Connections") or {}).get("Connections") or []
    for name in (job.request.get("Connections") or {}).get("Connections", ()):
        if name not in connections:
            yield "Connections", ", ".join(connections), ", ".join([*connections, name]), True
    has, most = _most_runs(there), _most_runs(job.request)
    if has < most:
        yield "MaxConcurrentRuns", has, f"{most}{job.runs}", False
    if there.get("MaxRetries"):
        yield "MaxRetries", there["MaxRetries"], f"0, because {job.repeats}", False
    bookmark = {**(there.get("DefaultArguments") or {}), **fixed}.get(BOOKMARK, NO_BOOKMARK)
    if bookmark != NO_BOOKMARK:
        yield BOOKMARK, bookmark, NO_BOOKMARK, False


def _declared(job: MadeJob, there: Mapping[str, Any]) -> Iterator[_Compared]:
    """Of one that is made."""
    wanted = job.request
    role, should = str(there.get("Role", "")), str(wanted["Role"])
    if role.rpartition("/")[2] != should.rpartition("/")[2]:
        yield "Role", role, should, False
    if there.get("GlueVersion") != wanted["GlueVersion"]:
        yield "GlueVersion", there.get("GlueVersion"), wanted["GlueVersion"], False
    given = {**(there.get("DefaultArguments") or {}), **(there.get("NonOverridableArguments") or {})}
    for name in job.decided:
        if given.get(name) != wanted["DefaultArguments"].get(name):
            yield name, given.get(name), wanted["DefaultArguments"].get(name), False


def _others_script(job: MadeJob, there: Mapping[str, Any]) -> Finding | None:
    """Set where the job is to be made, and one of its name runs a script that is not ours."""
    has, ours = there["Command"].get("ScriptLocation"), job.script_place
    if not job.made or has == ours:
        return None
    return Finding(
        f"job {job.name} runs {has}, and is to run {ours}: name another in {job.others_name}, or delete it; "
        f"`adplatform provision` makes the one that is declared. {job.others_own}"
    )


def _most_runs(job: Mapping[str, Any]) -> int:
    return int((job.get("ExecutionProperty") or {}).get("MaxConcurrentRuns") or 1)


def _update(job: MadeJob, there: Mapping[str, Any]) -> dict[str, Any]:
    """What UpdateJob takes: the job as wanted, with what was set beside."""
    wanted, own = job.request, (*job.of_runs, BOOKMARK, *job.decided)
    kept = {name: there[name] for name in _KEPT if there.get(name)}
    for name in ("DefaultArguments", "NonOverridableArguments"):
        others = {key: value for key, value in (there.get(name) or {}).items() if key not in own}
        kept[name] = {**others, **wanted.get(name, {})}
    known = (there.get("Connections") or {}).get("Connections") or []
    connections = dict.fromkeys([*known, *(wanted.get("Connections") or {}).get("Connections", ())])
    runs = {"MaxConcurrentRuns": max(_most_runs(there), _most_runs(wanted))}
    made = {name: value for name, value in wanted.items() if name != "Name"}
    joined = {"Connections": {"Connections": list(connections)}} if connections else {}
    return {**made, **kept, **joined, "ExecutionProperty": runs}
