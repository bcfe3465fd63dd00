"""The lives of matching jobs: they read the tables of a workflow, match, and write what they found."""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from moto.glue.exceptions import EntityNotFoundException
from moto.glue.models import glue_backends
from moto.s3.models import s3_backends

from adplatform.local.aws import managed
from adplatform.local.aws.entity_resolution import SERVICE
from adplatform.local.aws.entity_resolution.matching import Input, Unreadable, match
from adplatform.local.aws.entity_resolution.state import EntityResolutionBackend, Job
from adplatform.local.aws.managed import CONTROL, Fault
from adplatform.local.aws.state import LOCK

_LOOK_AGAIN_SECONDS = 0.02
_OBJECTS = ("success", "error")


def begin(backend: EntityResolutionBackend, job: Job) -> None:
    """Do the work of a job behind the answer. Callers hold the lock."""
    name = job.asked["workflowName"]
    stuck, fails, refused = (CONTROL.take(SERVICE, each, name) for each in ("stuck", "run_fails", "records_refused"))
    schemas = {each: list(backend.schemas[each].fields) for each in backend.workflows[name].schemas}
    managed.behind(SERVICE, partial(_run, backend, job, schemas, stuck, fails is not None, refused))


def _run(
    backend: EntityResolutionBackend,
    job: Job,
    schemas: dict[str, list[dict[str, Any]]],
    stuck: Fault | None,
    fails: bool,
    refused: Fault | None,
) -> None:
    if stuck is not None:
        end = time.monotonic() + stuck.seconds
        while not stuck.seconds or time.monotonic() < end:
            time.sleep(_LOOK_AGAIN_SECONDS)
    status, error, metrics = "SUCCEEDED", "", {}
    try:
        if fails:
            raise Unreadable(f"{job.asked['roleArn']} is not authorized to perform glue:GetTable")
        metrics = _matched(backend, job, schemas, refused.count if refused else 0)
    except Unreadable as e:
        status, error = "FAILED", str(e)
    except Exception as e:
        managed.log.exception("matching job %s", job.id)
        status, error = "FAILED", f"An internal error occurred: {type(e).__name__}"
    with LOCK:
        job.metrics = metrics
        job.end(status, error)
        managed.changed(SERVICE)


def _matched(
    backend: EntityResolutionBackend, job: Job, schemas: dict[str, list[dict[str, Any]]], refused: int
) -> dict[str, int]:
    """
    Raises:
        Unreadable: a table is not there, or is none that Entity Resolution reads.
    """
    with TemporaryDirectory() as made:
        work = Path(made)
        inputs = []
        for number, each in enumerate(job.asked["inputSourceConfig"]):
            files = _fetched(backend, each["inputSourceARN"], work / f"input-{number}")
            inputs.append(Input(each["inputSourceARN"], schemas[each["schemaName"]], files))
        metrics = match(inputs, job.asked, work, refused)
        _written(job, work)
    return metrics


def _fetched(backend: EntityResolutionBackend, arn: str, folder: Path) -> list[Path]:
    _, database, name = arn.split(":", 5)[5].split("/")
    folder.mkdir()
    with LOCK:
        try:
            table = glue_backends[backend.account_id][backend.region_name].get_table(database, name)
        except EntityNotFoundException as e:
            raise Unreadable(f"The table {database}.{name} does not exist.") from e
        described = table.as_dict()
        if described.get("Parameters", {}).get("classification") != "parquet":
            raise Unreadable(f"The table {database}.{name} is not Parquet, nor csv.")
        partitions = [each.as_dict() for each in table.partitions.values()]
        if not described.get("PartitionKeys"):
            partitions = [described]
    bodies = (body for each in partitions for body in _bodies(backend, each["StorageDescriptor"]["Location"]))
    files = []
    for number, body in enumerate(bodies):
        files.append(folder / f"{number}.parquet")
        files[-1].write_bytes(body)
    if not files:
        raise Unreadable(f"The table {database}.{name} has no files.")
    return files


def _bodies(backend: EntityResolutionBackend, location: str) -> list[Any]:
    bucket, prefix = urlsplit(location).netloc, urlsplit(location).path.lstrip("/")
    s3 = s3_backends[backend.account_id][backend.partition]
    with LOCK:
        names = sorted(name for name in s3.get_bucket(bucket).keys if name.startswith(prefix))
        keys = [s3.get_object(bucket, name) for name in names]
        return [key.value for key in keys if key is not None and len(key.value)]


def _written(job: Job, work: Path) -> None:
    """Callers do not hold the lock."""
    output = job.asked["outputSourceConfig"][0]
    place = urlsplit(output["outputS3Path"])
    encryption = {"ServerSideEncryption": "aws:kms"}
    if "KMSArn" in output:
        encryption["SSEKMSKeyId"] = output["KMSArn"]
    for kind in _OBJECTS:
        file = work / f"{kind}.csv"
        if file.exists():
            below = "/".join(filter(None, [place.path.strip("/"), job.asked["workflowName"], job.id, kind]))
            body = file.read_bytes()
            managed.own_s3().put_object(Bucket=place.netloc, Key=f"{below}/part-00000.csv", Body=body, **encryption)
