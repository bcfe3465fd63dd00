"""AppFlow's events on the default bus, in the form in which public examples show them: every number is a string, times
end in ``[UTC]``, and the resource is no ARN but 32 hexadecimal digits."""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from adplatform.local.aws import managed
from adplatform.local.aws.appflow.state import SUCCESSFUL, AppflowBackend, Flow, Run

ENDED, STARTED = "AppFlow End Flow Run Report", "AppFlow Start Flow Run Report"
DEACTIVATED = "AppFlow Scheduled Flow Deactivated"


def ended(backend: AppflowBackend, flow: Flow, run: Run) -> dict[str, Any]:
    """The detail of the report at the end of a run."""
    report = {
        **_about(backend, flow),
        "num-of-records-processed": str(run.records),
        "execution-id": run.id,
        "num-of-records-filtered": str(run.filtered),
        "start-time": _time(run.started),
        "num-of-documents-processed": "0",
        "end-time": _time(run.updated),
        "num-of-record-failures": str(run.failed),
        "data-processed": str(run.bytes_processed),
        "status": "Execution Successful" if run.status == SUCCESSFUL else "Execution Failed",
    }
    if run.message:
        report["error"] = run.message
    if run.pull_start and run.pull_end:
        report["incremental-transfer-time-range"] = f"{_time(run.pull_start)} - {_time(run.pull_end)}"
    return report


def started(backend: AppflowBackend, flow: Flow, run: Run) -> dict[str, Any]:
    about = _about(backend, flow)
    return {**about, "execution-id": run.id, "start-time": _time(run.started), "status": "Execution Started"}


def deactivated(backend: AppflowBackend, flow: Flow, reason: str, at: datetime) -> dict[str, Any]:
    return {**_about(backend, flow), "deactivation-reason": reason, "deactivation-time": _time(at)}


def publish(backend: AppflowBackend, flow: Flow, kind: str, detail: dict[str, Any]) -> None:
    """Callers do not hold the lock."""
    resource = blake2b(flow.arn.encode(), digest_size=16).hexdigest()
    managed.publish("appflow", backend.account_id, backend.region_name, kind, [resource], detail)


def creator(account: str) -> str:
    return f"arn:aws:iam::{account}:root"


def _about(backend: AppflowBackend, flow: Flow) -> dict[str, Any]:
    target = "/".join(filter(None, (flow.destination["bucketName"], flow.destination.get("bucketPrefix", ""))))
    source = flow.source["connectorType"].upper()
    return {
        "flow-name": flow.name,
        "created-by": creator(backend.account_id),
        "flow-arn": flow.arn,
        "source": f"{source}/{flow.source.get('connectorProfileName', '')}".rstrip("/"),
        "destination": "S3",
        "source-object": flow.source_object,
        "destination-object": f"s3://{target}",
        "trigger-type": flow.trigger.upper(),
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z[UTC]")
