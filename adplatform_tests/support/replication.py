"""DataSync tasks of the embedded AWS: their making, their running, and what their reports say."""

import json
from typing import Any
from urllib.parse import urlsplit

from adplatform.local.signed import order
from adplatform.platform.access_keys import key_for
from adplatform.platform.aws import Aws
from adplatform_tests.support.waiting import turns

ROLE = "arn:aws:iam::123456789012:role/datasync"


def s3_location(aws: Aws, place: str) -> str:
    """The ARN of a location of the account's own S3. ``place`` is ``bucket`` or ``bucket/prefix``."""
    bucket, _, prefix = place.partition("/")
    created = aws.client("datasync").create_location_s3(
        S3BucketArn=f"arn:aws:s3:::{bucket}", Subdirectory=prefix, S3Config={"BucketAccessRoleArn": ROLE}
    )
    return str(created["LocationArn"])


def object_storage_location(aws: Aws, place: str, *, server: str = "", **settings: Any) -> str:
    """The ARN of a location in another cloud: a bucket of the S3-compatible server at a URL, or of the embedded AWS,
    which is then reached as a stranger would."""
    at = server or str(aws.endpoint_url)
    url, key = urlsplit(at), key_for(at)
    bucket, _, prefix = place.partition("/")
    created = aws.client("datasync").create_location_object_storage(
        ServerHostname=url.hostname,
        ServerPort=url.port,
        ServerProtocol=url.scheme.upper(),
        BucketName=bucket,
        Subdirectory=prefix,
        AccessKey=key.id,
        SecretKey=key.secret,
        **settings,
    )
    return str(created["LocationArn"])


def make_task(aws: Aws, source: str, destination: str, *, reports: str = "", **settings: Any) -> str:
    """The ARN of a task in ENHANCED mode, unless ``TaskMode`` is given. ``source``, in another cloud, ``destination``
    and ``reports`` are places as above; source and destination may be ARNs of locations, too. ``settings`` go to
    CreateTask."""
    if reports:
        settings.setdefault("TaskReportConfig", report_to(reports))
    created = aws.client("datasync").create_task(
        SourceLocationArn=source if source.startswith("arn:") else object_storage_location(aws, source),
        DestinationLocationArn=destination if destination.startswith("arn:") else s3_location(aws, destination),
        **{"TaskMode": "ENHANCED", **settings},
    )
    return str(created["TaskArn"])


def report_to(place: str, **settings: str) -> dict[str, Any]:
    """A standard report of successes and errors with version ids, unless ``settings`` say otherwise."""
    bucket, _, prefix = place.partition("/")
    where = {"S3BucketArn": f"arn:aws:s3:::{bucket}", "BucketAccessRoleArn": ROLE, "Subdirectory": prefix}
    wanted = {"OutputType": "STANDARD", "ReportLevel": "SUCCESSES_AND_ERRORS", "ObjectVersionIds": "INCLUDE"}
    return {"Destination": {"S3": where}, **wanted, **settings}


def execute(aws: Aws, task: str, **overrides: Any) -> dict[str, Any]:
    """Starts a task and waits for the end; the description of the execution."""
    started = aws.client("datasync").start_task_execution(TaskArn=task, **overrides)
    return wait_for_execution(aws, started["TaskExecutionArn"])


def wait_for_execution(aws: Aws, execution: str, *, seconds: float = 60.0) -> dict[str, Any]:
    """The description of an execution that has ended, its report included."""
    client = aws.client("datasync")
    for _ in turns(seconds):
        said: dict[str, Any] = client.describe_task_execution(TaskExecutionArn=execution)
        if said["Status"] in {"SUCCESS", "ERROR"} and said.get("ReportResult", {}).get("Status") != "PENDING":
            return said
    raise TimeoutError(f"{execution} is still {said['Status']}, its report {said.get('ReportResult')}")


def reported(aws: Aws, bucket: str, execution: str, kind: str = "Transferred") -> list[dict[str, Any]]:
    """What the detailed reports of an execution say of files that were Transferred, Skipped, Verified or Deleted."""
    s3, run = aws.client("s3"), execution.rpartition("/")[2]
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    bodies = [json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys if f"{run}.files-" in key]
    return [entry for body in bodies for entry in body.get(kind, [])]


def administer(aws: Aws, **orders: Any) -> dict[str, Any]:
    """Moves the engines' clock (``advance``, in seconds) or orders a fault; see ``adplatform.local.aws.managed``."""
    return order(str(aws.endpoint_url), orders)


def order_fault(aws: Aws, name: str, task: str, **settings: Any) -> None:
    """The next time that it can, ``name`` of ``adplatform.local.aws.datasync.faults`` happens to the task."""
    administer(aws, fault={"service": "datasync", "name": name, "target": task, **settings})
