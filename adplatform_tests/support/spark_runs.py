"""Runs of Spark on the embedded AWS: applications of EMR Serverless, jobs of Glue, and what is done to their runs."""

from dataclasses import replace
from typing import Any

from adplatform.engines.declared_spark import SCRIPT_KEY
from adplatform.flow.services import Services
from adplatform.platform.aws import Aws
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.replication import administer
from adplatform_tests.support.waiting import turns

ROLE = "arn:aws:iam::123456789012:role/adplatform-spark"
LEAVES_A_RESULT = b"""
import sys
from urllib.parse import urlsplit

from adplatform.platform.aws import Aws

given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
place = urlsplit(given["--output"])
s3 = Aws(given["--region"]).client("s3")
s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/") + "result.json", Body=b"{}")
"""
"""A script that needs no Spark, no plan and no time."""
_ENDED = ("SUCCESS", "FAILED", "CANCELLED")


def on_glue(services: Services, job: str, **more: Any) -> Services:
    return replace(services, settings=replace(services.settings, spark="glue", spark_job=job, **more))


def on_emr(services: Services, application: str) -> Services:
    named = {"spark_application": application, "spark_role": ROLE}
    return replace(services, settings=replace(services.settings, spark="emr-serverless", **named))


def make_application(aws: Aws, **more: Any) -> str:
    made = aws.client("emr-serverless").create_application(
        name=unique("application"), releaseLabel="emr-7.9.0", type="SPARK", **more
    )
    return str(made["applicationId"])


def put_entry_point(services: Services, script: bytes = LEAVES_A_RESULT) -> None:
    services.s3.put_object(Bucket=services.zones.raw_bucket, Key=SCRIPT_KEY, Body=script)


def emr_runs(aws: Aws, application: str) -> list[dict[str, Any]]:
    """The newest first."""
    found: list[dict[str, Any]] = aws.client("emr-serverless").list_job_runs(applicationId=application)["jobRuns"]
    return found


def wait_for_emr_run(aws: Aws, application: str, run: str, *states: str, seconds: float = 60.0) -> dict[str, Any]:
    """A run once it is in one of the states, by default once it has ended."""
    client = aws.client("emr-serverless")
    for _ in turns(seconds):
        found: dict[str, Any] = client.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
        if found["state"] in (states or _ENDED):
            return found
    raise AssertionError(found)


def order_emr_fault(aws: Aws, name: str, application: str, **more: Any) -> None:
    administer(aws, fault={"service": "emr-serverless", "name": name, "target": application, **more})
