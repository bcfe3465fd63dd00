"""What DMS reports to EventBridge of a task or a replication of DMS Serverless, in the shape that the user guide shows
("Working with Amazon EventBridge events and notifications")."""

from adplatform.local.aws import managed
from adplatform.local.aws.dms.state import DmsBackend, Replication
from adplatform.local.aws.managed import CONTROL
from adplatform.local.aws.state import LOCK


def report(backend: DmsBackend, replication: Replication, what: str) -> None:
    """It was STARTED, or has STOPPED or FAILED. Callers do not hold the lock."""
    with LOCK:
        if CONTROL.take("dms", "event_lost", replication.arn):
            return
    kind = "REPLICATION_CONFIG" if replication.serverless else "REPLICATION_TASK"
    named = "DMS Replication State Change" if replication.serverless else "DMS Replication Task State Change"
    event = f"REPLICATION_{what}" if replication.serverless else f"REPLICATION_TASK_{what}"
    detail = {
        "type": kind,
        "category": "Failure" if what == "FAILED" else "StateChange",
        "eventType": event,
        "detailMessage": replication.failure or replication.stop_reason,
    }
    managed.publish("dms", backend.account_id, backend.region_name, named, [replication.arn], detail)
