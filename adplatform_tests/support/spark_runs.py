"""Runs of Spark on the embedded AWS: applications of EMR Serverless, jobs of Glue, and what is done to their runs."""

import gzip
import io
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from adplatform.contracts.model import Contract
from adplatform.engines.declared_spark import SCRIPT_KEY
from adplatform.engines.emr_application import RELEASE
from adplatform.engines.spark_environment import ENVIRONMENT_KEY
from adplatform.engines.spark_package import runs_here
from adplatform.flow.engine_work import output_prefix, plan_key
from adplatform.flow.services import Services
from adplatform.ledger.engine_run import Intention
from adplatform.platform.aws import Aws
from adplatform.privacy.keys import fetch_key
from adplatform.transform.job_plan import RESULT, JobPlan, JobResult, PlannedFile
from adplatform_tests.local.aws.appflow_world import unique
from adplatform_tests.support.forked_scripts import LEADS_HERE
from adplatform_tests.support.replication import administer
from adplatform_tests.support.waiting import turns

needs_python_of_glue = pytest.mark.skipif(
    not runs_here(), reason="what the job imports is made with the Python and on the processor that run it"
)
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
    asked = {"name": unique("application"), "releaseLabel": RELEASE, "type": "SPARK", **more}
    made = aws.client("emr-serverless").create_application(**asked)
    return str(made["applicationId"])


def put_entry_point(services: Services, script: bytes = LEAVES_A_RESULT) -> None:
    for key, body in ((SCRIPT_KEY, script), (ENVIRONMENT_KEY, _packed_path())):
        services.s3.put_object(Bucket=services.zones.raw_bucket, Key=key, Body=body)


@cache
def _packed_path() -> bytes:
    """An archive that has what a run imports found where this process finds it: the true one takes seconds."""
    text = "import site\n" + "".join(f"site.addsitedir({path!r})\n" for path in sys.path if Path(path).is_dir())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(LEADS_HERE)
        entry.size = len(text.encode())
        archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


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


def put_delivery(services: Services, intention: Intention, texts: Mapping[str, str]) -> Contract:
    """Files of CSV, compressed, and the plan of an intention to transform them: a number, and an address that is hashed
    with the platform's key."""
    columns = {"id": {"type": "int", "required": True}, "email": {"pii": {"kind": "email", "treatment": "lake"}}}
    contract, bucket, planned = Contract.model_validate({"columns": columns}), services.zones.raw_bucket, []
    for ordinal, (name, text) in enumerate(texts.items()):
        key, body = f"landing/crm/{name}.gz", gzip.compress(text.encode())
        version = services.s3.put_object(Bucket=bucket, Key=key, Body=body).get("VersionId", "")
        uri = services.zones.raw_uri(key)
        planned.append(PlannedFile(uri=uri, version=version, origin=name, ordinal=ordinal, size=len(body)))
    secret = services.settings.hash_key_secret
    plan = JobPlan(
        contract=contract,
        day=date(2026, 3, 14),
        files=tuple(planned),
        key_secret=secret,
        key_id=fetch_key(services.secrets, secret).id,
    )
    services.s3.put_object(Bucket=bucket, Key=plan_key(intention), Body=plan.model_dump_json().encode())
    return contract


def result_of(services: Services, intention: Intention) -> JobResult:
    key = f"{output_prefix(intention)}{RESULT}"
    return JobResult.model_validate_json(
        services.s3.get_object(Bucket=services.zones.raw_bucket, Key=key)["Body"].read()
    )


def clean_rows(services: Services, result: JobResult, work: Path) -> list[dict[str, Any]]:
    """Of all files that a result names, by their ``id``."""
    found: list[dict[str, Any]] = []
    for file in result.clean:
        services.s3.download_file(
            services.zones.raw_bucket, file.uri.removeprefix(services.zones.raw_uri("")), str(work / "file")
        )
        found += pq.read_table(work / "file").to_pylist()
    return sorted(found, key=lambda row: row["id"])
