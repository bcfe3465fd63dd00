"""The Glue job that reads the tables of a database, made from its declaration.

Facts: Glue API reference, CreateJob; developer guide, "Using job parameters" and "Python libraries".
"""

from typing import Any

from adplatform.contracts.database import DatabaseSource
from adplatform.failures import PermanentFailure
from adplatform.flow.services import Services
from adplatform.platform.aws_errors import aws_failures

SCRIPT = b"from adplatform.jobs.read_table import main\n\nmain()\n"
GLUE_VERSION = "5.0"
"""Spark 3.5, Python 3.11."""


def job_request(declared: DatabaseSource, script: str, targets: int) -> dict[str, Any]:
    """What CreateJob takes; ``script`` is its place."""
    glue = declared.glue
    arguments = {
        "--additional-python-modules": str(glue.package),
        "--job-bookmark-option": "job-bookmark-disable",
        **({"--extra-jars": glue.driver, "--user-jars-first": "true"} if glue.driver else {}),
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
    """Make the job where it is declared with its role and is not there, and put its script into the raw zone.

    Raises:
        PermanentFailure: AWS refuses it.
    """
    if declared.engine != "glue" or declared.glue.role is None:
        return
    zones, key, glue = services.zones, f"jobs/{declared.source}/read_table.py", services.glue
    with aws_failures(f"job {declared.job_name}"):
        services.s3.put_object(Bucket=zones.raw_bucket, Key=key, Body=SCRIPT, **zones.put_arguments)
        try:
            glue.get_job(JobName=declared.job_name)
        except glue.exceptions.EntityNotFoundException:
            try:
                glue.create_job(**job_request(declared, zones.raw_uri(key), targets))
            except glue.exceptions.InvalidInputException as e:
                said = e.response["Error"].get("Message", "")
                raise PermanentFailure(f"Glue refuses the job {declared.job_name}: {said}") from e
