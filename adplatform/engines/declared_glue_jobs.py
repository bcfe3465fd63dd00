"""The Glue job that reads the tables of a database, as its declaration has it."""

from collections.abc import Iterator, Mapping
from typing import Any

from adplatform.contracts.database import DatabaseSource
from adplatform.engines import made_jobs
from adplatform.engines.engine import Finding
from adplatform.engines.made_jobs import BOOKMARK, NO_BOOKMARK, MadeJob
from adplatform.flow.services import Services
from adplatform.lake.zones import Zones

SCRIPT = b"from adplatform.jobs.read_table import main\n\nmain()\n"
PLAN = "--plan"
"""The argument of a run that names the place of what it has to read."""
GLUE_VERSION = "5.0"
"""Spark 3.5, Python 3.11."""
_MODULES, _JARS, _JARS_FIRST = "--additional-python-modules", "--extra-jars", "--user-jars-first"


def script_key(declared: DatabaseSource) -> str:
    return f"jobs/{declared.source}/read_table.py"


def job_request(declared: DatabaseSource, script: str, targets: int) -> dict[str, Any]:
    """What CreateJob takes; ``script`` is its place."""
    glue = declared.glue
    arguments = {
        _MODULES: str(glue.package),
        BOOKMARK: NO_BOOKMARK,
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
    """As ``adplatform.engines.made_jobs.provide``, where ``declared`` has its role."""
    made_jobs.provide(services, _job(declared, services.zones, targets))


def put_script(services: Services, declared: DatabaseSource) -> None:
    """As ``adplatform.engines.made_jobs.put_script``."""
    made_jobs.put_script(services, _job(declared, services.zones, 1))


def script_findings(services: Services, declared: DatabaseSource) -> list[Finding]:
    """Whether the script of a job that is made is where it is looked for, and ours."""
    return made_jobs.script_findings(services, _job(declared, services.zones, 1))


def drift(declared: DatabaseSource, there: Mapping[str, Any], zones: Zones, targets: int) -> Iterator[Finding]:
    """How a job that is there differs from what its declaration needs, with what to do."""
    return made_jobs.drift(_job(declared, zones, targets), there)


def _job(declared: DatabaseSource, zones: Zones, targets: int) -> MadeJob:
    key = script_key(declared)
    return MadeJob(
        request=job_request(declared, zones.raw_uri(key), targets),
        made=declared.engine == "glue" and declared.glue.role is not None,
        script=SCRIPT,
        script_key=key,
        decided=(_MODULES, _JARS, _JARS_FIRST),
        of_runs=(PLAN,),
        runs=", one for each table",
        repeats="a run that Glue repeats by itself reads nothing",
        others_name="glue.job",
        others_own="For a job of your own leave glue.role and glue.package out",
    )
