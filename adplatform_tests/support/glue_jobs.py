"""Glue jobs of the embedded AWS: their making, waiting for a run, what may be done to one."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from adplatform.engines.declared_glue_jobs import SCRIPT
from adplatform.platform.aws import Aws
from adplatform_tests.support.replication import administer
from adplatform_tests.support.waiting import turns

ROLE = "arn:aws:iam::123456789012:role/adplatform-glue"
_ENDED = ("STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR", "EXPIRED")


def jdbc_jar() -> str:
    """A pgJDBC of this machine; without one the test is skipped."""
    jar = os.environ.get("POSTGRES_JDBC_JAR")
    if not jar:
        pytest.skip("POSTGRES_JDBC_JAR names no pgJDBC, such as /usr/share/java/postgresql.jar")
    return jar


def make_job(
    aws: Aws,
    name: str,
    bucket: str,
    *,
    script: bytes = SCRIPT,
    arguments: Mapping[str, str] | None = None,
    kind: str = "glueetl",
    runs: int = 3,
    **more: Any,
) -> None:
    """A job whose script lies in ``bucket``; by default the platform's, without a Spark."""
    key = f"jobs/{name}.py"
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=script)
    aws.client("glue").create_job(
        Name=name,
        Role=ROLE,
        Command={"Name": kind, "ScriptLocation": f"s3://{bucket}/{key}"},
        DefaultArguments={"--reader": "driver"} if arguments is None else dict(arguments),
        ExecutionProperty={"MaxConcurrentRuns": runs},
        **more,
    )


def job_runs(aws: Aws, job: str) -> list[dict[str, Any]]:
    """The newest first."""
    found: list[dict[str, Any]] = aws.client("glue").get_job_runs(JobName=job)["JobRuns"]
    return found


def wait_for_job_run(aws: Aws, job: str, run: str = "", *states: str, seconds: float = 60.0) -> dict[str, Any]:
    """A run, by default the newest, once it is in one of the states, by default once it has ended."""
    for _ in turns(seconds):
        found = [each for each in job_runs(aws, job) if run in ("", each["Id"])]
        if found and found[0]["JobRunState"] in (states or _ENDED):
            return found[0]
    raise AssertionError(found)


def kill_script(aws: Aws, run: str) -> None:
    """The machine of a run is lost."""
    assert administer(aws, ask={"service": "glue", "what": "kill", "target": run})["answer"]["killed"]


def order_job_fault(aws: Aws, name: str, job: str, **more: Any) -> None:
    administer(aws, fault={"service": "glue", "name": name, "target": job, **more})
